//! The table of the epochs as a file that grows with them.
//!
//! ```text
//! Form         as Keras's: `epoch` from 0, then the figures sorted by name, `NA` where missing
//! Conventions  the whole table is written anew after each epoch, beside and renamed: whoever reads
//!              it sees whole rows, and a run that is resumed leaves the file of one that was not
//! Reference    tf_keras 2.21, `callbacks.CSVLogger`
//! ```

use crate::{Callback, Control, Error, Run, State, write_beside};
use std::io::Write as _;
use std::path::PathBuf;

/// Keras's `CSVLogger`.
#[derive(Debug)]
pub struct CSVLogger {
    path: PathBuf,
    append: bool,
    separator: u8,
    /// What stood in the file before this run, with its header.
    before: String,
}

impl CSVLogger {
    /// Writes into that file, over what is there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), append: false, separator: b',', before: String::new() }
    }

    /// Adds the rows to those that are there, under their header. `false` by default.
    #[must_use]
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// What stands between two cells, a comma by default: a semicolon or a tab, say. With `append`
    /// it is for whoever calls to take the one of the file that is there.
    ///
    /// # Panics
    /// If it is no ASCII character, or one that numbers, names or quotes are made of: nobody could
    /// read the file.
    #[must_use]
    pub fn separator(mut self, separator: char) -> Self {
        let taken = separator.is_ascii_alphanumeric() || "_.+-\"\r\n".contains(separator);
        assert!(separator.is_ascii() && !taken, "{separator:?} cannot stand between two cells");
        self.separator = separator as u8;
        self
    }
}

impl Callback for CSVLogger {
    fn description(&self) -> String {
        format!("CSVLogger {{ append: {} }}", self.append)
    }

    fn fit_start(&mut self) -> Result<(), Error> {
        self.before.clear();
        if self.append && self.path.exists() {
            self.before = std::fs::read_to_string(&self.path).map_err(|e| {
                let reason = format!("{}: {e}", self.path.display());
                Error::Callback { callback: "CSVLogger", reason }
            })?;
            if !self.before.is_empty() && !self.before.ends_with('\n') {
                self.before.push('\n');
            }
        }
        Ok(())
    }

    fn epoch_end(&mut self, run: &Run<'_>, _: &mut Control) -> Result<(), Error> {
        let table = run.model.history().to_csv_separated_by(self.separator);
        let rows = match self.before.is_empty() {
            true => table.as_str(),
            false => table.split_once('\n').map_or("", |(_, rows)| rows),
        };
        Ok(write_beside(&self.path, |file| {
            file.write_all(self.before.as_bytes())?;
            file.write_all(rows.as_bytes())
        })?)
    }

    fn state(&self) -> State {
        State { values: self.before.clone().into(), tensors: Vec::new() }
    }

    fn restore(&mut self, state: State) -> Result<(), serde_json::Error> {
        self.before = serde_json::from_value(state.values)?;
        Ok(())
    }
}
