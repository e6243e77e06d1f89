//! The proof of batch normalization.

use super::*;
use crate::Initializer;
use gradus_tensor::Workspace;
use gradus_tensor::ndarray::{Array2, ArrayD};
use gradus_testing::{Cases, Golden, Tolerance, assert_close, gradcheck};

/// All results of one training step: y, dx, mean (with its rest), variance, dgamma, dbeta.
pub(super) type Results<T> = [Vec<T>; 6];
pub(super) const NAMES: [&str; 6] = ["y", "dx", "mean", "variance", "dgamma", "dbeta"];

/// One batch: x and dy are N·C, gamma and beta C or empty.
#[derive(Clone)]
pub(super) struct Batch<T> {
    pub(super) x: Array2<T>,
    pub(super) dy: Array2<T>,
    pub(super) gamma: Vec<T>,
    pub(super) beta: Vec<T>,
}

impl Batch<f32> {
    pub(super) fn random(cases: &mut Cases, rows: usize, channels: usize, offset: f32) -> Self {
        let [x, dy] = [(); 2].map(|()| cases.normal(rows * channels));
        let [x, dy] = [x, dy].map(|v| Array2::from_shape_vec((rows, channels), v).unwrap());
        let [gamma, beta] = [(); 2].map(|()| cases.normal(channels));
        Self { x: x + offset, dy, gamma, beta }
    }

    pub(super) fn as_f64(&self) -> Batch<f64> {
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect();
        Batch {
            x: self.x.mapv(f64::from),
            dy: self.dy.mapv(f64::from),
            gamma: wide(&self.gamma),
            beta: wide(&self.beta),
        }
    }

    /// The engine's results.
    fn engine(&self, isa: Isa, threads: usize) -> Results<f32> {
        let (x, dy, (rows, c)) = (self.x.view(), self.dy.view(), self.x.dim());
        let mut cx = Context::new(Device::Cpu, threads);
        let ws: &mut Workspace = &mut cx.workspace;
        ws.scratch.reserve(cpu::scratch(rows, c));
        let [mut mean, mut rest, mut variance] = [(); 3].map(|()| vec![9.0; c]);
        let [mut dgamma, mut dbeta] = [(); 2].map(|()| vec![9.0; c]);
        let [mut y, mut dx] = [(); 2].map(|()| Array2::from_elem((rows, c), 9.0));
        cpu::statistics(isa, ws, x, [&mut mean, &mut rest, &mut variance]);
        let n = Normalization {
            mean: &mean,
            rest: &rest,
            variance: &variance,
            epsilon: 1e-3,
            gamma: &self.gamma,
            beta: &self.beta,
        };
        cpu::forward(isa, ws, x, &n, y.view_mut());
        cpu::backward_parameters(isa, ws, x, &n, dy, [&mut dgamma, &mut dbeta]);
        cpu::backward_input(isa, ws, x, &n, dy, [&dgamma, &dbeta], dx.view_mut());
        let [y, dx] = [y, dx].map(|a| a.into_raw_vec_and_offset().0);
        [y, dx, mean, variance, dgamma, dbeta]
    }
}

impl<T: Real> Batch<T> {
    /// The definition's results.
    pub(super) fn definition(&self) -> Results<T> {
        let (x, dy, (rows, c)) = (self.x.view(), self.dy.view(), self.x.dim());
        let [mut mean, mut variance, mut dgamma, mut dbeta] = [(); 4].map(|()| vec![T::zero(); c]);
        let [mut y, mut dx] = [(); 2].map(|()| Array2::from_elem((rows, c), T::zero()));
        definition::statistics(x, &mut mean, &mut variance);
        let n = Normalization {
            mean: &mean,
            rest: &[],
            variance: &variance,
            epsilon: T::of(f64::from(1e-3f32)),
            gamma: &self.gamma,
            beta: &self.beta,
        };
        definition::forward(x, &n, y.view_mut());
        definition::backward_parameters(x, &n, dy, [&mut dgamma, &mut dbeta]);
        definition::backward_input(x, &n, dy, [&dgamma, &dbeta], dx.view_mut());
        let [y, dx] = [y, dx].map(|a| a.into_raw_vec_and_offset().0);
        [y, dx, mean, variance, dgamma, dbeta]
    }

    /// The largest |gamma · rstd · dy|: the first term of dx, from which the others are taken. For
    /// two rows nearly nothing remains.
    pub(super) fn largest_term(&self) -> T {
        let variance = &self.definition()[3];
        let size = |((_, c), &dy): ((usize, usize), &T)| {
            let gamma = self.gamma.get(c).copied().unwrap_or(T::one());
            (dy * gamma).abs() / (variance[c] + T::of(1e-3)).sqrt()
        };
        self.dy.indexed_iter().map(size).fold(T::zero(), T::max)
    }

    /// Σ dy · y.
    fn loss(&self) -> T {
        self.definition()[0].iter().zip(&self.dy).map(|(&y, &dy)| y * dy).sum()
    }
}

#[test]
fn the_gradients_are_the_derivatives_also_through_mean_and_variance() {
    // Fifteen rows, as behind a dense layer, and 2·3·2 pixels, as behind a convolution.
    for (case, (rows, channels)) in [(15, 3), (2 * 3 * 2, 4), (2, 2)].into_iter().enumerate() {
        for (scale, center) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut cases = Cases::new("batch normalization gradient", case as u32);
            let mut batch = Batch::random(&mut cases, rows, channels, 0.5).as_f64();
            batch.gamma.truncate(if scale { channels } else { 0 });
            batch.beta.truncate(if center { channels } else { 0 });
            let [_, dx, _, _, dgamma, dbeta] = batch.definition();
            let shape = batch.x.dim();
            let error = gradcheck(batch.x.as_slice().unwrap(), &dx, |x| {
                let x = Array2::from_shape_vec(shape, x.to_vec()).unwrap();
                Batch { x, ..batch.clone() }.loss()
            });
            assert!(error < 1e-6, "dx, {rows}·{channels}: {error}");
            if scale {
                let error = gradcheck(&batch.gamma, &dgamma, |gamma| {
                    Batch { gamma: gamma.to_vec(), ..batch.clone() }.loss()
                });
                assert!(error < 1e-6, "dgamma, {rows}·{channels}: {error}");
            }
            if center {
                let error = gradcheck(&batch.beta, &dbeta, |beta| {
                    Batch { beta: beta.to_vec(), ..batch.clone() }.loss()
                });
                assert!(error < 1e-6, "dbeta, {rows}·{channels}: {error}");
            }
        }
    }
}

/// Holds the engine against the definition in f64. Every sum is taken in f64, so the tolerance is
/// that of a few roundings, whatever the number of rows; those of dx are roundings of its terms.
fn check_engine(what: &str, batch: &Batch<f32>) {
    let (wide, few) = (batch.as_f64(), Tolerance::for_reduction(1));
    let (expected, of_terms) = (wide.definition(), few.abs + few.rel * wide.largest_term());
    for isa in Isa::available() {
        let results = batch.engine(isa, 1);
        for ((name, actual), expected) in NAMES.iter().zip(&results).zip(&expected) {
            let what = format!("{what} {:?} {isa:?} {name}", batch.x.dim());
            let abs = if *name == "dx" { of_terms } else { few.abs };
            assert_close(&what, actual, expected, Tolerance { abs, ..few });
        }
        assert_eq!(results, batch.engine(isa, 3), "{what}: 1 thread, 3 threads");
    }
}

#[test]
fn the_engine_is_the_definition() {
    let mut cases = Cases::new("batch normalization engine", 0);
    for channels in [1, 2, 3, 8, 17, 33, 64, 100, 512] {
        // One row; a few; more than one chunk of 65536 floats.
        for rows in [1, 2, cases.extent(3, 40), 65_536 / channels + cases.extent(0, 9)] {
            let mut batch = Batch::random(&mut cases, rows, channels, 0.7);
            check_engine("both", &batch);
            batch.gamma.clear();
            check_engine("center", &batch);
            batch.beta.clear();
            check_engine("neither", &batch);
        }
    }
}

#[test]
fn a_mean_far_from_zero_costs_no_accuracy() {
    for (case, offset) in [1e4, -3e4].into_iter().enumerate() {
        let mut cases = Cases::new("batch normalization offset", case as u32);
        for (rows, channels) in [(5000, 33), (15, 512), (1, 4)] {
            check_engine("offset", &Batch::random(&mut cases, rows, channels, offset));
        }
    }
}

#[test]
fn a_first_row_far_from_the_others_costs_no_accuracy() {
    let mut batch = Batch::random(&mut Cases::new("outlier", 0), 9000, 20, 0.0);
    batch.x.row_mut(0).fill(1e6);
    check_engine("outlier", &batch);
}

#[test]
fn a_single_row_gives_beta_and_no_gradient() {
    let batch = Batch::random(&mut Cases::new("single row", 0), 1, 37, 100.0);
    let [y, dx, mean, variance, dgamma, dbeta] = batch.engine(Isa::detect(), 1);
    assert_eq!((&y, mean.as_slice()), (&batch.beta, batch.x.as_slice().unwrap()));
    assert_eq!(dbeta.as_slice(), batch.dy.as_slice().unwrap());
    for zero in [dx, variance, dgamma] {
        assert!(zero.iter().all(|&v| v == 0.0), "{zero:?}");
    }
}

#[test]
fn a_lost_number_stays_visible_in_its_channel_alone() {
    let mut batch = Batch::random(&mut Cases::new("NaN", 0), 50, 20, 0.0);
    batch.x[[7, 3]] = f32::NAN;
    let [y, _, mean, variance, ..] = batch.engine(Isa::detect(), 1);
    assert!(mean[3].is_nan() && variance[3].is_nan() && y[3].is_nan());
    assert!(y.iter().enumerate().all(|(i, y)| y.is_nan() == (i % 20 == 3)));
}

/// A layer with its memory.
struct Bench {
    layer: BatchNormalization,
    cx: Context,
    saved: Saved,
}

impl Bench {
    fn new(mut layer: BatchNormalization, x: Shape) -> Self {
        let mut cx = Context::new(Device::Cpu, 1);
        layer.build(x, &mut Init::new(&Device::Cpu, 0)).unwrap();
        let plan = layer.plan(Spec::f32(x), Mode::Train).unwrap();
        plan.reserve(&mut cx);
        Self { layer, cx, saved: Saved::allocate(&plan, &Device::Cpu) }
    }

    fn forward(&mut self, x: &Tensor) -> Tensor {
        let mut y = Tensor::zeros(x.spec(), &Device::Cpu);
        self.layer.forward(&mut self.cx, x, &mut y, &mut self.saved);
        y
    }

    fn infer(&mut self, x: &Tensor) -> Tensor {
        let mut y = Tensor::zeros(x.spec(), &Device::Cpu);
        self.layer.infer(&mut self.cx, x, &mut y, &mut self.saved);
        y
    }

    fn moving(&self) -> [&[f32]; 2] {
        [self.layer.moving_mean.slice(), self.layer.moving_variance.slice()]
    }
}

fn tensor(values: &ArrayD<f32>) -> Tensor {
    Tensor::from_slice(Shape::new(values.shape()), values.as_slice().unwrap())
}

#[test]
fn training_moves_the_statistics_and_inference_uses_them() {
    let x = Tensor::from_slice(Shape::new(&[2, 2]), &[1.0f32, 2.0, 3.0, 6.0]);
    let mut bench = Bench::new(BatchNormalization::new(), x.shape());
    assert_eq!(bench.infer(&x).slice::<f32>()[3], 6.0 / 1.001f32.sqrt());
    let y = bench.forward(&x);
    // Mean (2, 4), variance (1, 4): Keras 3 gives the moving variances 1.00 and 1.03.
    assert_eq!(bench.moving(), [[0.02, 0.04], [1.0, 1.03]]);
    let [a, b] = [1.0 / 1.001f32.sqrt(), 2.0 / 4.001f32.sqrt()];
    assert_close("y", y.slice::<f32>(), &[-a, -b, a, b], Tolerance::for_reduction(1));
    let before = bench.moving().map(<[f32]>::to_vec);
    let _ = bench.infer(&x);
    assert_eq!(bench.moving().map(<[f32]>::to_vec), before);
}

#[test]
fn the_gradient_of_a_frozen_layer_is_the_derivative() {
    let mut cases = Cases::new("frozen batch normalization", 0);
    let batch = Batch::random(&mut cases, 7, 3, 0.5).as_f64();
    let [mean, variance] = [(); 2].map(|()| cases.normal_f64(3));
    let variance: Vec<f64> = variance.iter().map(|v| 0.1 + v * v).collect();
    let n = Normalization {
        mean: &mean,
        rest: &[],
        variance: &variance,
        epsilon: 1e-3,
        gamma: &batch.gamma,
        beta: &batch.beta,
    };
    let mut dx = batch.x.clone();
    let none = [[0.0; 3]; 2];
    let sums = [none[0].as_slice(), &none[1]];
    definition::backward_input(batch.x.view(), &n, batch.dy.view(), sums, dx.view_mut());
    let error = gradcheck(batch.x.as_slice().unwrap(), dx.as_slice().unwrap(), |x| {
        let x = Array2::from_shape_vec(batch.x.dim(), x.to_vec()).unwrap();
        let mut y = x.clone();
        definition::forward(x.view(), &n, y.view_mut());
        (y * &batch.dy).sum()
    });
    assert!(error < 1e-6, "{error}");
}

#[test]
fn a_frozen_layer_trains_as_inference_goes() {
    let x = Tensor::from_slice(Shape::new(&[2, 2]), &[1.0f32, 2.0, 3.0, 6.0]);
    for (scale, center) in [(true, true), (false, false)] {
        let layer = BatchNormalization::new().scale(scale).center(center).trainable(false);
        let config = layer.config();
        assert_eq!(config.config["trainable"], false);
        let layer = BatchNormalization::from_config(&config, &Registry::default()).unwrap();
        let layer = layer.moving_mean_initializer(Initializer::Constant { value: 2.0 });
        let mut bench = Bench::new(layer, x.shape());
        let y = bench.forward(&x);
        assert_eq!(y.slice::<f32>(), bench.infer(&x).slice::<f32>());
        assert_eq!(bench.moving(), [[2.0; 2], [1.0; 2]]);
        let (mut dx, mut dy) = (x.clone(), x.clone());
        let Bench { layer, cx, saved } = &mut bench;
        layer.backward(cx, &x, &y, &mut dy, Some(&mut dx), saved);
        let expected = [1.0, 2.0, 3.0, 6.0].map(|dy| dy / 1.001f32.sqrt());
        assert_close("dx", dx.slice::<f32>(), &expected, Tolerance::for_reduction(1));
        bench.layer.set_trainable(true);
        let _ = bench.forward(&x);
        assert_ne!(bench.moving(), [[2.0; 2], [1.0; 2]], "thawed");
    }
}

#[test]
fn a_single_sample_and_a_single_pixel_give_beta() {
    for shape in [&[1, 3][..], &[1, 1, 1, 3]] {
        let layer = BatchNormalization::new().beta_initializer(Initializer::Ones);
        let layer = layer.gamma_initializer(Initializer::Constant { value: 3.0 });
        let x = Tensor::from_slice(Shape::new(shape), &[1.0f32, -2.0, 3e6]);
        let mut bench = Bench::new(layer, x.shape());
        assert_eq!(bench.forward(&x).slice::<f32>(), [1.0; 3], "{shape:?}");
        assert_eq!(bench.moving()[1], [0.99; 3], "{shape:?}");
    }
}

#[test]
fn the_stored_variance_is_the_chosen_one() {
    let stored = |choice, shape: &[usize]| {
        let layer = BatchNormalization::new().momentum(0.0).moving_variance(choice);
        let x = Tensor::from_slice(Shape::new(shape), &[1.0f32, 2.0, 3.0, 6.0]);
        let mut bench = Bench::new(layer, x.shape());
        let _ = bench.forward(&x);
        bench.moving()[1].to_vec()
    };
    let (rows, image) = ([4, 1].as_slice(), [1, 2, 2, 1].as_slice());
    let (biased, unbiased) = ([3.5], [3.5f32 * 4.0 / 3.0]);
    assert_eq!(stored(MovingVariance::Biased, image), biased);
    assert_eq!(stored(MovingVariance::Unbiased, rows), unbiased);
    assert_eq!(stored(MovingVariance::Keras2, rows), biased);
    assert_eq!(stored(MovingVariance::Keras2, image), unbiased);
    assert_eq!(stored(MovingVariance::Unbiased, &[1, 4]), [0.0; 4], "a single row");
}

#[test]
fn shapes_and_options_that_do_not_fit_are_refused() {
    let mut layer = BatchNormalization::new();
    for wrong in [&[4][..], &[2, 3, 4], &[0, 4], &[4, 0]] {
        assert!(layer.output_shape(Shape::new(wrong)).is_err(), "{wrong:?}");
    }
    layer.build(Shape::new(&[1, 5, 5, 8]), &mut Init::new(&Device::Cpu, 0)).unwrap();
    let error = layer.plan(Spec::f32(Shape::new(&[3, 5, 5, 7])), Mode::Train).unwrap_err();
    assert_eq!(error.expected, "expected 8 channels, as it was built for");
    for (option, value) in [("axis", 1.into()), ("momentum", 1.5.into()), ("epsilon", 0.0.into())] {
        let mut config = layer.config();
        config.config.insert(option.to_owned(), value);
        let error = BatchNormalization::from_config(&config, &Registry::default()).unwrap_err();
        assert!(error.to_string().contains(option), "{error}");
    }
}

#[test]
fn the_config_is_keras_s_and_comes_back() {
    let config = BatchNormalization::new().config();
    let expected = r#"{"axis":-1,"momentum":0.99,"epsilon":0.001,"center":true,"scale":true}"#;
    assert_eq!(serde_json::Value::from(config.config), {
        let value: serde_json::Value = serde_json::from_str(expected).unwrap();
        value
    });
    let config = BatchNormalization::new()
        .momentum(0.9)
        .center(false)
        .moving_variance(MovingVariance::Keras2)
        .config();
    let again = BatchNormalization::from_config(&config, &Registry::default()).unwrap();
    assert_eq!(again.config(), config);
}

/// The layer of a golden case, its parameters and moving statistics set.
fn golden_bench(golden: &Golden, case: &str, x: Shape) -> Bench {
    let params = golden.params(case);
    let option = |name: &str| params[name].as_bool().unwrap_or(true);
    let choice =
        if case.starts_with("k2") { MovingVariance::Keras2 } else { MovingVariance::Biased };
    let layer = BatchNormalization::new()
        .momentum(params["momentum"].as_f64().unwrap())
        .epsilon(params["epsilon"].as_f64().unwrap())
        .scale(option("scale"))
        .center(option("center"))
        .moving_variance(choice);
    let mut bench = Bench::new(layer, x);
    let layer = &mut bench.layer;
    for (field, value) in [
        ("gamma", &mut layer.gamma.value),
        ("beta", &mut layer.beta.value),
        ("moving_mean", &mut layer.moving_mean),
        ("moving_variance", &mut layer.moving_variance),
    ] {
        if golden.has(case, field) {
            *value = tensor(&golden.tensor(case, field));
        }
    }
    bench
}

#[test]
fn a_step_agrees_with_keras_2_and_3() {
    let Some(golden) = Golden::open("batchnorm") else {
        return;
    };
    assert_eq!((golden.cases("").len(), golden.cases("k").len()), (42, 42), "none is left out");
    for case in golden.cases("k").into_iter().filter(|c| !c.ends_with("5steps")) {
        let [x, mut dy] = ["x", "dy"].map(|field| tensor(&golden.tensor(case, field)));
        let mut bench = golden_bench(&golden, case, x.shape());
        let mut dx = Tensor::zeros(x.spec(), &Device::Cpu);
        let training = golden.params(case)["training"].as_bool().unwrap();
        let (y, dgamma, dbeta) = if training {
            let y = bench.forward(&x);
            let Bench { layer, cx, saved } = &mut bench;
            layer.backward(cx, &x, &y, &mut dy, Some(&mut dx), saved);
            (y, layer.gamma.grad.clone(), layer.beta.grad.clone())
        } else {
            // The statistics do not depend on x: no sums come through them. A frozen layer trains
            // as inference goes, and gives dx; the sums it leaves out are made here.
            bench.layer.set_trainable(false);
            let y = bench.forward(&x);
            assert_eq!(y.slice::<f32>(), bench.infer(&x).slice::<f32>(), "{case}");
            let Bench { layer, cx, saved } = &mut bench;
            layer.backward(cx, &x, &y, &mut dy.clone(), Some(&mut dx), saved);
            let Bench { layer, cx, .. } = &mut bench;
            let (isa, ws, mean) = (Isa::detect(), &mut cx.workspace, &layer.moving_mean);
            let statistics = [mean.slice(), &[], layer.moving_variance.slice()];
            let n = layer.normalization(statistics);
            let [mut dgamma, mut dbeta] =
                [(); 2].map(|()| Tensor::zeros(mean.spec(), &Device::Cpu));
            let sums = [dgamma.slice_mut(), dbeta.slice_mut()];
            cpu::backward_parameters(isa, ws, x.rows(), &n, dy.rows(), sums);
            (y, dgamma, dbeta)
        };
        let Bench { layer, .. } = &bench;
        for (field, actual) in [
            ("y", &y),
            ("dx", &dx),
            ("dgamma", &dgamma),
            ("dbeta", &dbeta),
            ("after_moving_mean", &layer.moving_mean),
            ("after_moving_variance", &layer.moving_variance),
        ] {
            if !golden.has(case, field) {
                assert!(matches!(field, "dgamma" | "dbeta") && actual.is_empty(), "{case}/{field}");
                continue;
            }
            let expected = golden.tensor(case, field);
            let tolerance = Tolerance::golden(golden.noise(case, field));
            let (actual, expected) = (actual.slice::<f32>(), expected.as_slice().unwrap());
            assert_close(&format!("{case}/{field}"), actual, expected, tolerance);
        }
    }
}

#[test]
fn five_steps_and_inference_agree_with_keras_2_and_3() {
    let Some(golden) = Golden::open("batchnorm") else {
        return;
    };
    for case in golden.cases("k").into_iter().filter(|c| c.ends_with("5steps")) {
        let xs = golden.tensor(case, "xs");
        let batches: Vec<Tensor> = xs.outer_iter().map(|x| tensor(&x.to_owned())).collect();
        let mut bench = golden_bench(&golden, case, batches[0].shape());
        let fields = ["moving_mean_steps", "moving_variance_steps"];
        let expected = fields.map(|field| golden.tensor(case, field));
        for (step, x) in batches.iter().enumerate() {
            let _ = bench.forward(x);
            for ((field, actual), expected) in fields.iter().zip(bench.moving()).zip(&expected) {
                let expected = expected.outer_iter().nth(step).unwrap();
                let what = format!("{case}/{field} after step {step}");
                let tolerance = Tolerance::golden(golden.noise(case, field));
                assert_close(&what, actual, expected.as_slice().unwrap(), tolerance);
            }
        }
        let (y, expected) = (bench.infer(&batches[0]), golden.tensor(case, "y_infer_x0"));
        let tolerance = Tolerance::golden(golden.noise(case, "y_infer_x0"));
        assert_close(case, y.slice::<f32>(), expected.as_slice().unwrap(), tolerance);
    }
}
