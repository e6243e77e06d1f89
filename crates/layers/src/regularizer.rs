//! Regularizers: a price on the size of parameters.
//!
//! ```text
//! Formula      penalty = Σ over parameters of l1·Σ|w| + l2·Σw²
//! Backward     dw += l1·sign(w) + 2·l2·w, sign(0) = 0
//! Conventions  as Keras 3: the penalty is added to the loss of training and of validation; frozen
//!              parameters cost nothing (Keras 2 counts those too); it is not divided by the batch
//!              On a GPU it goes into the sums of the context, with the losses
//! Cost         one read of each such parameter, and one more pass over its gradient
//! Reference    Hoerl, Kennard: Ridge Regression. Technometrics 12, 1970; Tibshirani: Regression
//!              Shrinkage and Selection via the Lasso. J. R. Statist. Soc. B 58, 1996
//! ```

pub(crate) mod cuda;

use crate::Tally;
use gradus_tensor::{
    Chunks, Context, Device, Field, FieldMut, Fields, Param, Path, Pool, Regularizer,
};

/// The formulas as sums.
pub mod definition {
    use super::Regularizer;
    use gradus_tensor::Real;

    /// l1·Σ|w| + l2·Σw².
    pub fn penalty<T: Real>(regularizer: Regularizer, w: &[T]) -> T {
        let (l1, l2) = (T::of(regularizer.l1), T::of(regularizer.l2));
        w.iter().map(|&w| l1 * w.abs() + l2 * w * w).sum()
    }

    /// Adds the derivative of the penalty to `grad`.
    pub fn backward<T: Real>(regularizer: Regularizer, w: &[T], grad: &mut [T]) {
        let (l1, l2) = (T::of(regularizer.l1), T::of(regularizer.l2));
        for (grad, &w) in grad.iter_mut().zip(w) {
            let sign = if w == T::zero() { T::zero() } else { w.signum() };
            *grad += l1 * sign + (l2 + l2) * w;
        }
    }
}

/// Adds the gradients of all penalties to those of the parameters, and the sum of the penalties to
/// the loss of each of the batch's `samples`. To be called between `backward` and the optimizer.
/// `path` is reused from step to step, so that walking the model allocates nothing. On a GPU the
/// penalties go to `cx.sums`: [`Tally::collect`] brings them to `tally`.
///
/// In PyTorch one adds the penalty to the loss by hand.
pub fn apply(
    cx: &mut Context,
    path: &mut Path,
    model: &mut dyn Fields,
    samples: usize,
    tally: &mut Tally,
) {
    let mut total = 0.0;
    model.visit_mut(path, &mut |_, field| {
        if let FieldMut::Param(param) = field
            && let Some(regularizer) = priced(param)
        {
            match &cx.device {
                Device::Cpu => {
                    let (w, grad) = (param.value.slice::<f32>(), param.grad.slice_mut::<f32>());
                    let chunk = chunk(w.len());
                    cx.workspace.pool.each(Chunks::new(grad, chunk), |i, grad| {
                        definition::backward(regularizer, &w[i * chunk..][..grad.len()], grad);
                    });
                    total += sum(&cx.workspace.pool, regularizer, w);
                }
                Device::Cuda(gpu) => {
                    let (w, grad) = (param.value.gpu(), Some(param.grad.gpu_mut()));
                    cuda::penalty(gpu, regularizer, w, grad, samples, &mut cx.sums);
                }
            }
        }
    });
    tally.loss_sum += total * samples as f64;
}

/// Adds the sum of all penalties to the loss of each of the batch's `samples`, as Keras adds it to
/// the loss of a validation. On a GPU as [`apply`].
pub fn penalty(
    cx: &mut Context,
    path: &mut Path,
    model: &dyn Fields,
    samples: usize,
    tally: &mut Tally,
) {
    let mut total = 0.0;
    model.visit(path, &mut |_, field| {
        if let Field::Param(param) = field
            && let Some(regularizer) = priced(param)
        {
            match &cx.device {
                Device::Cpu => total += sum(&cx.workspace.pool, regularizer, param.value.slice()),
                Device::Cuda(gpu) => {
                    let w = param.value.gpu();
                    cuda::penalty(gpu, regularizer, w, None, samples, &mut cx.sums);
                }
            }
        }
    });
    tally.loss_sum += total * samples as f64;
}

/// What the size of a parameter costs, if it costs anything.
fn priced(param: &Param) -> Option<Regularizer> {
    param.regularizer.filter(|_| !param.frozen)
}

/// Pieces that a parameter is cut into.
const PIECES: usize = 64;

fn chunk(len: usize) -> usize {
    len.div_ceil(PIECES).max(1)
}

/// The penalty in f64, piece by piece.
fn sum(pool: &Pool, regularizer: Regularizer, w: &[f32]) -> f64 {
    let (mut sums, chunk) = ([0.0f64; PIECES], chunk(w.len()));
    let pieces = w.len().div_ceil(chunk);
    pool.each(Chunks::new(&mut sums[..pieces], 1), |i, sum| {
        let w = &w[i * chunk..w.len().min((i + 1) * chunk)];
        let wide = |w: &f32| f64::from(*w);
        let [mut absolute, mut square] = [0.0; 2];
        for w in w.iter().map(wide) {
            (absolute, square) = (absolute + w.abs(), square + w * w);
        }
        sum[0] = regularizer.l1 * absolute + regularizer.l2 * square;
    });
    sums[..pieces].iter().sum()
}

/// How an option such as `kernel_regularizer` is written: Keras's `get_config`; read from that, from
/// `null`, or from Keras's string.
pub(crate) mod words {
    use super::Regularizer;
    use crate::Config;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Name(String),
        Class(Config),
    }

    /// As Keras's `L1`, `L2` or `L1L2`.
    pub(crate) fn serialize<S: Serializer>(
        regularizer: &Option<Regularizer>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let config = regularizer.map(|Regularizer { l1, l2 }| match (l1, l2) {
            (_, 0.0) => Config::new("L1", &serde_json::json!({"l1": l1})),
            (0.0, _) => Config::new("L2", &serde_json::json!({"l2": l2})),
            _ => Config::new("L1L2", &serde_json::json!({"l1": l1, "l2": l2})),
        });
        config.serialize(to)
    }

    /// From what Keras writes.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Regularizer>, D::Error> {
        let (name, given) = match Option::<Words>::deserialize(from)? {
            None => return Ok(None),
            Some(Words::Name(name)) => (name, None),
            Some(Words::Class(config)) => (config.class_name, Some(config.config)),
        };
        // A name alone means 0.01, a class without the argument 0 where it has both.
        let number = |option: &str, alone: f64| match &given {
            None => Ok(0.01),
            Some(given) => match given.get(option) {
                None => Ok(alone),
                Some(value) => {
                    value.as_f64().filter(|v| v.is_finite() && *v >= 0.0).ok_or_else(|| {
                        D::Error::custom(format!("{option} {value} is not a number of at least 0"))
                    })
                }
            },
        };
        match name.to_lowercase().replace('_', "").as_str() {
            "l1" => Ok(Some(Regularizer::l1(number("l1", 0.01)?))),
            "l2" => Ok(Some(Regularizer::l2(number("l2", 0.01)?))),
            "l1l2" => Ok(Some(Regularizer { l1: number("l1", 0.0)?, l2: number("l2", 0.0)? })),
            _ => Err(D::Error::custom(format!("no regularizer is called {name:?}: L1, L2, L1L2"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Conv2D, Dense, Described, Layer, Registry, Sequential};
    use gradus_tensor::Shape;
    use gradus_testing::{Cases, Tolerance, assert_close, gradcheck};

    #[test]
    fn the_gradient_is_the_derivative() {
        let w = Cases::new("regularizer gradient", 0).normal_f64(30);
        for (l1, l2) in [(0.3, 0.0), (0.0, 0.2), (0.1, 0.4)] {
            let regularizer = Regularizer { l1, l2 };
            let mut grad = vec![0.0; w.len()];
            definition::backward(regularizer, &w, &mut grad);
            let error = gradcheck(&w, &grad, |w| definition::penalty(regularizer, w));
            assert!(error < 1e-6, "{regularizer:?}: {error}");
        }
        let mut grad = [7.0];
        definition::backward(Regularizer::l1(0.5), &[0.0], &mut grad);
        assert_eq!(grad, [7.0], "no slope at 0");
    }

    fn network() -> Sequential {
        let mut chain = Sequential::new()
            .add(Conv2D::new(3, 2).kernel_regularizer(Regularizer { l1: 0.1, l2: 0.2 }))
            .add(crate::Flatten)
            .add(Dense::new(400).bias_regularizer(Regularizer::l1(2.0)))
            .add(Dense::new(3).kernel_regularizer(Regularizer::l2(0.5)));
        chain.build_on(Shape::new(&[1, 5, 5, 2]), &Device::Cpu, 3).unwrap();
        chain
    }

    #[test]
    fn the_penalties_of_a_network_are_added_up_and_those_of_frozen_layers_are_not() {
        let mut model = network();
        let (mut expected, mut gradients) = (0.0, Vec::new());
        model.visit(&mut Path::default(), &mut |_, field| {
            let Field::Param(param) = field else { return };
            let mut grad = vec![1.0; param.value.len()];
            if let Some(regularizer) = param.regularizer {
                let w: Vec<f64> =
                    param.value.slice::<f32>().iter().map(|w| f64::from(*w)).collect();
                expected += definition::penalty(regularizer, &w);
                definition::backward(regularizer, &w, &mut grad);
            }
            gradients.push(grad);
        });
        for threads in [1, 3] {
            model.visit_mut(&mut Path::default(), &mut |_, field| {
                if let FieldMut::Param(param) = field {
                    param.grad.slice_mut::<f32>().fill(1.0);
                }
            });
            let mut cx = Context::new(Device::Cpu, threads);
            let [mut applied, mut asked] = [Tally::default(); 2];
            apply(&mut cx, &mut Path::default(), &mut model, 2, &mut applied);
            let total = applied.loss_sum / 2.0;
            assert!((total / expected - 1.0).abs() < 1e-12, "{total}, {expected}");
            penalty(&mut cx, &mut Path::default(), &model, 2, &mut asked);
            assert_eq!(applied, asked);
            let mut gradients = gradients.iter();
            model.visit(&mut Path::default(), &mut |path, field| {
                let Field::Param(param) = field else { return };
                let (actual, exact) = (param.grad.slice::<f32>(), gradients.next().unwrap());
                assert_close(path.as_str(), actual, exact, Tolerance::for_reduction(2));
            });
        }
        let (mut cx, mut tally) = (Context::new(Device::Cpu, 1), Tally::default());
        model.set_trainable(false);
        penalty(&mut cx, &mut Path::default(), &model, 1, &mut tally);
        let mut none = Dense::new(2);
        none.build(Shape::new(&[1, 2]), &mut crate::Init::new(&Device::Cpu, 0)).unwrap();
        apply(&mut cx, &mut Path::default(), &mut none, 1, &mut tally);
        assert_eq!(tally, Tally::default());
    }

    #[test]
    fn regularizers_are_written_as_keras_writes_them() {
        let registry = Registry::default();
        let config = network().config();
        assert_eq!(Sequential::from_config(&config, &registry).unwrap().config(), config);
        let json = &config.config["layers"][0]["config"]["kernel_regularizer"];
        let expected = serde_json::json!({"class_name": "L1L2", "config": {"l1": 0.1, "l2": 0.2}});
        assert_eq!(*json, expected);
        let read = |value: serde_json::Value| {
            let mut config = Dense::new(2).config();
            config.config.insert("kernel_regularizer".to_owned(), value);
            Dense::from_config(&config, &registry).map(|layer| layer.config())
        };
        let written = |value| read(value).unwrap().config.get("kernel_regularizer").cloned();
        let l2 = serde_json::json!({"class_name": "L2", "config": {"l2": 0.01}});
        assert_eq!(written("l2".into()), Some(l2));
        assert_eq!(written(serde_json::Value::Null), None);
        assert!(read("l3".into()).unwrap_err().to_string().contains("no regularizer is called"));
        let negative = serde_json::json!({"class_name": "L1", "config": {"l1": -1.0}});
        assert!(read(negative).unwrap_err().to_string().contains("l1 -1.0 is not a number"));
    }
}
