//! Where the first number was lost.
//!
//! ```text
//! Order        that in which the last training step computed: the images, the output of each layer
//!              from the first to the last, then the gradients from the last to the first, then the
//!              weights as the step left them. A large kernel that was updated while its gradient
//!              came about has no gradient to look at, and shows among the weights; with
//!              `Context::fused` off it has one
//! ```

use crate::{Memory, Model};
use gradus_layers::{Layer, Saved, Sequential};
use gradus_tensor::{Field, Fields, Path, Tensor};
use std::any::Any;
use std::fmt;

/// A number of the last training step that is NaN or infinite, while all before it were finite.
#[derive(Clone, Debug, PartialEq)]
pub struct NotFinite {
    /// `the images`, `the output of conv2d_1`, `the gradient of dense.kernel`, `dense.kernel`. A
    /// layer within others is named by its path: `residual_2.body.conv2d`.
    pub place: String,
    /// Which of its numbers, row-major.
    pub index: usize,
    /// The number.
    pub value: f32,
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, index, value } = self;
        write!(f, "the first number that is not finite is in {place}: number {index} is {value}")
    }
}

fn lost(place: impl FnOnce() -> String, numbers: &Tensor) -> Option<NotFinite> {
    let numbers = numbers.numbers::<f32>();
    let index = numbers.iter().position(|value| !value.is_finite())?;
    Some(NotFinite { place: place(), index, value: numbers[index] })
}

impl Model {
    /// Names the first place of the last training step at which a number was NaN or infinite.
    #[must_use]
    pub fn first_not_finite(&self) -> Option<NotFinite> {
        let memory = self.training.as_ref()?.step.training_memory();
        in_activations(&self.network, memory).or_else(|| in_fields(&self.network))
    }
}

fn in_activations(network: &Sequential, memory: &Memory) -> Option<NotFinite> {
    let images = lost(|| "the images".to_owned(), &memory.x);
    images.or_else(|| in_layer(network, &mut Path::default(), &memory.saved, &memory.y))
}

/// The innermost layer first: what a container gives is lost where one of its layers lost it.
fn in_layer(layer: &dyn Layer, path: &mut Path, saved: &Saved, y: &Tensor) -> Option<NotFinite> {
    let inner: Vec<(&str, &Tensor)> = match (layer as &dyn Any).downcast_ref::<Sequential>() {
        Some(chain) => chain.activations(saved, y).collect(),
        None => {
            let names = layer.children().into_iter().map(|(name, _)| name);
            names.zip(layer.branch_outputs(saved)).collect()
        }
    };
    let children = layer.children();
    for ((name, output), saved) in inner.into_iter().zip(&saved.inner) {
        let child = children.iter().find(|(child, _)| *child == name);
        let found = child
            .and_then(|(_, child)| path.within(name, |path| in_layer(*child, path, saved, output)));
        if found.is_some() {
            return found;
        }
    }
    lost(|| format!("the output of {path}"), y)
}

/// Gradients come about from the last layer to the first, and the weights move after them.
fn in_fields(network: &Sequential) -> Option<NotFinite> {
    let (mut gradient, mut value) = (None, None);
    network.visit(&mut Path::default(), &mut |path, field| {
        if let Field::Param(param) = field {
            let place = || format!("the gradient of {path}");
            gradient = lost(place, &param.grad).or_else(|| gradient.take());
        }
        let found = || lost(|| path.to_string(), field.value());
        value = value.take().or_else(found);
    });
    gradient.or(value)
}
