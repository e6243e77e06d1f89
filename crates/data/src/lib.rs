//! Samples from disk into host batches, in order and without waiting.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod dataset;
mod decode;
mod error;
mod flow;
mod flow_from_dataframe;
mod found;
mod image_files;
mod loader;
mod manifest;
pub mod prepare;
mod resize;
pub mod synthetic;
mod transform;
mod write_beside;

pub use dataset::{Dataset, InMemory, Sample};
pub use decode::{ColorMode, Decoder, Reading};
pub use error::Error;
pub use flow::{Flow, flow};
pub use flow_from_dataframe::{ClassMode, Dataframe, FlowFromDataframe, flow_from_dataframe};
pub use found::{Found, Ignored, Reason};
pub use gradus_random::{Key, Mt19937, Source};
pub use image_files::ImageFiles;
pub use loader::{Batch, DataLoader};
pub use manifest::Manifest;
pub use ndarray;
pub use resize::{CropBox, Interpolation, Resizer};
pub use transform::Transform;
pub use write_beside::{WriteError, write_beside};
