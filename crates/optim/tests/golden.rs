//! Every optimizer and every schedule against Keras 3 and Keras 2, through the public interface.

use gradus_optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Clip, CosineDecay, CosineDecayRestarts, Descent, Ema,
    ExponentialDecay, Formula, InverseTimeDecay, Lion, Nadam, Optimizer, PiecewiseConstantDecay,
    PolynomialDecay, RMSprop, SGD, Schedule,
};
use gradus_tensor::{Context, Device, Fields, Param, Path, Shape, fields};
use gradus_testing::{Golden, Tolerance, assert_close};
use serde_json::Value;

/// What gradus does not do, and why.
const EXCEPTIONS: [(&str, &str); 12] = [
    ("k2.ftrl", "gradus has no Ftrl: it is made for sparse linear models"),
    ("k3.ftrl", "as above"),
    ("k2legacy.ftrl", "as above"),
    ("k2legacy.nadam", "before TensorFlow 2.11 the momentum warmed up with another exponent"),
    ("k2legacy.rmsprop", "before TensorFlow 2.11 ε stood beside the root, unless with momentum"),
    ("k2legacy.rmsprop_centered", "as above"),
    ("k2legacy.rmsprop_clipnorm", "as above"),
    ("k2legacy.rmsprop_clipvalue", "as above"),
    ("k2legacy.rmsprop_cosine_decay", "as above"),
    ("k2legacy.rmsprop_global_clipnorm", "as above"),
    ("k2legacy.rmsprop_lr1e-2", "as above"),
    ("k2legacy.rmsprop_rho.95_eps1e-5", "as above"),
];

struct Model {
    w: Param,
    b: Param,
    k: Param,
}

fields! { Model: param w, param b, param k }

#[test]
fn every_optimizer_is_that_of_keras() {
    let Some(golden) = Golden::open("optimizers") else {
        return;
    };
    let cases: Vec<&str> = golden.cases("").into_iter().filter(|&case| case != "_inputs").collect();
    for (exception, _) in EXCEPTIONS {
        assert!(cases.contains(&exception), "{exception} is excepted, but there is none");
    }
    let excepted = |case: &str| EXCEPTIONS.iter().any(|(exception, _)| *exception == case);
    let followed: Vec<&str> = cases.into_iter().filter(|case| !excepted(case)).collect();
    assert_eq!(followed.len(), 98, "{followed:?}");
    followed.into_iter().for_each(|case| follow(&golden, case));
}

/// Twenty steps over three parameters, compared after each.
fn follow(golden: &Golden, case: &str) {
    let mut optimizer = optimizer(golden.params(case));
    let first = |name: &str| {
        let values = golden.tensor("_inputs", &format!("var0_{name}"));
        let mut param = Param::zeros(Shape::new(values.shape()), &Device::Cpu);
        param.value.slice_mut().copy_from_slice(values.as_slice().expect("contiguous"));
        param
    };
    let mut model = Model { w: first("w"), b: first("b"), k: first("k") };
    optimizer.build(&model, &Device::Cpu);
    let mut cx = Context::new(Device::Cpu, 1);
    let names = ["w", "b", "k"];
    let grads = names.map(|name| golden.tensor("_inputs", &format!("grad_{name}")));
    let after = names.map(|name| golden.tensor(case, name));
    for step in 0..20 {
        cx.step.learning_rate = optimizer.schedule().at(step);
        let step = step as usize;
        for (param, grads) in [&mut model.w, &mut model.b, &mut model.k].into_iter().zip(&grads) {
            let grad = grads.outer_iter().nth(step).expect("twenty gradients");
            param.grad.slice_mut().copy_from_slice(grad.as_slice().expect("contiguous"));
        }
        optimizer.step(&mut cx, &mut model);
        for ((param, after), name) in
            [&model.w, &model.b, &model.k].into_iter().zip(&after).zip(names)
        {
            let expected = after.outer_iter().nth(step).expect("twenty values");
            let expected = expected.as_slice().expect("contiguous");
            let what = format!("{case} {name} after step {step}");
            let tolerance = tolerance(golden, case, name);
            assert_close(&what, param.value.slice::<f32>(), expected, tolerance);
        }
    }
    // Keras 2's moving average begins elsewhere.
    if case.starts_with("k3") && golden.has(case, "ema_w") {
        optimizer.finish(&mut model);
        model.visit(&mut Path::default(), &mut |path, field| {
            let name = format!("ema_{path}");
            let (actual, expected) = (field.value().slice::<f32>(), golden.tensor(case, &name));
            let expected = expected.as_slice().expect("contiguous");
            assert_close(&name, actual, expected, tolerance(golden, case, &name));
        });
    }
}

/// The rule of the golden vectors, of whose slack only a rounding is used: four times Keras's own
/// distance from the truth. That distance does not know that Keras takes the powers of a β rounded
/// to f32, in its float64 run too, which makes Adam's first steps off by 10⁻⁵ of themselves.
fn tolerance(golden: &Golden, case: &str, field: &str) -> Tolerance {
    let slack = if case.contains("adam") { 1e-6 } else { 0.0 };
    Tolerance { abs: 4.0 * golden.noise(case, field) + slack, rel: f64::from(f32::EPSILON) }
}

/// The arguments of a case, of which none may be overlooked.
struct Args<'a> {
    values: &'a Value,
    asked: Vec<&'static str>,
}

impl Args<'_> {
    fn number(&mut self, name: &'static str) -> Option<f64> {
        self.asked.push(name);
        self.values[name].as_f64()
    }

    fn flag(&mut self, name: &'static str) -> bool {
        self.asked.push(name);
        self.values[name].as_bool().unwrap_or(false)
    }

    fn numbers(&mut self, name: &'static str) -> Vec<f64> {
        self.asked.push(name);
        let values = self.values[name].as_array().into_iter().flatten();
        values.map(|value| value.as_f64().expect("a number")).collect()
    }

    fn expect_all_asked(&self) {
        for name in self.values.as_object().into_iter().flat_map(|map| map.keys()) {
            assert!(self.asked.iter().any(|asked| asked == name), "{name} was overlooked");
        }
    }
}

fn optimizer(params: &Value) -> Box<dyn Optimizer> {
    let mut args = Args { values: &params["args"], asked: Vec::new() };
    let x = &mut args;
    let built = match params["optimizer"].as_str().expect("a class") {
        "SGD" => {
            let momentum = x.number("momentum").unwrap_or(0.0);
            common(SGD::new().momentum(momentum).nesterov(x.flag("nesterov")), x, params)
        }
        "RMSprop" => {
            let optimizer = RMSprop::new().rho(x.number("rho").unwrap_or(0.9));
            let optimizer = optimizer.epsilon(x.number("epsilon").unwrap_or(1e-7));
            let optimizer = optimizer.momentum(x.number("momentum").unwrap_or(0.0));
            common(optimizer.centered(x.flag("centered")), x, params)
        }
        "Adam" => {
            let optimizer = Adam::new().beta_1(x.number("beta_1").unwrap_or(0.9));
            let optimizer = optimizer.beta_2(x.number("beta_2").unwrap_or(0.999));
            let optimizer = optimizer.epsilon(x.number("epsilon").unwrap_or(1e-7));
            common(optimizer.amsgrad(x.flag("amsgrad")), x, params)
        }
        "AdamW" => common(AdamW::new(), x, params),
        "Nadam" => common(Nadam::new(), x, params),
        "Adamax" => common(Adamax::new(), x, params),
        "Adagrad" => common(Adagrad::new(), x, params),
        "Adadelta" => common(Adadelta::new(), x, params),
        "Lion" => common(Lion::new(), x, params),
        class => panic!("{class} is neither tested nor excepted"),
    };
    args.expect_all_asked();
    built
}

/// The arguments that every optimizer has.
fn common<F: Formula<N>, const N: usize>(
    mut optimizer: Descent<F, N>,
    args: &mut Args<'_>,
    params: &Value,
) -> Box<dyn Optimizer> {
    // Some defaults of Keras 2 are others.
    let given = args.number("learning_rate");
    let older = params["config"]["learning_rate"].as_f64().filter(|_| params["lib"] != "k3");
    if let Some(rate) = given.or(older) {
        optimizer = optimizer.learning_rate(rate as f32);
    }
    match params["args"].as_str() {
        Some("exp") => optimizer = optimizer.schedule(ExponentialDecay::new(0.1, 5, 0.5)),
        Some("cos") => optimizer = optimizer.schedule(CosineDecay::new(1e-2, 15).alpha(0.1)),
        Some(other) => panic!("{other} is not a schedule of this file"),
        None => {}
    }
    for (name, clip) in [
        ("clipnorm", Clip::Norm as fn(f32) -> Clip),
        ("clipvalue", Clip::Value),
        ("global_clipnorm", Clip::GlobalNorm),
    ] {
        if let Some(limit) = args.number(name) {
            optimizer = optimizer.clip(clip(limit as f32));
        }
    }
    if let Some(rate) = args.number("weight_decay") {
        optimizer = optimizer.weight_decay(rate);
    }
    let momentum = args.number("ema_momentum").unwrap_or(0.99);
    if args.flag("use_ema") {
        optimizer = optimizer.use_ema(Ema::new().momentum(momentum));
    }
    if let Some(steps) = args.number("gradient_accumulation_steps") {
        optimizer = optimizer.gradient_accumulation_steps(steps as u64);
    }
    Box::new(optimizer)
}

#[test]
fn every_schedule_is_that_of_keras() {
    let Some(golden) = Golden::open("schedules") else {
        return;
    };
    let cases = golden.cases("");
    assert_eq!(cases.len(), 14);
    for case in cases {
        let schedule = schedule(golden.params(case));
        let actual: Vec<f32> = (0..50).map(|step| schedule.at(step)).collect();
        let expected = golden.tensor(case, "lr");
        let expected = expected.as_slice().expect("contiguous");
        // Keras computes in f32: a few roundings of the largest rate.
        let tolerance = Tolerance { abs: 0.0, rel: 4.0 * f64::from(f32::EPSILON) };
        assert_close(case, &actual, expected, tolerance);
    }
}

fn schedule(params: &Value) -> Box<dyn Schedule> {
    let mut args = Args { values: &params["args"], asked: Vec::new() };
    let x = &mut args;
    let rate = x.number("initial_learning_rate").unwrap_or(0.0);
    let steps = x.number("decay_steps").unwrap_or(0.0) as u64;
    let decay_rate = x.number("decay_rate").unwrap_or(0.0);
    let alpha = x.number("alpha").unwrap_or(0.0);
    let built: Box<dyn Schedule> = match params["schedule"].as_str().expect("a class") {
        "ExponentialDecay" => {
            let decay = ExponentialDecay::new(rate, steps, decay_rate);
            Box::new(decay.staircase(x.flag("staircase")))
        }
        "InverseTimeDecay" => {
            let decay = InverseTimeDecay::new(rate, steps, decay_rate);
            Box::new(decay.staircase(x.flag("staircase")))
        }
        "PiecewiseConstantDecay" => {
            let boundaries: Vec<u64> =
                x.numbers("boundaries").iter().map(|&boundary| boundary as u64).collect();
            Box::new(PiecewiseConstantDecay::new(&boundaries, &x.numbers("values")))
        }
        "PolynomialDecay" => {
            let decay = PolynomialDecay::new(rate, steps).cycle(x.flag("cycle"));
            let decay = decay.power(x.number("power").unwrap_or(1.0));
            Box::new(decay.end_learning_rate(x.number("end_learning_rate").unwrap_or(1e-4)))
        }
        "CosineDecay" => {
            let decay = CosineDecay::new(rate, steps).alpha(alpha);
            match (x.number("warmup_target"), x.number("warmup_steps")) {
                (Some(target), Some(steps)) => Box::new(decay.warmup(target, steps as u64)),
                _ => Box::new(decay),
            }
        }
        "CosineDecayRestarts" => {
            let first = x.number("first_decay_steps").expect("always given") as u64;
            let decay = CosineDecayRestarts::new(rate, first).alpha(alpha);
            let decay = decay.t_mul(x.number("t_mul").unwrap_or(2.0));
            Box::new(decay.m_mul(x.number("m_mul").unwrap_or(1.0)))
        }
        class => panic!("{class} is not tested"),
    };
    args.expect_all_asked();
    built
}
