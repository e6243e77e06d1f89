//! The history as a CSV file that Keras's `CSVLogger` could have written.
//!
//! ```text
//! Format       header `epoch` and the names of the columns, sorted; one line per epoch, from 0;
//!              `NA` for a missing value, `nan`, `inf` and `-inf` as Python writes them
//! Digits       the shortest that read back as the same f64, so that a round trip is exact
//! ```

use super::{Column, History};
use crate::{WriteError, write_beside};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A CSV log that cannot be read as a history.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The file cannot be opened.
    #[error("{}: cannot be read: {cause}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It is no CSV: rows of different lengths, or not UTF-8.
    #[error("{source_name}: not a CSV log: {cause}")]
    Csv {
        /// The file, or what stands in its place.
        source_name: String,
        /// What the reader said.
        cause: csv::Error,
    },
    /// A cell or a column name is not what it should be.
    #[error("{source_name}: row {row}, column {column:?}: found {found:?}, expected {expected}")]
    Cell {
        /// The file, or what stands in its place.
        source_name: String,
        /// The row below the header, from 1; 0 is the header itself.
        row: usize,
        /// The name of the column.
        column: String,
        /// What stands there.
        found: String,
        /// What should stand there.
        expected: &'static str,
    },
}

impl History {
    /// Writes the CSV log, beside and renamed.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<(), WriteError> {
        write_beside(path.as_ref(), |file| file.write_all(self.to_csv().as_bytes()))
    }

    /// The text of the CSV log.
    ///
    /// # Panics
    /// Never: memory takes every row, and rows are text.
    #[must_use]
    pub fn to_csv(&self) -> String {
        self.to_csv_separated_by(b',')
    }

    /// The same with that between two cells.
    pub(crate) fn to_csv_separated_by(&self, separator: u8) -> String {
        let mut columns: Vec<&Column> = self.columns.iter().collect();
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        let mut text = Vec::new();
        self.write_columns(&columns, separator, &mut text).expect("memory takes every row");
        String::from_utf8(text).expect("rows are text")
    }

    /// Reads a CSV log, ours or Keras's. The columns keep the order of the file.
    ///
    /// # Errors
    /// If the file cannot be opened, is no CSV, has no column `epoch` or a column twice, or a cell
    /// is neither a number nor `NA` nor empty, or the epochs do not ascend.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self, HistoryError> {
        let path = path.as_ref();
        let file = std::fs::File::open(path)
            .map_err(|cause| HistoryError::Open { path: path.to_owned(), cause })?;
        Self::read_from(&path.display().to_string(), file)
    }

    fn write_columns(
        &self,
        columns: &[&Column],
        separator: u8,
        out: impl Write,
    ) -> Result<(), csv::Error> {
        let mut csv = csv::WriterBuilder::new().delimiter(separator).from_writer(out);
        csv.write_field("epoch")?;
        csv.write_record(columns.iter().map(|c| &c.name))?;
        for (row, epoch) in self.epochs.iter().enumerate() {
            csv.write_field(epoch.to_string())?;
            csv.write_record(columns.iter().map(|c| number(c.values[row])))?;
        }
        Ok(csv.flush()?)
    }

    fn read_from(source_name: &str, from: impl Read) -> Result<Self, HistoryError> {
        let malformed = |cause| HistoryError::Csv { source_name: source_name.to_owned(), cause };
        let mut csv = csv::Reader::from_reader(from);
        let names: Vec<String> =
            csv.headers().map_err(malformed)?.iter().map(str::to_owned).collect();
        let cell = |row: usize, column: usize, found: &str, expected| HistoryError::Cell {
            source_name: source_name.to_owned(),
            row,
            column: names.get(column).cloned().unwrap_or_default(),
            found: found.to_owned(),
            expected,
        };

        let Some(epoch_at) = names.iter().position(|n| n == "epoch") else {
            return Err(cell(0, 0, &names.join(","), "a header with a column named epoch"));
        };
        if let Some(twice) = (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
            return Err(cell(0, twice, &names[twice], "a name that no other column has"));
        }
        let empty = |name: &String| Column { name: name.clone(), values: Vec::new() };
        let mut history = Self { epochs: Vec::new(), columns: names.iter().map(empty).collect() };

        for (row, record) in csv.records().enumerate() {
            let record = record.map_err(malformed)?;
            let text = record[epoch_at].trim();
            let epoch = text.parse().ok().filter(|e| history.epochs.last().is_none_or(|l| e > l));
            let expected = "a whole number above the row before";
            history.epochs.push(epoch.ok_or_else(|| cell(row + 1, epoch_at, text, expected))?);
            for (index, text) in record.iter().enumerate().filter(|&(i, _)| i != epoch_at) {
                let value = parse(text.trim())
                    .ok_or_else(|| cell(row + 1, index, text, "a number or NA"))?;
                history.columns[index].values.push(value);
            }
        }
        history.columns.remove(epoch_at);
        Ok(history)
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "NA".to_owned(),
        Some(v) if v.is_nan() => "nan".to_owned(),
        // `{:?}` is the shortest text that reads back the same, with an exponent where it helps.
        Some(v) => format!("{v:?}"),
    }
}

/// `None` where the text is no number, `Some(None)` where it says that there is none.
fn parse(text: &str) -> Option<Option<f64>> {
    if text.is_empty() || text == "NA" { Some(None) } else { text.parse().ok().map(Some) }
}

/// The CSV log with its columns in their own order: how serde carries a history.
impl From<History> for String {
    fn from(history: History) -> Self {
        let mut bytes = Vec::new();
        let columns: Vec<&Column> = history.columns.iter().collect();
        history.write_columns(&columns, b',', &mut bytes).expect("writing to memory does not fail");
        Self::from_utf8(bytes).expect("names and numbers are UTF-8")
    }
}

impl TryFrom<String> for History {
    type Error = HistoryError;

    fn try_from(text: String) -> Result<Self, HistoryError> {
        Self::read_from("history", text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::new();
        let (inf, tiny) = (f64::INFINITY, f64::MIN_POSITIVE / 8.0);
        history.push(0, &[("loss", 0.1 + 0.2), ("accuracy", 0.5), ("val_loss", -inf)]);
        history.push(1, &[("loss", tiny), ("val_loss", inf), ("lr", 0.0010000000474974513)]);
        history.push(7, &[("loss", 1.0), ("val_loss", 1e300)]);
        history
    }

    #[test]
    fn the_file_is_what_keras_would_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let mut history = History::new();
        history.push(0, &[("loss", 1.0925135612487793), ("accuracy", 0.5), ("val_loss", f64::NAN)]);
        history.push(1, &[("loss", 0.25), ("val_loss", 2.0), ("lr", 0.0005)]);
        history.write_csv(&path).unwrap();
        let expected = "epoch,accuracy,loss,lr,val_loss\n\
                        0,0.5,1.0925135612487793,NA,nan\n\
                        1,NA,0.25,0.0005,2.0\n";
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
    }

    #[test]
    fn what_is_written_reads_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        let history = history();
        history.write_csv(&path).unwrap();
        let back = History::read_csv(&path).unwrap();
        assert_eq!(back.epochs(), history.epochs());
        assert_eq!(back.names().collect::<Vec<_>>(), ["accuracy", "loss", "lr", "val_loss"]);
        for name in history.names() {
            assert_eq!(back.column(name), history.column(name), "{name}");
        }
    }

    #[test]
    fn serde_carries_order_missing_values_infinity_and_nan() {
        let mut history = history();
        let json = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&json).unwrap(), history);
        history.push(8, &[("loss", f64::NAN)]);
        let json = serde_json::to_string(&history).unwrap();
        let back: History = serde_json::from_str(&json).unwrap();
        assert!(back.last("loss").unwrap().is_nan());
        let nothing = serde_json::to_string(&History::new()).unwrap();
        assert_eq!(serde_json::from_str::<History>(&nothing).unwrap(), History::new());
    }

    #[test]
    fn a_bad_log_is_refused_with_row_and_column() {
        let read = |text: &str| History::read_from("a.csv", text.as_bytes()).unwrap_err();
        let place = |error: HistoryError| match error {
            HistoryError::Cell { row, column, found, .. } => (row, column, found),
            other => panic!("{other}"),
        };
        let at = |row, column: &str, found: &str| (row, column.to_owned(), found.to_owned());
        assert_eq!(place(read("epoch,loss\n0,1.0\n1,abc\n")), at(2, "loss", "abc"));
        assert_eq!(place(read("epoch,loss\n1,1.0\n1,2.0\n")), at(2, "epoch", "1"));
        assert_eq!(place(read("epoch,loss\n-1,1.0\n")), at(1, "epoch", "-1"));
        assert_eq!(place(read("epoch,loss,loss\n")), at(0, "loss", "loss"));
        assert_eq!(place(read("step,loss\n0,1.0\n")), at(0, "step", "step,loss"));
        assert!(matches!(read("epoch,loss\n0,1.0,2.0\n"), HistoryError::Csv { .. }));
        let missing = History::read_csv("no/such/file.csv").unwrap_err();
        assert!(matches!(missing, HistoryError::Open { .. }));
    }
}
