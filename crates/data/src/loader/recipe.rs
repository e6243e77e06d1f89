//! How a batch is made: read, transform, write into its row of the batch, in one pass.
//!
//! The same for every worker, and for the calling thread where there are none.

use super::Batch;
use crate::{Dataset, Error, Key, Sample, Transform};
use ndarray::Axis;
use std::sync::Arc;

pub(super) struct Recipe {
    pub(super) dataset: Arc<dyn Dataset>,
    pub(super) transform: Box<dyn Transform>,
    pub(super) seed: u64,
}

impl Recipe {
    /// Fills `batch` with the rows it names, and stops early once `wanted` says no.
    pub(super) fn fill(
        &self,
        batch: &mut Batch,
        epoch: u32,
        sample: &mut Sample,
        wanted: impl Fn() -> bool,
    ) -> Result<(), Error> {
        let Batch { images, targets, rows } = batch;
        for (i, &index) in rows.iter().enumerate().take_while(|_| wanted()) {
            self.dataset.read(index as usize, sample)?;
            let seed = self.seed;
            let key = Key { seed, epoch, index };
            let image = images.index_axis_mut(Axis(0), i);
            self.transform.apply(key.into(), sample.image.view(), image);
            self.dataset.target(index as usize, targets.row_mut(i));
        }
        Ok(())
    }
}
