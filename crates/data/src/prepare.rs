//! From a folder of images to the two manifests that training starts from.
//!
//! ```text
//! Class        of `cat.123.jpg` what is before the first dot; where no image bears such a name,
//!              the name of the folder that it lies in: `cats/x.jpg`
//! Split        by class: round(n · `validation_split`) of its n images are for validation, at
//!              least one and at most n − 1, so that both manifests know the same classes
//! Random       from the seed and the sorted names: neither the order in which the file system
//!              lists them nor where the folder lies matters
//! ```

mod listing;
mod relative;

pub use listing::{Skip, Skipped};

use crate::{Error, Manifest};
use gradus_random::{Domain, Key};
use listing::{Listing, listing};
use relative::prefix;
use std::fmt;
use std::path::{Path, PathBuf};

const SPLIT: Domain = Domain::named("prepare split");
const ORDER: Domain = Domain::named("prepare order");

/// How many skipped files the report names.
const NAMED: usize = 5;

const LAYOUTS: &str = "name the images class.number.ending, as in cat.0.jpg and dog.0.jpg, or put \
                       those of each class into a folder of its own";

/// How a folder is made into manifests.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepare {
    /// The manifests are called `<name>-train.csv` and `<name>-val.csv`. Default `dogs_vs_cats`.
    pub name: String,
    /// The share of the images of each class that is for validation, between 0 and 1. Default 0.2.
    pub validation_split: f64,
    /// The seed of the split and of the order of the rows. Default 0.
    pub seed: u64,
    /// The column of the file names. Default `filename`.
    pub x_col: String,
    /// The column of the classes. Default `category`.
    pub y_col: String,
    /// Where the manifests are written: a folder, which is made if need be. Default: beside the
    /// images. Names in a manifest are relative to its own folder.
    pub out: Option<PathBuf>,
}

impl Default for Prepare {
    fn default() -> Self {
        Self {
            name: "dogs_vs_cats".into(),
            validation_split: 0.2,
            seed: 0,
            x_col: "filename".into(),
            y_col: "category".into(),
            out: None,
        }
    }
}

/// What was prepared. Its text is a report of a few lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The manifest of the training images: file names and classes.
    pub train: PathBuf,
    /// The same for validation.
    pub validation: PathBuf,
    /// How many images of each class went where, in the order of the classes' names.
    pub classes: Vec<Counts>,
    /// What was in the folder and is not used, in the order of its names.
    pub skipped: Vec<Skipped>,
}

/// How many images of a class went where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The name of the class.
    pub class: String,
    /// Images to train on.
    pub train: usize,
    /// Images to validate on.
    pub validation: usize,
}

/// Splits the images of a folder into two manifests.
///
/// ```no_run
/// use gradus_data::prepare::{Prepare, prepare};
/// let prepared = prepare("data/train", &Prepare { seed: 7, ..Prepare::default() })?;
/// println!("{prepared}"); // cat: 10000 to train, 2500 to validate …
/// # Ok::<(), gradus_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if the folder holds no usable image, images of one class only or a single
/// image of some class, or if the share or the name makes no sense; [`Error::Io`] if the folder
/// cannot be read or the manifests cannot be written. What is merely strange, a file of another
/// kind for instance, is reported in [`Prepared::skipped`].
pub fn prepare(folder: impl AsRef<Path>, options: &Prepare) -> Result<Prepared, Error> {
    let folder = folder.as_ref();
    check(options)?;
    let manifests = ["train", "val"].map(|part| format!("{}-{part}.csv", options.name));
    let listing = listing(folder, &manifests)?;
    check_classes(folder, &listing)?;
    let out = options.out.as_deref().unwrap_or(folder);
    let prefix = prefix(out, folder)?;
    let (rows, classes) = split(&listing, &prefix, options);
    let [train, validation] = manifests.map(|name| out.join(name));
    for (path, rows) in [&train, &validation].into_iter().zip(rows) {
        Manifest::from_rows(&[options.x_col.as_str(), &options.y_col], rows)?.write(path)?;
    }
    Ok(Prepared { train, validation, classes, skipped: listing.skipped })
}

/// File name and class.
type Row = [String; 2];

/// The rows of both manifests and how many each class has there.
fn split(listing: &Listing, prefix: &str, options: &Prepare) -> ([Vec<Row>; 2], Vec<Counts>) {
    let stream = |domain, index| {
        let seed = options.seed;
        Key { seed, epoch: 0, index }.stream(domain)
    };
    let mut parts = [vec![], vec![]];
    let mut counts = Vec::new();
    for (index, (class, names)) in (0u32..).zip(&listing.classes) {
        let mut names = names.clone();
        stream(SPLIT, index).shuffle(&mut names);
        let share = (names.len() as f64 * options.validation_split).round() as usize;
        let validation = share.clamp(1, names.len() - 1);
        counts.push(Counts { class: class.clone(), train: names.len() - validation, validation });
        for (i, name) in names.iter().enumerate() {
            let row = [format!("{prefix}{name}"), class.clone()];
            parts[usize::from(i < validation)].push(row);
        }
    }
    for (index, rows) in (0u32..).zip(&mut parts) {
        stream(ORDER, index).shuffle(rows);
    }
    (parts, counts)
}

fn check(options: &Prepare) -> Result<(), Error> {
    let split = options.validation_split;
    if !(split > 0.0 && split < 1.0) {
        return Err(Error::Argument {
            argument: "validation_split",
            found: split.to_string(),
            remedy: "give a share between 0 and 1, both excluded",
        });
    }
    if Path::new(&options.name).file_name() != Some(options.name.as_ref()) {
        return Err(Error::Argument {
            argument: "name",
            found: format!("{:?}", options.name),
            remedy: "give the beginning of a file name, without folders; those go into `out`",
        });
    }
    let Prepare { x_col, y_col, .. } = options;
    if x_col == y_col || x_col.trim().is_empty() || y_col.trim().is_empty() {
        return Err(Error::Argument {
            argument: "x_col, y_col",
            found: format!("{x_col:?}, {y_col:?}"),
            remedy: "give the columns two different names",
        });
    }
    Ok(())
}

/// Refuses folders from which nothing can be learned.
fn check_classes(folder: &Path, listing: &Listing) -> Result<(), Error> {
    let refuse = |found: String, remedy| {
        Err(Error::Argument {
            argument: "folder",
            found: format!("{} holds {found}", folder.display()),
            remedy,
        })
    };
    let mut classes = listing.classes.iter();
    match (classes.next(), classes.next()) {
        (None, _) => {
            let first = listing.skipped.first();
            let first =
                first.map_or_else(String::new, |s| format!(" (the first thing in it: {s})"));
            refuse(format!("no image that can be used{first}"), LAYOUTS)
        }
        (Some((class, names)), None) => {
            let n = names.len();
            refuse(format!("images of one class only, {n} of {class:?}"), LAYOUTS)
        }
        _ => match listing.classes.iter().find(|(_, names)| names.len() == 1) {
            Some((class, names)) => refuse(
                format!("a single image of class {class:?}, {}", names[0]),
                "give each class two images or more, one for each manifest, or take it out",
            ),
            None => Ok(()),
        },
    }
}

impl fmt::Display for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for counts in &self.classes {
            let Counts { class, train, validation } = counts;
            writeln!(f, "{class}: {train} to train, {validation} to validate")?;
        }
        for skipped in self.skipped.iter().take(NAMED) {
            writeln!(f, "skipped {skipped}")?;
        }
        if self.skipped.len() > NAMED {
            writeln!(f, "and {} more", self.skipped.len() - NAMED)?;
        }
        write!(f, "written to {} and {}", self.train.display(), self.validation.display())
    }
}

#[cfg(test)]
mod tests;
