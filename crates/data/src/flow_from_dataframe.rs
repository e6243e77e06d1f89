//! Batches of the images that a manifest names: Keras's `flow_from_dataframe`.
//!
//! ```text
//! Path         `directory`/`x_col`; an absolute name stands for itself
//! Rows         those stay whose name ends like an image's and is that of a file
//!              (`validate_filenames`), then those with a class among `classes`, then those of the
//!              `subset`
//! Classes      `classes`, in that order, or all that the remaining rows have, sorted as text:
//!              "10" comes before "2"
//! Source       tf_keras 2.21, `preprocessing/image.py`, `DataFrameIterator`
//! ```

mod rows;

use crate::{DataLoader, Error, Files, Flow, Manifest};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where [`flow_from_dataframe()`] takes its images from: Keras's arguments and defaults.
#[derive(Clone, Debug)]
pub struct Dataframe<'a> {
    frame: &'a Manifest,
    directory: PathBuf,
    x_col: String,
    y_cols: Vec<String>,
    weight_col: Option<String>,
    label_separator: Option<char>,
    validate_filenames: bool,
}

/// A [`Flow`] from a manifest.
pub type FlowFromDataframe<'a> = Flow<Files<Dataframe<'a>>>;

/// The images that `frame` names, which lie in `directory` (empty: the names are paths).
///
/// The manifest was read once: a file that changes while a network trains changes nothing.
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
    Flow::new(Files::new(Dataframe {
        frame,
        directory: directory.as_ref().to_path_buf(),
        x_col: "filename".into(),
        y_cols: vec!["class".into()],
        weight_col: None,
        label_separator: None,
        validate_filenames: true,
    }))
}

impl FlowFromDataframe<'_> {
    /// The column of the file names: `filename` by default.
    pub fn x_col(mut self, column: &str) -> Self {
        self.source.listing.x_col = column.into();
        self
    }

    /// The column of the classes: `class` by default.
    pub fn y_col(self, column: &str) -> Self {
        self.y_cols([column])
    }

    /// The columns of the targets, where they are numbers: Keras's list in `y_col`, for the class
    /// modes [`Raw`](crate::ClassMode::Raw) and [`MultiOutput`](crate::ClassMode::MultiOutput).
    pub fn y_cols<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.source.listing.y_cols = columns.into_iter().map(Into::into).collect();
        self
    }

    /// The column that says how much each image weighs in the loss. By default all weigh the same.
    pub fn weight_col(mut self, column: &str) -> Self {
        self.source.listing.weight_col = Some(column.into());
        self
    }

    /// What stands between the classes of an image that has several, as in `cat|indoors`: Keras's
    /// lists in `y_col`, for [`Categorical`](crate::ClassMode::Categorical) alone. Spaces around
    /// them do not count. By default a cell is one class.
    pub fn label_separator(mut self, separator: char) -> Self {
        self.source.listing.label_separator = Some(separator);
        self
    }

    /// Whether names that are no image files are left out beforehand (the default). Otherwise such
    /// a name is an error when its turn comes.
    pub fn validate_filenames(mut self, validate: bool) -> Self {
        self.source.listing.validate_filenames = validate;
        self
    }

    /// Looks the files up and starts the workers.
    ///
    /// # Errors
    /// [`Error::Column`] if a column is not there, [`Error::Empty`] if a cell of it is empty,
    /// [`Error::Number`] if one that must be a number is none, [`Error::NoRows`] if no row can be
    /// used, [`Error::Argument`] if an argument makes no sense; and what [`Flow::verify`] and
    /// [`Flow::cache`] say.
    pub fn open(self) -> Result<DataLoader, Error> {
        let (dataset, found) = rows::find(&self.source, self.options.split)?;
        self.options.open(Arc::new(dataset), found)
    }
}
