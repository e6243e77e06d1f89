//! The profile of a training as a table: which layer takes how long, and what it makes of that.
//!
//! ```text
//! Columns      milliseconds a step, forward and backward, and what share of all time that is; the
//!              rate of arithmetic (GFLOP/s) where a layer multiplies, and the bytes that it has to
//!              move at least (GB/s) where it does not
//! Waiting      the time in which the trainer had nothing to work on
//! ```

use crate::Model;
use gradus_tensor::{Phase, Profile, Span};
use std::fmt;
use std::time::Duration;

/// What a profile calls the time in which the trainer had no batch.
pub(crate) const WAITING: &str = "waiting for data";

/// The table, to be printed.
#[derive(Clone, Debug)]
pub struct ProfileTable {
    profile: Profile,
    steps: u64,
}

impl Model {
    /// Measures every layer from now on, which costs some microseconds a step.
    pub fn start_profile(&mut self) {
        self.context.profile = Some(Profile::default());
    }

    /// What was measured since [`Model::start_profile`]; `None` if it was not called or nothing was
    /// trained.
    #[must_use]
    pub fn profile(&self) -> Option<ProfileTable> {
        let profile = self.context.profile.clone()?;
        let training = profile.spans().iter().filter(|span| span.phase == Phase::Forward);
        let steps = training.map(|span| span.calls).max()?;
        Some(ProfileTable { profile, steps })
    }
}

impl ProfileTable {
    fn rows(&self) -> Vec<[String; 6]> {
        let per_step = |time: Duration| 1e3 * time.as_secs_f64() / self.steps as f64;
        let spans = || self.profile.spans().iter();
        // A place within another is part of the other's time.
        let outermost = |s: &&Span| s.phase != Phase::Infer && !s.place.contains('.');
        let whole: Duration = spans().filter(outermost).map(|span| span.time).sum();
        let share = |time: Duration| {
            format!("{:.1} %", 100.0 * time.as_secs_f64() / whole.as_secs_f64().max(1e-9))
        };
        let mut rows = Vec::new();
        for forward in spans().filter(|span| span.phase == Phase::Forward) {
            let backward = spans().find(|s| s.phase == Phase::Backward && s.place == forward.place);
            let back = backward.map_or(Duration::ZERO, |span| span.time);
            rows.push([
                forward.place.clone(),
                format!("{:.2}", per_step(forward.time)),
                rate(Some(forward)),
                format!("{:.2}", per_step(back)),
                rate(backward),
                share(forward.time + back),
            ]);
        }
        for span in spans().filter(|span| span.phase == Phase::Other) {
            let (time, none) = (format!("{:.2}", per_step(span.time)), String::new);
            rows.push([span.place.clone(), time, none(), none(), none(), share(span.time)]);
        }
        rows.push([
            "a step".to_owned(),
            format!("{:.2}", per_step(whole)),
            String::new(),
            String::new(),
            String::new(),
            format!("{} steps", self.steps),
        ]);
        rows
    }
}

fn rate(span: Option<&Span>) -> String {
    let Some(span) = span.filter(|span| !span.time.is_zero()) else { return String::new() };
    let (amount, unit) = match span.work.flops {
        0 => (span.work.bytes, "GB/s"),
        flops => (flops, "GFLOP/s"),
    };
    format!("{:.1} {unit}", amount as f64 / span.time.as_secs_f64() / 1e9)
}

impl fmt::Display for ProfileTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["layer", "forward ms", "", "backward ms", "", "share"].map(str::to_owned);
        let rows: Vec<[String; 6]> = std::iter::once(head).chain(self.rows()).collect();
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        for (number, row) in rows.iter().enumerate() {
            let line = if number == 0 { "" } else { "\n" };
            write!(f, "{line}{:<1$}", row[0], widths[0])?;
            for (cell, width) in row.iter().zip(widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
        }
        Ok(())
    }
}
