//! The training loop and everything that hooks into it.
//!
//! | idea | where |
//! | --- | --- |
//! | one training step | [`Step`] |
//! | the training loop | [`Model::fit`], in `fit.rs` |
//! | build, compile, evaluate, predict | [`Model`] |
//! | early stopping, learning rate on a plateau | [`EarlyStopping`], [`ReduceLROnPlateau`] |
//! | the table of epochs, its CSV and its plots | [`History`], [`plot`] |
//! | accuracy, precision, recall, F1, AUC | [`metrics`] |
//! | answers for many threads from one model | [`Predictor`] |
//! | what is on a picture | [`load`], [`Classifier`] |
//! | models on disk, versions | [`Model::save`], [`Model::load`], in `save.rs` |
//!
//! Where batches come from is a trait, [`Batches`]; the loader of `gradus-data` implements it.
#![doc = include_str!("../README.md")]

mod available;
mod batches;
mod callback;
mod callbacks;
mod checkpoint;
mod classifier;
mod confusing;
mod confusion_matrix;
mod error;
mod evaluate;
mod exact;
mod fit;
pub mod history;
mod images;
mod interrupt;
mod memory;
pub mod metrics;
mod mixed;
mod model;
mod not_finite;
pub mod plot;
mod predict;
mod profile;
mod progress;
mod recorded;
mod save;
mod step;
mod subnormal;
mod tensors_file;

pub use batches::{Batch, Batches};
pub use callback::{Callback, Control, Logs, Run, State};
pub use callbacks::{
    CSVLogger, EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau,
    TensorBoard, TerminateOnNaN,
};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use classifier::{Answer, Classifier, Picture, load};
pub use confusion_matrix::{ClassReport, ConfusionMatrix};
pub use error::Error;
pub use evaluate::Evaluation;
pub use fit::Fit;
pub use gradus_data::{WriteError, write_beside, write_version};
pub use history::{History, Mode};
pub use images::Images;
pub use interrupt::on_signals;
pub use memory::{Memory, Planned};
pub use mixed::Mixed;
pub use model::Model;
pub use not_finite::NotFinite;
pub use predict::Predictor;
pub use profile::ProfileTable;
pub use progress::{Progress, Verbosity};
pub use save::ModelError;
pub use step::Step;
pub use tensors_file::{Tensors, TensorsError, TensorsFile};
