//! What every layer can do.

use crate::{Activation, Config, Init, Mode, Plan, Saved};
use gradus_tensor::{Context, FieldMut, Fields, Path, Shape, Spec, Tensor};
use std::any::Any;
use std::fmt::Debug;

/// A differentiable function with parameters.
///
/// Training borrows a layer exclusively and inference shares it: the borrow checker is the
/// train/infer switch, and there is no flag to forget.
///
/// The verbs below `plan` return nothing: shapes were checked, memory was promised, and what a
/// device has to say is asked for once per step.
pub trait Layer: Fields + Debug + Send + Sync + Any {
    /// Class and options in Keras's words: what the summary, the picture, `model.json` and the
    /// exporters read.
    fn config(&self) -> Config;

    /// The layers inside, by name; none for a layer that is not a container.
    fn children(&self) -> Vec<(&str, &dyn Layer)> {
        Vec::new()
    }

    /// The layer inside that has this name.
    fn child_mut(&mut self, _name: &str) -> Option<&mut dyn Layer> {
        None
    }

    /// Freezes the layer, or thaws it: an optimizer moves no frozen parameter, and batch
    /// normalization is then as in inference. Containers pass it on to the layers inside. An
    /// optimizer that was built for the frozen layer has to be built again after thawing it.
    ///
    /// In PyTorch: `requires_grad_`, together with `eval()` for batch normalization.
    fn set_trainable(&mut self, trainable: bool) {
        freeze(self, !trainable);
    }

    /// Whether layers inside may be planned to do their work together, in fewer passes over memory
    /// (see [`fused`](crate::fused)). Default: yes. Containers keep it and pass it on.
    fn set_fused(&mut self, _fused: bool) {}

    /// Folds batch normalization into the products beside it, in inference alone, wherever the
    /// containers below have the two side by side: see [`folded`](crate::folded). How many
    /// normalizations are gone. A network that was folded is not trained any more.
    fn fold_batch_normalization(&mut self) -> usize {
        0
    }

    /// How the layers inside hang together: what the summary and the picture show.
    fn flow(&self) -> Flow {
        Flow::Chain
    }

    /// What each of the layers inside gave in the last `forward`, in the order of
    /// [`Layer::children`], where these are branches; `saved` is what `forward` was given. With it a
    /// number that is lost is followed to the layer that lost it.
    fn branch_outputs<'a>(&self, _saved: &'a Saved) -> Vec<&'a Tensor> {
        Vec::new()
    }

    /// The activation that the layer ends in, if it has that option, to be taken off or put back:
    /// see [`Sequential::split_head`](crate::Sequential::split_head).
    fn closing_activation(&mut self) -> Option<&mut Activation> {
        None
    }

    /// The shape of y for an x of this shape, batch extent included.
    ///
    /// # Errors
    /// If the layer cannot take such an x.
    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError>;

    /// Multiplications and additions of one pass from an x to a y of these shapes: what a profile
    /// divides by. 0 where arithmetic is not worth counting.
    fn flops(&self, x: Shape, y: Shape) -> u64 {
        let _ = (x, y);
        0
    }

    /// The algorithm that its engine on the CPU picks for an x of this shape, where there is a choice:
    /// see [`Engines`](crate::Engines).
    fn algorithm(&self, _x: Shape) -> Option<&'static str> {
        None
    }

    /// Makes the parameters for inputs of this shape (the batch extent means nothing).
    ///
    /// # Errors
    /// If the layer cannot take such an x.
    fn build(&mut self, x: Shape, init: &mut Init<'_>) -> Result<(), ShapeError>;

    /// Checks the shapes and promises the memory for batches of up to `x.shape.batch()`.
    ///
    /// # Errors
    /// If the layer cannot take such an x, or was built for another one.
    fn plan(&self, x: Spec, mode: Mode) -> Result<Plan, ShapeError>;

    /// y = f(x) with frozen statistics and no randomness. Many threads may infer with one model,
    /// each with its own context and [`Saved`].
    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved);

    /// y = f(x) in training: may move statistics, and fills `saved` for `backward`.
    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved);

    /// The gradients of the last `forward`: of the parameters, and of x where `dx` is given (the
    /// first layer needs none). Gradients are overwritten, never added to. `dy` is consumed: the
    /// layer may use its memory, and what it holds afterwards means nothing.
    fn backward(
        &mut self,
        cx: &mut Context,
        x: &Tensor,
        y: &Tensor,
        dy: &mut Tensor,
        dx: Option<&mut Tensor>,
        saved: &mut Saved,
    );
}

/// The most numbers that what a layer gives for one sample may have: four terabytes of them, or a
/// gigabyte where a pointer has 32 bits. What is computed with fewer never overflows.
const MOST: usize = usize::MAX >> if usize::BITS < 64 { 4 } else { 24 };

/// The shape, if a computer could hold it.
pub(crate) fn bounded(x: Shape, y: Shape) -> Result<Shape, ShapeError> {
    match y.len() / y.batch().max(1) <= MOST {
        true => Ok(y),
        false => Err(ShapeError::new(x, format!("of which {y} is made: expected less"))),
    }
}

/// Marks every parameter that is there.
pub(crate) fn freeze<L: Fields + ?Sized>(layer: &mut L, frozen: bool) {
    layer.visit_mut(&mut Path::default(), &mut |_, field| {
        if let FieldMut::Param(param) = field {
            param.frozen = frozen;
        }
    });
}

/// How the layers inside a container hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Each takes what the one before it gives.
    Chain,
    /// All take the container's own input.
    Branches {
        /// Whether that input itself is one branch more.
        identity: bool,
    },
}

/// A shape that does not fit. Found while building or planning, never later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{layer}: input has shape {found}, {expected}")]
pub struct ShapeError {
    /// The path of the layer, such as `conv2d_1`.
    pub layer: String,
    /// The input.
    pub found: Shape,
    /// What would have fitted, as the end of a sentence: `expected (N, H, W, C)`.
    pub expected: String,
}

impl ShapeError {
    /// The error of a layer that does not know its own name: its container adds it.
    #[must_use]
    pub fn new(found: Shape, expected: impl Into<String>) -> Self {
        Self { layer: String::new(), found, expected: expected.into() }
    }

    /// The same error, seen from the container that calls the layer `name`.
    #[must_use]
    pub fn within(mut self, name: &str) -> Self {
        let dot = if self.layer.is_empty() { "" } else { "." };
        self.layer = format!("{name}{dot}{}", self.layer);
        self
    }
}
