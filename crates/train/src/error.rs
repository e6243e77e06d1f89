//! What can go wrong in training, and whose fault it is.

use crate::plot::PlotError;
use crate::{ModelError, WriteError};
use gradus_layers::ShapeError;

/// Why a model could not be trained, evaluated, saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data: a file that cannot be read, a row that makes no sense.
    #[error(transparent)]
    Data(#[from] gradus_data::Error),
    /// The network: layers that do not fit together, or not the input.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A plot that cannot be drawn or written.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// A saved model that cannot be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// `fit` or `evaluate` before `compile`.
    #[error("the model is not compiled: call compile(optimizer, loss) first")]
    NotCompiled,
    /// The images are not of the size that the network was built for.
    #[error(
        "the network takes images of {expected:?} (H, W, C), the data has {found:?}: set its target_size"
    )]
    Images {
        /// Height, width and channels that the network was built for.
        expected: [usize; 3],
        /// What the data gives.
        found: [usize; 3],
    },
    /// The data has other classes than the network has outputs.
    #[error("the network has {expected} outputs, the data has {found} classes: {names}")]
    Classes {
        /// Outputs of the last layer.
        expected: usize,
        /// Classes of the data.
        found: usize,
        /// Their names.
        names: String,
    },
    /// There was nothing to train or to evaluate on.
    #[error("there is no batch to work on: the data is empty, or zero steps were asked for")]
    NoBatches,
}
