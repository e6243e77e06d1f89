//! What an epoch's clock says: how long, how fast, how much longer.
//!
//! Rates leave out the first step, as Keras does: it plans memory and picks algorithms and would
//! make every epoch's start look slow. Validation does not count as a step's time.

use std::time::{Duration, Instant};

/// Counts the steps and images of one epoch of `steps` steps.
#[derive(Debug)]
pub(super) struct Clock {
    pub(super) steps: usize,
    /// Steps that are done, those of an earlier process included.
    pub(super) step: usize,
    /// Steps that an earlier process did: they say nothing about this one's speed.
    skipped: usize,
    images: usize,
    images_of_first_step: usize,
    start: Instant,
    after_first_step: Instant,
    after_last_step: Instant,
}

impl Clock {
    pub(super) fn start(steps: usize, now: Instant) -> Self {
        Self {
            steps,
            step: 0,
            skipped: 0,
            images: 0,
            images_of_first_step: 0,
            start: now,
            after_first_step: now,
            after_last_step: now,
        }
    }

    /// The first steps were done before.
    pub(super) fn skip(&mut self, steps: usize) {
        (self.step, self.skipped) = (steps, steps);
    }

    /// Counts a finished step.
    pub(super) fn tick(&mut self, images: usize, now: Instant) {
        self.step += 1;
        self.images += images;
        self.after_last_step = now;
        if self.step == self.skipped + 1 {
            self.after_first_step = now;
            self.images_of_first_step = images;
        }
    }

    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        now - self.start
    }

    /// Seconds a step, over all steps but the first; over the first where it is the only one.
    pub(super) fn seconds_per_step(&self) -> f64 {
        let (steps, _, seconds) = self.measured();
        if steps == 0 { 0.0 } else { seconds / steps as f64 }
    }

    /// Trained images a second over the same steps, or `None` where that says nothing.
    pub(super) fn images_per_second(&self) -> Option<f64> {
        let (_, images, seconds) = self.measured();
        (images > 0 && seconds > 0.0).then(|| images as f64 / seconds)
    }

    /// The time that the steps still to come will take.
    pub(super) fn left(&self) -> Duration {
        let steps = self.steps.saturating_sub(self.step);
        Duration::from_secs_f64(self.seconds_per_step() * steps as f64)
    }

    fn measured(&self) -> (usize, usize, f64) {
        let steps = self.step - self.skipped;
        if steps <= 1 {
            let seconds = (self.after_last_step - self.start).as_secs_f64();
            (steps, self.images, seconds)
        } else {
            let seconds = (self.after_last_step - self.after_first_step).as_secs_f64();
            (steps - 1, self.images - self.images_of_first_step, seconds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_does_not_count_once_there_is_a_second() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut clock = Clock::start(10, start);
        assert_eq!((clock.seconds_per_step(), clock.images_per_second()), (0.0, None));
        clock.tick(75, at(5));
        assert_eq!((clock.seconds_per_step(), clock.images_per_second()), (5.0, Some(15.0)));
        clock.tick(75, at(6));
        clock.tick(25, at(7));
        assert_eq!((clock.seconds_per_step(), clock.images_per_second()), (1.0, Some(50.0)));
        assert_eq!(clock.left(), Duration::from_secs(7));
        // Two seconds of validation lengthen the epoch, not the step.
        assert_eq!(clock.elapsed(at(9)), Duration::from_secs(9));
        assert_eq!(clock.seconds_per_step(), 1.0);
    }

    #[test]
    fn steps_of_an_earlier_process_are_counted_and_not_timed() {
        let start = Instant::now();
        let mut clock = Clock::start(10, start);
        clock.skip(6);
        clock.tick(75, start + Duration::from_secs(5));
        clock.tick(75, start + Duration::from_secs(6));
        assert_eq!((clock.step, clock.seconds_per_step()), (8, 1.0));
        assert_eq!(clock.left(), Duration::from_secs(2));
    }
}
