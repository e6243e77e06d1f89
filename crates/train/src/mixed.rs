//! Batches that are changed as a whole on their way to the trainer: MixUp, CutMix.
//!
//! The change is given the epoch and the step, so that it may draw from them and from its own seed
//! and nothing else: a run that is resumed in the middle of an epoch then sees what it would have
//! seen.

use crate::{Batch, Batches};
use ndarray::{Array2, Array4, ArrayViewMut2, ArrayViewMut4, Axis, Slice};

/// Batches of another source with a change made to each.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (mut loader, mut model): (gradus_data::DataLoader, gradus_train::Model) = unimplemented!();
/// use gradus_train::{Fit, Mixed};
/// // With gradus_augment's MixUp::new(0.2)? as `mix`, and `index` the step of the key:
/// let mut mixed = Mixed::new(&mut loader, |_epoch, _step, mut images, _targets| {
///     // mix.apply(mix.draw(Key { seed, epoch, index: step }), images, targets)
///     images.mapv_inplace(|pixel| 1.0 - pixel);
/// });
/// model.fit(&mut mixed, Fit { epochs: 20, ..Fit::default() })?;
/// # Ok(())
/// # }
/// ```
pub struct Mixed<'a, F> {
    source: &'a mut dyn Batches,
    change: F,
    epoch: u32,
    step: u32,
    /// (B, H, W, C) and (B, outputs) for the largest batch.
    images: Array4<f32>,
    targets: Array2<f32>,
    fingerprint: String,
}

impl<F> std::fmt::Debug for Mixed<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mixed {{ epoch: {}, step: {} }}", self.epoch, self.step)
    }
}

impl<'a, F> Mixed<'a, F>
where
    F: FnMut(u32, u32, ArrayViewMut4<'_, f32>, ArrayViewMut2<'_, f32>),
{
    /// Lets `change` have every batch: epoch and step (from 0), images (N, H, W, C) and targets
    /// (N, outputs), both to be changed in place.
    pub fn new(source: &'a mut dyn Batches, change: F) -> Self {
        let ([h, w, c], n) = (source.image_shape(), source.batch_size());
        let images = Array4::zeros((n, h, w, c));
        let targets = Array2::zeros((n, source.outputs()));
        let fingerprint = format!("{}, mixed", source.fingerprint());
        Self { source, change, epoch: 0, step: 0, images, targets, fingerprint }
    }
}

impl<F> Batches for Mixed<'_, F>
where
    F: FnMut(u32, u32, ArrayViewMut4<'_, f32>, ArrayViewMut2<'_, f32>),
{
    fn samples(&self) -> usize {
        self.source.samples()
    }

    fn batch_size(&self) -> usize {
        self.source.batch_size()
    }

    fn image_shape(&self) -> [usize; 3] {
        self.source.image_shape()
    }

    fn classes(&self) -> &[String] {
        self.source.classes()
    }

    fn outputs(&self) -> usize {
        self.source.outputs()
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn position(&self) -> Option<usize> {
        self.source.position()
    }

    fn problems(&self) -> Vec<String> {
        self.source.problems()
    }

    fn start(&mut self, epoch: u32, done: usize, steps: usize) {
        (self.epoch, self.step) = (epoch, u32::try_from(done).unwrap_or(u32::MAX));
        self.source.start(epoch, done, steps);
    }

    fn next_batch(&mut self) -> Option<Result<Batch<'_>, gradus_data::Error>> {
        let batch = match self.source.next_batch()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let n = batch.images.dim().0;
        let rows = Slice::from(..n);
        self.images.slice_axis_mut(Axis(0), rows).assign(&batch.images);
        self.targets.slice_axis_mut(Axis(0), rows).assign(&batch.targets);
        let images = self.images.slice_axis_mut(Axis(0), rows);
        (self.change)(self.epoch, self.step, images, self.targets.slice_axis_mut(Axis(0), rows));
        self.step += 1;
        let images = self.images.slice_axis(Axis(0), rows);
        let targets = self.targets.slice_axis(Axis(0), rows);
        Some(Ok(Batch { images, targets, weights: batch.weights }))
    }
}
