//! The proof of residual blocks, and what the containers' tests share.

use super::*;
use crate::{BatchNormalization, Conv2D, Dropout, Padding, Sequential};
use gradus_tensor::Pool;
use gradus_testing::{Cases, gradcheck};

/// A container at work on one batch.
pub(crate) struct Trial<L> {
    pub(crate) layer: L,
    cx: Context,
    x: Tensor,
    r: Vec<f32>,
}

impl<L: Layer> Trial<L> {
    /// Builds the layer for random images of that shape; the loss is Σ r·y.
    pub(crate) fn new(mut layer: L, shape: &[usize], threads: usize) -> Self {
        let shape = Shape::new(shape);
        layer.build(shape, &mut Init::new(&Device::Cpu, 5)).unwrap();
        let mut cases = Cases::new("containers", 0);
        let x = Tensor::from_slice(shape, &cases.normal(shape.len()));
        let r = cases.normal(layer.output_shape(shape).unwrap().len());
        Self { layer, cx: Context::new(Device::Cpu, threads), x, r }
    }

    pub(crate) fn x(&self) -> &[f32] {
        self.x.slice()
    }

    pub(crate) fn r(&self) -> &[f32] {
        &self.r
    }

    fn planned(&mut self, mode: Mode) -> (Tensor, Saved) {
        let plan = self.layer.plan(self.x.spec(), mode).unwrap();
        plan.reserve(&mut self.cx);
        let mut y = Tensor::zeros(plan.output, &Device::Cpu);
        y.slice_mut::<f32>().fill(9.0);
        (y, Saved::allocate(&plan, &Device::Cpu))
    }

    /// y and dx, by training's verbs; no dx where none is wanted.
    pub(crate) fn train(&mut self, with_dx: bool) -> (Vec<f32>, Vec<f32>) {
        let (mut y, mut saved) = self.planned(Mode::Train);
        let Self { layer, cx, x, r } = self;
        layer.forward(cx, x, &mut y, &mut saved);
        let (mut dy, mut dx) = (Tensor::from_slice(y.shape(), r), x.clone());
        let into = with_dx.then_some(&mut dx);
        layer.backward(cx, x, &y, &mut dy, into, &mut saved);
        (y.slice().to_vec(), dx.slice().to_vec())
    }

    /// y of the first `n` images, in memory for all of them.
    pub(crate) fn infer(&mut self, n: usize) -> Vec<f32> {
        let (mut y, mut saved) = self.planned(Mode::Infer);
        let mut x = self.x.clone();
        x.set_shape(x.shape().with_batch(n));
        saved.set_batch(n);
        y.set_shape(saved.output());
        self.layer.infer(&mut self.cx, &x, &mut y, &mut saved);
        y.slice().to_vec()
    }

    pub(crate) fn gradients(&self) -> Vec<(String, Vec<f32>)> {
        let mut all = Vec::new();
        self.layer.visit(&mut Path::default(), &mut |path, field| {
            if let Field::Param(param) = field {
                all.push((path.to_string(), param.grad.slice().to_vec()));
            }
        });
        all
    }

    /// Every room's gradient is proved in f64; here the chain rule is: in f32, along the gradient
    /// itself, where the change of the loss is largest. Gives the worst of x and the parameters.
    pub(crate) fn chain_rule(&mut self) -> f64 {
        let (_, dx) = self.train(true);
        let mut worst = {
            let x = self.x.clone();
            let move_x = |trial: &mut Self, h: f32| {
                let moved = x.slice::<f32>().iter().zip(&dx).map(|(x, d)| x + h * d);
                trial.x.slice_mut::<f32>().iter_mut().zip(moved).for_each(|(to, x)| *to = x);
            };
            self.slope_error(&dx, move_x)
        };
        for (name, gradient) in self.gradients() {
            let mut at = 0.0;
            let move_it = |trial: &mut Self, h: f32| {
                trial.layer.visit_mut(&mut Path::default(), &mut |path, field| {
                    if path.as_str() == name {
                        let value = field.into_value().slice_mut::<f32>();
                        value.iter_mut().zip(&gradient).for_each(|(v, d)| *v += (h - at) * d);
                    }
                });
                at = h;
            };
            worst = worst.max(self.slope_error(&gradient, move_it));
        }
        worst
    }

    fn slope_error(&mut self, gradient: &[f32], mut go: impl FnMut(&mut Self, f32)) -> f64 {
        let norm2: f64 = gradient.iter().map(|d| f64::from(d * d)).sum();
        assert!(norm2 > 1e-9, "a gradient that vanishes proves nothing");
        let h = 1e-3 / norm2.sqrt();
        let mut at = |h: f64| -> f64 {
            go(self, h as f32);
            let (y, _) = self.train(true);
            y.iter().zip(&self.r).map(|(y, r)| f64::from(y * r)).sum()
        };
        let slope = (at(h) - at(-h)) / (2.0 * h);
        at(0.0);
        (slope / norm2 - 1.0).abs()
    }
}

fn conv(filters: usize, stride: usize) -> Conv2D {
    Conv2D::new(filters, 3).strides(stride).padding(Padding::Same)
}

/// A block of a ResNet that halves the image.
fn halving() -> Residual {
    let body = Sequential::new()
        .add(conv(5, 2).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(conv(5, 1));
    let shortcut = Sequential::new()
        .add(Conv2D::new(5, 1).strides(2).use_bias(false))
        .add(BatchNormalization::new());
    Residual::new(body).shortcut(shortcut).activation(Activation::Relu)
}

#[test]
fn the_gradient_is_the_derivative() {
    let mut cases = Cases::new("residual gradient", 0);
    let (x, r) = (cases.normal_f64(30), cases.normal_f64(15));
    let z = |x: &[f64]| {
        let mut z = vec![0.0; 15];
        definition::forward(&x[..15], &x[15..], &mut z);
        z
    };
    // Both ways receive the dz of the sum.
    let gradient = [r.clone(), r.clone()].concat();
    let error = gradcheck(&x, &gradient, |x| z(x).iter().zip(&r).map(|(z, r)| z * r).sum());
    assert!(error < 1e-6, "{error}");
}

#[test]
fn the_engine_is_the_definition_with_any_number_of_threads() {
    for (case, n) in [1, 7, 16_384, 40_001].into_iter().enumerate() {
        let mut cases = Cases::new("residual engine", case as u32);
        let (a, b) = (cases.normal(n), cases.normal(n));
        let mut expected = vec![0.0; n];
        definition::forward(&a, &b, &mut expected);
        for threads in [1, 3] {
            let (pool, mut z, mut y) = (Pool::new(threads), vec![9.0; n], a.clone());
            cpu::forward(&pool, &a, &b, &mut z);
            cpu::add(&pool, &b, &mut y);
            assert!(z == expected && y == expected, "{n} numbers, {threads} threads");
        }
    }
}

#[test]
fn a_body_that_does_nothing_gives_everything_twice() {
    let mut trial = Trial::new(Residual::new(Dropout::new(0.0)), &[2, 3, 5, 2], 1);
    let (y, dx) = trial.train(true);
    let twice = |values: &[f32]| values.iter().map(|v| 2.0 * v).collect::<Vec<_>>();
    assert_eq!((y, dx), (twice(trial.x()), twice(trial.r())));
    let mut both =
        Trial::new(Residual::new(Dropout::new(0.0)).shortcut(Dropout::new(0.0)), &[2, 3, 5, 2], 1);
    assert_eq!(both.train(true), trial.train(true), "a shortcut that does nothing is x itself");
}

#[test]
fn the_chain_rule_goes_down_both_ways() {
    let error = Trial::new(halving(), &[2, 7, 6, 3], 2).chain_rule();
    assert!(error < 1e-2, "{error}");
    let body = Sequential::new().add(conv(4, 1)).add(conv(3, 1));
    let error = Trial::new(Residual::new(body), &[2, 5, 6, 3], 2).chain_rule();
    assert!(error < 1e-2, "without a shortcut: {error}");
}

#[test]
fn a_first_layer_without_dx_learns_the_same() {
    for threads in [1, 3] {
        let (mut with, mut without) = (
            Trial::new(halving(), &[2, 7, 6, 3], 1),
            Trial::new(halving(), &[2, 7, 6, 3], threads),
        );
        assert_eq!(with.train(true).0, without.train(false).0);
        assert_eq!(with.gradients(), without.gradients());
    }
    let body = || Residual::new(conv(3, 1));
    let (mut with, mut without) =
        (Trial::new(body(), &[2, 5, 5, 3], 1), Trial::new(body(), &[2, 5, 5, 3], 1));
    assert_eq!(with.train(true).0, without.train(false).0);
    assert_eq!(with.gradients(), without.gradients());
}

#[test]
fn inference_of_a_smaller_batch_gives_the_same_rows() {
    for block in [halving(), Residual::new(conv(3, 1))] {
        let mut trial = Trial::new(block, &[3, 7, 6, 3], 2);
        let whole = trial.infer(3);
        assert_eq!(trial.infer(2), whole[..whole.len() / 3 * 2]);
    }
    let mut plain = Trial::new(Residual::new(conv(3, 1)), &[3, 7, 6, 3], 2);
    assert_eq!(plain.infer(3), plain.train(true).0, "nothing in it knows of training");
}

#[test]
fn the_description_rebuilds_the_block() {
    let config = halving().config();
    let again = Registry::default().layer(&config).unwrap();
    assert_eq!(again.config(), config);
    let names: Vec<&str> = again.children().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["body", "shortcut"]);
    assert_eq!(Residual::new(conv(1, 1)).config().config["shortcut"], serde_json::Value::Null);
    let mut other = config;
    other.config.insert("activation".into(), "softmax".into());
    let error = Registry::default().layer(&other).unwrap_err().to_string();
    assert!(error.contains("expected relu or linear"), "{error}");
}

#[test]
fn parameters_have_the_names_of_their_way() {
    let trial = Trial::new(halving(), &[1, 4, 4, 3], 1);
    let names: Vec<String> = trial.gradients().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names[..2], ["body.conv2d.kernel", "body.conv2d.bias"]);
    assert_eq!(names[6..8], ["shortcut.conv2d.kernel", "shortcut.batch_normalization.gamma"]);
}

#[test]
fn ways_that_do_not_meet_are_refused_by_name() {
    let chain = |block| Sequential::new().add(Dropout::new(0.1)).add(block);
    let refuse =
        |block| chain(block).build_on(Shape::new(&[1, 5, 5, 3]), &Device::Cpu, 0).unwrap_err();
    let error = refuse(Residual::new(Conv2D::new(4, 3)));
    assert_eq!(error.layer, "residual");
    assert!(
        error
            .to_string()
            .contains("the body makes (1, 3, 3, 4) and the way around it (1, 5, 5, 3)")
    );
    let error = refuse(Residual::new(Sequential::new().add(Conv2D::new(4, 7))));
    assert_eq!(error.layer, "residual.body.conv2d");
    let error = refuse(Residual::new(conv(3, 1)).shortcut(Conv2D::new(3, 6)));
    assert_eq!(error.layer, "residual.shortcut");
}
