//! The fraction of right answers.
//!
//! ```text
//! Formula      Σᵢ wᵢ aᵢ / Σᵢ wᵢ; aᵢ is the hit of sample i (0 or 1), for binary accuracy the mean
//!              over its labels; top k: a hit where fewer than k predictions are larger than that
//!              of the true class
//! Shapes       predictions N·K; targets N·K, and N·1 where the class is given by its index
//! Conventions  `"accuracy"` is binary where there is one output, sparse where there is one target
//!              and more outputs, else categorical. In the top k equals do not push each other out
//! Reference    Keras 3, `metrics/accuracy_metrics.py`
//! ```

use super::{Metric, MetricKernel, an_index, each_sample, one_for_each, ratio};
use gradus_layers::{Accuracy, argmax};
use ndarray::{ArrayView1, ArrayView2};

/// A weighted mean of hits: all of Keras's accuracies.
#[derive(Clone, Debug)]
pub struct MeanAccuracy {
    name: String,
    hit: Hit,
    /// Weighted hits, and weights.
    sums: [f64; 2],
}

#[derive(Clone, Copy, Debug)]
enum Hit {
    Exact(Accuracy),
    /// The index of the class is the target, or the place of the largest target.
    Top {
        k: usize,
        sparse: bool,
    },
}

/// What Keras takes `"accuracy"` for, given the columns of predictions and targets.
#[must_use]
pub fn accuracy(predictions: usize, targets: usize) -> MeanAccuracy {
    exact("accuracy", Accuracy::by_shape(predictions, targets))
}

/// Keras's `BinaryAccuracy`: each label is right if (p > threshold) = t. Keras's default is 0.5.
#[must_use]
pub fn binary_accuracy(threshold: f32) -> MeanAccuracy {
    exact("binary_accuracy", Accuracy::Binary { threshold })
}

/// Keras's `CategoricalAccuracy`: the most probable class is the right one.
#[must_use]
pub fn categorical_accuracy() -> MeanAccuracy {
    exact("categorical_accuracy", Accuracy::Categorical)
}

/// Keras's `SparseCategoricalAccuracy`: the same for targets that are indices of classes.
#[must_use]
pub fn sparse_categorical_accuracy() -> MeanAccuracy {
    exact("sparse_categorical_accuracy", Accuracy::SparseCategorical)
}

/// Keras's `TopKCategoricalAccuracy`: the right class is among the k most probable (Keras: 5).
#[must_use]
pub fn top_k_categorical_accuracy(k: usize) -> MeanAccuracy {
    of("top_k_categorical_accuracy", Hit::Top { k, sparse: false })
}

/// Keras's `SparseTopKCategoricalAccuracy`: the same for targets that are indices of classes.
#[must_use]
pub fn sparse_top_k_categorical_accuracy(k: usize) -> MeanAccuracy {
    of("sparse_top_k_categorical_accuracy", Hit::Top { k, sparse: true })
}

fn exact(name: &str, accuracy: Accuracy) -> MeanAccuracy {
    of(name, Hit::Exact(accuracy))
}

fn of(name: &str, hit: Hit) -> MeanAccuracy {
    MeanAccuracy { name: name.to_owned(), hit, sums: [0.0; 2] }
}

impl MeanAccuracy {
    /// The same metric under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }
}

impl Hit {
    /// Between 0 and 1.
    fn of(self, prediction: &[f32], target: &[f32]) -> f64 {
        match self {
            Hit::Exact(accuracy) => {
                let judged = accuracy.judged(prediction.len()) as f64;
                accuracy.hits(prediction, target) as f64 / judged
            }
            Hit::Top { k, sparse } => {
                let class = if sparse { target[0] as usize } else { argmax(target) };
                // A NaN is never probable, and no class that there is not is.
                let p = prediction.get(class).copied().filter(|p| !p.is_nan());
                let larger = |p: f32| prediction.iter().filter(|&&other| other > p).count();
                f64::from(u8::from(p.is_some_and(|p| larger(p) < k)))
            }
        }
    }
}

impl Metric for MeanAccuracy {
    fn name(&self) -> &str {
        &self.name
    }

    fn accepts(&self, predictions: usize, targets: usize) -> Result<(), String> {
        match self.hit {
            Hit::Exact(Accuracy::SparseCategorical) | Hit::Top { sparse: true, .. } => {
                an_index(targets)
            }
            _ => one_for_each(predictions, targets),
        }
    }

    fn update(
        &mut self,
        predictions: ArrayView2<'_, f32>,
        targets: ArrayView2<'_, f32>,
        weights: Option<ArrayView1<'_, f32>>,
    ) {
        each_sample(predictions, targets, weights, |p, t, weight| {
            self.sums[0] += weight * self.hit.of(p, t);
            self.sums[1] += weight;
        });
    }

    fn result(&self) -> f64 {
        ratio(self.sums[0], self.sums[1])
    }

    fn sums(&self) -> &[f64] {
        &self.sums
    }

    fn sums_mut(&mut self) -> &mut [f64] {
        &mut self.sums
    }

    fn kernel(&self) -> Option<MetricKernel> {
        Some(match self.hit {
            Hit::Exact(accuracy) => MetricKernel::hits(accuracy),
            Hit::Top { k, sparse } => MetricKernel::top(k, sparse),
        })
    }
}
