//! Batches of the images that a manifest names: Keras's `flow_from_dataframe`.
//!
//! ```text
//! Path         `directory`/`x_col`; an absolute name stands for itself
//! Rows         those stay whose name ends like an image's and is that of a file (`validate_filenames`),
//!              and then those whose class is among `classes`
//! Classes      `classes`, in that order, or all that the remaining rows have, sorted as text:
//!              "10" comes before "2"
//! Source       tf_keras 2.21, `preprocessing/image.py`, `DataFrameIterator`
//! ```

use crate::image_files::ImageFile;
use crate::{ColorMode, DataLoader, Error, Flow, Found, Ignored, ImageFiles, Interpolation};
use crate::{Manifest, Reading, Reason};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How names of image files end, in small letters and, as in Keras, without asking for the dot.
const ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff"];

/// What a target looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClassMode {
    /// One-hot: a number for each class, 1 for the image's own and 0 for the others. Keras's default.
    #[default]
    Categorical,
}

/// Where [`flow_from_dataframe()`] takes its images from: Keras's arguments and defaults.
#[derive(Clone, Debug)]
pub struct Dataframe<'a> {
    frame: &'a Manifest,
    directory: PathBuf,
    x_col: String,
    y_col: String,
    target_size: [usize; 2],
    class_mode: ClassMode,
    classes: Option<Vec<String>>,
    interpolation: Interpolation,
    keep_aspect_ratio: bool,
    reading: Reading,
    validate_filenames: bool,
}

/// A [`Flow`] from a manifest.
pub type FlowFromDataframe<'a> = Flow<Dataframe<'a>>;

/// The images that `frame` names, which lie in `directory` (empty: the names are paths).
///
/// ```no_run
/// use gradus_data::{Manifest, flow_from_dataframe};
/// let frame = Manifest::read("data/dogs_vs_cats-train.csv")?;
/// let mut train = flow_from_dataframe(&frame, "data")
///     .x_col("filename")
///     .y_col("category")
///     .target_size(128, 128)
///     .batch_size(15)
///     .open()?;
/// println!("{}", train.found());
/// # Ok::<(), gradus_data::Error>(())
/// ```
pub fn flow_from_dataframe(frame: &Manifest, directory: impl AsRef<Path>) -> FlowFromDataframe<'_> {
    Flow::new(Dataframe {
        frame,
        directory: directory.as_ref().to_path_buf(),
        x_col: "filename".into(),
        y_col: "class".into(),
        target_size: [256, 256],
        class_mode: ClassMode::default(),
        classes: None,
        interpolation: Interpolation::default(),
        keep_aspect_ratio: false,
        reading: Reading::default(),
        validate_filenames: true,
    })
}

impl FlowFromDataframe<'_> {
    /// The column of the file names: `filename` by default.
    pub fn x_col(mut self, column: &str) -> Self {
        self.source.x_col = column.into();
        self
    }

    /// The column of the classes: `class` by default.
    pub fn y_col(mut self, column: &str) -> Self {
        self.source.y_col = column.into();
        self
    }

    /// The size in pixels that every image is resized to: 256 by 256 by default.
    pub fn target_size(mut self, height: usize, width: usize) -> Self {
        self.source.target_size = [height, width];
        self
    }

    /// What a target looks like: one-hot by default.
    pub fn class_mode(mut self, mode: ClassMode) -> Self {
        self.source.class_mode = mode;
        self
    }

    /// The classes, in the order of the targets; rows of others are left out. By default all that
    /// there are, sorted as text. A class that is named twice counts once.
    pub fn classes<C: Into<String>>(mut self, classes: impl IntoIterator<Item = C>) -> Self {
        self.source.classes = Some(classes.into_iter().map(Into::into).collect());
        self
    }

    /// How images are resized: the nearest pixel by default.
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.source.interpolation = interpolation;
        self
    }

    /// Whether what sticks out of the target's aspect ratio is cut off on both sides, so that
    /// nothing is squeezed. Not by default.
    pub fn keep_aspect_ratio(mut self, keep: bool) -> Self {
        self.source.keep_aspect_ratio = keep;
        self
    }

    /// Which channels images have: RGB by default.
    pub fn color_mode(mut self, mode: ColorMode) -> Self {
        self.source.reading.color_mode = mode;
        self
    }

    /// Whether images are turned as their EXIF block says. Not by default, as in Keras.
    pub fn exif_orientation(mut self, turn: bool) -> Self {
        self.source.reading.exif_orientation = turn;
        self
    }

    /// The most pixels a file may declare ([`Reading::max_pixels`]).
    pub fn max_pixels(mut self, pixels: u64) -> Self {
        self.source.reading.max_pixels = pixels;
        self
    }

    /// Whether names that are no image files are left out beforehand (the default). Otherwise such
    /// a name is an error when its turn comes.
    pub fn validate_filenames(mut self, validate: bool) -> Self {
        self.source.validate_filenames = validate;
        self
    }

    /// Looks the files up and starts the workers.
    ///
    /// # Errors
    /// [`Error::Column`] if a column is not there, [`Error::Empty`] if a cell of it is empty,
    /// [`Error::NoRows`] if no row can be used, [`Error::Argument`] if an argument makes no sense.
    pub fn open(self) -> Result<DataLoader, Error> {
        let (dataset, found) = self.source.find()?;
        DataLoader::open(Arc::new(dataset), found, self.options)
    }
}

/// A row of the manifest.
struct Row<'a> {
    line: u64,
    filename: &'a str,
    class: &'a str,
}

impl<'a> Dataframe<'a> {
    fn find(&self) -> Result<(ImageFiles, Found), Error> {
        if self.target_size.contains(&0) {
            let [height, width] = self.target_size;
            return Err(Error::Argument {
                argument: "target_size",
                found: format!("{height} x {width}"),
                remedy: "give 1 or more pixels on each side",
            });
        }
        let mut ignored = Vec::new();
        let mut rows = self.rows()?;
        if self.validate_filenames {
            rows.retain(|row| keep(row, self.invalid(row.filename), &mut ignored));
        }
        let classes = self.class_names(&rows);
        let labels: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        rows.retain(|row| {
            let other = !labels.contains_key(row.class);
            keep(row, other.then(|| Reason::Class(row.class.into())), &mut ignored)
        });
        ignored.sort_by_key(|row| row.line);
        if rows.is_empty() {
            return Err(self.no_rows(&ignored));
        }
        let files = rows.iter().map(|row| ImageFile {
            path: self.directory.join(row.filename),
            line: row.line,
            label: labels[row.class],
        });
        let files: Vec<ImageFile> = files.collect();
        let found = self.found(files.len(), classes.len(), ignored);
        let dataset = match self.class_mode {
            ClassMode::Categorical => {
                ImageFiles::new(files, classes, self.target_size, self.interpolation)
                    .with_reading(self.reading, self.keep_aspect_ratio)
            }
        };
        Ok((dataset, found))
    }

    fn rows(&self) -> Result<Vec<Row<'a>>, Error> {
        let frame = self.frame;
        let cells = frame.column(&self.x_col)?.zip(frame.column(&self.y_col)?);
        let empty = |line, column: &str| Error::Empty {
            path: frame.origin().to_path_buf(),
            line,
            column: column.into(),
        };
        let rows = cells.enumerate().map(|(row, (filename, class))| {
            let line = frame.line(row);
            match (filename, class) {
                ("", _) => Err(empty(line, &self.x_col)),
                (_, "") => Err(empty(line, &self.y_col)),
                _ => Ok(Row { line, filename, class }),
            }
        });
        rows.collect()
    }

    /// Why that name is no image file, if so.
    fn invalid(&self, filename: &str) -> Option<Reason> {
        let name = filename.to_lowercase();
        if !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            return Some(Reason::Extension);
        }
        let is_file = self.directory.join(filename).is_file();
        (!is_file).then_some(Reason::NoFile)
    }

    fn class_names(&self, rows: &[Row<'_>]) -> Vec<String> {
        let Some(given) = &self.classes else {
            let mut all: Vec<&str> = rows.iter().map(|row| row.class).collect();
            all.sort_unstable();
            all.dedup();
            return all.into_iter().map(String::from).collect();
        };
        let mut names = Vec::with_capacity(given.len());
        for name in given {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    fn found(&self, images: usize, classes: usize, ignored: Vec<Ignored>) -> Found {
        let what = match self.validate_filenames {
            true => "validated image filenames",
            false => "non-validated image filenames",
        };
        let (x_col, y_col) = (self.x_col.clone(), self.y_col.clone());
        Found { images, what, classes, ignored, x_col, y_col }
    }

    fn no_rows(&self, ignored: &[Ignored]) -> Error {
        Error::NoRows {
            manifest: self.frame.origin().to_path_buf(),
            directory: self.directory.clone(),
            rows: self.frame.len(),
            reason: ignored.first().map_or_else(String::new, ToString::to_string),
        }
    }
}

/// Whether a row stays; if there is a reason why not, it is noted.
fn keep(row: &Row<'_>, reason: Option<Reason>, ignored: &mut Vec<Ignored>) -> bool {
    let Some(reason) = reason else {
        return true;
    };
    let (line, filename) = (row.line, row.filename.to_string());
    ignored.push(Ignored { line, filename, reason });
    false
}
