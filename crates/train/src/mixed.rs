//! Batches that are changed as a whole on their way to the trainer: MixUp, CutMix.
//!
//! ```text
//! Draws        from the key (seed, epoch, step), the step being that of the source: a batch that was
//!              passed over counts. A run that is resumed in the middle of an epoch sees what it
//!              would have seen
//! Weights      MixUp and CutMix mix the weights of samples with the λ of their targets:
//!              w̃ᵢ = λ·wᵢ + (1 − λ)·wᵢ₋₁. `class_weight` then counts by the mixed target
//! Targets      one-hot, one bit, or numbers: the index of one of many classes cannot be mixed
//! ```

use crate::{Batch, Batches, State};
use gradus_data::{BatchTransform, Error, Key};
use ndarray::{Array1, Array2, Array4, Axis, Slice};

/// Batches of another source with a change made to each.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (mut loader, mut model): (gradus_data::DataLoader, gradus_train::Model) = unimplemented!();
/// use gradus_data::{Source, ndarray::{ArrayViewMut1, ArrayViewMut2, ArrayViewMut4}};
/// use gradus_train::{Fit, Mixed};
/// // gradus_augment's MixUp::new(0.2)? and CutMix are such changes, and so is a function:
/// let negative = |_source: Source<'_>,
///                 mut images: ArrayViewMut4<'_, f32>,
///                 _targets: ArrayViewMut2<'_, f32>,
///                 _weights: Option<ArrayViewMut1<'_, f32>>| {
///     images.mapv_inplace(|pixel| 1.0 - pixel);
/// };
/// let mut mixed = Mixed::new(&mut loader, negative).seed(7);
/// model.fit(&mut mixed, Fit { epochs: 20, ..Fit::default() })?;
/// # Ok(())
/// # }
/// ```
pub struct Mixed<'a, T> {
    source: &'a mut dyn Batches,
    change: T,
    seed: u64,
    epoch: u32,
    /// Steps that are behind, where the source does not say.
    step: usize,
    /// (B, H, W, C), (B, outputs) and (B) for the largest batch.
    images: Array4<f32>,
    targets: Array2<f32>,
    weights: Array1<f32>,
}

impl<T: BatchTransform> std::fmt::Debug for Mixed<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (change, seed) = (self.change.description(), self.seed);
        write!(f, "Mixed {{ change: {change}, seed: {seed} }}")
    }
}

impl<'a, T: BatchTransform> Mixed<'a, T> {
    /// Lets `change` have every batch: images (N, H, W, C), targets (N, outputs) and, where there
    /// are any, the weights of the samples (N), all to be changed in place.
    pub fn new(source: &'a mut dyn Batches, change: T) -> Self {
        let ([h, w, c], n) = (source.image_shape(), source.batch_size());
        let images = Array4::zeros((n, h, w, c));
        let targets = Array2::zeros((n, source.outputs()));
        let weights = Array1::zeros(n);
        Self { source, change, seed: 0, epoch: 0, step: 0, images, targets, weights }
    }

    /// What is drawn depends on this, the epoch and the step. 0 by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Copies the next batch: how many samples it has, and whether they have weights.
    fn copy(&mut self) -> Option<Result<(usize, bool), Error>> {
        let batch = match self.source.next_batch()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let rows = Slice::from(..batch.len());
        batch.images.write(self.images.slice_axis_mut(Axis(0), rows));
        self.targets.slice_axis_mut(Axis(0), rows).assign(&batch.targets);
        if let Some(weights) = &batch.weights {
            self.weights.slice_axis_mut(Axis(0), rows).assign(weights);
        }
        Some(Ok((batch.len(), batch.weights.is_some())))
    }

    /// Changes the batch of `n` samples that was copied.
    fn mix(&mut self, n: usize, weighted: bool) -> Result<(), Error> {
        self.step += 1;
        let behind = self.source.position().unwrap_or(self.step);
        let index = u32::try_from(behind.saturating_sub(1)).unwrap_or(u32::MAX);
        let key = Key { seed: self.seed, epoch: self.epoch, index };
        let rows = Slice::from(..n);
        let indices = self.outputs() == 1 && self.classes().len() > 2;
        let before = indices.then(|| self.targets.clone());
        let images = self.images.slice_axis_mut(Axis(0), rows);
        let weights = weighted.then(|| self.weights.slice_axis_mut(Axis(0), rows));
        let targets = self.targets.slice_axis_mut(Axis(0), rows);
        self.change.apply(key.into(), images, targets, weights);
        match before {
            Some(before) if before != self.targets => Err(Error::Argument {
                argument: "class_mode",
                found: format!("{} of targets that are indices", self.change.description()),
                remedy: "between two indices lies a third class: mix one-hot targets, which are \
                         class_mode categorical",
            }),
            _ => Ok(()),
        }
    }
}

impl<T: BatchTransform> Batches for Mixed<'_, T> {
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
        let (source, change) = (self.source.fingerprint(), self.change.description());
        format!("{source}, mixed with seed {}, mixed by {change}", self.seed)
    }

    fn position(&self) -> Option<usize> {
        self.source.position()
    }

    fn problems(&self) -> Vec<String> {
        self.source.problems()
    }

    fn state(&self) -> State {
        self.source.state()
    }

    fn restore(&mut self, state: State) -> Result<(), String> {
        self.source.restore(state)
    }

    fn start(&mut self, epoch: u32, done: usize, steps: usize) {
        (self.epoch, self.step) = (epoch, done);
        self.source.start(epoch, done, steps);
    }

    fn next_batch(&mut self) -> Option<Result<Batch<'_>, Error>> {
        let mixed = self.copy()?;
        let mixed = mixed.and_then(|(n, weighted)| self.mix(n, weighted).map(|()| (n, weighted)));
        Some(mixed.map(|(n, weighted)| {
            let rows = Slice::from(..n);
            Batch {
                images: self.images.slice_axis(Axis(0), rows).into(),
                targets: self.targets.slice_axis(Axis(0), rows),
                weights: weighted.then(|| self.weights.slice_axis(Axis(0), rows)),
            }
        }))
    }
}
