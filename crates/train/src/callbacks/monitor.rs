//! Watching one figure.
//!
//! ```text
//! Formula      better means value < best − |min_delta| (min) or value > best + |min_delta| (max)
//! Conventions  strict, as Keras; a NaN is never the best, as in Keras 2 (Keras 3 takes a NaN that
//!              comes first, and then nothing ever beats it)
//! ```

use crate::history::Mode;
use crate::{Control, Run};

/// The figure that a callback watches.
#[derive(Clone, Debug)]
pub(crate) struct Monitor {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) min_delta: f64,
}

impl Monitor {
    pub(crate) fn new(name: &str, min_delta: f64) -> Self {
        Self { name: name.to_owned(), mode: Mode::auto(name), min_delta }
    }

    /// Whether `value` beats the best so far, if any, by more than `min_delta`.
    pub(crate) fn improves(&self, value: f64, best: Option<f64>) -> bool {
        let bar = match self.mode {
            Mode::Min => best.unwrap_or(self.mode.worst()) - self.min_delta.abs(),
            Mode::Max => best.unwrap_or(self.mode.worst()) + self.min_delta.abs(),
        };
        self.mode.better(value, bar)
    }

    /// The figure of this epoch. Where it is missing, says so, and which there are.
    pub(crate) fn value(&self, who: &str, run: &Run<'_>, control: &mut Control) -> Option<f64> {
        let value = run.logs.get(&self.name);
        if value.is_none() {
            let there: Vec<&str> = run.logs.entries().into_iter().map(|(n, _)| n).collect();
            let (name, there) = (&self.name, there.join(", "));
            control.messages.push(format!("{who} watches {name}, but there is only {there}"));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_strict_and_never_a_nan() {
        let loss = Monitor::new("val_loss", 0.0);
        assert!(loss.improves(0.4, Some(0.5)) && !loss.improves(0.5, Some(0.5)));
        assert!(!loss.improves(f64::NAN, None) && loss.improves(9.0, None));
        let by = |min_delta| Monitor::new("val_loss", min_delta);
        assert!(!by(0.1).improves(0.4, Some(0.5)) && by(-0.1).improves(0.39, Some(0.5)));
        assert!(Monitor::new("val_accuracy", 0.05).improves(0.7, Some(0.6)));
    }
}
