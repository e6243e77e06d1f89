//! How a batch is made: read, transform, write into its row of the batch, in one pass.
//!
//! The same for every worker, and for the calling thread where there are none.

use super::Batch;
use super::pictures::Pictures;
use crate::save_to_dir::SaveTo;
use crate::{BadImages, Dataset, Error, Key, Sample, Source, Transform};
use ndarray::{ArrayView3, ArrayViewMut1, Axis};
use std::sync::{Arc, PoisonError, RwLock};

pub(super) struct Recipe {
    pub(super) dataset: Arc<dyn Dataset>,
    /// Written only while nobody fills a batch: when a run is resumed.
    pub(super) transform: RwLock<Box<dyn Transform>>,
    pub(super) seed: u64,
    pub(super) bad_images: BadImages,
    pub(super) save_to: SaveTo,
}

impl Recipe {
    /// Fills `batch` with the rows it names, and stops early once `wanted` says no. Rows that are
    /// skipped or replaced are no longer named afterwards.
    pub(super) fn fill(
        &self,
        batch: &mut Batch,
        epoch: u32,
        sample: &mut Sample,
        wanted: impl Fn() -> bool,
    ) -> Result<(), Error> {
        let Batch { images, targets, weights, rows, asked, problems, rng } = batch;
        let seed = self.seed;
        let transform = self.transform.read().unwrap_or_else(PoisonError::into_inner);
        asked.clear();
        for i in 0..rows.len() {
            if !wanted() {
                return Ok(());
            }
            let key = Key { seed, epoch, index: rows[i] };
            let Some(row) = self.bad_images.read(&*self.dataset, key, sample, problems)? else {
                continue;
            };
            let n = asked.len();
            let source = rng.as_mut().map_or(key.into(), Source::Mt19937);
            let (row, pixels) = (row as usize, sample.image.view());
            self.write(&**transform, source, (row, pixels), (images, n), targets.row_mut(n));
            if let (Some(into), Some(all)) = (&mut *weights, self.dataset.weights()) {
                into[n] = all[row];
            }
            rows[n] = row as u32;
            asked.push(key.index);
        }
        rows.truncate(asked.len());
        // Where images are saved, they are made here: `gives_bytes`.
        let Pictures::Floats(images) = images else { return Ok(()) };
        for (image, &index) in images.outer_iter().zip(&*asked) {
            self.save_to.save(image, Key { seed, epoch, index }, rng.as_mut())?;
        }
        Ok(())
    }

    /// Writes image `row`, whose bytes are there unless it is floats, and its target, as number `n`
    /// of a batch.
    fn write(
        &self,
        transform: &dyn Transform,
        source: Source<'_>,
        (row, from): (usize, ArrayView3<'_, u8>),
        (images, n): (&mut Pictures, usize),
        target: ArrayViewMut1<'_, f32>,
    ) {
        match images {
            Pictures::Floats(images) => {
                let mut image = images.index_axis_mut(Axis(0), n);
                match (self.dataset.floats(row), transform.on_floats()) {
                    (Some(from), Some(floats)) => floats.apply(source, from, image.view_mut()),
                    _ => transform.apply(source, from, image.view_mut()),
                }
                self.dataset.target(row, image.view(), target);
            }
            Pictures::Bytes { pixels, maps } => {
                let size @ [height, width, _] = self.dataset.size();
                let device = transform.on_device(size).expect("as when the epoch began");
                maps[n] = device.pixel_map(source, [height, width]);
                pixels.index_axis_mut(Axis(0), n).assign(&from);
                let unseen = ArrayView3::from_shape([0; 3], &[]).expect("of nothing");
                self.dataset.target(row, unseen, target);
            }
        }
    }

    /// Whether batches can be given as bytes: nobody looks at an image before the device does.
    pub(super) fn gives_bytes(&self) -> bool {
        let transform = self.transform.read().unwrap_or_else(PoisonError::into_inner);
        transform.on_device(self.dataset.size()).is_some()
            && self.dataset.floats(0).is_none()
            && !self.dataset.targets_need_images()
            && self.save_to.folder.is_none()
    }
}
