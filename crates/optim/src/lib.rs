//! How parameters move, and how fast: optimizers and learning-rate schedules.
#![doc = include_str!("../README.md")]
#![cfg_attr(
    target_family = "wasm",
    allow(unreachable_code, unused_variables, reason = "no GPU there: its arms never run")
)]

pub mod adadelta;
pub mod adagrad;
pub mod adam;
pub mod adamax;
pub mod clip;
pub mod formula;
pub mod lion;
pub mod nadam;
pub mod rmsprop;
pub mod sgd;

mod accumulate;
mod chunks;
mod descent;
mod ema;
mod iterations;
mod optimizer;
#[cfg(test)]
mod proof;
mod schedule;
mod state;
mod weight_decay;

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW};
pub use adamax::Adamax;
pub use clip::Clip;
pub use descent::Descent;
pub use ema::Ema;
pub use formula::{Formula, Update};
pub use gradus_tensor as tensor;
pub use lion::Lion;
pub use nadam::Nadam;
pub use optimizer::Optimizer;
pub use rmsprop::RMSprop;
pub use schedule::{
    Constant, CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, OneCycle,
    PiecewiseConstantDecay, PolynomialDecay, Schedule, Then, WarmUp,
};
pub use sgd::SGD;
pub use state::State;
