//! Forward, backward and proof of every layer of a convolutional network.
//!
//! One room for each idea: `<layer>.rs` is the lecture (mathematics, plain definition, layer,
//! proof), the folder beside it holds its engines. Adding a layer is a new room and its line under
//! `rooms!` below.
//!
//! Four verbs, always in this order: [`Layer::build`] makes the parameters, [`Layer::plan`] checks
//! shapes and promises memory, [`Layer::forward`], [`Layer::backward`] and [`Layer::infer`] run
//! without allocating or failing.
#![doc = include_str!("../README.md")]

/// Declares each room, re-exports its layer or layers, and puts them into the registry.
///
/// `cargo fmt` does not look behind a macro: `cargo xtask fmt` formats the rooms too.
macro_rules! rooms {
    ($($room:ident: $($layer:ident)|+,)+) => {
        $(
            pub mod $room;
            $(pub use $room::$layer;)+
        )+

        impl Default for Registry {
            /// Every layer of this crate.
            fn default() -> Self {
                Registry::empty()$($(.with::<$layer>())+)+
            }
        }
    };
}

rooms! {
    activation: ActivationLayer | ELU | LeakyReLU | ReLU | Softmax,
    average_pooling2d: AveragePooling2D,
    batch_normalization: BatchNormalization,
    concatenate: Concatenate,
    conv2d: Conv2D,
    dense: Dense,
    dropout: Dropout,
    flatten: Flatten,
    global_average_pooling2d: GlobalAveragePooling2D,
    global_max_pooling2d: GlobalMaxPooling2D,
    max_pooling2d: MaxPooling2D,
    residual: Residual,
    sequential: Sequential,
    zero_padding2d: ZeroPadding2D,
}

pub mod binary_crossentropy;
pub mod categorical_crossentropy;
pub mod folded;
pub mod fused;
pub mod mean_absolute_error;
pub mod mean_squared_error;
pub mod pooling;
pub mod regularizer;
pub mod sparse_categorical_crossentropy;

mod accuracy;
mod config;
mod engines;
mod init;
mod initializer;
mod lanes;
mod layer;
mod loss;
mod matmul;
mod mean_error;
mod padding;
mod picture;
mod plan;
mod registry;
mod stored;
mod summary;
mod tally;
#[cfg(test)]
mod trial;
mod weights;

pub use accuracy::Accuracy;
pub use activation::Activation;
pub use binary_crossentropy::BinaryCrossentropy;
pub use categorical_crossentropy::CategoricalCrossentropy;
pub use config::{Config, ConfigError};
pub use engines::Engines;
pub use gradus_tensor as tensor;
pub use gradus_tensor::Regularizer;
pub use init::{Init, Wanted};
pub use initializer::{Distribution, Initializer, Mode as FanMode};
pub use layer::{Flow, Layer, ShapeError};
pub use loss::{Loss, LossKernel, Target};
pub use mean_absolute_error::MeanAbsoluteError;
pub use mean_squared_error::MeanSquaredError;
pub use padding::{Extent, Padding};
pub use picture::picture;
pub use plan::{Mode, Plan, Saved, Slot};
pub use registry::{Described, Registry};
pub use sparse_categorical_crossentropy::SparseCategoricalCrossentropy;
pub use summary::{Row, Summary};
pub use tally::{Tally, argmax};
