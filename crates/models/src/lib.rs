//! Published networks as composition of layers.
//!
//! One function for each network: it names the layers in order and does nothing else. What comes
//! back is not built yet; `build_on` makes its parameters.
#![doc = include_str!("../README.md")]

mod dogs_vs_cats;
mod inception_like;
mod lenet5;
mod resnet18;
mod resnet34;
mod resnet50;
mod vgg;

pub use dogs_vs_cats::dogs_vs_cats;
pub use gradus_layers as layers;
pub use inception_like::inception_like;
pub use lenet5::lenet5;
pub use resnet18::{Stem, resnet18};
pub use resnet34::resnet34;
pub use resnet50::resnet50;
pub use vgg::{vgg11, vgg16};
