//! A trained network in forms that other programs load, and theirs in ours.
//!
//! One file for each form. None needs the program that it writes for: the messages are declared by
//! hand, a few lines for each format.
#![doc = include_str!("../README.md")]

mod error;
mod export;
mod graph;
mod names;
mod onnx;

pub use error::Error;
pub use export::Export;
pub use gradus_layers as layers;
pub use onnx::{Layout, Onnx};
