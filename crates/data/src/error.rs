//! What can be wrong with a manifest, its images or the arguments of a loader.
//!
//! A variant answers whose fault it is and what to do about it. Lines are those of the manifest's
//! file, counted from 1 and with the header as line 1, so that an editor finds them.

use crate::nearest::nearest;
use std::io;
use std::path::{Path, PathBuf};

/// Why samples cannot be described, found or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// A manifest is no table: a row longer or shorter than the header, or not UTF-8.
    #[error("{}, line {line}: {reason}", path.display())]
    Csv {
        /// The manifest.
        path: PathBuf,
        /// The line in it.
        line: u64,
        /// What is wrong there, and what to do about it.
        reason: String,
    },
    /// A manifest has no column of that name, or two.
    #[error(
        "{}: {found} columns are called {column:?}, and one is needed{}. Its columns are \
         {columns:?}: name one of them, or mend the header",
        path.display(),
        meant(column, columns)
    )]
    Column {
        /// The manifest.
        path: PathBuf,
        /// The name that was looked for.
        column: String,
        /// How many columns bear it: 0, or 2 and more.
        found: usize,
        /// The names of the columns that exist, in order.
        columns: Vec<String>,
    },
    /// A cell that must hold text is empty.
    #[error("{}, line {line}: {column} is empty; fill it in or take the row out", path.display())]
    Empty {
        /// The manifest.
        path: PathBuf,
        /// The line in it.
        line: u64,
        /// The column.
        column: String,
    },
    /// A cell that must hold a number holds none.
    #[error(
        "{}, line {line}: {found:?} in {column} is no finite number; write it with digits and a \
         point",
        path.display()
    )]
    Number {
        /// The manifest.
        path: PathBuf,
        /// The line in it.
        line: u64,
        /// The column.
        column: String,
        /// What the cell holds.
        found: String,
    },
    /// A file is no image that can be decoded: damaged, cut short, or of an unknown format.
    #[error("{}{}: {cause}", path.display(), listed(*line))]
    Image {
        /// The image file.
        path: PathBuf,
        /// The line of the manifest that names it, where one does.
        line: Option<u64>,
        /// What the decoder says.
        cause: image::ImageError,
    },
    /// An image has more pixels than are ever decoded
    /// ([`Decoder::MAX_PIXELS`](crate::Decoder::MAX_PIXELS)).
    #[error(
        "{}{}: {width} x {height} pixels are more than the {limit} that are decoded at most; \
         make the image smaller",
        path.display(),
        listed(*line)
    )]
    TooLarge {
        /// The image file.
        path: PathBuf,
        /// The line of the manifest that names it, where one does.
        line: Option<u64>,
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// How many pixels are decoded at most.
        limit: u64,
    },
    /// No row of the manifest can be used.
    #[error(
        "{}: none of its {rows} rows can be used{}. Names are looked up in {}: check `directory` \
         and the column of file names",
        manifest.display(),
        because(reason),
        directory.display()
    )]
    NoRows {
        /// The manifest.
        manifest: PathBuf,
        /// The folder in which the names of its files are looked up.
        directory: PathBuf,
        /// How many rows the manifest has.
        rows: usize,
        /// Which is the first of them and why it cannot be used; empty where there is none.
        reason: String,
    },
    /// An argument that no loader can be built from.
    #[error("{argument}: {found}; {remedy}")]
    Argument {
        /// Keras's name of the argument.
        argument: &'static str,
        /// What was given.
        found: String,
        /// What to give instead.
        remedy: &'static str,
    },
}

impl Error {
    /// Names the file beside what the operating system says:
    /// `fs::read(path).map_err(Error::io(path))`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { path: path.to_path_buf(), cause }
    }

    /// Adds the line of the manifest that names the image.
    pub(crate) fn on_line(mut self, number: u64) -> Self {
        if let Self::Image { line, .. } | Self::TooLarge { line, .. } = &mut self {
            *line = Some(number);
        }
        self
    }
}

fn meant(column: &str, columns: &[String]) -> String {
    let near = nearest(column, columns.iter().map(String::as_str)).filter(|c| *c != column);
    near.map_or_else(String::new, |c| format!("; did you mean {c:?}?"))
}

fn listed(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(" (line {line} of the manifest)"))
}

fn because(reason: &str) -> String {
    if reason.is_empty() {
        return String::new();
    }
    format!(" (the first: {reason})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn what_the_system_says_is_said_once() {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let error = Error::io(Path::new("nope.csv"))(missing());
        assert_eq!(error.to_string(), format!("nope.csv: {}", missing()));
        // A program that prints the chain of causes would say it again.
        assert!(error.source().is_none());
    }
}
