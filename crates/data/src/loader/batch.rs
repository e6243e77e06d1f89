//! A batch: the images and targets of one step, in memory that goes round and round.
//!
//! A short batch is a smaller view of the same memory: nothing is allocated for it.

use ndarray::{Array2, Array4, ArrayView2, ArrayView4, Axis, Slice};

/// Images with their targets, ready for a step.
#[derive(Debug)]
pub struct Batch {
    /// (B, H, W, C), of which the first [`Batch::len`] images are this batch's.
    pub(super) images: Array4<f32>,
    /// (B, outputs), likewise.
    pub(super) targets: Array2<f32>,
    /// (N), at most B.
    pub(super) rows: Vec<u32>,
}

impl Batch {
    pub(super) fn new(batch_size: usize, [h, w, c]: [usize; 3], outputs: usize) -> Self {
        Self {
            images: Array4::zeros((batch_size, h, w, c)),
            targets: Array2::zeros((batch_size, outputs)),
            rows: Vec::with_capacity(batch_size),
        }
    }

    /// The images: (N, H, W, C), contiguous.
    #[must_use]
    pub fn images(&self) -> ArrayView4<'_, f32> {
        self.images.slice_axis(Axis(0), Slice::from(..self.len()))
    }

    /// The targets: (N, classes), one-hot, contiguous.
    #[must_use]
    pub fn targets(&self) -> ArrayView2<'_, f32> {
        self.targets.slice_axis(Axis(0), Slice::from(..self.len()))
    }

    /// Which rows of the data set these are, in the order of the batch.
    #[must_use]
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// N: the batch size, or less for the one short batch of an epoch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never true of a batch that a loader gives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
