//! The three passes of single convolutions, in every precision. `pytorch_gpu.py` has the same list.
//!
//! A pass that stays exact in f32 whatever it is asked for is measured under a column that says so, such
//! as `bf16, in f32`: what it computes is not what cuDNN computes in bf16.

use crate::rows::Rows;
use anyhow::Result;
use gradus::layers::Padding::{self, Same, Valid};
use gradus::layers::conv2d::Geometry;
use gradus::layers::conv2d::cuda::ladder::{self, Rung};
use gradus::layers::conv2d::cuda::{self, Epilogue, hopper, winograd};
use gradus::tensor::gpu::Gpu;
use gradus::tensor::{Device, Precision, Shape, Spec, Tensor};

/// Name, images, side and channels of x, side of the kernel, filters, stride, padding: all that differ
/// in the tutorial's network, in ResNet-50 (v1.5, strides in the three by three) at 224 pixels, and in
/// airbench94, whose pools of 2 make 31, 15, 7 and 3 of 32 pixels.
type Case = (&'static str, [usize; 3], [usize; 2], usize, Padding);
const CASES: [Case; 35] = [
    ("tutorial conv1, 128", [128, 128, 3], [3, 32], 1, Valid),
    ("tutorial conv2, 128", [128, 63, 32], [3, 64], 1, Valid),
    ("tutorial conv3, 128", [128, 30, 64], [3, 128], 1, Valid),
    ("tutorial conv1, 15", [15, 128, 3], [3, 32], 1, Valid),
    ("tutorial conv2, 15", [15, 63, 32], [3, 64], 1, Valid),
    ("tutorial conv3, 15", [15, 30, 64], [3, 128], 1, Valid),
    ("resnet50 stem", [64, 224, 3], [7, 64], 2, Same),
    ("resnet50 56, 1x1 first", [64, 56, 64], [1, 64], 1, Valid),
    ("resnet50 56, 3x3", [64, 56, 64], [3, 64], 1, Same),
    ("resnet50 56, 1x1 out", [64, 56, 64], [1, 256], 1, Valid),
    ("resnet50 56, 1x1 in", [64, 56, 256], [1, 64], 1, Valid),
    ("resnet50 56 to 28, 1x1 in", [64, 56, 256], [1, 128], 1, Valid),
    ("resnet50 56 to 28", [64, 56, 128], [3, 128], 2, Same),
    ("resnet50 56 to 28, shortcut", [64, 56, 256], [1, 512], 2, Same),
    ("resnet50 28, 1x1 in", [64, 28, 512], [1, 128], 1, Valid),
    ("resnet50 28, 3x3", [64, 28, 128], [3, 128], 1, Same),
    ("resnet50 28, 1x1 out", [64, 28, 128], [1, 512], 1, Valid),
    ("resnet50 28 to 14, 1x1 in", [64, 28, 512], [1, 256], 1, Valid),
    ("resnet50 28 to 14", [64, 28, 256], [3, 256], 2, Same),
    ("resnet50 28 to 14, shortcut", [64, 28, 512], [1, 1024], 2, Same),
    ("resnet50 14, 1x1 in", [64, 14, 1024], [1, 256], 1, Valid),
    ("resnet50 14, 3x3", [64, 14, 256], [3, 256], 1, Same),
    ("resnet50 14, 1x1 out", [64, 14, 256], [1, 1024], 1, Valid),
    ("resnet50 14 to 7, 1x1 in", [64, 14, 1024], [1, 512], 1, Valid),
    ("resnet50 14 to 7", [64, 14, 512], [3, 512], 2, Same),
    ("resnet50 14 to 7, shortcut", [64, 14, 1024], [1, 2048], 2, Same),
    ("resnet50 7, 1x1 in", [64, 7, 2048], [1, 512], 1, Valid),
    ("resnet50 7, 3x3", [64, 7, 512], [3, 512], 1, Same),
    ("resnet50 7, 1x1 out", [64, 7, 512], [1, 2048], 1, Valid),
    ("airbench whitening", [1024, 32, 3], [2, 24], 1, Valid),
    ("airbench 31, 24 to 64", [1024, 31, 24], [3, 64], 1, Same),
    ("airbench 15, 64 to 64", [1024, 15, 64], [3, 64], 1, Same),
    ("airbench 15, 64 to 256", [1024, 15, 64], [3, 256], 1, Same),
    ("airbench 7, 256 to 256", [1024, 7, 256], [3, 256], 1, Same),
    ("airbench 3, 256 to 256", [1024, 3, 256], [3, 256], 1, Same),
];
const PRECISIONS: [(Precision, &str); 3] =
    [(Precision::F32, "f32"), (Precision::Tf32, "tf32"), (Precision::Bf16, "bf16")];

/// All of them.
pub(crate) fn measure(gpu: &Gpu, rows: &mut Rows) -> Result<()> {
    for (name, [n, side, c], [r, k], stride, padding) in CASES {
        // What an emulated device does in seconds, and still tiles of every width.
        let small = |[n, side, c, k]: [usize; 4]| [n.min(1), side.min(12), c.min(128), k.min(128)];
        let whole = [n, side, c, k];
        let [n, side, c, k] = if rows.quick { small(whole) } else { whole };
        let (x, kernel) = (Shape::new(&[n, side, side, c]), Shape::new(&[r, r, c, k]));
        let g = Geometry::new(x, kernel, [stride; 2], padding, [1, 1])?;
        passes(gpu, rows, name, &g)?;
        if name.contains("conv3, 128") || name.contains("56, 3x3") {
            rungs(gpu, rows, name, &g)?;
        }
    }
    Ok(())
}

/// Numbers on the device, such as a network has them.
pub(crate) fn numbers(gpu: &Gpu, shape: Shape) -> Tensor {
    let values: Vec<f32> =
        (0..shape.len()).map(|i| (i * 7919 % 1009) as f32 / 504.0 - 1.0).collect();
    Tensor::from_slice(shape, &values).on(&Device::Cuda(gpu.clone()))
}

fn operations(g: &Geometry) -> f64 {
    2.0 * g.y().len() as f64 * g.taps() as f64
}

fn passes(gpu: &Gpu, rows: &mut Rows, name: &str, g: &Geometry) -> Result<()> {
    let [mut x, mut kernel, mut y] = [g.x(), g.kernel(), g.y()].map(|shape| numbers(gpu, shape));
    let [x_again, kernel_again, dz] = [&x, &kernel, &y].map(Clone::clone);
    let scratch = Spec::f32(Shape::new(&[cuda::scratch(g)]));
    let mut scratch = Tensor::zeros(scratch, &Device::Cuda(gpu.clone()));
    let work = operations(g);
    let asked = |(precision, name): (Precision, &str)| {
        let column =
            |done| if done == precision { name.to_owned() } else { format!("{name}, in {done}") };
        (precision, cuda::rounds_to(gpu, precision, g).map(column))
    };
    if hopper::is_hopper(gpu) && hopper::fits(g) {
        generations(gpu, rows, name, g)?;
    }
    if winograd::fits(g) {
        quarters(gpu, rows, name, g)?;
    }
    for (precision, [of_y, of_dx, of_dw]) in PRECISIONS.map(asked) {
        rows.device(gpu, ["forward", name, &of_y], work, || {
            let operands = [x_again.gpu(), kernel_again.gpu()];
            cuda::forward(
                gpu,
                precision.into(),
                g,
                operands,
                Epilogue::none(),
                scratch.gpu_mut(),
                y.gpu_mut(),
            );
        })?;
        rows.device(gpu, ["dx", name, &of_dx], work, || {
            let (operands, arithmetic) = ([dz.gpu(), kernel_again.gpu()], precision.into());
            cuda::backward_input(gpu, arithmetic, g, operands, scratch.gpu_mut(), x.gpu_mut());
        })?;
        rows.device(gpu, ["dW", name, &of_dw], work, || {
            let (of, arithmetic) = ([x_again.gpu(), dz.gpu()], precision.into());
            cuda::backward_weight(gpu, arithmetic, g, of, scratch.gpu_mut(), kernel.gpu_mut());
        })?;
    }
    Ok(())
}

/// In bf16, by what Hopper alone has and by what every device has, whichever is chosen.
fn generations(gpu: &Gpu, rows: &mut Rows, name: &str, g: &Geometry) -> Result<()> {
    let [mut x, mut kernel, mut y] = [g.x(), g.kernel(), g.y()].map(|shape| numbers(gpu, shape));
    let [x_again, kernel_again, dz] = [&x, &kernel, &y].map(Clone::clone);
    let scratch = Spec::f32(Shape::new(&[cuda::scratch(g).max(hopper::scratch(g))]));
    let mut scratch = Tensor::zeros(scratch, &Device::Cuda(gpu.clone()));
    let (work, none, bf16) = (operations(g), Epilogue::none, Precision::Bf16);
    let [forward, dx, dw] = ["forward", "dx", "dW"].map(|pass| format!("{pass}, {name}"));
    let of_y = [x_again.gpu(), kernel_again.gpu()];
    let (of_dx, of_dw) = ([dz.gpu(), kernel_again.gpu()], [x_again.gpu(), dz.gpu()]);
    rows.device(gpu, ["hopper", &forward, "wgmma"], work, || {
        hopper::forward(gpu, g, of_y, none(), scratch.gpu_mut(), y.gpu_mut());
    })?;
    rows.device(gpu, ["hopper", &forward, "mma"], work, || {
        cuda::forward_in_tiles(gpu, bf16, g, of_y, none(), scratch.gpu_mut(), y.gpu_mut());
    })?;
    rows.device(gpu, ["hopper", &dx, "wgmma"], work, || {
        hopper::backward_input(gpu, g, of_dx, scratch.gpu_mut(), x.gpu_mut());
    })?;
    rows.device(gpu, ["hopper", &dx, "mma"], work, || {
        cuda::backward_input_in_tiles(gpu, bf16, g, of_dx, scratch.gpu_mut(), x.gpu_mut());
    })?;
    if !hopper::weight::fits(g) {
        return Ok(());
    }
    rows.device(gpu, ["hopper", &dw, "wgmma"], work, || {
        hopper::weight::backward_weight(gpu, g, of_dw, scratch.gpu_mut(), kernel.gpu_mut());
    })?;
    rows.device(gpu, ["hopper", &dw, "mma"], work, || {
        cuda::backward_weight_in_tiles(gpu, bf16, g, of_dw, scratch.gpu_mut(), kernel.gpu_mut());
    })
}

/// In f32, by Winograd's algorithm and by all products, whichever is chosen.
fn quarters(gpu: &Gpu, rows: &mut Rows, name: &str, g: &Geometry) -> Result<()> {
    let [mut x, mut kernel, mut y] = [g.x(), g.kernel(), g.y()].map(|shape| numbers(gpu, shape));
    let [x_again, kernel_again, dz] = [&x, &kernel, &y].map(Clone::clone);
    let scratch = Spec::f32(Shape::new(&[cuda::scratch(g).max(winograd::scratch(g))]));
    let mut scratch = Tensor::zeros(scratch, &Device::Cuda(gpu.clone()));
    let (work, none, f32) = (operations(g), Epilogue::none, Precision::F32);
    let [forward, dx, dw] = ["forward", "dx", "dW"].map(|pass| format!("{pass}, {name}"));
    let of_y = [x_again.gpu(), kernel_again.gpu()];
    rows.device(gpu, ["winograd", &forward, "winograd"], work, || {
        winograd::forward(gpu, g, of_y, none(), scratch.gpu_mut(), y.gpu_mut());
    })?;
    rows.device(gpu, ["winograd", &forward, "tiles"], work, || {
        cuda::forward_in_tiles(gpu, f32, g, of_y, none(), scratch.gpu_mut(), y.gpu_mut());
    })?;
    let of_dx = [dz.gpu(), kernel_again.gpu()];
    rows.device(gpu, ["winograd", &dx, "winograd"], work, || {
        winograd::backward_input(gpu, g, of_dx, scratch.gpu_mut(), x.gpu_mut());
    })?;
    rows.device(gpu, ["winograd", &dx, "tiles"], work, || {
        cuda::backward_input_in_tiles(gpu, f32, g, of_dx, scratch.gpu_mut(), x.gpu_mut());
    })?;
    let of_dw = [x_again.gpu(), dz.gpu()];
    rows.device(gpu, ["winograd", &dw, "winograd"], work, || {
        winograd::backward_weight(gpu, g, of_dw, scratch.gpu_mut(), kernel.gpu_mut());
    })?;
    rows.device(gpu, ["winograd", &dw, "tiles"], work, || {
        cuda::backward_weight_in_tiles(gpu, f32, g, of_dw, scratch.gpu_mut(), kernel.gpu_mut());
    })
}

/// Every rung of the ladder that leads to the engine.
fn rungs(gpu: &Gpu, rows: &mut Rows, name: &str, g: &Geometry) -> Result<()> {
    let [x, kernel, mut y] = [g.x(), g.kernel(), g.y()].map(|shape| numbers(gpu, shape));
    for rung in Rung::ALL.into_iter().filter(|rung| rung.fits(g) && rung.check(gpu).is_ok()) {
        let column = format!("{rung:?}");
        let scratch = Spec::f32(Shape::new(&[rung.scratch(g)]));
        let mut scratch = Tensor::zeros(scratch, &Device::Cuda(gpu.clone()));
        rows.device(gpu, ["ladder", name, &column], operations(g), || {
            let operands = [x.gpu(), kernel.gpu()];
            ladder::forward(gpu, rung, g, operands, scratch.gpu_mut(), y.gpu_mut());
        })?;
    }
    Ok(())
}
