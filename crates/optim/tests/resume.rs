//! What an optimizer shows is all that it remembers, and threads change nothing.

mod all;

use all::{Model, optimizers};
use gradus_optim::Optimizer;
use gradus_tensor::{Context, Device, Fields, Path};

const STEPS: u64 = 11;

/// All values that an object shows, by name.
fn saved(object: &dyn Fields) -> Vec<(String, Vec<f32>)> {
    let mut saved = Vec::new();
    object.visit(&mut Path::default(), &mut |path, field| {
        saved.push((path.to_string(), field.value().slice().to_vec()));
    });
    saved
}

fn restore(object: &mut dyn Fields, saved: Vec<(String, Vec<f32>)>) {
    let mut saved = saved.into_iter();
    object.visit_mut(&mut Path::default(), &mut |path, field| {
        let (name, values) = saved.next().expect("as many as were saved");
        assert_eq!(path.as_str(), name);
        field.into_value().slice_mut().copy_from_slice(&values);
    });
    assert!(saved.next().is_none());
}

/// Weights and state after eleven steps; saved and resumed after `interruption` of them.
fn run(
    mut fresh: impl FnMut() -> Box<dyn Optimizer>,
    threads: usize,
    interruption: u64,
) -> [Vec<(String, Vec<f32>)>; 2] {
    let mut cx = Context::new(Device::Cpu, threads);
    let (mut model, mut optimizer) = (Model::new(), fresh());
    optimizer.build(&model, &Device::Cpu);
    for step in 0..STEPS {
        if step == interruption {
            let (weights, state) = (saved(&model), saved(&*optimizer));
            optimizer = fresh();
            restore(&mut model, weights);
            optimizer.build(&model, &Device::Cpu);
            restore(&mut *optimizer, state);
        }
        model.step(&mut *optimizer, &mut cx, step);
    }
    optimizer.finish(&mut model);
    [saved(&model), saved(&*optimizer)]
}

#[test]
fn a_resumed_run_has_the_bits_of_one_that_was_not_interrupted() {
    for i in 0..optimizers().len() {
        let fresh = || optimizers().swap_remove(i);
        let whole = run(fresh, 1, STEPS);
        assert!(whole.iter().flatten().flat_map(|(_, v)| v).all(|v| v.is_finite()));
        // In the midst of accumulating, and between two updates.
        for interruption in [4, 6] {
            let same = run(fresh, 1, interruption) == whole;
            assert!(same, "{:?} resumed after {interruption} steps", fresh());
        }
        assert!(run(fresh, 3, STEPS) == whole, "{:?} with three threads", fresh());
    }
}

#[test]
fn what_is_remembered_goes_by_the_names_of_keras() {
    let mut optimizer = gradus_optim::Adam::new()
        .amsgrad(true)
        .gradient_accumulation_steps(2)
        .use_ema(gradus_optim::Ema::new());
    optimizer.build(&Model::new(), &Device::Cpu);
    let names: Vec<String> = saved(&optimizer).into_iter().map(|(name, _)| name).collect();
    let expected = [
        "optim.iterations",
        "optim.momentum.kernel",
        "optim.momentum.bias",
        "optim.velocity.kernel",
        "optim.velocity.bias",
        "optim.velocity_hat.kernel",
        "optim.velocity_hat.bias",
        "optim.gradient_accumulator.kernel",
        "optim.gradient_accumulator.bias",
        "optim.average.kernel",
        "optim.average.bias",
    ];
    assert_eq!(names, expected);
}
