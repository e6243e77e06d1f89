//! Images in files: read, decoded and resized one at a time, whenever they are asked for.

use crate::{CropBox, Dataset, Error, Interpolation, Reading, Sample};
use std::path::{Path, PathBuf};

/// One image file.
#[derive(Clone, Debug)]
pub(crate) struct ImageFile {
    pub(crate) path: PathBuf,
    /// The line of the manifest that names it.
    pub(crate) line: u64,
    pub(crate) label: u32,
}

/// The image files that a manifest names. Made by
/// [`flow_from_dataframe`](crate::flow_from_dataframe()).
#[derive(Clone, Debug)]
pub struct ImageFiles {
    /// The path and the line of the manifest of each image.
    files: Vec<(PathBuf, u64)>,
    labels: Vec<u32>,
    classes: Vec<String>,
    /// Height and width.
    target_size: [usize; 2],
    interpolation: Interpolation,
    keep_aspect_ratio: bool,
    reading: Reading,
}

impl ImageFiles {
    pub(crate) fn new(
        files: Vec<ImageFile>,
        classes: Vec<String>,
        target_size: [usize; 2],
        interpolation: Interpolation,
    ) -> Self {
        Self {
            labels: files.iter().map(|f| f.label).collect(),
            files: files.into_iter().map(|f| (f.path, f.line)).collect(),
            classes,
            target_size,
            interpolation,
            keep_aspect_ratio: false,
            reading: Reading::default(),
        }
    }

    /// How the files are read, and whether what sticks out of the target's aspect ratio is cut off.
    pub(crate) fn with_reading(mut self, reading: Reading, keep_aspect_ratio: bool) -> Self {
        (self.reading, self.keep_aspect_ratio) = (reading, keep_aspect_ratio);
        self
    }

    /// The file of image `index`.
    ///
    /// # Panics
    /// If there is no such image.
    #[must_use]
    pub fn path(&self, index: usize) -> &Path {
        &self.files[index].0
    }
}

impl Dataset for ImageFiles {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn size(&self) -> [usize; 3] {
        let [height, width] = self.target_size;
        [height, width, self.reading.color_mode.channels()]
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn read(&self, index: usize, into: &mut Sample) -> Result<(), Error> {
        let (path, line) = &self.files[index];
        let Sample { image, decoder, resizer } = into;
        let original = decoder.read_as(path, self.reading).map_err(|e| e.on_line(*line))?;
        let (height, width, _) = original.dim();
        let part = match self.keep_aspect_ratio {
            true => CropBox::keep_aspect_ratio([height, width], self.target_size),
            false => CropBox::whole(height, width),
        };
        resizer.resize(self.interpolation, original, part, image.view_mut());
        Ok(())
    }
}
