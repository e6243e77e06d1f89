//! Where the time of a run goes.
//!
//! Off unless a [`Context`] is given a [`Profile`]: then whoever calls another by name measures it.
//! Places are nested as the network is: the time of a container holds that of its layers.

use crate::{Context, Device};
use std::time::{Duration, Instant};

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Inference, validation's among it.
    Infer,
    /// The forward pass of training.
    Forward,
    /// The backward pass.
    Backward,
    /// What belongs to no layer: the loss, the optimizer, waiting for data.
    Other,
}

/// How much there was to do in one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Multiplications and additions.
    pub flops: u64,
    /// Bytes that have to be read and written at least.
    pub bytes: u64,
}

/// One place in one phase.
#[derive(Clone, Debug)]
pub struct Span {
    /// The layer: `conv2d_1`, `residual.body.conv2d`.
    pub place: String,
    /// What was done there.
    pub phase: Phase,
    /// How often.
    pub calls: u64,
    /// How long, all calls together.
    pub time: Duration,
    /// How much, all calls together.
    pub work: Work,
}

/// The times of all places, in the order in which they were first met.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// The place that is being measured.
    place: String,
    spans: Vec<Span>,
}

impl Profile {
    /// Every place in every phase.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Adds a call to a place.
    pub fn record(&mut self, place: &str, phase: Phase, time: Duration, work: Work) {
        let found = self.spans.iter().position(|s| s.phase == phase && s.place == place);
        let at = found.unwrap_or_else(|| {
            let (place, time, work) = (place.to_owned(), Duration::ZERO, Work::default());
            self.spans.push(Span { place, phase, calls: 0, time, work });
            self.spans.len() - 1
        });
        let span = &mut self.spans[at];
        span.calls += 1;
        span.time += time;
        span.work.flops += work.flops;
        span.work.bytes += work.bytes;
    }

    /// Goes one place further in; returns what [`Profile::leave`] has to be given.
    fn enter(&mut self, name: &str) -> usize {
        let outer = self.place.len();
        if outer > 0 {
            self.place.push('.');
        }
        self.place.push_str(name);
        outer
    }

    fn leave(&mut self, outer: usize, phase: Phase, time: Duration, work: Work) {
        let place = std::mem::take(&mut self.place);
        self.record(&place, phase, time, work);
        self.place = place;
        self.place.truncate(outer);
    }
}

impl Context {
    /// Calls `f` and, with a profile, measures it as the `work` of the place called `name`, within
    /// the place that is being measured.
    pub fn timed<R>(
        &mut self,
        name: &str,
        phase: Phase,
        work: Work,
        f: impl FnOnce(&mut Self) -> R,
    ) -> R {
        let Some(profile) = &mut self.profile else { return f(self) };
        let outer = profile.enter(name);
        self.wait();
        let start = Instant::now();
        let result = f(self);
        self.wait();
        if let Some(profile) = &mut self.profile {
            profile.leave(outer, phase, start.elapsed(), work);
        }
        result
    }

    /// A GPU works on while the host goes ahead: its time is known when it is done.
    fn wait(&self) {
        if let Device::Cuda(gpu) = &self.device {
            gpu.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_nested_and_calls_add_up() {
        let mut cx = Context::new(Device::Cpu, 1);
        let (work, none) = (Work { flops: 10, bytes: 3 }, Work::default());
        assert_eq!(cx.timed("off", Phase::Other, work, |_| 7), 7);
        cx.profile = Some(Profile::default());
        for _ in 0..2 {
            cx.timed("body", Phase::Forward, none, |cx| {
                cx.timed("dense", Phase::Forward, work, |_| ());
            });
            cx.timed("body", Phase::Backward, none, |_| ());
        }
        let spans = cx.profile.expect("still there").spans;
        let seen: Vec<_> = spans.iter().map(|s| (s.place.as_str(), s.phase, s.calls)).collect();
        let expected = [
            ("body.dense", Phase::Forward, 2),
            ("body", Phase::Forward, 2),
            ("body", Phase::Backward, 2),
        ];
        assert_eq!(seen, expected);
        assert_eq!(spans[0].work, Work { flops: 20, bytes: 6 });
        assert!(spans[1].time >= spans[0].time);
    }
}
