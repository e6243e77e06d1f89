//! A look at every file of one or several manifests before a network trains on them.
//!
//! ```text
//! Each row     named, there, readable to its end, of the type that its name says, with a class
//! All rows     listed once; no two files of the same bytes, above all not in two manifests (what a
//!              network was trained on says nothing when it validates) or with two classes
//! Asked for    pictures that look alike though their bytes differ (`doctor/twins.rs`)
//! The whole    how many images each class has, and how large they are
//! ```

mod file;
mod report;
mod twins;

pub use report::{Finding, Kind, PartReport, Place, Report, Severity, Sizes};

use crate::in_order::in_order;
use crate::nearest::Neighbours;
use crate::{Decoder, Error, Manifest};
use file::{Examined, examine};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::path::{Path, PathBuf};

/// Examines manifests and the files that they name.
///
/// ```no_run
/// use gradus_data::{Manifest, doctor::Doctor};
/// let train = Manifest::read("data/dogs_vs_cats-train.csv")?;
/// let val = Manifest::read("data/dogs_vs_cats-val.csv")?;
/// let doctor = Doctor::new().y_col("category").part("train", &train, "data");
/// let report = doctor.part("val", &val, "data").examine()?;
/// println!("{report}");
/// assert_eq!(report.errors(), 0);
/// # Ok::<(), gradus_data::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a doctor sees nothing before `examine`"]
pub struct Doctor<'a> {
    parts: Vec<Part<'a>>,
    x_col: String,
    y_col: Option<String>,
    threads: usize,
    near_duplicates: bool,
}

#[derive(Clone, Debug)]
struct Part<'a> {
    name: String,
    frame: &'a Manifest,
    directory: PathBuf,
}

/// File names in the column `filename`, no classes, two threads, no look for near duplicates.
impl Default for Doctor<'_> {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            x_col: "filename".into(),
            y_col: None,
            threads: 2,
            near_duplicates: false,
        }
    }
}

/// A row of one of the manifests.
#[derive(Clone, Debug)]
struct Row<'a> {
    place: Place,
    path: PathBuf,
    class: Option<&'a str>,
}

impl<'a> Doctor<'a> {
    /// A doctor without a manifest.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a manifest, whose files lie in `directory`. Its name stands in the report.
    pub fn part(mut self, name: &str, frame: &'a Manifest, directory: impl AsRef<Path>) -> Self {
        let directory = directory.as_ref().to_path_buf();
        self.parts.push(Part { name: name.into(), frame, directory });
        self
    }

    /// The column of the file names: `filename` by default.
    pub fn x_col(mut self, column: &str) -> Self {
        self.x_col = column.into();
        self
    }

    /// The column of the classes. By default classes are not looked at.
    pub fn y_col(mut self, column: &str) -> Self {
        self.y_col = Some(column.into());
        self
    }

    /// How many threads read files: 2 by default.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Whether pictures are compared by what they look like, too. Not by default.
    pub fn near_duplicates(mut self, look: bool) -> Self {
        self.near_duplicates = look;
        self
    }

    /// Reads every file once.
    ///
    /// # Errors
    /// [`Error::Column`] if a manifest has no such column. What is wrong with a file stands in the
    /// report.
    pub fn examine(&self) -> Result<Report, Error> {
        let rows = self.rows()?;
        let mut seen = Vec::with_capacity(rows.len());
        let near = self.near_duplicates;
        let look = |decoder: &mut Decoder, i: usize| examine(&rows[i].path, near, decoder);
        let Ok(()) = in_order(rows.len(), self.threads, Decoder::default, look, |_, examined| {
            seen.push(examined);
            Ok::<(), Infallible>(())
        });
        let mut findings = self.findings(&rows, &seen);
        findings.extend(twins::same_bytes(&rows, &seen));
        if near {
            findings.extend(twins::look_alikes(&rows, &seen));
        }
        findings.sort_by_key(|f| (f.kind.severity(), f.kind.heading(), f.place.part, f.place.line));
        let parts = (0..self.parts.len()).map(|part| self.summary(part, &rows, &seen)).collect();
        let mut report = Report { parts, findings, remarks: Vec::new() };
        report.compare_classes();
        Ok(report)
    }

    fn rows(&self) -> Result<Vec<Row<'a>>, Error> {
        let mut rows = Vec::new();
        for (part, Part { frame, directory, .. }) in self.parts.iter().enumerate() {
            let frame: &'a Manifest = frame;
            let begin = rows.len();
            for (number, filename) in frame.column(&self.x_col)?.enumerate() {
                let (line, filename) = (frame.line(number), filename.to_string());
                let path = directory.join(&filename);
                rows.push(Row { place: Place { part, line, filename }, path, class: None });
            }
            if let Some(column) = &self.y_col {
                let classes = frame.column(column)?;
                rows[begin..].iter_mut().zip(classes).for_each(|(row, c)| row.class = Some(c));
            }
        }
        Ok(rows)
    }

    /// What is wrong with single rows.
    fn findings(&self, rows: &[Row<'_>], seen: &[Examined]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut neighbours = Neighbours::default();
        let mut listed: HashMap<(usize, &Path), &Place> = HashMap::new();
        let mut first: HashMap<&Path, &Place> = HashMap::new();
        for (row, examined) in rows.iter().zip(seen) {
            let mut add = |kind| findings.push(Finding { place: row.place.clone(), kind });
            if row.place.filename.is_empty() {
                add(Kind::NoName);
                continue;
            }
            if row.class == Some("") {
                add(Kind::NoClass);
            }
            for kind in &examined.kinds {
                add(match kind {
                    Kind::Missing { .. } => {
                        Kind::Missing { nearest: neighbours.nearest(&row.path) }
                    }
                    kind => kind.clone(),
                });
            }
            let (path, place) = (row.path.as_path(), &row.place);
            let own = *listed.entry((place.part, path)).or_insert(place);
            let of = *first.entry(path).or_insert(place);
            if !std::ptr::eq(own, place) {
                add(Kind::Repeated { of: own.clone() });
            } else if of.part != place.part && examined.bytes.is_none() {
                // Of a file that has bytes `twins` tells.
                add(Kind::Leak { of: of.clone() });
            }
        }
        findings
    }

    fn summary(&self, part: usize, rows: &[Row<'_>], seen: &[Examined]) -> PartReport {
        let own = || rows.iter().zip(seen).filter(|(row, _)| row.place.part == part);
        let mut classes = BTreeMap::new();
        let named = own().filter_map(|(row, _)| row.class).filter(|class| !class.is_empty());
        named.for_each(|class| *classes.entry(class.to_string()).or_insert(0) += 1);
        let sizes: Vec<[usize; 2]> = own().filter_map(|(_, examined)| examined.size).collect();
        PartReport {
            name: self.parts[part].name.clone(),
            rows: own().count(),
            readable: sizes.len(),
            classes: classes.into_iter().collect(),
            sizes: Sizes::of(&sizes),
        }
    }
}

#[cfg(test)]
mod tests;
