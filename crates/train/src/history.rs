//! What every epoch of a run brought: a table with one row per epoch and one column per metric.
//!
//! ```text
//! Conventions  columns have Keras's names (`loss`, `accuracy`, `val_loss`, `val_accuracy`, `lr`)
//!              in the order in which they first came; epochs count from 0, as in Keras's CSV log;
//!              a value that an epoch did not bring is missing, which is not the same as NaN
//! On disk      the format of Keras's `CSVLogger`: `epoch`, then the columns sorted by name,
//!              missing values as `NA`; every number reads back as the same bits
//! ```

mod csv_log;

pub use csv_log::HistoryError;

use serde::{Deserialize, Serialize};
use std::fmt;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Less is better: losses.
    Min,
    /// More is better: accuracies.
    Max,
}

impl Mode {
    /// Keras's `mode="auto"` (tf-keras): names that end with `acc`, `accuracy` or `auc` want to be
    /// large, all others small. Beyond Keras 2, whose rule would keep the worst: precision, recall
    /// and F1 want to be large too.
    #[must_use]
    pub fn auto(metric: &str) -> Self {
        const LARGE: [&str; 6] = ["acc", "accuracy", "auc", "precision", "recall", "f1_score"];
        // A second metric of a kind is numbered: auc_1.
        let plain = metric.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
        let large = LARGE.iter().any(|end| plain.ends_with(end));
        if large { Self::Max } else { Self::Min }
    }

    /// What everything but NaN is better than.
    pub(crate) fn worst(self) -> f64 {
        match self {
            Self::Min => f64::INFINITY,
            Self::Max => f64::NEG_INFINITY,
        }
    }

    /// Whether `a` is strictly better than `b`. Nothing is better than NaN and NaN than nothing.
    #[must_use]
    pub fn better(self, a: f64, b: f64) -> bool {
        match self {
            Self::Min => a < b,
            Self::Max => a > b,
        }
    }
}

/// The table of a run: epochs × metrics.
///
/// ```
/// use gradus_train::{History, Mode};
/// let mut history = History::new();
/// history.push(0, &[("loss", 0.9), ("val_accuracy", 0.51)]);
/// history.push(1, &[("loss", 0.7), ("val_accuracy", 0.64)]);
/// assert_eq!(history.best("val_accuracy", Mode::Max), Some((1, 0.64)));
/// ```
///
/// With serde it is the text of its CSV log: JSON numbers know neither NaN nor infinity, and a
/// diverged run must come back from a checkpoint as it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct History {
    epochs: Vec<u32>,
    columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq)]
struct Column {
    name: String,
    /// As many as there are epochs.
    values: Vec<Option<f64>>,
}

impl History {
    /// A run that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the row of `epoch` (from 0). A name not seen before starts a new column, which the
    /// earlier epochs are missing.
    ///
    /// # Panics
    /// If `epoch` is not after the last one, or a name appears twice in `values`.
    pub fn push(&mut self, epoch: u32, values: &[(&str, f64)]) {
        if let Some(&last) = self.epochs.last() {
            assert!(epoch > last, "epoch {epoch} is pushed after epoch {last}");
        }
        for column in &mut self.columns {
            column.values.push(None);
        }
        let row = self.epochs.len();
        self.epochs.push(epoch);
        for &(name, value) in values {
            let cell = &mut self.column_or_new(name).values[row];
            assert!(cell.is_none(), "epoch {epoch} has two values named {name:?}");
            *cell = Some(value);
        }
    }

    /// The column called `name`, empty cells up to the last epoch where it is new.
    fn column_or_new(&mut self, name: &str) -> &mut Column {
        let index = self.columns.iter().position(|c| c.name == name).unwrap_or_else(|| {
            let values = vec![None; self.epochs.len()];
            self.columns.push(Column { name: name.to_owned(), values });
            self.columns.len() - 1
        });
        &mut self.columns[index]
    }

    /// The epochs (from 0), ascending. Not always 0, 1, 2 …: a run may start later.
    #[must_use]
    pub fn epochs(&self) -> &[u32] {
        &self.epochs
    }

    /// How many epochs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.epochs.len()
    }

    /// Whether there is no epoch yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    /// The names of the columns in the order in which they first came.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|c| c.name.as_str())
    }

    /// The values of one metric, one per epoch, or `None` where there is no such column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&[Option<f64>]> {
        self.columns.iter().find(|c| c.name == name).map(|c| c.values.as_slice())
    }

    /// The best epoch of a metric and its value there: the first among equals. NaN and missing
    /// values are never best; `None` where nothing is left.
    #[must_use]
    pub fn best(&self, metric: &str, mode: Mode) -> Option<(u32, f64)> {
        let mut best: Option<(u32, f64)> = None;
        for (&epoch, &value) in self.epochs.iter().zip(self.column(metric)?) {
            let Some(value) = value.filter(|v| !v.is_nan()) else {
                continue;
            };
            if best.is_none_or(|(_, b)| mode.better(value, b)) {
                best = Some((epoch, value));
            }
        }
        best
    }

    /// The value of a metric in the last epoch.
    #[must_use]
    pub fn last(&self, metric: &str) -> Option<f64> {
        *self.column(metric)?.last()?
    }
}

/// An aligned table for people: epochs from 0, four digits, `-` where a value is missing.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |c: &Column| {
            let cells = c.values.iter().map(|&v| cell(v).len());
            cells.chain([c.name.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = self.columns.iter().map(width).collect();
        write!(f, "epoch")?;
        for (column, width) in self.columns.iter().zip(&widths) {
            write!(f, "  {:>width$}", column.name)?;
        }
        for (row, epoch) in self.epochs.iter().enumerate() {
            write!(f, "\n{epoch:>5}")?;
            for (column, width) in self.columns.iter().zip(&widths) {
                write!(f, "  {:>width$}", cell(column.values[row]))?;
            }
        }
        Ok(())
    }
}

/// Four digits after the point, or an exponent where they would show nothing of the number.
fn cell(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(v) if v != 0.0 && v.abs() < 1e-2 => format!("{v:.2e}"),
        Some(v) => format!("{v:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::new();
        history.push(0, &[("loss", 1.5), ("accuracy", 0.5)]);
        history.push(1, &[("loss", 0.1 + 0.2), ("accuracy", 0.75), ("val_loss", f64::NAN)]);
        history.push(4, &[("loss", 1e-300), ("val_loss", 0.25), ("lr", 0.0005)]);
        history
    }

    #[test]
    fn columns_keep_their_order_and_late_ones_miss_the_early_epochs() {
        let history = history();
        assert_eq!(history.names().collect::<Vec<_>>(), ["loss", "accuracy", "val_loss", "lr"]);
        assert_eq!(history.epochs(), [0, 1, 4]);
        assert_eq!(history.column("accuracy").unwrap(), [Some(0.5), Some(0.75), None]);
        assert_eq!(history.column("lr").unwrap(), [None, None, Some(0.0005)]);
        assert_eq!(history.column("auc"), None);
        assert_eq!((history.last("lr"), history.last("accuracy")), (Some(0.0005), None));
    }

    #[test]
    fn the_best_is_the_first_among_equals_and_never_nan() {
        let mut history = history();
        assert_eq!(history.best("val_loss", Mode::Min), Some((4, 0.25)));
        history.push(5, &[("accuracy", 0.75), ("auc", f64::NAN)]);
        assert_eq!(history.best("accuracy", Mode::Max), Some((1, 0.75)));
        assert_eq!(history.best("auc", Mode::Max), None);
        assert_eq!(history.best("top_5", Mode::Max), None);
    }

    #[test]
    fn the_automatic_mode_goes_by_the_end_of_the_name() {
        assert_eq!(Mode::auto("val_accuracy"), Mode::Max);
        assert_eq!(Mode::auto("acc"), Mode::Max);
        assert_eq!(Mode::auto("val_loss"), Mode::Min);
        assert_eq!(Mode::auto("accuracy_gap"), Mode::Min);
    }

    #[test]
    fn it_prints_as_an_aligned_table() {
        let expected = "\
epoch       loss  accuracy  val_loss       lr
    0     1.5000    0.5000         -        -
    1     0.3000    0.7500       NaN        -
    4  1.00e-300         -    0.2500  5.00e-4";
        assert_eq!(history().to_string(), expected);
        assert_eq!(History::new().to_string(), "epoch");
    }

    #[test]
    #[should_panic(expected = "epoch 4 is pushed after epoch 4")]
    fn an_epoch_twice_is_refused() {
        history().push(4, &[("loss", 1.0)]);
    }

    #[test]
    #[should_panic(expected = "two values named \"loss\"")]
    fn a_name_twice_is_refused() {
        history().push(5, &[("loss", 1.0), ("loss", 2.0)]);
    }
}
