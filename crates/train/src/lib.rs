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
//! | models on disk, versions | [`Model::save`], [`Model::load`], in `save.rs` |
//!
//! Where batches come from is a trait, [`Batches`]; the loader of `gradus-data` implements it.

mod batches;
mod callback;
mod callbacks;
mod confusion_matrix;
mod error;
mod fit;
pub mod history;
mod memory;
pub mod metrics;
mod model;
pub mod plot;
mod progress;
mod save;
mod step;

pub use batches::{Batch, Batches};
pub use callback::{Callback, Control, Logs, Run};
pub use callbacks::{EarlyStopping, ReduceLROnPlateau};
pub use confusion_matrix::{ClassReport, ConfusionMatrix};
pub use error::Error;
pub use fit::Fit;
pub use gradus_data::{WriteError, write_beside};
pub use history::{History, Mode};
pub use memory::Memory;
pub use model::{Evaluation, Model};
pub use progress::{Progress, Verbosity};
pub use save::ModelError;
pub use step::Step;
