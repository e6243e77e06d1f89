//! Input, output and everything between, for batches up to a size.

use crate::Batch;
use gradus_layers::{Activation, Layer, Mode, Plan, Saved, Sequential, ShapeError, argmax};
use gradus_tensor::{Context, Shape, Spec, Tensor};
use ndarray::{ArrayView1, ArrayView4, Ix2, Ix4};

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
    /// y behind the closing activation: probabilities, where y are logits.
    answers: Tensor,
    pub(crate) saved: Saved,
}

/// Memory that is planned and not yet made.
#[derive(Debug)]
pub struct Planned {
    input: Shape,
    targets: Shape,
    plan: Plan,
}

impl Planned {
    /// What batches of up to `input.batch()` need.
    ///
    /// # Errors
    /// If the network cannot take such an input, or does not end in one row for each sample.
    pub fn new(network: &Sequential, input: Shape, mode: Mode) -> Result<Self, ShapeError> {
        let plan = network.plan(Spec::f32(input), mode)?;
        if plan.output.shape.rank() != 2 {
            let output = plan.output.shape;
            let expected = format!("expected a network that ends in (N, classes), not {output}");
            return Err(ShapeError::new(input, expected));
        }
        Ok(Self { input, targets: plan.output.shape, plan })
    }

    /// The shape of y.
    #[must_use]
    pub fn output(&self) -> Shape {
        self.plan.output.shape
    }

    /// With targets of another shape than the outputs.
    #[must_use]
    pub fn with_targets(mut self, targets: Shape) -> Self {
        self.targets = targets;
        self
    }

    /// How much that is, on that many threads.
    #[must_use]
    pub fn bytes(&self, threads: usize) -> u64 {
        let scratch = self.plan.scratch + threads * self.plan.desk;
        let floats = scratch + self.input.len() + self.input.batch();
        (4 * floats + 3 * self.plan.output.bytes() + self.plan.bytes()) as u64
    }

    /// Makes the memory.
    #[must_use]
    pub fn make(self, cx: &mut Context) -> Memory {
        let Self { input, targets, plan } = self;
        plan.reserve(cx);
        let zeros = |spec| Tensor::zeros(spec, &cx.device);
        Memory {
            largest: input,
            x: zeros(Spec::f32(input)),
            targets: zeros(Spec::f32(targets)),
            weights: zeros(Spec::f32(Shape::new(&[input.batch()]))),
            y: zeros(plan.output),
            answers: zeros(plan.output),
            saved: Saved::allocate(&plan, &cx.device),
        }
    }
}

impl Memory {
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
            self.answers.set_shape(self.saved.output());
            self.targets.set_shape(self.targets.shape().with_batch(n));
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
                // A sample of no class counts as it is.
                let of_class = class(target).and_then(|class| class_weight.get(class));
                *weight *= of_class.copied().unwrap_or(1.0);
            }
        }
    }

    /// How much each sample of the batch counts.
    pub(crate) fn weights(&self) -> ArrayView1<'_, f32> {
        ArrayView1::from(self.weights.slice())
    }

    /// What [`Memory::answer`] worked out last.
    pub(crate) fn answered(&self) -> &Tensor {
        &self.answers
    }

    /// Works out what the network answers: y with its closing activation `head`, one row a sample.
    pub(crate) fn answer(&mut self, head: Activation, cx: &Context) {
        self.answers.slice_mut::<f32>().copy_from_slice(self.y.slice());
        head.forward(cx, &mut self.answers);
    }
}

/// The class that a target says: the largest of several, or the number itself.
pub(crate) fn class(target: ArrayView1<'_, f32>) -> Option<usize> {
    match target.len() {
        1 => (target[0] >= 0.0).then_some(target[0] as usize),
        _ => Some(argmax(target)),
    }
}
