//! What every loss can do.
//!
//! A loss says what one sample costs and how that changes with its predictions. Weighing,
//! averaging and counting are the same for all, and stand here once. On a GPU two kernels know all
//! losses of this crate; what they add up stays there until [`Tally::collect`] asks. A loss without
//! a kernel is worked out on the CPU, and the numbers go there and back.

pub(crate) mod cuda;

pub use cuda::Kernel as LossKernel;

use crate::{Accuracy, Activation, Tally};
use gradus_tensor::{Context, Device, Shape, Tensor};
use std::fmt::Debug;

/// What the predictions of a batch should have been.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// N·outputs: one-hot, class indices, or numbers, as the loss says.
    pub y: &'a Tensor,
    /// N: how much each sample counts; 1 for all if absent. The loss of a batch is still divided by
    /// N, not by the sum of the weights, as Keras does.
    pub weights: Option<&'a Tensor>,
}

impl<'a> Target<'a> {
    /// Targets that all count the same.
    #[must_use]
    pub fn new(y: &'a Tensor) -> Self {
        Self { y, weights: None }
    }

    /// How much sample `i` counts.
    ///
    /// # Panics
    /// If there is no such sample, or the weights lie on a device.
    #[must_use]
    pub fn weight(&self, i: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights.slice::<f32>()[i])
    }

    /// The targets of sample `i`.
    fn row(&self, i: usize) -> &'a [f32] {
        let columns = self.y.shape().last();
        &self.y.slice::<f32>()[i * columns..][..columns]
    }
}

/// How wrong predictions are, and which way is better.
pub trait Loss: Debug + Send + Sync {
    /// Keras's name, such as `categorical_crossentropy`.
    fn name(&self) -> &'static str;

    /// The loss of one sample, from its predictions and its targets; ∂loss/∂prediction goes to
    /// `gradient` by index, once for each. Worked out in f64: a batch has some dozens of numbers.
    fn sample(
        &self,
        prediction: &[f32],
        target: &[f32],
        gradient: &mut dyn FnMut(usize, f64),
    ) -> f64;

    /// The shape of the targets for predictions of this shape: the same, unless the loss says
    /// otherwise.
    fn target_shape(&self, predictions: Shape) -> Shape {
        predictions
    }

    /// Tells the loss that from now on it is given what comes before the activation `head` instead
    /// of what comes out of it, and whether it can work with that: the logits of a softmax or a
    /// sigmoid. One that cannot says `false` and changes nothing, and `head` stays in the network.
    fn take_logits(&mut self, head: Activation) -> bool {
        let _ = head;
        false
    }

    /// What counts as a hit; nothing where predictions are numbers and not decisions, and then no
    /// `accuracy` belongs into the logs.
    fn accuracy(&self) -> Option<Accuracy> {
        None
    }

    /// Whether a sample with these targets counts. The loss of a batch is the mean over those that
    /// do.
    fn counts(&self, target: &[f32]) -> bool {
        let _ = target;
        true
    }

    /// What works the loss out on a GPU. None unless said: the numbers then go to the CPU and back
    /// in every step, and such a step cannot be recorded.
    fn kernel(&self) -> Option<LossKernel> {
        None
    }

    /// Adds the losses and hits of a batch to `tally`; where `gradient` is given, writes
    /// ∂(mean loss of the batch)/∂predictions into it. Predictions and gradient are
    /// N·outputs; the targets are of [`Loss::target_shape`]. On a GPU, where all of them lie there,
    /// `cx.sums` are added to, and [`Tally::collect`] brings them to `tally`.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    fn evaluate(
        &self,
        cx: &mut Context,
        predictions: &Tensor,
        targets: Target<'_>,
        gradient: Option<&mut Tensor>,
        tally: &mut Tally,
    ) {
        let expected = self.target_shape(predictions.shape());
        assert_eq!(targets.y.shape(), expected, "targets for {}", self.name());
        match (&cx.device, self.kernel()) {
            (Device::Cpu, _) => on_the_cpu(self, predictions, targets, gradient, tally),
            (Device::Cuda(gpu), Some(kernel)) => {
                kernel.launch(gpu, predictions, targets, gradient, &mut cx.sums);
            }
            (Device::Cuda(_), None) => over_the_cpu(self, predictions, targets, gradient, tally),
        }
    }
}

/// The losses of tensors on the CPU.
fn on_the_cpu<L: Loss + ?Sized>(
    loss: &L,
    predictions: &Tensor,
    targets: Target<'_>,
    mut gradient: Option<&mut Tensor>,
    tally: &mut Tally,
) {
    let (samples, outputs) = (predictions.shape().batch(), predictions.shape().last());
    let counted = (0..samples).filter(|&i| loss.counts(targets.row(i))).count();
    // 1, unless samples are ignored: the others then share their part of the mean.
    let share = samples as f64 / counted.max(1) as f64;
    for i in 0..samples {
        let row = i * outputs..(i + 1) * outputs;
        let (prediction, target) = (&predictions.slice::<f32>()[row.clone()], targets.row(i));
        let mut into = gradient.as_deref_mut().map(|g| &mut g.slice_mut::<f32>()[row]);
        let weight = f64::from(targets.weight(i)) * share;
        let mut write = |k: usize, d: f64| {
            if let Some(into) = &mut into {
                into[k] = (weight * d / samples as f64) as f32;
            }
        };
        match loss.counts(target) {
            true => tally.loss_sum += weight * loss.sample(prediction, target, &mut write),
            false => (0..outputs).for_each(|k| write(k, 0.0)),
        }
        if let Some(accuracy) = loss.accuracy() {
            tally.correct += accuracy.hits(prediction, target);
            tally.judged += accuracy.judged(outputs);
        }
    }
    tally.samples += samples as u64;
}

/// The losses of tensors on a GPU, by a loss that has no kernel.
fn over_the_cpu<L: Loss + ?Sized>(
    loss: &L,
    predictions: &Tensor,
    targets: Target<'_>,
    gradient: Option<&mut Tensor>,
    tally: &mut Tally,
) {
    let here = |tensor: &Tensor| tensor.on(&Device::Cpu);
    let (predictions, y, weights) = (here(predictions), here(targets.y), targets.weights.map(here));
    let targets = Target { y: &y, weights: weights.as_ref() };
    let Some(gradient) = gradient else {
        return on_the_cpu(loss, &predictions, targets, None, tally);
    };
    let mut slopes = Tensor::zeros(gradient.spec(), &Device::Cpu);
    on_the_cpu(loss, &predictions, targets, Some(&mut slopes), tally);
    gradient.copy_from(&slopes);
}

#[cfg(test)]
pub(crate) mod tests;
