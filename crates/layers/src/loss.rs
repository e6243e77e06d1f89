//! What every loss can do.

use crate::Tally;
use gradus_tensor::{Context, Tensor};
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
}

/// How wrong predictions are, and which way is better.
pub trait Loss: Debug + Send {
    /// Keras's name, such as `categorical_crossentropy`.
    fn name(&self) -> &'static str;

    /// Tells the loss that from now on it is given the logits of a softmax instead of
    /// probabilities, and whether it can work with them. One that cannot says `false`, and the
    /// softmax stays in the network.
    fn take_logits(&mut self) -> bool {
        false
    }

    /// Adds the losses and hits of a batch to `tally`; where `gradient` is given, writes
    /// ∂(mean loss of the batch)/∂predictions into it. Predictions and gradient are
    /// N·outputs; the targets are what the loss says.
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
    );
}
