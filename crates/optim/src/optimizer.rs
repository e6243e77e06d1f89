//! What every optimizer can do.

use crate::Schedule;
use gradus_tensor::{Context, Device, Fields};
use std::fmt::Debug;

/// A rule that moves parameters along their gradients.
///
/// All that it remembers is shown through [`Fields`], as buffers under names such as
/// `optim.velocity.conv2d.kernel` and `optim.iterations`: a checkpoint walks the optimizer as it
/// walks the model, and a run that is resumed from one goes on with the same bits.
pub trait Optimizer: Fields + Debug + Send + Sync {
    /// Keras's name of the class, such as `RMSprop`.
    fn name(&self) -> &'static str;

    /// The name with every option but the learning rate: what has to be the same for a run to go on
    /// from a checkpoint.
    fn description(&self) -> String;

    /// Bytes of the state that [`build`](Optimizer::build) would make for `model`: what is held
    /// against the memory that there is before any of it is made.
    fn state_bytes(&self, model: &dyn Fields) -> u64;

    /// The learning rate of every step since [`build`](Optimizer::build), the first being step 0.
    /// Who drives the optimizer puts it into `cx.step.learning_rate`, and may put another there.
    fn schedule(&self) -> &dyn Schedule;

    /// Makes the state for the parameters of `model`, on `device`; what was there before is
    /// forgotten. A parameter that is frozen gets none: who thaws it builds again, as Keras's
    /// `compile` has to be called again.
    fn build(&mut self, model: &dyn Fields, device: &Device);

    /// Once before each step, whether its kernels are launched one by one or as a recorded graph:
    /// counts the step and copies to a GPU the numbers that change from step to step, such as the
    /// learning rate, which is `cx.step.learning_rate`. [`step`](Optimizer::step) does it where it
    /// was not done.
    ///
    /// # Panics
    /// If nothing was built.
    fn prepare(&mut self, _cx: &mut Context) {}

    /// Whether every step on a GPU launches the same kernels with the same arguments, so that it can
    /// be recorded once and launched as a whole. A first step has to be made before, so that what
    /// it needs is there; and where a parameter was frozen, thawed or made anew, one is recorded
    /// again.
    fn is_capturable(&self) -> bool {
        false
    }

    /// Before the backward pass, offers the update to parameters that may take it within that pass:
    /// see [`Offer`](crate::tensor::Offer). The next [`step`](Optimizer::step) ends the offer and
    /// updates what did not take it. An optimizer that offers nothing is as right.
    ///
    /// # Panics
    /// As [`step`](Optimizer::step).
    fn offer(&mut self, _cx: &Context, _model: &mut dyn Fields) {}

    /// Moves every parameter that is not frozen once, by its gradient and by
    /// `cx.step.learning_rate`; the gradients may be changed on the way. Nothing is allocated.
    ///
    /// # Panics
    /// If `model` is not the one that the state was built for.
    fn step(&mut self, cx: &mut Context, model: &mut dyn Fields);

    /// The end of `fit`: gives the model the weights that it shall keep, where these are not the
    /// last ones. Keras's `finalize_variable_values`.
    ///
    /// # Panics
    /// As [`step`](Optimizer::step).
    fn finish(&mut self, _model: &mut dyn Fields) {}
}
