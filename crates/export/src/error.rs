//! What can go wrong on the way out.

use gradus_data::WriteError;
use gradus_layers::{Activation, ShapeError};

/// Why a network could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer that cannot be exported.
    #[error("{layer}: this {class_name} cannot be exported: {reason}")]
    Layer {
        /// The path of the layer, such as `residual.body.conv2d`.
        layer: String,
        /// Its class.
        class_name: String,
        /// What stands in the way, and what to do.
        reason: String,
    },
    /// The network cannot take such images.
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
    /// More than one message of the format can hold.
    #[error("{format}: {bytes} bytes, but a message of it holds less than 2 GiB; {instead}")]
    TooLarge {
        /// The format.
        format: &'static str,
        /// What the message would take.
        bytes: usize,
        /// What to do.
        instead: &'static str,
    },
    /// A file that could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Error {
    /// An activation for which a format has no words.
    pub(crate) fn of_activation(layer: String, activation: Activation, format: &str) -> Self {
        let reason = format!("{format} has no words for it here; use another activation");
        Self::Layer { layer, class_name: format!("{activation:?}"), reason }
    }
}
