//! Images in files: read, decoded and resized one at a time, whenever they are asked for.

use crate::{Dataset, Error, Interpolation, Sample};
use std::path::{Path, PathBuf};

/// One image file.
#[derive(Clone, Debug)]
pub(crate) struct ImageFile {
    pub(crate) path: PathBuf,
    /// The line of the manifest that names it.
    pub(crate) line: u64,
    pub(crate) label: u32,
}

/// The image files that a manifest names. Made by [`flow_from_dataframe`](crate::flow_from_dataframe()).
#[derive(Clone, Debug)]
pub struct ImageFiles {
    /// The path and the line of the manifest of each image.
    files: Vec<(PathBuf, u64)>,
    labels: Vec<u32>,
    classes: Vec<String>,
    /// Height and width.
    target_size: [usize; 2],
    interpolation: Interpolation,
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
        }
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
        [height, width, 3]
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn read(&self, index: usize, into: &mut Sample) -> Result<(), Error> {
        let (path, line) = &self.files[index];
        let original = into.decoder.read(path).map_err(|e| e.on_line(*line))?;
        self.interpolation.resize(original, into.image.view_mut());
        Ok(())
    }
}
