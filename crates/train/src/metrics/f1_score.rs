//! The F₁ score: the harmonic mean of precision and recall.
//!
//! ```text
//! Formula      F₁ = 2 P R / (P + R + ε), P = TP / (TP + FP + ε), R = TP / (TP + FN + ε), ε = 10⁻⁷
//!              macro: the mean over classes; weighted: the mean weighed by how often each class is
//!              there; micro: of the sums over all classes
//! Shapes       predictions, targets N·K
//! Conventions  called: the largest prediction of a sample, all of them where several are equal and
//!              none where all are 0; with a threshold every p > threshold
//! Reference    Keras 3, `metrics/f_score_metrics.py`
//! ```

use super::{Metric, MetricKernel, each_sample, one_for_each};
use ndarray::{ArrayView1, ArrayView2};

/// Keras's `epsilon`.
const EPSILON: f64 = 1e-7;

/// How the scores of the classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// All labels of all classes are one heap.
    Micro,
    /// Every class counts the same.
    Macro,
    /// Every class counts as often as it is there.
    Weighted,
}

/// Keras's `F1Score`. Its `average=None`, a score for each class, is
/// [`ConfusionMatrix::class`](crate::ConfusionMatrix::class) here.
#[derive(Clone, Debug)]
pub struct F1Score {
    average: Average,
    threshold: Option<f32>,
    /// For each class: true positives, false positives, false negatives.
    sums: Vec<f64>,
}

impl F1Score {
    /// For that many classes; the largest prediction is called, as is Keras's default.
    ///
    /// # Panics
    /// If there is no class.
    #[must_use]
    pub fn new(classes: usize, average: Average) -> Self {
        assert!(classes > 0, "an F1 score needs a class");
        Self { average, threshold: None, sums: vec![0.0; 3 * classes] }
    }

    /// Above it a label is called. Default: none, the largest is.
    #[must_use]
    pub fn threshold(mut self, threshold: f32) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// Whether prediction `k` is called.
    fn calls(&self, prediction: &[f32], k: usize) -> bool {
        let largest = || prediction.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        match self.threshold {
            Some(threshold) => prediction[k] > threshold,
            None => prediction[k] >= largest() && prediction[k].abs() > 1e-9,
        }
    }
}

fn f1([hit, wrong, missed]: [f64; 3]) -> f64 {
    let (precision, recall) = (hit / (hit + wrong + EPSILON), hit / (hit + missed + EPSILON));
    2.0 * precision * recall / (precision + recall + EPSILON)
}

impl Metric for F1Score {
    fn name(&self) -> &str {
        "f1_score"
    }

    fn accepts(&self, predictions: usize, targets: usize) -> Result<(), String> {
        let classes = self.sums.len() / 3;
        if predictions != classes {
            return Err(format!(
                "it was made for {classes} classes, the network has {predictions} outputs: make it \
                 for as many"
            ));
        }
        one_for_each(predictions, targets)
    }

    fn update(
        &mut self,
        predictions: ArrayView2<'_, f32>,
        targets: ArrayView2<'_, f32>,
        weights: Option<ArrayView1<'_, f32>>,
    ) {
        let classes = self.sums.len() / 3;
        assert_eq!([predictions.ncols(), targets.ncols()], [classes; 2], "columns for each class");
        let mut sums = std::mem::take(&mut self.sums);
        each_sample(predictions, targets, weights, |p, t, weight| {
            for (k, [hit, wrong, missed]) in sums.as_chunks_mut().0.iter_mut().enumerate() {
                let so = f64::from(t[k]);
                match self.calls(p, k) {
                    true => {
                        *hit += weight * so;
                        *wrong += weight * (1.0 - so);
                    }
                    false => *missed += weight * so,
                }
            }
        });
        self.sums = sums;
    }

    fn result(&self) -> f64 {
        let classes = self.sums.as_chunks::<3>().0;
        let support = |[hit, _, missed]: [f64; 3]| hit + missed;
        let mean = |weight: &dyn Fn([f64; 3]) -> f64, whole: f64| {
            classes.iter().map(|&class| f1(class) * weight(class) / whole).sum()
        };
        match self.average {
            Average::Micro => f1([0, 1, 2].map(|i| classes.iter().map(|class| class[i]).sum())),
            Average::Macro => mean(&|_| 1.0, classes.len() as f64),
            Average::Weighted => {
                let all: f64 = classes.iter().map(|&class| support(class)).sum();
                mean(&support, all + EPSILON)
            }
        }
    }

    fn sums(&self) -> &[f64] {
        &self.sums
    }

    fn sums_mut(&mut self) -> &mut [f64] {
        &mut self.sums
    }

    fn kernel(&self) -> Option<MetricKernel> {
        Some(MetricKernel::labels(self.threshold))
    }
}
