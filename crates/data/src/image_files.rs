//! Images in files: read, decoded and resized one at a time, whenever they are asked for.

use crate::files::Loading;
use crate::hash::Hash;
use crate::targets::Targets;
use crate::{CropBox, Dataset, Error, Sample};
use ndarray::{ArrayView3, ArrayViewMut1};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// One image file.
#[derive(Clone, Debug)]
pub(crate) struct ImageFile {
    pub(crate) path: PathBuf,
    /// The line of the manifest that names it, where one does.
    pub(crate) line: Option<u64>,
}

/// The image files that a manifest names or that lie in folders. Made by
/// [`flow_from_dataframe`](crate::flow_from_dataframe()) and
/// [`flow_from_directory`](crate::flow_from_directory()).
#[derive(Clone, Debug)]
pub struct ImageFiles {
    /// Where they all lie, but for those of an absolute name.
    pub(crate) directory: PathBuf,
    pub(crate) files: Vec<ImageFile>,
    pub(crate) classes: Vec<String>,
    pub(crate) targets: Targets,
    pub(crate) weights: Option<Vec<f32>>,
    pub(crate) loading: Loading,
}

impl ImageFiles {
    /// The file of image `index`.
    ///
    /// # Panics
    /// If there is no such image.
    #[must_use]
    pub fn path(&self, index: usize) -> &Path {
        &self.files[index].path
    }
}

impl Dataset for ImageFiles {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn size(&self) -> [usize; 3] {
        self.loading.size()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn labels(&self) -> &[u32] {
        self.targets.labels()
    }

    fn read(&self, index: usize, into: &mut Sample) -> Result<(), Error> {
        let ImageFile { path, line } = &self.files[index];
        let Sample { image, decoder, resizer } = into;
        let loading = &self.loading;
        let original = decoder.read_as(path, loading.reading).map_err(|e| match line {
            Some(line) => e.on_line(*line),
            None => e,
        })?;
        let (height, width, _) = original.dim();
        let part = match loading.keep_aspect_ratio {
            true => CropBox::keep_aspect_ratio([height, width], loading.target_size),
            false => CropBox::whole(height, width),
        };
        resizer.resize(loading.interpolation, original, part, image.view_mut());
        Ok(())
    }

    fn outputs(&self) -> usize {
        self.targets.outputs()
    }

    fn target(&self, index: usize, image: ArrayView3<'_, f32>, into: ArrayViewMut1<'_, f32>) {
        self.targets.write(index, image, into);
    }

    fn targets_need_images(&self) -> bool {
        self.targets.need_images()
    }

    fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    fn name(&self, index: usize) -> String {
        let ImageFile { path, line } = &self.files[index];
        let line = line.map_or_else(String::new, |line| format!(" (line {line} of the manifest)"));
        format!("{}{line}", path.display())
    }

    fn short_name(&self, index: usize) -> String {
        let path = self.path(index);
        let file = || path.file_name().map_or(path, Path::new);
        let short = path.strip_prefix(&self.directory).unwrap_or_else(|_| file());
        short.to_string_lossy().replace('\\', "/")
    }

    fn description(&self) -> String {
        format!("{:?}", self.loading)
    }

    /// Of the path, the size and the time of change of the file, and of all that is asked of it.
    fn fingerprint(&self, index: usize) -> Option<u64> {
        let path = self.path(index);
        let mut hash = Hash::default();
        hash.text(&path.to_string_lossy()).text(&format!("{:?}", self.loading));
        if let Ok(file) = fs::metadata(path) {
            let changed = file.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
            hash.number(file.len()).number(changed.map_or(0, |t| t.as_nanos() as u64));
        }
        Some(hash.finish())
    }
}
