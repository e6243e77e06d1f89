//! What every loss can do.

use crate::Tally;
use gradus_tensor::{Context, Tensor};
use std::fmt::Debug;

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
    /// ∂(mean loss of the batch)/∂predictions into it. Predictions, targets and gradient are
    /// N·classes.
    ///
    /// # Panics
    /// If their shapes differ.
    fn evaluate(
        &self,
        cx: &mut Context,
        predictions: &Tensor,
        targets: &Tensor,
        gradient: Option<&mut Tensor>,
        tally: &mut Tally,
    );
}
