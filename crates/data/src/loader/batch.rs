//! A batch: the images and targets of one step, in memory that goes round and round.
//!
//! A short batch is a smaller view of the same memory: nothing is allocated for it.

use super::pictures::Pictures;
use crate::{Dataset, Mt19937, PixelMap, Problem};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayView4, Axis, Slice};

/// Images with their targets, ready for a step.
#[derive(Debug)]
pub struct Batch {
    /// (B, H, W, C), of which the first [`Batch::len`] images are this batch's.
    pub(super) images: Pictures,
    /// (B, outputs), likewise.
    pub(super) targets: Array2<f32>,
    /// (B), likewise, where images have weights.
    pub(super) weights: Option<Vec<f32>>,
    /// (N), at most B.
    pub(super) rows: Vec<u32>,
    /// (N): the same, but for a bad image that was replaced the row that was asked for.
    pub(super) asked: Vec<u32>,
    /// What was skipped or replaced in this batch.
    pub(super) problems: Vec<Problem>,
    /// Where its images draw from, if not from their keys.
    pub(super) rng: Option<Mt19937>,
}

impl Batch {
    /// Room for `room` images of a data set: B, or N where that is less.
    pub(super) fn new(room: usize, dataset: &dyn Dataset) -> Self {
        Self {
            images: Pictures::new(room, dataset.size()),
            targets: Array2::zeros((room, dataset.outputs())),
            weights: dataset.weights().map(|_| vec![0.0; room]),
            rows: Vec::with_capacity(room),
            asked: Vec::with_capacity(room),
            problems: Vec::new(),
            rng: None,
        }
    }

    /// The images: (N, H, W, C), contiguous.
    ///
    /// # Panics
    /// If they are [`bytes`](Batch::bytes), which only comes of
    /// [`DataLoader::start_bytes_at`](crate::DataLoader::start_bytes_at).
    #[must_use]
    pub fn images(&self) -> ArrayView4<'_, f32> {
        let Pictures::Floats(images) = &self.images else {
            panic!("the loader was asked for bytes: they are in `Batch::bytes`")
        };
        images.slice_axis(Axis(0), Slice::from(..self.len()))
    }

    /// The images as they were read, (N, H, W, C), contiguous, and what is to be done to each, (N),
    /// if the loader was asked for that and could give it.
    #[must_use]
    pub fn bytes(&self) -> Option<(ArrayView4<'_, u8>, &[PixelMap])> {
        match &self.images {
            Pictures::Floats(_) => None,
            Pictures::Bytes { pixels, maps } => {
                let n = self.len();
                Some((pixels.slice_axis(Axis(0), Slice::from(..n)), &maps[..n]))
            }
        }
    }

    /// The targets: (N, outputs), one-hot unless the class mode is another, contiguous.
    #[must_use]
    pub fn targets(&self) -> ArrayView2<'_, f32> {
        self.targets.slice_axis(Axis(0), Slice::from(..self.len()))
    }

    /// How much each image weighs in the loss: (N); `None` where all weigh the same.
    #[must_use]
    pub fn weights(&self) -> Option<ArrayView1<'_, f32>> {
        self.weights.as_ref().map(|all| ArrayView1::from(&all[..self.len()]))
    }

    /// Which rows of the data set these are, in the order of the batch: where a bad image was
    /// replaced, the row that stands in.
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
