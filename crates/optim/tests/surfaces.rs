//! Every optimizer finds the bottom of three surfaces: a parabola, an ill-conditioned quadratic and
//! Rosenbrock's valley.

use gradus_optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, CosineDecay, Descent, Formula, Lion, Nadam, Optimizer,
    RMSprop, SGD,
};
use gradus_tensor::{Context, Device, Param, Shape, fields};

struct Model {
    w: Param,
}

fields! { Model: param w }

/// A function of two numbers with its lowest value, 0, somewhere; where to begin; how far down is
/// near enough.
struct Surface {
    name: &'static str,
    /// The value and the slope.
    at: fn([f32; 2]) -> (f32, [f32; 2]),
    start: [f32; 2],
    enough: f32,
}

const SURFACES: [Surface; 3] = [
    Surface {
        name: "parabola",
        at: |[x, y]| ((x - 3.0).powi(2) + (y + 1.0).powi(2), [2.0 * (x - 3.0), 2.0 * (y + 1.0)]),
        start: [0.0, 0.0],
        enough: 1e-6,
    },
    Surface {
        name: "ill-conditioned quadratic",
        at: |[x, y]| (0.5 * (x * x + 100.0 * y * y), [x, 100.0 * y]),
        start: [2.0, 1.0],
        enough: 1e-6,
    },
    Surface {
        name: "Rosenbrock",
        at: |[x, y]| {
            let bend = y - x * x;
            let slope = [-2.0 * (1.0 - x) - 400.0 * x * bend, 200.0 * bend];
            ((1.0 - x).powi(2) + 100.0 * bend * bend, slope)
        },
        start: [-1.2, 1.0],
        enough: 1e-3,
    },
];

/// The value of the surface after 20 000 steps, under a learning rate that falls to 0.
fn descend<F: Formula<N>, const N: usize>(
    optimizer: Descent<F, N>,
    learning_rate: f64,
    surface: &Surface,
) -> f32 {
    let steps = 20_000;
    let mut optimizer = optimizer.schedule(CosineDecay::new(learning_rate, steps));
    let mut model = Model { w: Param::zeros(Shape::new(&[2]), &Device::Cpu) };
    model.w.value.slice_mut().copy_from_slice(&surface.start);
    let mut cx = Context::new(Device::Cpu, 1);
    optimizer.build(&model, &Device::Cpu);
    let place = |model: &Model| {
        let w = model.w.value.slice::<f32>();
        (surface.at)([w[0], w[1]])
    };
    for step in 0..steps {
        cx.step.learning_rate = Optimizer::schedule(&optimizer).at(step);
        let (_, slope) = place(&model);
        model.w.grad.slice_mut().copy_from_slice(&slope);
        optimizer.step(&mut cx, &mut model);
    }
    place(&model).0
}

/// One row of the table: a learning rate for each surface.
fn row<F: Formula<N>, const N: usize>(optimizer: fn() -> Descent<F, N>, rates: [f64; 3]) {
    for (surface, rate) in SURFACES.iter().zip(rates) {
        let (name, value) = (optimizer().name(), descend(optimizer(), rate, surface));
        let Surface { name: on, enough, .. } = surface;
        assert!(value <= *enough, "{name} on {on}: {value:e} after 20 000 steps, rate {rate}");
    }
}

#[test]
fn every_optimizer_finds_the_bottom_of_every_surface() {
    row(SGD::new, [0.1, 0.01, 1e-3]);
    row(|| SGD::new().momentum(0.9), [0.1, 0.01, 1e-3]);
    row(|| SGD::new().momentum(0.9).nesterov(true), [0.1, 0.01, 1e-3]);
    row(RMSprop::new, [0.01, 0.01, 0.01]);
    row(|| RMSprop::new().centered(true).momentum(0.9), [0.01, 0.01, 0.001]);
    row(Adam::new, [0.01, 0.01, 0.01]);
    row(|| Adam::new().amsgrad(true), [0.01, 0.01, 0.01]);
    row(|| AdamW::new().weight_decay(1e-6), [0.01, 0.01, 0.01]);
    row(Nadam::new, [0.01, 0.01, 0.01]);
    row(Adamax::new, [0.01, 0.01, 0.01]);
    row(Adagrad::new, [0.5, 0.5, 0.5]);
    row(Adadelta::new, [1.0, 1.0, 1.0]);
    row(Lion::new, [0.01, 0.01, 0.01]);
}
