//! Decoded and resized images that are kept: a data set around another.
//!
//! ```text
//! Memory       each image is kept when it is read first, until the limit is reached
//! Disk         one file for the whole data set, made when the loader is opened: `cache/disk.rs`
//! Always       the pixels are those that the data set gives, so that the loader knows of nothing
//! ```

mod disk;
mod memory;

use crate::{Dataset, Error, Sample};
use memory::Memory;
use ndarray::{ArrayView3, ArrayViewMut1};
use std::path::PathBuf;
use std::sync::Arc;

/// Where decoded and resized images are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cache {
    /// In memory, as many as fit.
    Memory {
        /// The most bytes that the images may take. One of 128 × 128 pixels takes 48 KiB.
        limit_bytes: usize,
    },
    /// In a file of that name, in a folder that exists. It is made when the loader is opened, and
    /// again when the files, their times of change or the target size are others than it was made
    /// from; what is damaged in it is read from the original files. Several processes may share it.
    Disk(PathBuf),
}

impl Cache {
    /// The data set, by way of this cache.
    pub(crate) fn around(
        self,
        dataset: Arc<dyn Dataset>,
        threads: usize,
        remarks: &mut Vec<String>,
    ) -> Result<Arc<dyn Dataset>, Error> {
        let store: Box<dyn Store> = match self {
            Self::Memory { limit_bytes } => Box::new(Memory::new(&*dataset, limit_bytes)),
            Self::Disk(path) => Box::new(disk::open(path, &*dataset, threads, remarks)?),
        };
        Ok(Arc::new(Cached { dataset, store }))
    }
}

/// Where the bytes of images are.
trait Store: Send + Sync {
    /// Whether image `index` is there: then `into` holds it afterwards, otherwise anything.
    fn get(&self, index: usize, into: &mut [u8]) -> bool;

    /// Offers an image that was not there.
    fn put(&self, index: usize, image: &[u8]);

    /// What there is to say about what was asked for so far.
    fn remark(&self) -> Option<String> {
        None
    }
}

/// A data set whose images are looked for in a store first.
struct Cached {
    dataset: Arc<dyn Dataset>,
    store: Box<dyn Store>,
}

impl Dataset for Cached {
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn size(&self) -> [usize; 3] {
        self.dataset.size()
    }

    fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    fn labels(&self) -> &[u32] {
        self.dataset.labels()
    }

    fn read(&self, index: usize, into: &mut Sample) -> Result<(), Error> {
        if into.image.as_slice_mut().is_some_and(|image| self.store.get(index, image)) {
            return Ok(());
        }
        self.dataset.read(index, into)?;
        if let Some(image) = into.image.as_slice() {
            self.store.put(index, image);
        }
        Ok(())
    }

    fn outputs(&self) -> usize {
        self.dataset.outputs()
    }

    fn target(&self, index: usize, image: ArrayView3<'_, f32>, into: ArrayViewMut1<'_, f32>) {
        self.dataset.target(index, image, into);
    }

    fn targets_need_images(&self) -> bool {
        self.dataset.targets_need_images()
    }

    fn weights(&self) -> Option<&[f32]> {
        self.dataset.weights()
    }

    fn name(&self, index: usize) -> String {
        self.dataset.name(index)
    }

    fn remark(&self) -> Option<String> {
        self.store.remark()
    }

    fn short_name(&self, index: usize) -> String {
        self.dataset.short_name(index)
    }

    fn floats(&self, index: usize) -> Option<ArrayView3<'_, f32>> {
        self.dataset.floats(index)
    }

    fn description(&self) -> String {
        self.dataset.description()
    }

    fn fingerprint(&self, index: usize) -> Option<u64> {
        self.dataset.fingerprint(index)
    }
}
