//! Forward, backward and proof of every layer of a convolutional network.
//!
//! One room for each idea: `<layer>.rs` is the lecture (mathematics, plain definition, layer,
//! proof), the folder beside it holds its engines. Adding a layer is a new room, its `mod` line
//! here, and its line in [`Registry`].
//!
//! Four verbs, always in this order: [`Layer::build`] makes the parameters, [`Layer::plan`] checks
//! shapes and promises memory, [`Layer::forward`], [`Layer::backward`] and [`Layer::infer`] run
//! without allocating or failing.

pub mod activation;
pub mod batch_normalization;
pub mod categorical_crossentropy;
pub mod conv2d;
pub mod dense;
pub mod dropout;
pub mod flatten;
pub mod max_pooling2d;

mod config;
mod init;
mod layer;
mod loss;
mod padding;
mod picture;
mod plan;
mod registry;
mod sequential;
mod summary;
mod tally;

pub use activation::Activation;
pub use batch_normalization::BatchNormalization;
pub use categorical_crossentropy::CategoricalCrossentropy;
pub use config::{Config, ConfigError};
pub use conv2d::Conv2D;
pub use dense::Dense;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use gradus_tensor as tensor;
pub use init::Init;
pub use layer::{Layer, ShapeError};
pub use loss::Loss;
pub use max_pooling2d::MaxPooling2D;
pub use padding::Padding;
pub use picture::picture;
pub use plan::{Mode, Plan, Saved, Slot};
pub use registry::{Described, Registry};
pub use sequential::Sequential;
pub use summary::{Row, Summary};
pub use tally::{Tally, argmax};
