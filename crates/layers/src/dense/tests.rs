//! The proof of the dense layer.

use super::*;
use crate::trial::Trial;
use crate::{ActivationLayer, Initializer, Sequential};
use gradus_tensor::ndarray::{Array1, Array2};
use gradus_tensor::{Field, Fields, Path, Workspace};
use gradus_testing::{Cases, Golden, Tolerance, assert_close, gradcheck};

/// z, dx, dW and db.
pub(super) type Results = (Array2<f32>, Array2<f32>, Array2<f32>, Array1<f32>);

pub(super) struct Case {
    pub(super) x: Array2<f32>,
    pub(super) kernel: Array2<f32>,
    pub(super) bias: Array1<f32>,
    pub(super) dz: Array2<f32>,
}

impl Case {
    pub(super) fn new(number: u32, [n, i, j]: [usize; 3]) -> Self {
        let mut cases = Cases::new("dense engine", number);
        let mut of = |n, m| Array2::from_shape_vec((n, m), cases.normal(n * m)).expect("n · m");
        let (x, kernel, bias, dz) = (of(n, i), of(i, j), of(1, j), of(n, j));
        Self { x, kernel, bias: bias.row(0).to_owned(), dz }
    }

    /// Numbers that no engine may leave standing.
    fn stale(&self) -> Results {
        let old = |like: &Array2<f32>| Array2::from_elem(like.dim(), 9.0);
        let dbias = Array1::from_elem(self.bias.dim(), 9.0);
        (old(&self.dz), old(&self.x), old(&self.kernel), dbias)
    }

    pub(super) fn defined(&self) -> Results {
        let (mut z, mut dx, mut dw, mut db) = self.stale();
        let (x, kernel, dz) = (self.x.view(), self.kernel.view(), self.dz.view());
        definition::forward(x, kernel, Some(self.bias.view()), z.view_mut());
        definition::backward_input(kernel, dz, dx.view_mut());
        definition::backward_weight(x, dz, dw.view_mut());
        definition::backward_bias(dz, db.view_mut());
        (z, dx, dw, db)
    }

    /// z without bias, dx and dW of what `f` makes of the numbers.
    pub(super) fn defined_in_f64(&self, f: fn(f64) -> f64) -> [Vec<f64>; 3] {
        let [x, kernel, dz] =
            [&self.x, &self.kernel, &self.dz].map(|a| a.mapv(|v| f(f64::from(v))));
        let [mut z, mut dx, mut dw] = [&dz, &x, &kernel].map(|like| Array2::zeros(like.dim()));
        definition::forward(x.view(), kernel.view(), None, z.view_mut());
        definition::backward_input(kernel.view(), dz.view(), dx.view_mut());
        definition::backward_weight(x.view(), dz.view(), dw.view_mut());
        [z, dx, dw].map(|a| a.iter().copied().collect())
    }

    fn run(&self, isa: Isa, threads: usize) -> Results {
        let mut ws = Workspace::new(threads);
        let (inputs, units) = self.kernel.dim();
        let length = cpu::scratch(self.x.nrows(), inputs, units);
        ws.scratch.reserve(length);
        ws.scratch.take(length).fill(f32::NAN);
        let (mut z, mut dx, mut dw, mut db) = self.stale();
        let (x, kernel, dz) = (self.x.view(), self.kernel.view(), self.dz.view());
        cpu::forward(isa, &mut ws, x, kernel, Some(self.bias.view()), z.view_mut());
        cpu::backward_input(isa, &mut ws, kernel, dz, dx.view_mut());
        cpu::backward_weight(isa, &mut ws, x, dz, dw.view_mut());
        cpu::backward_bias(dz, db.as_slice_mut().expect("one row"));
        (z, dx, dw, db)
    }
}

#[test]
fn the_gradient_is_the_derivative() {
    let (n, i, j) = (3, 5, 4);
    let mut cases = Cases::new("dense gradient", 0);
    let at = cases.normal_f64(n * i + i * j + j);
    let r = Array2::from_shape_vec((n, j), cases.normal_f64(n * j)).unwrap();
    let parts = |at: &[f64]| {
        let (x, rest) = at.split_at(n * i);
        let (kernel, bias) = rest.split_at(i * j);
        let rows = |n, m, of: &[f64]| Array2::from_shape_vec((n, m), of.to_vec()).unwrap();
        (rows(n, i, x), rows(i, j, kernel), Array1::from(bias.to_vec()))
    };
    let (x, kernel, _) = parts(&at);
    let (mut dx, mut dw, mut db) = parts(&vec![0.0; at.len()]);
    definition::backward_input(kernel.view(), r.view(), dx.view_mut());
    definition::backward_weight(x.view(), r.view(), dw.view_mut());
    definition::backward_bias(r.view(), db.view_mut());
    let analytic: Vec<f64> = dx.iter().chain(&dw).chain(&db).copied().collect();
    let error = gradcheck(&at, &analytic, |at| {
        let ((x, kernel, bias), mut z) = (parts(at), Array2::zeros((n, j)));
        definition::forward(x.view(), kernel.view(), Some(bias.view()), z.view_mut());
        (&z * &r).sum()
    });
    assert!(error < 1e-6, "{error}");
}

#[test]
fn the_engine_is_the_definition() {
    let odd = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65];
    for number in 0..100 {
        let mut cases = Cases::new("dense shapes", number);
        let mut extents = [cases.one_of(&odd), cases.one_of(&odd), cases.one_of(&odd)];
        // Some with many samples, many inputs (several spans), many units.
        let large = [130, 1100, 200];
        if number % 4 < 3 {
            let which = number as usize % 4;
            extents[which] = cases.extent(1, large[which]);
        }
        let case = Case::new(number, extents);
        let expected = case.defined();
        for isa in Isa::available() {
            let actual = case.run(isa, 2);
            let close = |what, a: &[f32], e: &[f32], length| {
                let what = format!("{what} of {extents:?}, case {number}, {isa:?}");
                assert_close(&what, a, e, Tolerance::for_reduction(length));
            };
            let ([n, i, j], flat) = (extents, |a: &Array2<f32>| a.iter().copied().collect());
            let flat: &dyn Fn(&Array2<f32>) -> Vec<f32> = &flat;
            close("z", &flat(&actual.0), &flat(&expected.0), i);
            close("dx", &flat(&actual.1), &flat(&expected.1), j);
            close("dW", &flat(&actual.2), &flat(&expected.2), n);
            close("db", actual.3.as_slice().unwrap(), expected.3.as_slice().unwrap(), n);
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for (number, extents) in [[15, 1700, 40], [130, 600, 33], [1, 90, 2]].iter().enumerate() {
        let case = Case::new(number as u32, *extents);
        for isa in Isa::available() {
            assert_eq!(case.run(isa, 1), case.run(isa, 3), "{extents:?} {isa:?}");
        }
    }
}

#[test]
fn scratch_for_the_largest_batch_does_for_smaller_ones() {
    let mut promised = 0;
    for batch in 1..400 {
        let now = cpu::scratch(batch, 5000, 24);
        assert!(promised <= now, "{batch} samples: {now} floats, {promised} for fewer");
        promised = now;
    }
}

/// A built layer with its memory, after one step forward.
fn step(layer: &mut Dense, x: &Tensor) -> (Context, Saved, Tensor) {
    let mut cx = Context::new(Device::Cpu, 1);
    let plan = layer.plan(x.spec(), Mode::Train).unwrap();
    plan.reserve(&mut cx);
    let mut saved = Saved::allocate(&plan, &Device::Cpu);
    let mut y = Tensor::zeros(plan.output, &Device::Cpu);
    layer.forward(&mut cx, x, &mut y, &mut saved);
    (cx, saved, y)
}

#[test]
fn relu_stands_between_the_product_and_both_gradients() {
    let x = Tensor::from_slice(Shape::new(&[1, 2]), &[1.0f32, 2.0]);
    let mut layer = Dense::new(2).activation(Activation::Relu);
    layer.build(x.shape(), &mut Init::new(&Device::Cpu, 0)).unwrap();
    layer.kernel.value.slice_mut().copy_from_slice(&[1.0f32, -1.0, 3.0, 1.0]);
    layer.bias.value.slice_mut().copy_from_slice(&[0.5f32, -2.0]);
    let (mut cx, mut saved, y) = step(&mut layer, &x);
    assert_eq!(y.slice::<f32>(), [7.5, 0.0], "z is 7.5 and −1");
    let mut dy = Tensor::from_slice(y.shape(), &[2.0f32, 5.0]);
    let mut dx = Tensor::zeros(x.spec(), &Device::Cpu);
    layer.backward(&mut cx, &x, &y, &mut dy, Some(&mut dx), &mut saved);
    assert_eq!(dx.slice::<f32>(), [2.0, 6.0]);
    assert_eq!(layer.kernel.grad.slice::<f32>(), [2.0, 0.0, 4.0, 0.0]);
    assert_eq!(layer.bias.grad.slice::<f32>(), [2.0, 0.0]);
}

#[test]
fn dense_agrees_with_keras() {
    let Some(golden) = Golden::open("dense_activation") else {
        return;
    };
    for case in golden.cases("dense_") {
        let tensor = |field| {
            let values = golden.tensor(case, field);
            Tensor::from_slice(Shape::new(values.shape()), values.as_slice().unwrap())
        };
        let (x, kernel, mut dy) = (tensor("x"), tensor("kernel"), tensor("dy"));
        let with_bias = golden.has(case, "bias");
        let mut layer = Dense::new(dy.shape().last()).use_bias(with_bias);
        layer.build(x.shape(), &mut Init::new(&Device::Cpu, 0)).unwrap();
        layer.kernel.value = kernel;
        if with_bias {
            layer.bias.value = tensor("bias");
        }
        let (mut cx, mut saved, y) = step(&mut layer, &x);
        let mut dx = Tensor::zeros(x.spec(), &Device::Cpu);
        layer.backward(&mut cx, &x, &y, &mut dy, Some(&mut dx), &mut saved);
        let expect = |field, actual: &Tensor| {
            let tolerance = Tolerance::golden(golden.noise(case, field));
            let expected = tensor(field);
            assert_eq!(actual.shape(), expected.shape());
            let (a, e) = (actual.slice::<f32>(), expected.slice::<f32>());
            assert_close(&format!("{case}/{field}"), a, e, tolerance);
        };
        expect("y", &y);
        expect("dx", &dx);
        expect("dkernel", &layer.kernel.grad);
        if with_bias {
            expect("dbias", &layer.bias.grad);
        }
    }
}

#[test]
fn a_dense_layer_is_described_in_keras_s_words() {
    let layer = Dense::new(512).activation(Activation::Relu).use_bias(false);
    let config = layer.config();
    let words = serde_json::json!({"units": 512, "activation": "relu", "use_bias": false});
    assert_eq!(serde_json::Value::Object(config.config.clone()), words);
    let again = Dense::from_config(&config, &Registry::default()).unwrap();
    assert_eq!(again.config(), config);
    let options = serde_json::json!({"units": 0}).as_object().unwrap().clone();
    let none = Config { config: options, ..config };
    assert!(Dense::from_config(&none, &Registry::default()).is_err());
}

#[test]
fn the_activation_can_be_taken_off() {
    let mut head = Dense::new(2).activation(Activation::Softmax);
    let taken = head.closing_activation().map(std::mem::take);
    assert_eq!(taken, Some(Activation::Softmax));
    assert_eq!(head.options.activation, Activation::Linear);
}

#[test]
fn an_input_that_does_not_fit_is_refused() {
    let mut layer = Dense::new(3);
    let image = layer.output_shape(Shape::new(&[1, 4, 4, 2])).unwrap_err().to_string();
    assert!(image.contains("(1, 4, 4, 2), expected (N, in): put a Flatten before"), "{image}");
    layer.build(Shape::new(&[1, 10]), &mut Init::new(&Device::Cpu, 0)).unwrap();
    let spec = |n| Spec::f32(Shape::new(&[5, n]));
    assert!(layer.plan(spec(10), Mode::Train).is_ok());
    let other = layer.plan(spec(11), Mode::Infer).unwrap_err().to_string();
    assert!(other.contains("expected (N, 10)"), "{other}");
}

#[test]
fn z_is_kept_for_an_activation_that_needs_it_and_frozen_weights_get_no_gradient() {
    let x = Tensor::from_slice(Shape::new(&[2, 3]), &[1.0f32, -2.0, 0.5, 0.3, 0.1, -0.7]);
    let dy = Tensor::from_slice(Shape::new(&[2, 4]), &Cases::new("dense silu", 0).normal(8));
    let run = |layer: Dense, apart: Option<ActivationLayer>| {
        let mut chain = Sequential::new().add_named("dense", Box::new(layer));
        if let Some(apart) = apart {
            chain = chain.add(apart);
        }
        let mut trial = Trial::new(chain, x.shape(), 1);
        let y = trial.forward(&x);
        assert_eq!(trial.infer(&x).slice::<f32>(), y.slice::<f32>());
        let dx = trial.backward(&x, &y, &dy);
        let mut gradients = Vec::new();
        trial.layer.visit(&mut Path::default(), &mut |_, field| {
            let Field::Param(param) = field else { return };
            gradients.extend_from_slice(param.grad.slice::<f32>());
        });
        (y.slice::<f32>().to_vec(), dx.slice::<f32>().to_vec(), gradients)
    };
    let apart = run(Dense::new(4), Some(ActivationLayer::new(Activation::Silu)));
    let fused = run(Dense::new(4).activation(Activation::Silu), None);
    assert_eq!(fused, apart);
    let frozen = run(Dense::new(4).activation(Activation::Silu).trainable(false), None);
    assert_eq!((frozen.0, frozen.1, frozen.2), (fused.0, fused.1, vec![0.0; 16]));
}

#[test]
fn rules_for_first_values_and_their_flaws() {
    let layer = Dense::new(3).kernel_initializer(Initializer::Identity { gain: 2.0 });
    let mut built = layer.clone();
    built.build(Shape::new(&[1, 3]), &mut Init::new(&Device::Cpu, 0)).unwrap();
    assert_eq!(built.kernel.value.slice::<f32>()[..5], [2.0, 0.0, 0.0, 0.0, 2.0]);
    let config = layer.config();
    let again = Dense::from_config(&config, &Registry::default()).unwrap();
    assert_eq!(again.config(), config);
    let mut wrong = config;
    wrong.config.insert("bias_initializer".to_owned(), "orthogonal".into());
    let error = Dense::from_config(&wrong, &Registry::default()).unwrap_err().to_string();
    assert!(error.contains("bias_initializer Orthogonal"), "{error}");
}
