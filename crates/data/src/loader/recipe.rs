//! How a batch is made: read, transform, write into its row of the batch, in one pass.
//!
//! The same for every worker, and for the calling thread where there are none.

use super::Batch;
use crate::save_to_dir::SaveTo;
use crate::{BadImages, Dataset, Error, Key, Sample, Source, Transform};
use ndarray::Axis;
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
            let mut image = images.index_axis_mut(Axis(0), n);
            match (self.dataset.floats(row as usize), transform.on_floats()) {
                (Some(from), Some(floats)) => floats.apply(source, from, image.view_mut()),
                _ => transform.apply(source, sample.image.view(), image.view_mut()),
            }
            self.dataset.target(row as usize, image.view(), targets.row_mut(n));
            if let (Some(into), Some(all)) = (&mut *weights, self.dataset.weights()) {
                into[n] = all[row as usize];
            }
            rows[n] = row;
            asked.push(key.index);
        }
        rows.truncate(asked.len());
        for (image, &index) in images.outer_iter().zip(&*asked) {
            self.save_to.save(image, Key { seed, epoch, index }, rng.as_mut())?;
        }
        Ok(())
    }
}
