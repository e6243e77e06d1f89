//! Linear warm-up before any other schedule.
//!
//! ```text
//! Formula      lr(n) = s + (p − s) n/W for n < W, p = after(0); then after(n − W)
//! Conventions  s = 0 unless said, as in Keras's CosineDecay with its initial rate 0. PyTorch's
//!              `LinearLR` begins at a third
//! Reference    Goyal et al.: Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017,
//!              section 2.2
//! ```

use super::Schedule;
use crate::formula::not_negative;

/// In a straight line up to where another schedule begins, and then that.
///
/// ```
/// use gradus_optim::{Constant, Schedule, WarmUp};
/// let schedule = WarmUp::new(500, Constant(0.1));
/// assert_eq!([0, 250, 500, 10_000].map(|n| schedule.at(n)), [0.0, 0.05, 0.1, 0.1]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmUp<S> {
    steps: u64,
    start: f64,
    after: S,
}

impl<S: Schedule> WarmUp<S> {
    /// From 0 within `steps` updates.
    #[must_use]
    pub fn new(steps: u64, after: S) -> Self {
        Self { steps, start: 0.0, after }
    }

    /// From that learning rate.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    pub fn start(mut self, learning_rate: f64) -> Self {
        self.start = not_negative("start", learning_rate);
        self
    }
}

impl<S: Schedule> Schedule for WarmUp<S> {
    fn at(&self, update: u64) -> f32 {
        if update >= self.steps {
            return self.after.at(update - self.steps);
        }
        let (start, peak) = (self.start, f64::from(self.after.at(0)));
        (start + (peak - start) * (update as f64 / self.steps as f64)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Constant, CosineDecay};

    #[test]
    fn it_is_the_warm_up_of_cosine_decay() {
        let keras = CosineDecay::new(0.125, 30).warmup(0.5, 8);
        let ours = WarmUp::new(8, CosineDecay::new(0.5, 30)).start(0.125);
        (0..50).for_each(|n| assert_eq!(ours.at(n), keras.at(n), "update {n}"));
    }

    #[test]
    fn it_may_begin_above_its_end() {
        let schedule = WarmUp::new(4, Constant(0.25)).start(1.25);
        assert_eq!([0, 1, 2, 3, 4].map(|n| schedule.at(n)), [1.25, 1.0, 0.75, 0.5, 0.25]);
    }
}
