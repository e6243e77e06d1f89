//! The three passes of a 3×3 convolution on the shapes of the tutorial's second and third, without
//! bias. Operations count as if the convolution were direct, whatever the engine does.

use crate::{Args, report};
use gradus::layers::Padding;
use gradus::layers::conv2d::Geometry;
use gradus::layers::conv2d::cpu::{self, Epilogue};
use gradus::tensor::{Context, Device, Shape};
use ndarray::Array4;

/// Name, size of the input, channels, filters.
const SHAPES: [(&str, usize, usize, usize); 2] = [("conv2", 63, 32, 64), ("conv3", 30, 64, 128)];

pub(crate) fn passes(args: &Args) {
    let mut context = Context::new(Device::Cpu, args.threads);
    let ws = &mut context.workspace;
    for (name, size, c, k) in SHAPES {
        let (x, kernel) = (Shape::new(&[args.batch, size, size, c]), Shape::new(&[3, 3, c, k]));
        let g = Geometry::new(x, kernel, [1, 1], Padding::Valid, [1, 1]).expect("it fits");
        ws.reserve(cpu::scratch(&g), cpu::desk(&g));
        let work = 2e-9 * (g.y().len() * g.taps()) as f64;
        let (x, kernel, dz) = (filled(g.x()), filled(g.kernel()), filled(g.y()));
        let [mut y, mut dx, mut dkernel] = [&dz, &x, &kernel].map(Clone::clone);
        report(&format!("{name} forward"), work, args.seconds, || {
            cpu::forward(ws, &g, x.view(), kernel.view(), Epilogue::default(), y.view_mut());
        });
        report(&format!("{name} dx"), work, args.seconds, || {
            cpu::backward_input(ws, &g, dz.view(), kernel.view(), dx.view_mut());
        });
        report(&format!("{name} dW"), work, args.seconds, || {
            cpu::backward_weight(ws, &g, x.view(), dz.view(), dkernel.view_mut());
        });
    }
}

/// Numbers from 0 to 1.
fn filled(shape: Shape) -> Array4<f32> {
    let &[a, b, c, d] = shape.dims() else { unreachable!("four extents") };
    let number = |i: usize| (i * 7919 % 1009) as f32 / 1009.0;
    Array4::from_shape_vec((a, b, c, d), (0..shape.len()).map(number).collect()).expect("its size")
}
