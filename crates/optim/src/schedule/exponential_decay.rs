//! Exponential decay.
//!
//! ```text
//! Formula      lr(n) = lr₀ · r^(n/T), or r^⌊n/T⌋ as a staircase
//! Conventions  as Keras; PyTorch's `ExponentialLR` has T = 1, `StepLR` is the staircase
//! Reference    keras.optimizers.schedules.ExponentialDecay
//! ```

use super::{Schedule, expect_steps, periods};
use crate::formula::not_negative;

/// Multiplies the learning rate with `decay_rate` in the course of every `decay_steps` updates.
///
/// ```
/// use gradus_optim::{ExponentialDecay, Schedule};
/// let schedule = ExponentialDecay::new(0.1, 1000, 0.5);
/// assert_eq!([schedule.at(0), schedule.at(1000), schedule.at(2000)], [0.1, 0.05, 0.025]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExponentialDecay {
    initial_learning_rate: f64,
    decay_steps: u64,
    decay_rate: f64,
    staircase: bool,
}

impl ExponentialDecay {
    /// From that learning rate, times `decay_rate` with every `decay_steps`; a rate above 1 grows.
    ///
    /// # Panics
    /// If there are no steps, or a rate is negative or not finite.
    #[must_use]
    pub fn new(initial_learning_rate: f64, decay_steps: u64, decay_rate: f64) -> Self {
        Self {
            initial_learning_rate: not_negative("initial_learning_rate", initial_learning_rate),
            decay_steps: expect_steps("decay_steps", decay_steps),
            decay_rate: not_negative("decay_rate", decay_rate),
            staircase: false,
        }
    }

    /// Whether to fall at once after every `decay_steps`, instead of little by little.
    #[must_use]
    pub fn staircase(mut self, staircase: bool) -> Self {
        self.staircase = staircase;
        self
    }
}

impl Schedule for ExponentialDecay {
    fn at(&self, update: u64) -> f32 {
        let periods = periods(update, self.decay_steps, self.staircase);
        (self.initial_learning_rate * self.decay_rate.powf(periods)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staircase_falls_at_once() {
        let schedule = ExponentialDecay::new(0.5, 4, 0.25);
        assert_eq!([0, 2, 4, 8].map(|n| schedule.at(n)), [0.5, 0.25, 0.125, 0.031_25]);
        let stairs = schedule.staircase(true);
        assert_eq!([0, 3, 4, 7, 8].map(|n| stairs.at(n)), [0.5, 0.5, 0.125, 0.125, 0.031_25]);
    }

    #[test]
    #[should_panic(expected = "decay_steps is at least 1")]
    fn a_period_of_nothing_is_refused() {
        let _ = ExponentialDecay::new(0.1, 0, 0.5);
    }
}
