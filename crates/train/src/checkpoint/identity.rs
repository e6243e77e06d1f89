//! What has to be the same for a run to go on, in words, and what is not.

use crate::{Batches, Error, Fit, Model};
use serde::{Deserialize, Serialize};

/// Names of what a run depends on, each with what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity(Vec<(String, String)>);

/// What differs, and how it is in either.
pub(crate) type Difference = (String, [String; 2]);

impl Identity {
    pub(crate) fn of(
        model: &Model,
        data: &dyn Batches,
        steps_per_epoch: usize,
        fit: &Fit<'_>,
    ) -> Result<Self, Error> {
        let training = model.training.as_ref().ok_or(Error::NotCompiled)?;
        let (optimizer, loss) = (training.step.optimizer(), training.step.loss());
        // The rates of some updates tell schedules apart.
        let rates = [0, 1, 10, 100, 1_000, 10_000, 100_000].map(|n| optimizer.schedule().at(n));
        let validation = fit.validation_data.as_deref().map(|data| {
            let (steps, every) = (fit.validation_steps, fit.validation_freq);
            format!("{}, steps: {steps:?}, every {every} epochs", data.fingerprint())
        });
        let metrics = training.metrics.iter();
        let metrics = metrics.map(|(name, m)| format!("{name} of {} sums", m.sums().len()));
        let callbacks = fit.callbacks.iter().map(|callback| callback.description());
        let all = [
            ("optimizer", format!("{} with learning rates {rates:?}", optimizer.description())),
            ("loss", format!("{loss:?}")),
            ("data or seed", data.fingerprint()),
            ("validation", validation.unwrap_or_default()),
            ("class_weight", format!("{:?}", fit.class_weight)),
            ("number of steps per epoch", steps_per_epoch.to_string()),
            ("list of metrics", metrics.collect::<Vec<_>>().join(", ")),
            ("list of callbacks", callbacks.collect::<Vec<_>>().join(", ")),
            ("precision", model.context.precision.to_string()),
            ("choice of set_exact", model.context.workspace.exact.to_string()),
        ];
        Ok(Self(all.map(|(name, is)| (name.to_owned(), is)).into()))
    }

    /// The first thing in which another run differs.
    pub(crate) fn difference(&self, other: &Self) -> Option<Difference> {
        let mut pairs = self.0.iter().zip(&other.0);
        let ((what, was), (_, is)) = pairs.find(|(was, is)| was != is)?;
        // Schedules differ in a list of rates, which says little without the optimizer.
        let whole = what == "optimizer";
        let words = if whole { [was.clone(), is.clone()] } else { differing(was, is) };
        Some((what.clone(), words))
    }
}

/// The parts of either text that the other has not, if both have as many; else all of both.
fn differing(a: &str, b: &str) -> [String; 2] {
    let (all_a, all_b) = (parts(a), parts(b));
    if all_a.len() != all_b.len() {
        return [a, b].map(str::to_owned);
    }
    let unequal: Vec<_> = all_a.into_iter().zip(all_b).filter(|(a, b)| a != b).collect();
    let (a, b): (Vec<_>, Vec<_>) = unequal.into_iter().unzip();
    [a.join(", "), b.join(", ")]
}

/// A text taken apart at its commas, but for those in lists and tuples.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_u32, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        let of = |size: &str, shuffle| {
            format!(
                "8 samples, shuffle: {shuffle}, reading: Loading {{ size: {size}, exif: false }}"
            )
        };
        assert_eq!(
            differing(&of("[8, 9]", true), &of("[8, 7]", true)),
            ["reading: Loading { size: [8, 9]", "reading: Loading { size: [8, 7]"]
        );
        assert_eq!(
            differing(&of("(8, 9)", true), &of("(8, 9)", false)),
            ["shuffle: true", "shuffle: false"]
        );
        assert_eq!(differing("a, b", "a"), ["a, b", "a"]);
    }
}
