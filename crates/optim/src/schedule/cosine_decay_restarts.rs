//! Cosine decay, again and again.
//!
//! ```text
//! Formula      period i, from 0, has T · tⁱ updates and begins at lr₀ mⁱ; within it, f going from
//!              0 to 1: lr(n) = lr₀ ((1 − α) mⁱ ½ (1 + cos(π f)) + α)
//! Conventions  as Keras. A period that begins within 10⁻⁹ periods after an update begins with it:
//!              1.1 has no exact logarithm. (Keras, in f32, may be an update late)
//! Reference    keras.optimizers.schedules.CosineDecayRestarts; Loshchilov, Hutter: SGDR:
//!              Stochastic Gradient Descent with Warm Restarts, ICLR 2017
//! ```

use super::{Schedule, expect_steps, half_cosine};
use crate::formula::{fraction, not_negative};

/// Falls along half a cosine and jumps up again; each period is `t_mul` times as long as the one
/// before, and begins `m_mul` times as high.
///
/// ```
/// use gradus_optim::{CosineDecayRestarts, Schedule};
/// let schedule = CosineDecayRestarts::new(0.1, 1000);
/// assert_eq!([0, 500, 1000, 2000, 3000].map(|n| schedule.at(n)), [0.1, 0.05, 0.1, 0.05, 0.1]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineDecayRestarts {
    initial_learning_rate: f64,
    first_decay_steps: u64,
    t_mul: f64,
    m_mul: f64,
    alpha: f64,
}

impl CosineDecayRestarts {
    /// Keras's defaults: each period twice as long as the one before, and as high, down to 0.
    ///
    /// # Panics
    /// If there are no steps, or the rate is negative or not finite.
    #[must_use]
    pub fn new(initial_learning_rate: f64, first_decay_steps: u64) -> Self {
        Self {
            initial_learning_rate: not_negative("initial_learning_rate", initial_learning_rate),
            first_decay_steps: expect_steps("first_decay_steps", first_decay_steps),
            t_mul: 2.0,
            m_mul: 1.0,
            alpha: 0.0,
        }
    }

    /// With periods that grow by that factor.
    ///
    /// # Panics
    /// If it is below 1 (periods that shrink would come to an end) or not finite.
    #[must_use]
    pub fn t_mul(mut self, t_mul: f64) -> Self {
        assert!(t_mul >= 1.0 && t_mul.is_finite(), "t_mul is at least 1, got {t_mul}");
        self.t_mul = t_mul;
        self
    }

    /// With heights that fall by that factor.
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[must_use]
    pub fn m_mul(mut self, m_mul: f64) -> Self {
        self.m_mul = fraction("m_mul", m_mul);
        self
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

    /// Which period it is, and how much of it has gone by.
    fn period(&self, update: u64) -> (f64, f64) {
        let (t, steps) = (self.t_mul, self.first_decay_steps);
        if t == 1.0 {
            return ((update / steps) as f64, (update % steps) as f64 / steps as f64);
        }
        let gone = update as f64 / steps as f64;
        let period = ((1.0 + gone * (t - 1.0)).ln() / t.ln() + 1e-9).floor();
        let begin = (t.powf(period) - 1.0) / (t - 1.0);
        (period, ((gone - begin) / t.powf(period)).clamp(0.0, 1.0))
    }
}

impl Schedule for CosineDecayRestarts {
    fn at(&self, update: u64) -> f32 {
        let (period, fraction) = self.period(update);
        let height = self.m_mul.powf(period) * half_cosine(fraction);
        (self.initial_learning_rate * ((1.0 - self.alpha) * height + self.alpha)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_period_begins_on_its_update() {
        for t_mul in [1.0, 1.1, 1.5, 2.0, 3.0] {
            let schedule = CosineDecayRestarts::new(0.5, 1000).t_mul(t_mul).m_mul(0.5);
            let (mut begin, mut length, mut height) = (0.0f64, 1000.0, 0.5f32);
            for period in 0..8 {
                // The first update that is not before the beginning.
                let first = (begin - 1e-6).ceil() as u64;
                let [before, rate] = [first.saturating_sub(1), first].map(|n| schedule.at(n));
                let (low, high) = (height * 1e-3, height * 0.999);
                assert!(rate >= high && rate <= height, "{t_mul}: {rate} begins period {period}");
                assert!(period == 0 || before <= low, "{t_mul}: {before} ends a period");
                (begin, length, height) = (begin + length, length * t_mul, height * 0.5);
            }
        }
    }

    #[test]
    #[should_panic(expected = "t_mul is at least 1, got 0.5")]
    fn periods_that_shrink_are_refused() {
        let _ = CosineDecayRestarts::new(0.1, 10).t_mul(0.5);
    }
}
