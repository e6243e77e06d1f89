//! Twenty steps of every optimizer against Keras 3 and Keras 2, through the public interface.

use gradus_optim::{Optimizer, RMSprop};
use gradus_tensor::{Context, Device, FieldMut, Fields, Param, Path, Shape, fields};
use gradus_testing::{Golden, Tolerance, assert_close};

struct Model {
    w: Param,
    b: Param,
    k: Param,
}

fields! { Model: param w, param b, param k }

#[test]
fn twenty_steps_are_those_of_both_keras() {
    let Some(golden) = Golden::open("optimizers") else {
        return;
    };
    for lib in ["k3.rmsprop", "k2.rmsprop"] {
        let mut cases = golden.cases(lib);
        // Clipping and schedules are rooms of their own.
        cases.retain(|case| !case.contains("clip") && !case.contains("cosine"));
        assert_eq!(cases.len(), 6, "plain, centered, momentum, both, rate, rho: {cases:?}");
        cases.into_iter().for_each(|case| follow(&golden, case));
    }
}

/// Twenty steps over three parameters, compared after each.
fn follow(golden: &Golden, case: &str) {
    let args = &golden.params(case)["args"];
    let or = |name: &str, default| args[name].as_f64().unwrap_or(default);
    let mut optimizer = RMSprop::new()
        .learning_rate(or("learning_rate", 1e-3) as f32)
        .rho(or("rho", 0.9))
        .momentum(or("momentum", 0.0))
        .epsilon(or("epsilon", 1e-7))
        .centered(args["centered"].as_bool().unwrap_or(false));
    let first = |name: &str| {
        let values = golden.tensor("_inputs", &format!("var0_{name}"));
        let mut param = Param::zeros(Shape::new(values.shape()), &Device::Cpu);
        param.value.slice_mut().copy_from_slice(values.as_slice().expect("contiguous"));
        param
    };
    let mut model = Model { w: first("w"), b: first("b"), k: first("k") };
    optimizer.build(&model, &Device::Cpu);
    let mut cx = Context::new(Device::Cpu, 1);
    cx.step.learning_rate = optimizer.default_learning_rate();
    for step in 0..20 {
        model.visit_mut(&mut Path::default(), &mut |path, field| {
            let FieldMut::Param(param) = field else {
                return;
            };
            let grads = golden.tensor("_inputs", &format!("grad_{path}"));
            let grad = grads.outer_iter().nth(step).expect("twenty gradients");
            param.grad.slice_mut().copy_from_slice(grad.as_slice().expect("contiguous"));
        });
        optimizer.step(&mut cx, &mut model);
        model.visit(&mut Path::default(), &mut |path, field| {
            let after = golden.tensor(case, path.as_str());
            let expected = after.outer_iter().nth(step).expect("twenty values");
            let expected = expected.as_slice().expect("contiguous");
            // Keras's own distance from the truth, as much for gradus, and a rounding.
            let noise = golden.noise(case, path.as_str());
            let tolerance = Tolerance { abs: 2.0 * noise, rel: f64::from(f32::EPSILON) };
            let what = format!("{case} {path} after step {step}");
            assert_close(&what, field.value().slice::<f32>(), expected, tolerance);
        });
    }
}
