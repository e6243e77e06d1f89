//! A trained network in forms that other programs load, and theirs in ours.
//!
//! One file for each form. None needs the program that it writes for: the messages are declared by
//! hand, a few lines for each format.
#![doc = include_str!("../README.md")]

mod compose;
mod error;
mod export;
mod graph;
mod import;
mod keras;
mod names;
mod onnx;
mod places;
mod pytorch;
mod saved_model;
mod triton;

pub use error::Error;
pub use export::Export;
pub use gradus_data::{Interpolation, WriteError, write_version};
pub use gradus_layers as layers;
pub use import::{Import, LoadError};
pub use keras::{Keras, load_keras};
pub use onnx::{Layout, Onnx};
pub use pytorch::{ModuleNames, Pytorch};
pub use saved_model::SavedModel;
