//! How fast, as a pure function of the number of updates.
//!
//! Every schedule computes in f64 and rounds once, and asks for nothing but the number of the
//! update: it can be asked for any, in any order, and a resumed run needs to know no more than how
//! far it was. A schedule is a room under `schedule/`; [`then`](Schedule::then) joins two.

mod cosine_decay;
mod cosine_decay_restarts;
mod exponential_decay;
mod inverse_time_decay;
mod one_cycle;
mod piecewise_constant_decay;
mod polynomial_decay;
mod then;
mod warm_up;

pub use cosine_decay::CosineDecay;
pub use cosine_decay_restarts::CosineDecayRestarts;
pub use exponential_decay::ExponentialDecay;
pub use inverse_time_decay::InverseTimeDecay;
pub use one_cycle::OneCycle;
pub use piecewise_constant_decay::PiecewiseConstantDecay;
pub use polynomial_decay::PolynomialDecay;
pub use then::Then;
pub use warm_up::WarmUp;

use std::f64::consts::PI;

/// The learning rate of every update, for ever: defined for each `u64`, and the same whenever it
/// is asked.
///
/// Every `Fn(u64) -> f32` is one:
///
/// ```
/// use gradus_optim::{Constant, Schedule};
/// let warmup = |update: u64| 0.001 * (update as f32 / 500.0).min(1.0);
/// assert_eq!([warmup.at(0), warmup.at(250), warmup.at(10_000)], [0.0, 0.0005, 0.001]);
/// assert_eq!(Constant(0.001).at(u64::MAX), 0.001);
/// ```
pub trait Schedule: Send + Sync {
    /// The learning rate after that many updates; the first update has number 0.
    fn at(&self, update: u64) -> f32;

    /// Whether it is the same number always. Only such a learning rate may be set by a callback,
    /// as in Keras.
    fn is_constant(&self) -> bool {
        false
    }

    /// This schedule for that many updates, then the other from its beginning.
    ///
    /// ```
    /// use gradus_optim::{Constant, CosineDecay, Schedule};
    /// let decay = CosineDecay::new(0.1, 2000);
    /// let schedule = Constant(0.1).then(500, decay).then(2500, Constant(1e-4));
    /// assert_eq!([0, 499, 500, 1500, 2500].map(|n| schedule.at(n)), [0.1, 0.1, 0.1, 0.05, 1e-4]);
    /// ```
    fn then<S: Schedule>(self, updates: u64, next: S) -> Then<Self, S>
    where
        Self: Sized,
    {
        Then::new(self, updates, next)
    }
}

impl<F: Fn(u64) -> f32 + Send + Sync> Schedule for F {
    fn at(&self, update: u64) -> f32 {
        self(update)
    }
}

impl Schedule for Box<dyn Schedule> {
    fn at(&self, update: u64) -> f32 {
        self.as_ref().at(update)
    }

    fn is_constant(&self) -> bool {
        self.as_ref().is_constant()
    }
}

/// The same learning rate always: what Keras does with a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant(pub f32);

impl Schedule for Constant {
    fn at(&self, _: u64) -> f32 {
        self.0
    }

    fn is_constant(&self) -> bool {
        true
    }
}

/// How many periods of `steps` updates have gone by; only the whole ones if `staircase`.
fn periods(update: u64, steps: u64, staircase: bool) -> f64 {
    match staircase {
        true => (update / steps) as f64,
        false => update as f64 / steps as f64,
    }
}

/// From 1 to 0 along half a cosine, while `fraction` goes from 0 to 1.
fn half_cosine(fraction: f64) -> f64 {
    0.5 * (1.0 + (PI * fraction).cos())
}

/// # Panics
/// If a period has no updates.
fn expect_steps(name: &str, steps: u64) -> u64 {
    assert!(steps > 0, "{name} is at least 1");
    steps
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
        assert_eq!(schedules.each_ref().map(Schedule::is_constant), [true, false]);
    }

    #[test]
    fn every_schedule_is_defined_for_every_update() {
        let schedules: [Box<dyn Schedule>; 13] = [
            Box::new(ExponentialDecay::new(0.1, 7, 0.5)),
            Box::new(ExponentialDecay::new(0.1, 7, 0.5).staircase(true)),
            Box::new(InverseTimeDecay::new(0.1, 5, 0.5)),
            Box::new(PiecewiseConstantDecay::new(&[10, 20], &[0.1, 0.05, 0.01])),
            Box::new(PolynomialDecay::new(0.1, 30)),
            Box::new(PolynomialDecay::new(0.1, 30).power(0.5).cycle(true)),
            Box::new(CosineDecay::new(0.1, 40).alpha(0.1)),
            Box::new(CosineDecay::new(0.0, 40).warmup(0.1, 0)),
            Box::new(CosineDecayRestarts::new(0.1, 10)),
            Box::new(CosineDecayRestarts::new(0.1, 10).t_mul(1.0).m_mul(0.9)),
            Box::new(WarmUp::new(0, Constant(0.1))),
            Box::new(OneCycle::new(0.1, 1)),
            Box::new(Constant(0.1).then(u64::MAX, Constant(0.2))),
        ];
        let edges = [0, 1, 9, 10, 11, 30, 40, 41, 1 << 32, u64::MAX / 2, u64::MAX - 1, u64::MAX];
        for (i, schedule) in schedules.iter().enumerate() {
            for update in edges {
                let rate = schedule.at(update);
                assert!((0.0..=0.2).contains(&rate), "schedule {i} is {rate} at {update}");
            }
        }
    }
}
