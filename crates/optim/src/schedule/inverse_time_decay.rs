//! Inverse time decay.
//!
//! ```text
//! Formula      lr(n) = lr₀ / (1 + r · n/T), or with ⌊n/T⌋ as a staircase
//! Conventions  as Keras. With r = 1 and T = 1 it is the lr₀/n under which stochastic approximation
//!              converges
//! Reference    keras.optimizers.schedules.InverseTimeDecay; Robbins, Monro: A Stochastic
//!              Approximation Method, 1951
//! ```

use super::{Schedule, expect_steps, periods};
use crate::formula::not_negative;

/// Divides the learning rate by a number that grows by `decay_rate` with every `decay_steps`
/// updates.
///
/// ```
/// use gradus_optim::{InverseTimeDecay, Schedule};
/// let schedule = InverseTimeDecay::new(0.1, 1000, 1.0);
/// assert_eq!([schedule.at(0), schedule.at(1000), schedule.at(4000)], [0.1, 0.05, 0.02]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InverseTimeDecay {
    initial_learning_rate: f64,
    decay_steps: u64,
    decay_rate: f64,
    staircase: bool,
}

impl InverseTimeDecay {
    /// From that learning rate, divided by 1 + `decay_rate` · n / `decay_steps`.
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

impl Schedule for InverseTimeDecay {
    fn at(&self, update: u64) -> f32 {
        let periods = periods(update, self.decay_steps, self.staircase);
        (self.initial_learning_rate / (1.0 + self.decay_rate * periods)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staircase_falls_at_once() {
        let schedule = InverseTimeDecay::new(0.5, 4, 1.0);
        assert_eq!([0, 4, 12].map(|n| schedule.at(n)), [0.5, 0.25, 0.125]);
        let stairs = schedule.staircase(true);
        assert_eq!([0, 3, 4, 7, 12].map(|n| stairs.at(n)), [0.5, 0.5, 0.25, 0.25, 0.125]);
    }
}
