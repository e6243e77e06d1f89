//! Layers, losses, optimizers and schedules against the real Keras, for everyone with the source:
//! `golden/keras.safetensors` lies beside this test, and `golden/make.py` writes it.
//!
//! Layers are built from Keras's own `get_config`, so that this is understood as well.

use gradus::layers::{
    BinaryCrossentropy, CategoricalCrossentropy, Config, Init, Layer, Loss, MeanSquaredError, Mode,
    Registry, Saved, SparseCategoricalCrossentropy, Tally, Target,
};
use gradus::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Clip, CosineDecay, CosineDecayRestarts, Descent,
    ExponentialDecay, Formula, InverseTimeDecay, Lion, Nadam, Optimizer, PiecewiseConstantDecay,
    PolynomialDecay, RMSprop, SGD, Schedule,
};
use gradus::tensor::{Context, Device, Field, Param, Path, Shape, Spec, Tensor, fields};
use gradus_testing::{Golden, Tolerance, assert_close};
use serde_json::Value;
use std::collections::BTreeSet;

fn keras() -> Golden {
    Golden::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/keras.safetensors"))
}

fn tensor(golden: &Golden, case: &str, field: &str) -> Tensor {
    let values = golden.tensor(case, field);
    Tensor::from_slice(Shape::new(values.shape()), values.as_slice().expect("contiguous"))
}

/// One case, and which of its results were compared.
struct Case<'a> {
    golden: &'a Golden,
    name: &'a str,
    compared: BTreeSet<String>,
}

impl<'a> Case<'a> {
    fn new(golden: &'a Golden, name: &'a str) -> Self {
        Self { golden, name, compared: BTreeSet::new() }
    }

    fn config(&self) -> Config {
        let config = self.golden.params(self.name).clone();
        serde_json::from_value(config).expect("a class and its config")
    }

    fn given(&self, field: &str) -> Tensor {
        tensor(self.golden, self.name, field)
    }

    fn compare(&mut self, field: &str, actual: &[f32]) {
        let expected = self.given(field);
        let tolerance = Tolerance::golden(self.golden.noise(self.name, field));
        assert_close(&format!("{}/{field}", self.name), actual, expected.slice::<f32>(), tolerance);
        self.compared.insert(field.to_owned());
    }

    /// Nothing that Keras computed may be passed over.
    fn finish(self) {
        let noise = self.golden.params(self.name)["noise"].as_object().expect("noise");
        assert_eq!(self.compared, noise.keys().cloned().collect(), "{}", self.name);
    }
}

#[test]
fn every_part_of_the_file_has_its_test() {
    let golden = keras();
    let parts = ["layer.", "loss.", "optimizer.", "schedule."].map(|p| golden.cases(p).len());
    assert_eq!((parts, golden.cases("").len()), ([31, 7, 21, 9], 68));
}

/// The layer, with Keras's weights, planned for x.
fn layer(case: &Case<'_>, x: &Tensor, cx: &mut Context) -> (Box<dyn Layer>, Saved) {
    let name = case.name;
    let mut layer = Registry::default().layer(&case.config()).expect(name);
    layer.build(x.shape(), &mut Init::new(&Device::Cpu, 0)).expect(name);
    layer.visit_mut(&mut Path::default(), &mut |path, field| {
        let (value, given) = (field.into_value(), case.given(path.as_str()));
        assert_eq!(value.shape(), given.shape(), "{name}: {path}");
        value.slice_mut::<f32>().copy_from_slice(given.slice());
    });
    let plan = layer.plan(x.spec(), Mode::Train).expect(name);
    cx.workspace.scratch.reserve(plan.scratch);
    (layer, Saved::allocate(&plan, &Device::Cpu))
}

#[test]
fn every_layer_is_that_of_keras() {
    let golden = keras();
    for name in golden.cases("layer.") {
        let mut case = Case::new(&golden, name);
        let (x, mut dy) = (case.given("x"), case.given("dy"));
        let mut cx = Context::new(Device::Cpu, 2);
        let (mut layer, mut saved) = layer(&case, &x, &mut cx);
        let mut y = Tensor::zeros(Spec::f32(saved.output()), &Device::Cpu);
        if !name.contains("batch_normalization") {
            layer.infer(&mut cx, &x, &mut y, &mut saved);
            case.compare("y", y.slice());
        }
        layer.forward(&mut cx, &x, &mut y, &mut saved);
        assert_eq!(y.shape(), case.given("y").shape(), "{name}");
        case.compare("y", y.slice());
        let mut dx = Tensor::zeros(x.spec(), &Device::Cpu);
        layer.backward(&mut cx, &x, &y, &mut dy, Some(&mut dx), &mut saved);
        case.compare("dx", dx.slice());
        layer.visit(&mut Path::default(), &mut |path, field| match field {
            Field::Param(param) => case.compare(&format!("d{path}"), param.grad.slice()),
            Field::Buffer(buffer) => case.compare(&format!("after_{path}"), buffer.slice()),
        });
        case.finish();
    }
}

fn loss(config: &Config) -> Box<dyn Loss> {
    let mut options = Options::new(config);
    let logits = options.flag("from_logits");
    let smoothing = options.number("label_smoothing").unwrap_or(0.0);
    options.finish();
    match config.class_name.as_str() {
        "CategoricalCrossentropy" => {
            Box::new(CategoricalCrossentropy::new().from_logits(logits).label_smoothing(smoothing))
        }
        "SparseCategoricalCrossentropy" => {
            Box::new(SparseCategoricalCrossentropy::new().from_logits(logits))
        }
        "BinaryCrossentropy" => {
            Box::new(BinaryCrossentropy::new().from_logits(logits).label_smoothing(smoothing))
        }
        "MeanSquaredError" => Box::new(MeanSquaredError),
        class => panic!("{class} is not tested"),
    }
}

#[test]
fn every_loss_is_that_of_keras() {
    let golden = keras();
    for name in golden.cases("loss.") {
        let mut case = Case::new(&golden, name);
        let loss = loss(&case.config());
        let [predictions, y, weights] =
            ["y_pred", "y_true", "sample_weight"].map(|f| case.given(f));
        let target = Target { y: &y, weights: Some(&weights) };
        let (mut gradient, mut tally) = (predictions.clone(), Tally::default());
        let mut cx = Context::new(Device::Cpu, 1);
        loss.evaluate(&mut cx, &predictions, target, Some(&mut gradient), &mut tally);
        case.compare("loss", &[tally.loss() as f32]);
        case.compare("dy_pred", gradient.slice());
        case.finish();
    }
}

/// Keras's arguments, of which none may be overlooked.
struct Options<'a> {
    config: &'a Config,
    asked: BTreeSet<&'static str>,
}

impl<'a> Options<'a> {
    fn new(config: &'a Config) -> Self {
        Self { config, asked: BTreeSet::new() }
    }

    fn get(&mut self, name: &'static str) -> Option<&'a Value> {
        self.asked.insert(name);
        self.config.config.get(name)
    }

    fn number(&mut self, name: &'static str) -> Option<f64> {
        self.get(name).map(|value| value.as_f64().expect("a number"))
    }

    fn steps(&mut self, name: &'static str) -> u64 {
        self.number(name).expect("a number of steps") as u64
    }

    fn flag(&mut self, name: &'static str) -> bool {
        self.get(name).is_some_and(|value| value.as_bool().expect("a flag"))
    }

    fn finish(self) {
        let asked = |name: &&String| self.asked.contains(name.as_str());
        let missed = self.config.config.keys().find(|name| !asked(name));
        assert_eq!(missed, None, "{:?} was overlooked", self.config);
    }
}

struct Model {
    kernel: Param,
    bias: Param,
}

fields! { Model: param kernel, param bias }

fn optimizer(config: &Config) -> Box<dyn Optimizer> {
    let mut options = Options::new(config);
    let x = &mut options;
    let built = match config.class_name.as_str() {
        "SGD" => {
            let momentum = x.number("momentum").unwrap_or(0.0);
            common(SGD::new().momentum(momentum).nesterov(x.flag("nesterov")), x)
        }
        "RMSprop" => {
            let optimizer = RMSprop::new().rho(x.number("rho").unwrap_or(0.9));
            let optimizer = optimizer.epsilon(x.number("epsilon").unwrap_or(1e-7));
            let optimizer = optimizer.momentum(x.number("momentum").unwrap_or(0.0));
            common(optimizer.centered(x.flag("centered")), x)
        }
        "Adam" => {
            let optimizer = Adam::new().beta_1(x.number("beta_1").unwrap_or(0.9));
            let optimizer = optimizer.beta_2(x.number("beta_2").unwrap_or(0.999));
            let optimizer = optimizer.epsilon(x.number("epsilon").unwrap_or(1e-7));
            common(optimizer.amsgrad(x.flag("amsgrad")), x)
        }
        "AdamW" => common(AdamW::new(), x),
        "Nadam" => common(Nadam::new(), x),
        "Adamax" => common(Adamax::new(), x),
        "Adagrad" => common(Adagrad::new(), x),
        "Adadelta" => common(Adadelta::new().rho(x.number("rho").unwrap_or(0.95)), x),
        "Lion" => common(Lion::new().beta_1(x.number("beta_1").unwrap_or(0.9)), x),
        class => panic!("{class} is not tested"),
    };
    options.finish();
    built
}

/// The arguments that every optimizer has.
fn common<F: Formula<N>, const N: usize>(
    mut optimizer: Descent<F, N>,
    options: &mut Options<'_>,
) -> Box<dyn Optimizer> {
    if let Some(rate) = options.number("learning_rate") {
        optimizer = optimizer.learning_rate(rate as f32);
    }
    for (name, clip) in [
        ("clipnorm", Clip::Norm as fn(f32) -> Clip),
        ("clipvalue", Clip::Value),
        ("global_clipnorm", Clip::GlobalNorm),
    ] {
        if let Some(limit) = options.number(name) {
            optimizer = optimizer.clip(clip(limit as f32));
        }
    }
    match options.number("weight_decay") {
        Some(rate) => Box::new(optimizer.weight_decay(rate)),
        None => Box::new(optimizer),
    }
}

#[test]
fn every_optimizer_is_that_of_keras() {
    let golden = keras();
    for name in golden.cases("optimizer.") {
        let mut case = Case::new(&golden, name);
        let mut optimizer = optimizer(&case.config());
        let param = |name| {
            let value = case.given(name);
            Param { value: value.clone(), ..Param::zeros(value.shape(), &Device::Cpu) }
        };
        let mut model = Model { kernel: param("kernel"), bias: param("bias") };
        optimizer.build(&model, &Device::Cpu);
        let grads = ["grad_kernel", "grad_bias"].map(|field| case.given(field));
        let (mut cx, mut after) = (Context::new(Device::Cpu, 1), [vec![], vec![]]);
        for step in 0..5 {
            cx.step.learning_rate = optimizer.schedule().at(step);
            for (param, grads) in [&mut model.kernel, &mut model.bias].into_iter().zip(&grads) {
                let n = param.grad.len();
                let grads = &grads.slice::<f32>()[step as usize * n..][..n];
                param.grad.slice_mut().copy_from_slice(grads);
            }
            optimizer.step(&mut cx, &mut model);
            after[0].extend_from_slice(model.kernel.value.slice::<f32>());
            after[1].extend_from_slice(model.bias.value.slice::<f32>());
        }
        case.compare("after_kernel", &after[0]);
        case.compare("after_bias", &after[1]);
        case.finish();
    }
}

fn schedule(config: &Config) -> Box<dyn Schedule> {
    let mut options = Options::new(config);
    let x = &mut options;
    let rate = x.number("initial_learning_rate").unwrap_or(0.0);
    let alpha = x.number("alpha").unwrap_or(0.0);
    let built: Box<dyn Schedule> = match config.class_name.as_str() {
        "ExponentialDecay" => {
            let factor = x.number("decay_rate").expect("a factor");
            let decay = ExponentialDecay::new(rate, x.steps("decay_steps"), factor);
            Box::new(decay.staircase(x.flag("staircase")))
        }
        "InverseTimeDecay" => {
            let factor = x.number("decay_rate").expect("a factor");
            Box::new(InverseTimeDecay::new(rate, x.steps("decay_steps"), factor))
        }
        "PiecewiseConstantDecay" => {
            let [boundaries, values] =
                ["boundaries", "values"].map(|name| x.get(name).expect("a list").clone());
            let boundaries: Vec<u64> = serde_json::from_value(boundaries).expect("steps");
            let values: Vec<f64> = serde_json::from_value(values).expect("rates");
            Box::new(PiecewiseConstantDecay::new(&boundaries, &values))
        }
        "PolynomialDecay" => {
            let decay = PolynomialDecay::new(rate, x.steps("decay_steps")).cycle(x.flag("cycle"));
            let decay = decay.power(x.number("power").unwrap_or(1.0));
            Box::new(decay.end_learning_rate(x.number("end_learning_rate").unwrap_or(1e-4)))
        }
        "CosineDecay" => {
            let decay = CosineDecay::new(rate, x.steps("decay_steps")).alpha(alpha);
            match x.number("warmup_target") {
                Some(target) => Box::new(decay.warmup(target, x.steps("warmup_steps"))),
                None => Box::new(decay),
            }
        }
        "CosineDecayRestarts" => {
            let decay = CosineDecayRestarts::new(rate, x.steps("first_decay_steps")).alpha(alpha);
            let decay = decay.t_mul(x.number("t_mul").unwrap_or(2.0));
            Box::new(decay.m_mul(x.number("m_mul").unwrap_or(1.0)))
        }
        class => panic!("{class} is not tested"),
    };
    options.finish();
    built
}

#[test]
fn every_schedule_is_that_of_keras() {
    let golden = keras();
    for name in golden.cases("schedule.") {
        let mut case = Case::new(&golden, name);
        let schedule = schedule(&case.config());
        let rates: Vec<f32> = (0..30).map(|step| schedule.at(step)).collect();
        case.compare("rates", &rates);
        case.finish();
    }
}
