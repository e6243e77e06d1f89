//! Where batches come from.
//!
//! The trainer knows nothing of files: it asks for this much, and `gradus-data`'s loader answers.
//! A source of your own, drawn on the fly perhaps, implements the same trait.

use gradus_data::DataLoader;
use ndarray::{ArrayView1, ArrayView2, ArrayView4};

/// Some images and what they are.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// N·H·W·C, as the network takes them.
    pub images: ArrayView4<'a, f32>,
    /// N·outputs: one-hot, class indices or numbers, as the loss takes them.
    pub targets: ArrayView2<'a, f32>,
    /// N: how much each sample counts in the loss; 1 each if absent.
    pub weights: Option<ArrayView1<'a, f32>>,
}

impl<'a> Batch<'a> {
    /// Samples that all count the same.
    #[must_use]
    pub fn new(images: ArrayView4<'a, f32>, targets: ArrayView2<'a, f32>) -> Self {
        Self { images, targets, weights: None }
    }
}

/// Batches in the order of an epoch.
pub trait Batches {
    /// Samples of a whole epoch.
    fn samples(&self) -> usize;

    /// The most samples in one batch.
    fn batch_size(&self) -> usize;

    /// Height, width and channels of an image.
    fn image_shape(&self) -> [usize; 3];

    /// The names of the classes, in their order; none where targets are numbers.
    fn classes(&self) -> &[String];

    /// Columns of the targets: one for each class, unless overridden.
    fn outputs(&self) -> usize {
        self.classes().len()
    }

    /// Begins `epoch`, of which `steps` batches will be asked for, but for the first `done`: those
    /// were trained on before the run was resumed. What comes is what would have come after them.
    fn start(&mut self, epoch: u32, done: usize, steps: usize);

    /// What the order of the batches depends on, in words: a run is resumed on the same data only.
    fn fingerprint(&self) -> String {
        format!("{} samples, batches of {}", self.samples(), self.batch_size())
    }

    /// Batches of the epoch that are behind: those that were given, and those that were passed over
    /// because none of their images could be read. `None` where none ever is.
    fn position(&self) -> Option<usize> {
        None
    }

    /// What went wrong without ending the epoch: images that were skipped or replaced, once each.
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }

    /// The next batch of the epoch; `None` when there is none left.
    fn next_batch(&mut self) -> Option<Result<Batch<'_>, gradus_data::Error>>;

    /// Batches of a whole epoch: the last may be short.
    fn batches(&self) -> usize {
        self.samples().div_ceil(self.batch_size().max(1))
    }
}

impl Batches for DataLoader {
    fn samples(&self) -> usize {
        self.len()
    }

    fn batch_size(&self) -> usize {
        DataLoader::batch_size(self)
    }

    fn image_shape(&self) -> [usize; 3] {
        DataLoader::image_shape(self)
    }

    fn classes(&self) -> &[String] {
        DataLoader::classes(self)
    }

    fn outputs(&self) -> usize {
        DataLoader::outputs(self)
    }

    fn start(&mut self, epoch: u32, done: usize, steps: usize) {
        DataLoader::start_at(self, epoch, done, Some(steps));
    }

    fn next_batch(&mut self) -> Option<Result<Batch<'_>, gradus_data::Error>> {
        let batch = DataLoader::next_batch(self)?;
        Some(batch.map(|b| Batch {
            images: b.images(),
            targets: b.targets(),
            weights: b.weights(),
        }))
    }

    fn fingerprint(&self) -> String {
        let (n, batch, seed) = (self.len(), DataLoader::batch_size(self), self.seed());
        let rows = DataLoader::fingerprint(self);
        format!("{n} samples in batches of {batch} with seed {seed}, rows {rows:016x}")
    }

    fn position(&self) -> Option<usize> {
        Some(DataLoader::position(self))
    }

    fn problems(&self) -> Vec<String> {
        let problems = DataLoader::problems(self).iter().map(ToString::to_string);
        problems.chain(self.remark()).collect()
    }
}
