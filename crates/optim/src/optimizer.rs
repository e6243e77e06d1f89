//! What every optimizer can do.

use gradus_tensor::{Context, Device, Fields};
use std::fmt::Debug;

/// A rule that moves parameters along their gradients.
///
/// What it remembers of each parameter is shown through [`Fields`], as buffers under names such as
/// `optim.velocity.conv2d.kernel`: a checkpoint walks the optimizer as it walks the model.
pub trait Optimizer: Fields + Debug + Send {
    /// Keras's name of the class, such as `RMSprop`.
    fn name(&self) -> &'static str;

    /// The learning rate where no schedule sets another.
    fn default_learning_rate(&self) -> f32;

    /// Makes the state for the parameters of `model`, on `device`; what was there before is
    /// forgotten. A parameter that is frozen gets none: who thaws it builds again, as Keras's
    /// `compile` has to be called again.
    fn build(&mut self, model: &dyn Fields, device: &Device);

    /// Moves every parameter that is not frozen once, by its gradient and by
    /// `cx.step.learning_rate`. Nothing is allocated.
    ///
    /// # Panics
    /// If `model` is not the one that the state was built for.
    fn step(&mut self, cx: &mut Context, model: &mut dyn Fields);
}
