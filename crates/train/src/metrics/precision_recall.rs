//! Precision and recall: how much of what was called so is so, and how much of what is so was
//! called so.
//!
//! ```text
//! Formula      precision = TP / (TP + FP), recall = TP / (TP + FN): weights of the labels that
//!              were rightly called, wrongly called and wrongly not called
//! Shapes       predictions, targets N·K; every label counts by itself unless one class is chosen
//! Conventions  called: p > threshold (0.5). With top k: the k largest of a sample, lower indices
//!              first among equals, whatever their value, and above the threshold if one is given.
//!              A target that is not 0 is a yes. A ratio without a denominator is 0
//! Reference    Keras 3, `metrics/confusion_metrics.py`
//! ```

use super::{Metric, MetricKernel, each_sample, is_among_top, one_for_each, ratio};
use ndarray::{ArrayView1, ArrayView2};

/// When a label is called.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    threshold: Option<f32>,
    top_k: Option<usize>,
    class_id: Option<usize>,
}

impl Calls {
    fn calls(&self, prediction: &[f32], k: usize) -> bool {
        match (self.top_k, self.threshold) {
            (None, threshold) => prediction[k] > threshold.unwrap_or(0.5),
            (Some(top), threshold) => {
                let above = threshold.is_none_or(|threshold| prediction[k] > threshold);
                above && is_among_top(prediction, k, top)
            }
        }
    }

    /// Calls `count` with (called, is so, weight) of every label that counts.
    fn each(
        self,
        predictions: ArrayView2<'_, f32>,
        targets: ArrayView2<'_, f32>,
        weights: Option<ArrayView1<'_, f32>>,
        mut count: impl FnMut(bool, bool, f64),
    ) {
        assert_eq!(predictions.dim(), targets.dim(), "a target for each prediction");
        each_sample(predictions, targets, weights, |p, t, weight| {
            let labels = self.class_id.map_or(0..p.len(), |class| class..class + 1);
            labels.for_each(|k| count(self.calls(p, k), t[k] != 0.0, weight));
        });
    }
}

/// The two metrics differ in which labels make the denominator, and in nothing else.
macro_rules! ratio_of_calls {
    ($metric:ident, $name:literal, recall: $recall:literal, $doc:literal, |$called:ident, $so:ident| $whole:expr) => {
        #[doc = $doc]
        #[derive(Clone, Debug, Default)]
        pub struct $metric {
            calls: Calls,
            /// True positives, and the denominator.
            sums: [f64; 2],
        }

        impl $metric {
            /// Every label, above 0.5: Keras's defaults.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// Above it a label is called. Default: 0.5, and with top k none.
            #[must_use]
            pub fn threshold(mut self, threshold: f32) -> Self {
                self.calls.threshold = Some(threshold);
                self
            }

            /// Only the k largest predictions of a sample are called. Default: all may be.
            #[must_use]
            pub fn top_k(mut self, k: usize) -> Self {
                self.calls.top_k = Some(k);
                self
            }

            /// Only the labels of this column count. Default: all do.
            #[must_use]
            pub fn class_id(mut self, class: usize) -> Self {
                self.calls.class_id = Some(class);
                self
            }
        }

        impl Metric for $metric {
            fn name(&self) -> &str {
                $name
            }

            fn accepts(&self, predictions: usize, targets: usize) -> Result<(), String> {
                if let Some(class) = self.calls.class_id.filter(|&class| class >= predictions) {
                    return Err(format!(
                        "class_id is {class}, the network has {predictions} outputs, counted from 0"
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
                self.calls.each(predictions, targets, weights, |$called, $so, weight| {
                    if $called && $so {
                        self.sums[0] += weight;
                    }
                    if $whole {
                        self.sums[1] += weight;
                    }
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
                let Calls { threshold, top_k, class_id } = self.calls;
                Some(MetricKernel::calls(threshold, top_k, class_id, $recall))
            }
        }
    };
}

ratio_of_calls!(
    Precision,
    "precision",
    recall: false,
    "Keras's `Precision`: of the labels that were called, the part that is so.",
    |called, so| called
);
ratio_of_calls!(
    Recall,
    "recall",
    recall: true,
    "Keras's `Recall`: of the labels that are so, the part that was called.",
    |called, so| so
);
