//! One layer in the hands of a test: built, planned, run.

use crate::{Init, Layer, Mode, Saved};
use gradus_tensor::gpu::Gpu;
use gradus_tensor::{Context, Device, Field, Path, Precision, Shape, Tensor};
use gradus_testing::{Cases, Golden, Tolerance, assert_close};

/// A layer with its memory.
#[derive(Debug)]
pub(crate) struct Trial<L> {
    pub(crate) layer: L,
    pub(crate) cx: Context,
    pub(crate) saved: Saved,
}

impl<L: Layer> Trial<L> {
    /// Builds the layer for such an x, with seed 0, to be run on that many threads.
    pub(crate) fn new(layer: L, x: Shape, threads: usize) -> Self {
        Self::on(&Device::Cpu, layer, x, threads)
    }

    /// The same on that device.
    pub(crate) fn on(device: &Device, mut layer: L, x: Shape, threads: usize) -> Self {
        layer.build(x, &mut Init::new(device, 0)).expect("an x that fits");
        let plan = layer.plan(gradus_tensor::Spec::f32(x), Mode::Train).expect("an x that fits");
        let mut cx = Context::new(device.clone(), threads);
        plan.reserve(&mut cx);
        let saved = Saved::allocate(&plan, device);
        cx.publish_step();
        Self { layer, cx, saved }
    }

    fn y(&self, x: &Tensor) -> Tensor {
        let mut y = Tensor::from_slice(self.saved.output(), &vec![9.0; self.saved.output().len()]);
        y.set_shape(self.layer.output_shape(x.shape()).expect("an x that fits"));
        y.on(&self.cx.device)
    }

    pub(crate) fn forward(&mut self, x: &Tensor) -> Tensor {
        let mut y = self.y(x);
        self.layer.forward(&mut self.cx, x, &mut y, &mut self.saved);
        y
    }

    /// With the memory of inference alone.
    pub(crate) fn infer(&mut self, x: &Tensor) -> Tensor {
        let mut y = self.y(x);
        let plan = self.layer.plan(x.spec(), Mode::Infer).expect("an x that fits");
        plan.reserve(&mut self.cx);
        let mut saved = Saved::allocate(&plan, &self.cx.device);
        self.layer.infer(&mut self.cx, x, &mut y, &mut saved);
        y
    }

    /// dx; the gradients of the parameters lie in the layer.
    pub(crate) fn backward(&mut self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Tensor {
        let (mut dx, mut dy) = (x.clone(), dy.clone());
        dx.edit::<f32>(|dx| dx.fill(9.0));
        self.layer.backward(&mut self.cx, x, y, &mut dy, Some(&mut dx), &mut self.saved);
        dx
    }
}

/// Holds the layer on a GPU against itself on the CPU, with an x of that shape: y of inference and
/// training, dx, the gradients, and what training moved. Parameters and buffers are random, and
/// above 0 where they are variances. Does nothing, saying so, where no GPU opens.
#[track_caller]
pub(crate) fn kernels_agree<L: Layer>(what: &str, layer: impl Fn() -> L, x: Shape, sums: usize) {
    let Some(gpu) = gradus_testing::gpu() else { return };
    let tolerance = Tolerance::for_reduction(sums);
    for (name, actual, exact) in on_both(&gpu, Precision::F32, what, layer, x) {
        assert_close(&format!("{what}: {name}"), &actual, &exact, tolerance);
    }
}

/// The same in bf16 on the GPU: how far off each result is in the mean square, as a part of what is
/// right, by name, without those that are all 0.
pub(crate) fn off_in_bf16<L: Layer>(
    gpu: &Gpu,
    what: &str,
    layer: impl Fn() -> L,
    x: Shape,
) -> Vec<(String, f64)> {
    let both = on_both(gpu, Precision::Bf16, what, layer, x).into_iter();
    let off = both.map(|(name, actual, exact)| {
        let off = actual.iter().zip(&exact).map(|(&a, &e)| (f64::from(a) - e).powi(2));
        let all = exact.iter().map(|v| v * v).sum::<f64>();
        (name, (off.sum::<f64>() / all).sqrt())
    });
    off.filter(|(_, off)| !off.is_nan()).collect()
}

/// What a layer gives on a GPU in that precision, and on the CPU, by name.
fn on_both<L: Layer>(
    gpu: &Gpu,
    precision: Precision,
    what: &str,
    layer: impl Fn() -> L,
    x: Shape,
) -> Vec<(String, Vec<f32>, Vec<f64>)> {
    let device = Device::Cuda(gpu.clone());
    let mut cases = Cases::new(what, 0);
    let [mut host, mut kernels] =
        [&Device::Cpu, &device].map(|device| Trial::on(device, layer(), x, 2));
    kernels.cx.precision = precision;
    let mut drawn = draw_fields(&mut host.layer, &mut cases).into_iter();
    kernels.layer.visit_mut(&mut Path::default(), &mut |_, field| {
        field.into_value().write(&drawn.next().expect("the same fields"));
    });
    let mut draw = |shape: Shape| Tensor::from_slice(shape, &cases.normal(shape.len()));
    let (x, dy) = (draw(x), draw(layer().output_shape(x).expect("an x that fits")));
    let run = |trial: &mut Trial<L>| {
        let [x, dy] = [&x, &dy].map(|tensor| tensor.on(&trial.cx.device));
        let inferred = trial.infer(&x);
        let y = trial.forward(&x);
        let dx = trial.backward(&x, &y, &dy);
        let mut all = vec![
            ("y of inference".to_owned(), inferred.on(&Device::Cpu)),
            ("y".to_owned(), y.on(&Device::Cpu)),
            ("dx".to_owned(), dx.on(&Device::Cpu)),
        ];
        trial.layer.visit(&mut Path::default(), &mut |path, field| {
            all.push(match field {
                Field::Param(param) => (format!("gradient of {path}"), param.grad.on(&Device::Cpu)),
                Field::Buffer(tensor) => (path.to_string(), tensor.on(&Device::Cpu)),
            });
        });
        all
    };
    let (expected, actual) = (run(&mut host), run(&mut kernels));
    gpu.synchronize().expect("a sound device");
    let pairs = expected.into_iter().zip(actual);
    let both = pairs.map(|((name, expected), (_, actual))| {
        let exact = expected.slice::<f32>().iter().map(|&v| f64::from(v)).collect();
        (name, actual.slice::<f32>().to_vec(), exact)
    });
    both.collect()
}

/// Draws all that the layer owns, above 0 where they are variances, and returns it, field by field.
pub(crate) fn draw_fields(layer: &mut dyn Layer, cases: &mut Cases) -> Vec<Vec<f32>> {
    let mut drawn = Vec::new();
    layer.visit_mut(&mut Path::default(), &mut |path, field| {
        let value = field.into_value();
        let mut values = cases.normal(value.len());
        if path.as_str().ends_with("variance") {
            values.iter_mut().for_each(|v| *v = 0.5 + v.abs());
        }
        value.write(&values);
        drawn.push(values);
    });
    drawn
}

/// A field of a golden case.
pub(crate) fn field(golden: &Golden, case: &str, field: &str) -> Tensor {
    let values = golden.tensor(case, field);
    Tensor::from_slice(Shape::new(values.shape()), values.as_slice().expect("contiguous"))
}

/// Holds what the layer makes of x and dy against Keras's y and dx. Returns its y.
#[track_caller]
pub(crate) fn agrees_with_keras<L: Layer>(golden: &Golden, case: &str, layer: L) -> Tensor {
    let [x, dy] = ["x", "dy"].map(|name| field(golden, case, name));
    let mut trial = Trial::new(layer, x.shape(), 2);
    let y = trial.forward(&x);
    assert_eq!(trial.infer(&x).slice::<f32>(), y.slice::<f32>(), "{case}: infer and forward");
    let dx = trial.backward(&x, &y, &dy);
    for (name, actual) in [("y", &y), ("dx", &dx)] {
        let expected = field(golden, case, name);
        assert_eq!(actual.shape(), expected.shape(), "{case}/{name}");
        let tolerance = Tolerance::golden(golden.noise(case, name));
        let (actual, expected) = (actual.slice::<f32>(), expected.slice::<f32>());
        assert_close(&format!("{case}/{name}"), actual, expected, tolerance);
    }
    y
}

/// The largest part of itself by which a rounding to that precision moves a number.
pub(crate) fn unit(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 2f64.powi(-24),
        Precision::Tf32 => 2f64.powi(-11),
        Precision::Bf16 => 2f64.powi(-8),
    }
}

/// The number as that precision has it, to nearest.
pub(crate) fn rounded(value: f32, precision: Precision) -> f32 {
    let dropped = match precision {
        Precision::F32 => return value,
        Precision::Tf32 => 13,
        Precision::Bf16 => 16,
    };
    f32::from_bits((value.to_bits() + (1 << (dropped - 1))) & !((1 << dropped) - 1))
}

/// Holds sums of products against exact ones where both operands were rounded to that precision, to
/// nearest: `squares` are the same sums of squared products. A product is off by two units of itself
/// at most, so that four units of the root of the squares are the most for four products; and by
/// 0.6 units in the mean square, so that they are more than six standard deviations for many.
/// Operands that were cut off instead would be off by twice as much in the mean.
#[track_caller]
pub(crate) fn assert_rounded(
    what: &str,
    precision: Precision,
    actual: &[f32],
    exact: &[f64],
    squares: &[f64],
) {
    assert_eq!((actual.len(), exact.len()), (squares.len(), squares.len()), "{what}: lengths");
    let mut sum = 0.0;
    for (i, ((&actual, &exact), &square)) in actual.iter().zip(exact).zip(squares).enumerate() {
        let off = (f64::from(actual) - exact).abs();
        let units = off / (unit(precision) * square.sqrt().max(1e-3));
        assert!(
            units <= 4.0,
            "{what}: element {i} is {actual}, expected {exact}: off by {off:.3e}, which is \
             {units:.1} units of {precision:?}"
        );
        sum += units * units;
    }
    let mean = (sum / actual.len() as f64).sqrt();
    assert!((0.4..0.8).contains(&mean), "{what}: {mean:.2} units in the mean in {precision:?}");
}
