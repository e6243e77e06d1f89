//! One cycle: up and far down again, once in a training.
//!
//! ```text
//! Formula      between(a, b, f) = b + (a − b) ½ (1 + cos(π f)), u = pct_start · T − 1
//!              up    lr(n) = between(max/div, max, n/u)                            n ≤ u
//!              down  lr(n) = between(max, max/(div · final_div), (n − u)/(T − 1 − u))   n ≤ T − 1
//!              then it stays
//! Conventions  PyTorch's `OneCycleLR` with its defaults, which is fast.ai's variant of Smith's:
//!              two phases, along cosines. (Smith has three, in straight lines.) Momentum is not
//!              cycled. Keras has none
//! Reference    Smith, Topin: Super-Convergence: Very Fast Training of Neural Networks Using Large
//!              Learning Rates, 2018
//! ```

use super::{Schedule, expect_steps, half_cosine};
use crate::formula::{below_one, not_negative};

/// Up to `max_learning_rate` and down again to next to nothing, within `total_steps` updates.
///
/// ```
/// use gradus_optim::{OneCycle, Schedule};
/// let schedule = OneCycle::new(0.1, 1000);
/// assert_eq!([0, 299, 999].map(|n| schedule.at(n)), [0.004, 0.1, 4e-7]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneCycle {
    max_learning_rate: f64,
    total_steps: u64,
    pct_start: f64,
    div_factor: f64,
    final_div_factor: f64,
}

impl OneCycle {
    /// PyTorch's defaults: from a 25th of the maximum, which is reached after 3 tenths, down to a
    /// 10 000th of the beginning.
    ///
    /// # Panics
    /// If there are no steps, or the rate is negative or not finite.
    #[must_use]
    pub fn new(max_learning_rate: f64, total_steps: u64) -> Self {
        Self {
            max_learning_rate: not_negative("max_learning_rate", max_learning_rate),
            total_steps: expect_steps("total_steps", total_steps),
            pct_start: 0.3,
            div_factor: 25.0,
            final_div_factor: 1e4,
        }
    }

    /// With that fraction of the updates on the way up.
    ///
    /// # Panics
    /// If it is not in 0..1.
    #[must_use]
    pub fn pct_start(mut self, pct_start: f64) -> Self {
        self.pct_start = below_one("pct_start", pct_start);
        self
    }

    /// With the maximum over that at first.
    ///
    /// # Panics
    /// If it is below 1 or not finite.
    #[must_use]
    pub fn div_factor(mut self, factor: f64) -> Self {
        assert!(factor >= 1.0 && factor.is_finite(), "div_factor is at least 1, got {factor}");
        self.div_factor = factor;
        self
    }

    /// With the first learning rate over that in the end.
    ///
    /// # Panics
    /// If it is below 1 or not finite.
    #[must_use]
    pub fn final_div_factor(mut self, factor: f64) -> Self {
        assert!(
            factor >= 1.0 && factor.is_finite(),
            "final_div_factor is at least 1, got {factor}"
        );
        self.final_div_factor = factor;
        self
    }
}

impl Schedule for OneCycle {
    fn at(&self, update: u64) -> f32 {
        let total = self.total_steps as f64;
        let (peak, end) = (self.pct_start * total - 1.0, total - 1.0);
        let n = (update as f64).min(end);
        let top = self.max_learning_rate;
        let first = top / self.div_factor;
        let (from, to, fraction) = match n < peak {
            true => (first, top, n / peak),
            false => (top, first / self.final_div_factor, (n - peak) / (end - peak)),
        };
        (to + (from - to) * half_cosine(fraction)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_testing::{Tolerance, assert_close};

    #[test]
    fn it_is_that_of_pytorch() {
        // What the source of OneCycleLR computes for max_lr=0.1, total_steps=10; and for 8 steps,
        // pct_start=0.5, div_factor=10, final_div_factor=100.
        let torch = [
            0.004_000_000_000,
            0.052_000_000_000,
            0.100_000_000_000,
            0.095_048_463_201,
            0.081_174_565_395,
            0.061_126_202_194,
            0.038_874_197_806,
            0.018_825_834_605,
            0.004_951_936_799,
            0.000_000_400_000,
        ];
        let rates: Vec<f32> = (0..10).map(|n| OneCycle::new(0.1, 10).at(n)).collect();
        assert_close("defaults", &rates, &torch, Tolerance { abs: 1e-9, rel: 1e-7 });
        let torch = [
            0.010_000_000_000,
            0.032_500_000_000,
            0.077_500_000_000,
            0.100_000_000_000,
            0.085_369_983_720,
            0.050_050_000_000,
            0.014_730_016_280,
            0.000_100_000_000,
        ];
        let other = OneCycle::new(0.1, 8).pct_start(0.5).div_factor(10.0).final_div_factor(100.0);
        let rates: Vec<f32> = (0..8).map(|n| other.at(n)).collect();
        assert_close("others", &rates, &torch, Tolerance { abs: 1e-9, rel: 1e-7 });
    }

    #[test]
    fn it_stays_where_it_ends() {
        let schedule = OneCycle::new(0.1, 10);
        assert_eq!([10, 1000].map(|n| schedule.at(n)), [schedule.at(9); 2]);
    }
}
