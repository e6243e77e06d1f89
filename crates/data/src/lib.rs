//! Samples from disk into host batches, in order and without waiting.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bad_images;
mod cache;
mod dataset;
mod decode;
pub mod doctor;
mod error;
mod files;
mod flow;
mod flow_from_dataframe;
mod flow_from_directory;
mod found;
mod hash;
mod image_files;
mod in_memory;
mod in_order;
mod loader;
mod manifest;
mod nearest;
pub mod prepare;
mod resize;
mod save_to_dir;
mod selected;
mod split;
mod sync;
pub mod synthetic;
mod targets;
mod transform;
mod write_beside;
mod write_version;

pub use bad_images::{BadImages, Problem};
pub use cache::Cache;
pub use dataset::{Dataset, Sample};
pub use decode::{ColorMode, Decoder, Reading};
pub use error::Error;
pub use files::Files;
pub use flow::{Flow, flow};
pub use flow_from_dataframe::{Dataframe, FlowFromDataframe, flow_from_dataframe};
pub use flow_from_directory::{Directory, FlowFromDirectory, flow_from_directory};
pub use found::{Found, Ignored, Reason};
pub use gradus_random::{
    BatchTransform, Fitted, Key, Mt19937, OnDevice, OnFloats, PixelMap, Source, Transform,
};
pub use image_files::ImageFiles;
pub use in_memory::InMemory;
pub use loader::{Batch, DataLoader, Randomness};
pub use manifest::Manifest;
pub use ndarray;
pub use resize::{CropBox, Interpolation, Resizer};
pub use save_to_dir::SaveFormat;
pub use split::Subset;
pub use targets::ClassMode;
pub use write_beside::{WriteError, write_beside};
pub use write_version::write_version;
