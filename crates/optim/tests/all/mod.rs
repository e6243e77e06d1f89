//! Every optimizer, plain and with everything that can be added, on a model of two parameters.

use gradus_optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Clip, CosineDecay, Descent, Ema, Formula, Lion, Nadam,
    Optimizer, RMSprop, SGD,
};
use gradus_tensor::{Context, Device, Param, Shape, fields};
use gradus_testing::Cases;

/// Large enough that the work is cut into pieces, and small.
pub(crate) struct Model {
    pub(crate) kernel: Param,
    pub(crate) bias: Param,
    noise: Vec<f32>,
}

fields! { Model: param kernel, param bias }

impl Model {
    pub(crate) fn new() -> Self {
        let noise = Cases::new("all optimizers", 0).normal(17_001);
        let param = |n| {
            let mut param = Param::zeros(Shape::new(&[n]), &Device::Cpu);
            param.value.slice_mut().copy_from_slice(&noise[..n]);
            param
        };
        Self { kernel: param(17_001), bias: param(7), noise }
    }

    /// Step number `step`: gradients of its own, the schedule's learning rate.
    pub(crate) fn step(&mut self, optimizer: &mut dyn Optimizer, cx: &mut Context, step: u64) {
        self.noise.rotate_left(5 + step as usize);
        for param in [&mut self.kernel, &mut self.bias] {
            let n = param.grad.len();
            param.grad.slice_mut().copy_from_slice(&self.noise[..n]);
        }
        cx.step.learning_rate = optimizer.schedule().at(step);
        optimizer.step(cx, self);
    }
}

/// With a schedule, clipping, weight decay, a moving average and accumulation.
fn with<F: Formula<N>, const N: usize>(
    optimizer: Descent<F, N>,
    clip: Option<Clip>,
) -> Box<dyn Optimizer> {
    let Some(clip) = clip else { return Box::new(optimizer) };
    let ema = Ema::new().momentum(0.9).overwrite_frequency(2);
    let optimizer = optimizer.clip(clip).use_ema(ema).weight_decay(0.01);
    let optimizer = optimizer.exclude_from_weight_decay(&["bias"]).gradient_accumulation_steps(3);
    Box::new(optimizer.schedule(CosineDecay::new(1e-2, 5).alpha(0.1)))
}

pub(crate) fn optimizers() -> Vec<Box<dyn Optimizer>> {
    let clips = [None, Some(Clip::Norm(1.0)), Some(Clip::Value(0.1)), Some(Clip::GlobalNorm(1.0))];
    let each = |clip| {
        [
            with(SGD::new().momentum(0.9), clip),
            with(RMSprop::new().momentum(0.9).centered(true), clip),
            with(Adam::new().amsgrad(true), clip),
            with(AdamW::new(), clip),
            with(Nadam::new(), clip),
            with(Adamax::new(), clip),
            with(Adagrad::new(), clip),
            with(Adadelta::new(), clip),
            with(Lion::new(), clip),
        ]
    };
    clips.into_iter().flat_map(each).collect()
}
