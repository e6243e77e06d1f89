//! The area under a curve: how well the probabilities sort, whatever threshold is chosen.
//!
//! ```text
//! Formula      at thresholds −ε, 1/(T−1), …, (T−2)/(T−1), 1 + ε: TPᵢ, FPᵢ are the weights of the
//!              labels with p above the threshold that are so, and are not so
//!              ROC: y = TP / all that are so, x = FP / all that are not; trapezoids
//!              PR:  y = TP / (TP + FP), x = TP / all that are so; between two thresholds TP and FP
//!              change in proportion, so that with s = ΔTP/ΔP, P = TP + FP and c = TP' − s P' at
//!              the higher one the area is s (ΔTP + c log(P/P')) / all that are so
//! Shapes       predictions, targets N·K: all labels of all classes are one heap
//! Conventions  T = 200; p is clipped to 0 and 1; a target that is not 0 is a yes; ratios without a
//!              denominator are 0. Finer than 1/199 the curve does not see, as in Keras
//! Reference    Keras 3, `metrics.AUC`, "interpolation"; Davis, Goadrich: The Relationship
//!              between Precision-Recall and ROC Curves. ICML 2006, section 4
//! ```

use super::{Metric, MetricKernel, each_sample, one_for_each, ratio};
use ndarray::{ArrayView1, ArrayView2};

/// Which curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// True positive rate over false positive rate. Keras's default.
    Roc,
    /// Precision over recall.
    Pr,
}

/// Keras's `AUC`.
#[derive(Clone, Debug)]
pub struct Auc {
    curve: Curve,
    /// Of each interval between two thresholds: the weights that are so, then those that are not.
    sums: Vec<f64>,
}

impl Auc {
    /// Under the receiver operating characteristic, at 200 thresholds: Keras's default.
    #[must_use]
    pub fn roc() -> Self {
        Self::new(Curve::Roc, 200)
    }

    /// Under the curve of precision over recall, at 200 thresholds.
    #[must_use]
    pub fn pr() -> Self {
        Self::new(Curve::Pr, 200)
    }

    /// Under that curve at that many thresholds.
    ///
    /// # Panics
    /// If there are fewer than two.
    #[must_use]
    pub fn new(curve: Curve, num_thresholds: usize) -> Self {
        assert!(num_thresholds > 1, "a curve of {num_thresholds} points has no area");
        Self { curve, sums: vec![0.0; 2 * num_thresholds] }
    }

    /// (TP, FP) at each threshold: what lies in its interval or a higher one.
    fn counts(&self) -> Vec<(f64, f64)> {
        let (so, not) = self.sums.split_at(self.sums.len() / 2);
        let mut counts = vec![(0.0, 0.0); so.len()];
        let mut above = (0.0, 0.0);
        for (count, (so, not)) in counts.iter_mut().zip(so.iter().zip(not)).rev() {
            above = (above.0 + so, above.1 + not);
            *count = above;
        }
        counts
    }
}

/// The area between two neighbouring thresholds, the lower one first.
fn slice_of(curve: Curve, low: (f64, f64), high: (f64, f64), (so, not): (f64, f64)) -> f64 {
    match curve {
        Curve::Roc => {
            let width = ratio(low.1, not) - ratio(high.1, not);
            width * (ratio(low.0, so) + ratio(high.0, so)) / 2.0
        }
        Curve::Pr => {
            let (called, before) = (low.0 + low.1, high.0 + high.1);
            let rise = low.0 - high.0;
            let slope = ratio(rise, (called - before).max(0.0));
            let start = high.0 - slope * before;
            let growth = if called > 0.0 && before > 0.0 { called / before } else { 1.0 };
            ratio(slope * (rise + start * growth.ln()), so)
        }
    }
}

impl Metric for Auc {
    fn name(&self) -> &str {
        "auc"
    }

    fn accepts(&self, predictions: usize, targets: usize) -> Result<(), String> {
        one_for_each(predictions, targets)
    }

    fn update(
        &mut self,
        predictions: ArrayView2<'_, f32>,
        targets: ArrayView2<'_, f32>,
        weights: Option<ArrayView1<'_, f32>>,
    ) {
        assert_eq!(predictions.dim(), targets.dim(), "a target for each prediction");
        let thresholds = self.sums.len() / 2;
        let (so, not) = self.sums.split_at_mut(thresholds);
        let intervals = (thresholds - 1) as f32;
        each_sample(predictions, targets, weights, |p, t, weight| {
            for (&p, &t) in p.iter().zip(t) {
                // A probability on a threshold is not above it: it belongs to the interval below.
                let interval = ((p.clamp(0.0, 1.0) * intervals).ceil() - 1.0).max(0.0) as usize;
                let side = if t != 0.0 { &mut *so } else { &mut *not };
                side[interval] += weight;
            }
        });
    }

    fn result(&self) -> f64 {
        let counts = self.counts();
        let all = counts[0];
        counts.windows(2).map(|pair| slice_of(self.curve, pair[0], pair[1], all)).sum()
    }

    fn sums(&self) -> &[f64] {
        &self.sums
    }

    fn sums_mut(&mut self) -> &mut [f64] {
        &mut self.sums
    }

    fn kernel(&self) -> Option<MetricKernel> {
        Some(MetricKernel::intervals(self.sums.len() / 2))
    }
}
