//! Input, output and everything between, for batches up to a size.

use crate::Batch;
use gradus_layers::{Layer, Mode, Saved, Sequential, ShapeError, argmax};
use gradus_tensor::{Context, Shape, Spec, Tensor};
use ndarray::{ArrayView4, Ix2, Ix4};

/// The memory of a network at work. A smaller batch uses the front of it.
#[derive(Debug)]
pub struct Memory {
    /// N·H·W·C for the largest batch.
    largest: Shape,
    pub(crate) x: Tensor,
    pub(crate) targets: Tensor,
    /// N.
    pub(crate) weights: Tensor,
    pub(crate) y: Tensor,
    pub(crate) saved: Saved,
}

impl Memory {
    /// Plans, and makes the memory for batches of up to `input.batch()`.
    ///
    /// # Errors
    /// If the network cannot take such an input, or does not end in one row for each sample.
    pub fn new(
        network: &Sequential,
        input: Shape,
        mode: Mode,
        cx: &mut Context,
    ) -> Result<Self, ShapeError> {
        let plan = network.plan(Spec::f32(input), mode)?;
        if plan.output.shape.rank() != 2 {
            let output = plan.output.shape;
            let expected = format!("expected a network that ends in (N, classes), not {output}");
            return Err(ShapeError::new(input, expected));
        }
        cx.workspace.scratch.reserve(plan.scratch);
        let zeros = |spec| Tensor::zeros(spec, &cx.device);
        Ok(Self {
            largest: input,
            x: zeros(Spec::f32(input)),
            targets: zeros(plan.output),
            weights: zeros(Spec::f32(Shape::new(&[input.batch()]))),
            y: zeros(plan.output),
            saved: Saved::allocate(&plan, &cx.device),
        })
    }

    /// Whether a batch of `n` fits.
    #[must_use]
    pub fn holds(&self, n: usize) -> bool {
        n <= self.largest.batch()
    }

    /// y, as the network gave it.
    #[must_use]
    pub fn output(&self) -> &Tensor {
        &self.y
    }

    /// Copies images in, and shortens everything to their number.
    pub(crate) fn load(&mut self, images: ArrayView4<'_, f32>) {
        let n = images.dim().0;
        if n != self.x.shape().batch() {
            self.x.set_shape(self.largest.with_batch(n));
            self.saved.set_batch(n);
            self.y.set_shape(self.saved.output());
            self.targets.set_shape(self.saved.output());
            self.weights.set_shape(Shape::new(&[n]));
        }
        self.x.view_mut::<f32, Ix4>().assign(&images);
    }

    /// Copies the targets and weights of the same batch in; a sample also counts as much as its
    /// class, where classes have weights.
    pub(crate) fn load_targets(&mut self, batch: &Batch<'_>, class_weight: &[f32]) {
        self.targets.view_mut::<f32, Ix2>().assign(&batch.targets);
        let weights = self.weights.slice_mut::<f32>();
        match &batch.weights {
            Some(given) => weights.iter_mut().zip(given).for_each(|(w, given)| *w = *given),
            None => weights.fill(1.0),
        }
        if !class_weight.is_empty() {
            for (weight, target) in weights.iter_mut().zip(batch.targets.rows()) {
                *weight *= class_weight[argmax(target)];
            }
        }
    }
}
