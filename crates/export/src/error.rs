//! What can go wrong on the way out.

use gradus_data::WriteError;
use gradus_layers::ShapeError;

/// Why a network could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer that the format has no words for.
    #[error("{layer}: {format} cannot say {class_name}: {reason}")]
    Layer {
        /// The path of the layer, such as `residual.body.conv2d`.
        layer: String,
        /// Its class.
        class_name: String,
        /// The format, such as `ONNX`.
        format: &'static str,
        /// What it is that cannot be said, and what to do.
        reason: String,
    },
    /// The network cannot take such an input.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// An option that does not fit.
    #[error("{option}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// What was found, and what would fit.
        reason: String,
    },
    /// A file that could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
