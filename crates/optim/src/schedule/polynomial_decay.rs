//! Polynomial decay.
//!
//! ```text
//! Formula      lr(n) = lr₁ + (lr₀ − lr₁)(1 − n/T)ᵖ for n ≤ T, then lr₁
//!              with cycle: T is replaced by the first multiple of it that is at least n, so that
//!              the rate jumps up after each T, a little less each time
//! Conventions  as Keras; PyTorch's `PolynomialLR` has lr₁ = 0, and `LinearLR` is p = 1
//! Reference    keras.optimizers.schedules.PolynomialDecay
//! ```

use super::{Schedule, expect_steps};
use crate::formula::not_negative;

/// From one learning rate to another within `decay_steps` updates; in a straight line unless
/// another power is given.
///
/// ```
/// use gradus_optim::{PolynomialDecay, Schedule};
/// let schedule = PolynomialDecay::new(0.1, 1000).end_learning_rate(0.0);
/// assert_eq!([0, 500, 1000, 1001].map(|n| schedule.at(n)), [0.1, 0.05, 0.0, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolynomialDecay {
    initial_learning_rate: f64,
    decay_steps: u64,
    end_learning_rate: f64,
    power: f64,
    cycle: bool,
}

impl PolynomialDecay {
    /// From that learning rate to 0.0001, which is Keras's default, in a straight line.
    ///
    /// # Panics
    /// If there are no steps, or the rate is negative or not finite.
    #[must_use]
    pub fn new(initial_learning_rate: f64, decay_steps: u64) -> Self {
        Self {
            initial_learning_rate: not_negative("initial_learning_rate", initial_learning_rate),
            decay_steps: expect_steps("decay_steps", decay_steps),
            end_learning_rate: 1e-4,
            power: 1.0,
            cycle: false,
        }
    }

    /// With that learning rate in the end.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    pub fn end_learning_rate(mut self, end_learning_rate: f64) -> Self {
        self.end_learning_rate = not_negative("end_learning_rate", end_learning_rate);
        self
    }

    /// With that p.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    pub fn power(mut self, power: f64) -> Self {
        self.power = not_negative("power", power);
        self
    }

    /// Whether to go up again after `decay_steps`, and fall again.
    #[must_use]
    pub fn cycle(mut self, cycle: bool) -> Self {
        self.cycle = cycle;
        self
    }
}

impl Schedule for PolynomialDecay {
    fn at(&self, update: u64) -> f32 {
        let steps = self.decay_steps as f64;
        let fraction = match self.cycle {
            true => update as f64 / (steps * update.div_ceil(self.decay_steps).max(1) as f64),
            false => update as f64 / steps,
        };
        let left = (1.0 - fraction.min(1.0)).powf(self.power);
        let Self { initial_learning_rate, end_learning_rate, .. } = *self;
        (end_learning_rate + (initial_learning_rate - end_learning_rate) * left) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_rises_less_each_time() {
        let schedule = PolynomialDecay::new(1.0, 10).end_learning_rate(0.0).cycle(true);
        assert_eq!([0, 5, 10, 15, 20, 24].map(|n| schedule.at(n)), [1.0, 0.5, 0.0, 0.25, 0.0, 0.2]);
    }

    #[test]
    fn a_power_bends_the_line() {
        let schedule = PolynomialDecay::new(1.0, 10).end_learning_rate(0.5).power(2.0);
        assert_eq!([0, 5, 10, 99].map(|n| schedule.at(n)), [1.0, 0.625, 0.5, 0.5]);
    }
}
