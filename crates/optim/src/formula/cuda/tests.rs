//! Steps on a GPU have the bits of steps on the CPU.

use crate::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Clip, Descent, Ema, Formula, Lion, Nadam, Optimizer,
    RMSprop, SGD, Update,
};
use gradus_tensor::{
    Context, Device, Field, FieldMut, Fields, Param, Path, Real, Shape, Tensor, fields,
};
use gradus_testing::{Cases, gpu};

struct Model {
    kernel: Param,
    bias: Param,
    frozen: Param,
    last: Param,
}

fields! { Model: param kernel, param bias, param frozen, param last }

/// More than two tiles, less than one, and ends that are not whole fours.
const LENGTHS: [usize; 4] = [9001, 5, 7, 4096];

fn model(device: &Device) -> Model {
    let mut cases = Cases::new("optimizer kernels", 0);
    let [kernel, bias, frozen, last] = LENGTHS.map(|n| {
        let value = Tensor::from_slice(Shape::new(&[n]), &cases.normal(n)).on(device);
        Param { value, ..Param::zeros(Shape::new(&[n]), device) }
    });
    Model { kernel, bias, frozen: Param { frozen: true, ..frozen }, last }
}

/// The gradients of a step: some are 0, as those of a unit that is quiet.
fn give_gradients(model: &mut Model, step: u32) {
    let mut cases = Cases::new("optimizer gradients", step);
    model.visit_mut(&mut Path::default(), &mut |_, field| {
        let FieldMut::Param(param) = field else { return };
        let mut grad = cases.normal(param.grad.len());
        grad.iter_mut().step_by(7).for_each(|g| *g = 0.0);
        param.grad.write(&grad);
    });
}

/// Everything that a model or an optimizer holds.
fn bits(of: &dyn Fields) -> Vec<(String, Vec<u32>)> {
    let mut all = Vec::new();
    of.visit(&mut Path::default(), &mut |path, field: Field<'_>| {
        let values = field.value().on(&Device::Cpu);
        all.push((path.to_string(), values.slice().iter().map(|v: &f32| v.to_bits()).collect()));
    });
    all
}

const STEPS: u32 = 20;

fn rate(step: u32) -> f32 {
    0.01 / (1.0 + step as f32)
}

fn run(device: &Device, mut optimizer: Box<dyn Optimizer>) -> Vec<(String, Vec<u32>)> {
    let (mut cx, mut model) = (Context::new(device.clone(), 2), model(device));
    optimizer.build(&model, device);
    for step in 0..STEPS {
        give_gradients(&mut model, step);
        cx.step.learning_rate = rate(step);
        // Who does not prepare a step is served likewise.
        if step % 3 != 0 {
            optimizer.prepare(&mut cx);
        }
        optimizer.step(&mut cx, &mut model);
    }
    optimizer.finish(&mut model);
    [bits(&model), bits(&*optimizer)].concat()
}

/// The sign of the gradient: a rule without a kernel, with two slots of which one is in use.
#[derive(Clone, Copy, Debug, Default)]
struct Own;

impl Formula<2> for Own {
    const NAME: &'static str = "Own";
    const SLOTS: [&'static str; 2] = ["unused", "last"];
    const LEARNING_RATE: f32 = 0.1;

    fn used(&self) -> [bool; 2] {
        [false, true]
    }

    type Numbers<T: Real> = T;

    fn numbers<T: Real>(&self, update: Update) -> T {
        T::of(f64::from(update.learning_rate))
    }

    #[inline(always)]
    fn step<T: Real>(lr: T, w: T, g: T, [_, last]: [T; 2]) -> (T, [T; 2]) {
        (w - lr * (g + last), [T::zero(), g])
    }
}

type Made = fn() -> Box<dyn Optimizer>;

#[test]
fn every_formula_has_the_bits_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    let formulas: [Made; 15] = [
        || Box::new(SGD::new()),
        || Box::new(SGD::new().momentum(0.9)),
        || Box::new(SGD::new().momentum(0.9).nesterov(true)),
        || Box::new(RMSprop::new()),
        || Box::new(RMSprop::new().centered(true)),
        || Box::new(RMSprop::new().momentum(0.5).centered(true)),
        || Box::new(Adam::new()),
        || Box::new(Adam::new().amsgrad(true)),
        || Box::new(AdamW::new()),
        || Box::new(Adamax::new()),
        || Box::new(Nadam::new()),
        || Box::new(Adagrad::new()),
        || Box::new(Adadelta::new()),
        || Box::new(Lion::new()),
        || Box::new(Descent::<Own, 2>::new()),
    ];
    for made in formulas {
        assert_eq!(run(&device, made()), run(&Device::Cpu, made()), "{}", made().description());
    }
    gpu.synchronize().expect("a sound device");
}

#[test]
fn every_option_has_the_bits_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    let options: [Made; 10] = [
        || Box::new(Adam::new().weight_decay(0.3).exclude_from_weight_decay(&["bias"])),
        || Box::new(RMSprop::new().clip(Clip::Norm(1.5))),
        || Box::new(RMSprop::new().clip(Clip::GlobalNorm(40.0))),
        || Box::new(RMSprop::new().clip(Clip::GlobalNorm(1e9))),
        || Box::new(RMSprop::new().clip(Clip::Value(0.7))),
        || Box::new(SGD::new().use_ema(Ema::new().momentum(0.6))),
        || Box::new(SGD::new().use_ema(Ema::new().momentum(0.6).overwrite_frequency(3))),
        || Box::new(Adam::new().gradient_accumulation_steps(3)),
        || Box::new(Adam::new().gradient_accumulation_steps(2).clip(Clip::Norm(0.5))),
        || {
            let own = Descent::<Own, 2>::new().clip(Clip::GlobalNorm(2.0)).use_ema(Ema::new());
            Box::new(own.gradient_accumulation_steps(2).weight_decay(0.1))
        },
    ];
    for made in options {
        assert_eq!(run(&device, made()), run(&Device::Cpu, made()), "{}", made().description());
    }
    gpu.synchronize().expect("a sound device");
}

#[test]
fn a_recorded_step_stands_for_all_that_are_prepared() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    let made: Made = || {
        let adam = AdamW::new().clip(Clip::GlobalNorm(3.0)).use_ema(Ema::new());
        Box::new(adam.exclude_from_weight_decay(&["bias"]))
    };
    let expected = run(&Device::Cpu, made());
    let (mut cx, mut model, mut optimizer) =
        (Context::new(device.clone(), 1), model(&device), made());
    assert!(optimizer.is_capturable());
    optimizer.build(&model, &device);
    let mut recorded = None;
    for step in 0..STEPS {
        give_gradients(&mut model, step);
        cx.step.learning_rate = rate(step);
        optimizer.prepare(&mut cx);
        if step == 0 {
            // The kernels are loaded, the table is made.
            optimizer.step(&mut cx, &mut model);
            continue;
        }
        let before = gpu.allocations();
        let graph = recorded.get_or_insert_with(|| {
            gpu.capture(|| optimizer.step(&mut cx, &mut model)).expect("a step that only launches")
        });
        graph.launch();
        assert_eq!(gpu.allocations(), before, "step {step} allocates");
    }
    optimizer.finish(&mut model);
    gpu.synchronize().expect("a sound device");
    assert_eq!([bits(&model), bits(&*optimizer)].concat(), expected);
}

#[test]
fn a_step_that_differs_from_others_is_not_to_be_recorded() {
    assert!(Adam::new().use_ema(Ema::new()).clip(Clip::Norm(1.0)).is_capturable());
    assert!(!Adam::new().gradient_accumulation_steps(2).is_capturable());
    assert!(!Adam::new().use_ema(Ema::new().overwrite_frequency(2)).is_capturable());
    assert!(!Descent::<Own, 2>::new().is_capturable());
}

#[test]
fn a_parameter_that_moved_or_froze_is_found_again() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    let mut both = Vec::new();
    for device in [&Device::Cpu, &device] {
        let (mut cx, mut model) = (Context::new(device.clone(), 1), model(device));
        let mut optimizer = Adam::new();
        optimizer.build(&model, device);
        for step in 0..6 {
            give_gradients(&mut model, step);
            cx.step.learning_rate = rate(step);
            match step {
                2 => model.kernel.value = model.kernel.value.clone(),
                4 => model.bias.frozen = true,
                5 => model.bias.frozen = false,
                _ => {}
            }
            optimizer.step(&mut cx, &mut model);
        }
        both.push([bits(&model), bits(&optimizer)].concat());
    }
    assert_eq!(both[0], both[1]);
    gpu.synchronize().expect("a sound device");
}
