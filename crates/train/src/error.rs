//! What can go wrong in training, and whose fault it is.

use crate::plot::PlotError;
use crate::{CheckpointError, ModelError, WriteError};
use gradus_layers::ShapeError;
use gradus_tensor::gpu::CudaError;
use std::path::{Path, PathBuf};

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
    /// The GPU: not enough memory on it, or something it reports.
    #[error(transparent)]
    Cuda(#[from] CudaError),
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
    /// No layer has that name.
    #[error("there is no layer {layer:?}: there are {}", found.join(", "))]
    NoLayer {
        /// What was asked for.
        layer: String,
        /// The layers where it was looked for.
        found: Vec<String>,
    },
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
    /// A picture has not the channels that the network takes.
    #[error("the network takes pictures of {expected} channels, this one has {found}")]
    Channels {
        /// Channels that the network was built for.
        expected: usize,
        /// Channels of the picture.
        found: usize,
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
    /// The data has targets that the loss cannot take.
    #[error(
        "{loss} takes {expected} numbers as the target of a sample, the data has {found}: set its \
         class_mode, or take another loss"
    )]
    Targets {
        /// The name of the loss.
        loss: &'static str,
        /// Numbers that it takes for a sample.
        expected: usize,
        /// Numbers that the data has.
        found: usize,
    },
    /// A target names a class that the network has no output for.
    #[error("a target is class {found}, and the network has {outputs} outputs, counted from 0")]
    Label {
        /// The target.
        found: f32,
        /// Outputs of the last layer.
        outputs: usize,
    },
    /// A target lies between two classes, and the loss takes the number of one.
    #[error(
        "a target is {found}, and {loss} takes the number of a class: mix one-hot targets, which \
         are class_mode categorical, with categorical_crossentropy"
    )]
    MixedLabel {
        /// The target.
        found: f32,
        /// The name of the loss.
        loss: &'static str,
    },
    /// The memory that was planned is more than there is.
    #[error(
        "a batch of {batch_size} needs {} MB of memory and {} MB are left: take a smaller \
         batch_size or smaller images", needed.div_ceil(1_000_000), available / 1_000_000
    )]
    Memory {
        /// Bytes that training and validation need beside the weights: activations, gradients and
        /// the optimizer's state.
        needed: u64,
        /// Bytes that the machine, or the control group of the process, still has.
        available: u64,
        /// Samples in the largest batch.
        batch_size: usize,
    },
    /// A metric cannot judge the network's outputs, or not by such targets.
    #[error("metric {metric}: {reason}")]
    Metric {
        /// Its name.
        metric: String,
        /// What does not fit, and what to do.
        reason: String,
    },
    /// `class_weight` has not one number for each class.
    #[error("class_weight has {found} numbers for {expected} classes: give one for each")]
    ClassWeight {
        /// Classes that the loss tells apart; 0 where it compares numbers.
        expected: usize,
        /// Weights that were given.
        found: usize,
    },
    /// A callback cannot do its work.
    #[error("{callback}: {reason}")]
    Callback {
        /// Its name.
        callback: &'static str,
        /// What is in its way, and what to do.
        reason: String,
    },
    /// A callback set the learning rate, and the optimizer has a schedule for it.
    #[error(
        "a callback set the learning rate to {found}, but the optimizer follows a schedule: use \
         one or the other"
    )]
    Scheduled {
        /// The rate that was set.
        found: f32,
    },
    /// A checkpoint that cannot be resumed from.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Somebody asked the training to stop.
    #[error("interrupted in epoch {epoch} after {step} steps{}", resumable(checkpoint.as_deref()))]
    Interrupted {
        /// The epoch under way, from 1.
        epoch: u32,
        /// Its steps that are done.
        step: usize,
        /// Where the state is kept, if it is.
        checkpoint: Option<PathBuf>,
    },
    /// There was nothing to train or to evaluate on.
    #[error("there is no batch to work on: the data is empty, or zero steps were asked for")]
    NoBatches,
}

fn resumable(checkpoint: Option<&Path>) -> String {
    match checkpoint {
        Some(path) => format!("; resume from {}", path.display()),
        None => "; nothing was saved: give fit a checkpoint".to_owned(),
    }
}
