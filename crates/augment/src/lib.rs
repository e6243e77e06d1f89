//! Random changes that keep the label: Keras's `ImageDataGenerator` and its parts.
//!
//! A transform *draws* its parameters (small, `Copy`, printable) and then *applies* them. Drawing
//! is what is seeded and compared with Keras; applying is a pure function of image and parameters.
//!
//! ```
//! use gradus_augment::ImageDataGenerator;
//! use gradus_random::{Key, Transform};
//! use ndarray::Array3;
//!
//! # fn main() -> Result<(), gradus_augment::Error> {
//! let train = ImageDataGenerator::builder()
//!     .rotation_range(15.0)
//!     .rescale(1.0 / 255.0)
//!     .shear_range(0.1)
//!     .zoom_range(0.2)
//!     .horizontal_flip(true)
//!     .width_shift_range(0.1)
//!     .height_shift_range(0.1)
//!     .build()?;
//! let validation = ImageDataGenerator::builder().rescale(1.0 / 255.0).build()?;
//!
//! let photo = Array3::<u8>::from_elem((128, 128, 3), 255);
//! let mut image = Array3::<f32>::zeros((128, 128, 3));
//!
//! let params = train.draw(Key { seed: 42, epoch: 0, index: 7 }, [128, 128]);
//! assert!(params.theta.abs() <= 15.0, "{params}");
//! train.apply(&params, photo.view(), image.view_mut());
//! assert!((image[[64, 64, 0]] - 1.0).abs() < 1e-6);
//!
//! // What a data loader takes draws and applies in one call.
//! let transform = validation.transform();
//! transform.apply(Key { seed: 42, epoch: 0, index: 7 }.into(), photo.view(), image.view_mut());
//! assert_eq!(image[[0, 0, 0]], 1.0);
//! # Ok(())
//! # }
//! ```
//!
//! Where is …? The bundle and the order of its draws: `image_data_generator.rs`. Rotation, shift,
//! shear, zoom and flips as one matrix: [`affine`]. Beyond the border: [`FillMode`]. What a range
//! means: [`ShiftRange`], [`ZoomRange`]. Values: [`brightness`], [`channel_shift`], [`Statistics`],
//! [`zca`]. Beyond Keras, for an image: [`RandomResizedCrop`], [`ColorJitter`], [`RandomErasing`],
//! [`RandAugment`], one after the other in a [`Pipeline`]; for a batch: [`MixUp`], [`CutMix`]. What a
//! device does by itself: [`input`]. A look at it all: [`preview`].

#![deny(unsafe_code)]

pub mod affine;
mod beta;
pub mod brightness;
pub mod channel_shift;
mod color_jitter;
mod cutmix;
mod error;
mod fill;
mod image_data_generator;
pub mod input;
mod mixup;
mod params;
mod pipeline;
pub mod preview;
mod rand_augment;
mod random_erasing;
mod random_resized_crop;
mod ranges;
mod rect;
mod scratch;
mod standardize;
pub mod zca;

pub use affine::Compatibility;
pub use color_jitter::{Adjustment, ColorJitter};
pub use cutmix::{Cut, CutMix};
pub use error::Error;
pub use fill::FillMode;
pub use image_data_generator::{ImageDataGenerator, ImageDataGeneratorBuilder};
pub use mixup::MixUp;
pub use params::Params;
pub use pipeline::{Pipeline, Stage};
pub use rand_augment::{Change, Changes, RandAugment};
pub use random_erasing::{Erased, Erasure, RandomErasing};
pub use random_resized_crop::RandomResizedCrop;
pub use ranges::{ShiftRange, ZoomRange};
pub use rect::Rect;
pub use standardize::{Statistics, Warning};

/// The examples of the README, held to what they say.
#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
