//! The callbacks of the job, with Keras 2's exact semantics.

mod early_stopping;
#[cfg(test)]
mod golden;
mod monitor;
mod reduce_lr_on_plateau;

pub use early_stopping::EarlyStopping;
pub use reduce_lr_on_plateau::ReduceLROnPlateau;
