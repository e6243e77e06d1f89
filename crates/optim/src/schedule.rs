//! How fast, as a pure function of the number of updates.

/// The learning rate of every update, for ever: defined for each `u64`, the same whenever it is
/// asked, so that a resumed run needs to know no more than how far it was.
///
/// Every `Fn(u64) -> f32` is one:
///
/// ```
/// use gradus_optim::{Constant, Schedule};
/// let warmup = |update: u64| 0.001 * (update as f32 / 500.0).min(1.0);
/// assert_eq!([warmup.at(0), warmup.at(250), warmup.at(10_000)], [0.0, 0.0005, 0.001]);
/// assert_eq!(Constant(0.001).at(u64::MAX), 0.001);
/// ```
pub trait Schedule {
    /// The learning rate after that many updates; the first update has number 0.
    fn at(&self, update: u64) -> f32;
}

impl<F: Fn(u64) -> f32> Schedule for F {
    fn at(&self, update: u64) -> f32 {
        self(update)
    }
}

/// The same learning rate always: what Keras does with a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant(pub f32);

impl Schedule for Constant {
    fn at(&self, _: u64) -> f32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_of_every_kind_fit_into_one_box() {
        let half = |update: u64| 0.1 * 0.5f32.powi(i32::try_from(update).unwrap_or(i32::MAX));
        let schedules: [Box<dyn Schedule>; 2] = [Box::new(Constant(0.1)), Box::new(half)];
        assert_eq!(schedules.each_ref().map(|s| s.at(0)), [0.1, 0.1]);
        assert_eq!(schedules.each_ref().map(|s| s.at(2)), [0.1, 0.025]);
        assert_eq!(schedules.each_ref().map(|s| s.at(u64::MAX)), [0.1, 0.0]);
    }
}
