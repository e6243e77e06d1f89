//! Which rows of a manifest become images, in Keras's order: names, classes, subset, targets.

use super::Dataframe;
use crate::files::Endings;
use crate::image_files::ImageFile;
use crate::nearest::Neighbours;
use crate::split::Split;
use crate::targets::Targets;
use crate::{ClassMode, Error, Files, Found, Ignored, ImageFiles, Manifest, Reason};
use ndarray::Array2;
use std::collections::{HashMap, HashSet};

/// A row of the manifest.
struct Row<'a> {
    /// Which one, from 0.
    number: usize,
    line: u64,
    filename: &'a str,
    /// The names of its classes, where targets are classes.
    classes: Vec<&'a str>,
}

type Source<'a> = Files<Dataframe<'a>>;

/// The images of the rows that stay, and what is to be said about them and the others.
pub(super) fn find(source: &Source<'_>, split: Split) -> Result<(ImageFiles, Found), Error> {
    source.check()?;
    source.check_columns()?;
    let listing = &source.listing;
    let mut ignored = Vec::new();
    let mut rows = source.rows()?;
    if listing.validate_filenames {
        let mut neighbours = Neighbours::default();
        rows.retain(|row| {
            keep(row, listing.invalid(row.filename, &source.endings, &mut neighbours), &mut ignored)
        });
    }
    let classes = source.filter_classes(&mut rows, &mut ignored)?;
    ignored.sort_by_key(|row| row.line);
    let usable = rows.len();
    let wanted = split.range(usable)?;
    rows = rows.drain(wanted).collect();
    if rows.is_empty() {
        return Err(listing.no_rows(usable, &ignored));
    }
    let targets = source.targets(&rows, &classes)?;
    let weights = match &listing.weight_col {
        None => None,
        Some(column) => Some(listing.numbers(&[column], &rows)?.into_raw_vec_and_offset().0),
    };
    let found = source.found(&rows, &targets, &classes, ignored, split);
    let files = rows
        .iter()
        .map(|row| ImageFile { path: listing.directory.join(row.filename), line: Some(row.line) });
    let files = files.collect();
    let loading = source.loading.clone();
    let directory = listing.directory.clone();
    Ok((ImageFiles { directory, files, classes, targets, weights, loading }, found))
}

impl<'a> Source<'a> {
    /// Refuses columns and class modes that do not belong together.
    fn check_columns(&self) -> Result<(), Error> {
        let (mode, Dataframe { y_cols, label_separator, .. }) = (self.class_mode, &self.listing);
        let refuse =
            |argument, found: String, remedy| Err(Error::Argument { argument, found, remedy });
        match y_cols.len() {
            0 if !matches!(mode, ClassMode::Input | ClassMode::None) => {
                return refuse("y_col", "no column".into(), "name one");
            }
            n if n > 1 && mode.has_classes() => {
                let found = format!("{n} columns, and class_mode is {}", mode.name());
                return refuse("y_col", found, "name one, or use raw or multi_output");
            }
            1 if mode == ClassMode::MultiOutput => {
                let found = "one column, and class_mode is multi_output".into();
                return refuse("y_col", found, "name one for each output, or use raw");
            }
            _ => {}
        }
        if label_separator.is_some() && mode != ClassMode::Categorical {
            let found = format!("given, and class_mode is {}", mode.name());
            return refuse("label_separator", found, "use categorical");
        }
        Ok(())
    }

    fn rows(&self) -> Result<Vec<Row<'a>>, Error> {
        let Dataframe { x_col, y_cols, label_separator, .. } = &self.listing;
        let frame: &'a Manifest = self.listing.frame;
        let empty = |line, column: &str| Error::Empty {
            path: frame.origin().to_path_buf(),
            line,
            column: column.into(),
        };
        let mut rows = Vec::with_capacity(frame.len());
        for (number, filename) in frame.column(x_col)?.enumerate() {
            let line = frame.line(number);
            if filename.is_empty() {
                return Err(empty(line, x_col));
            }
            rows.push(Row { number, line, filename, classes: Vec::new() });
        }
        if !self.class_mode.has_classes() {
            return Ok(rows);
        }
        for (row, cell) in rows.iter_mut().zip(frame.column(&y_cols[0])?) {
            match label_separator {
                None => row.classes.push(cell),
                Some(c) => row.classes.extend(cell.split(*c).map(str::trim)),
            }
            row.classes.retain(|class| !class.is_empty());
            if row.classes.is_empty() {
                return Err(empty(row.line, &y_cols[0]));
            }
        }
        Ok(rows)
    }

    /// The names of the classes; rows that have none of them are left out.
    fn filter_classes(
        &self,
        rows: &mut Vec<Row<'_>>,
        ignored: &mut Vec<Ignored>,
    ) -> Result<Vec<String>, Error> {
        if !self.class_mode.has_classes() {
            return Ok(Vec::new());
        }
        let names = self.class_names(rows.iter().flat_map(|row| row.classes.iter().copied()));
        let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
        rows.retain_mut(|row| {
            let own = row.classes.join(", ");
            row.classes.retain(|class| wanted.contains(class));
            let other = row.classes.is_empty().then_some(Reason::Class(own));
            keep(row, other, ignored)
        });
        if !rows.is_empty() {
            self.check_classes(&names)?;
        }
        Ok(names)
    }

    fn targets(&self, rows: &[Row<'_>], classes: &[String]) -> Result<Targets, Error> {
        let index: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let many = || rows.iter().map(|r| r.classes.iter().map(|c| index[c]).collect()).collect();
        let one = || rows.iter().map(|row| index[row.classes[0]]).collect();
        let k = classes.len();
        Ok(match self.class_mode {
            ClassMode::Categorical if self.listing.label_separator.is_some() => {
                Targets::ManyHot { labels: many(), classes: k }
            }
            ClassMode::Categorical => Targets::OneHot { labels: one(), classes: k },
            ClassMode::Binary | ClassMode::Sparse => Targets::Index { labels: one() },
            ClassMode::Raw | ClassMode::MultiOutput => {
                let columns: Vec<&String> = self.listing.y_cols.iter().collect();
                Targets::Numbers(self.listing.numbers(&columns, rows)?)
            }
            ClassMode::Input => Targets::Image { outputs: self.loading.size().iter().product() },
            ClassMode::None => Targets::None,
        })
    }

    fn found(
        &self,
        rows: &[Row<'_>],
        targets: &Targets,
        classes: &[String],
        ignored: Vec<Ignored>,
        split: Split,
    ) -> Found {
        let listing = &self.listing;
        let what = match listing.validate_filenames {
            true => "validated image filenames",
            false => "non-validated image filenames",
        };
        let mode = self.class_mode;
        let unused = (self.classes.is_some() && !mode.has_classes())
            .then(|| format!("`classes` will be ignored given the class_mode=\"{}\"", mode.name()));
        let remarks = unused.into_iter().chain(split.warning(targets.labels(), classes)).collect();
        Found {
            images: rows.len(),
            what,
            classes: mode.has_classes().then_some(classes.len()),
            ignored,
            remarks,
            x_col: listing.x_col.clone(),
            y_col: listing.y_cols.join(", "),
        }
    }
}

impl Dataframe<'_> {
    /// Why that name is no image file, if so.
    fn invalid(
        &self,
        filename: &str,
        endings: &Endings,
        neighbours: &mut Neighbours,
    ) -> Option<Reason> {
        if !endings.has(filename) {
            return Some(Reason::Extension);
        }
        let path = self.directory.join(filename);
        (!path.is_file()).then(|| Reason::NoFile { nearest: neighbours.nearest(&path) })
    }

    /// Some columns of some rows as numbers: (rows, columns).
    fn numbers(&self, columns: &[&String], rows: &[Row<'_>]) -> Result<Array2<f32>, Error> {
        let mut numbers = Array2::zeros((rows.len(), columns.len()));
        for (column, mut into) in columns.iter().zip(numbers.columns_mut()) {
            let cells: Vec<&str> = self.frame.column(column)?.collect();
            for (row, into) in rows.iter().zip(&mut into) {
                let found = cells[row.number];
                let number = found.trim().parse().ok().filter(|n: &f32| n.is_finite());
                *into = number.ok_or_else(|| Error::Number {
                    path: self.frame.origin().to_path_buf(),
                    line: row.line,
                    column: (*column).clone(),
                    found: found.into(),
                })?;
            }
        }
        Ok(numbers)
    }

    fn no_rows(&self, usable: usize, ignored: &[Ignored]) -> Error {
        let first = ignored.first().map_or_else(String::new, ToString::to_string);
        Error::NoRows {
            manifest: self.frame.origin().to_path_buf(),
            directory: self.directory.clone(),
            rows: self.frame.len(),
            reason: match usable {
                0 => first,
                n => format!("of {n} usable rows none is in this subset"),
            },
        }
    }
}

/// Whether a row stays; if there is a reason why not, it is noted.
fn keep(row: &Row<'_>, reason: Option<Reason>, ignored: &mut Vec<Ignored>) -> bool {
    let Some(reason) = reason else {
        return true;
    };
    let (line, filename) = (Some(row.line), row.filename.to_string());
    ignored.push(Ignored { line, filename, reason });
    false
}
