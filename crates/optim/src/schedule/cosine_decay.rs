//! Cosine decay, with or without warm-up.
//!
//! ```text
//! Formula      lr(n) = lr₀ ((1 − α) ½ (1 + cos(π n/T)) + α) for n ≤ T, then lr₀ α
//!              with warm-up: lr(n) = lr₀ + (target − lr₀) n/W for n < W, then the above from
//!              target, for n − W
//! Conventions  as Keras 3: T does not count the warm-up. PyTorch's `CosineAnnealingLR` is the same
//!              without it, its eta_min = lr₀ α
//! Reference    keras.optimizers.schedules.CosineDecay; Loshchilov, Hutter: SGDR: Stochastic
//!              Gradient Descent with Warm Restarts, ICLR 2017
//! ```

use super::{Schedule, expect_steps, half_cosine};
use crate::formula::{fraction, not_negative};

/// From a learning rate to a fraction of it, along half a cosine.
///
/// ```
/// use gradus_optim::{CosineDecay, Schedule};
/// let schedule = CosineDecay::new(0.0, 1000).warmup(0.1, 100);
/// assert_eq!([0, 50, 100, 600, 1100].map(|n| schedule.at(n)), [0.0, 0.05, 0.1, 0.05, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineDecay {
    initial_learning_rate: f64,
    decay_steps: u64,
    alpha: f64,
    /// Target and steps.
    warmup: Option<(f64, u64)>,
}

impl CosineDecay {
    /// From that learning rate to 0 within `decay_steps`.
    ///
    /// # Panics
    /// If there are no steps, or the rate is negative or not finite.
    #[must_use]
    pub fn new(initial_learning_rate: f64, decay_steps: u64) -> Self {
        Self {
            initial_learning_rate: not_negative("initial_learning_rate", initial_learning_rate),
            decay_steps: expect_steps("decay_steps", decay_steps),
            alpha: 0.0,
            warmup: None,
        }
    }

    /// Down to that fraction.
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = fraction("alpha", alpha);
        self
    }

    /// Before that, in a straight line up to `warmup_target`, from which the decay then begins.
    ///
    /// # Panics
    /// If the target is negative or not finite.
    #[must_use]
    pub fn warmup(mut self, warmup_target: f64, warmup_steps: u64) -> Self {
        self.warmup = Some((not_negative("warmup_target", warmup_target), warmup_steps));
        self
    }
}

impl Schedule for CosineDecay {
    fn at(&self, update: u64) -> f32 {
        let start = self.initial_learning_rate;
        let (target, warmup_steps) = self.warmup.unwrap_or((start, 0));
        if update < warmup_steps {
            return (start + (target - start) * (update as f64 / warmup_steps as f64)) as f32;
        }
        let fraction = ((update - warmup_steps) as f64 / self.decay_steps as f64).min(1.0);
        (target * ((1.0 - self.alpha) * half_cosine(fraction) + self.alpha)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_where_it_ends() {
        let schedule = CosineDecay::new(0.5, 10).alpha(0.25);
        assert_eq!(
            [0, 5, 10, 11, 1000].map(|n| schedule.at(n)),
            [0.5, 0.3125, 0.125, 0.125, 0.125]
        );
    }
}
