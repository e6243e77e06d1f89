//! gradus: a small deep learning stack, from scratch, to train with and to learn from.
//!
//! ```no_run
//! use gradus::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let augment = ImageDataGenerator::builder().rescale(1.0 / 255.0).rotation_range(15.0);
//! let frame = Manifest::read("datasets/dogs_vs_cats-train.csv")?;
//! let mut train = flow_from_dataframe(&frame, "datasets")
//!     .x_col("filename")
//!     .y_col("category")
//!     .target_size(128, 128)
//!     .batch_size(15)
//!     .transform(augment.build()?.transform())
//!     .open()?;
//!
//! let context = Context::new(Device::Cpu, 0);
//! let mut model = Model::build(models::dogs_vs_cats(), [128, 128, 3], context, 0)?;
//! model.compile(RMSprop::default(), CategoricalCrossentropy::new())?;
//! let history = model.fit(&mut train, Fit { epochs: 20, ..Fit::default() })?;
//! println!("{history}");
//! model.save("models")?;
//! # Ok(())
//! # }
//! ```
//!
//! What is on a picture:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let answer = gradus::load("models/1")?.predict("photo.jpg")?;
//! println!("{answer}"); // dog 98.1 %
//! # Ok(())
//! # }
//! ```
//!
//! Each crate stands for itself and can be used alone; this one only brings them together.

/// The example of the project's README, to be run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

pub use gradus_augment as augment;
pub use gradus_data as data;
pub use gradus_export as export;
pub use gradus_layers as layers;
pub use gradus_models as models;
pub use gradus_optim as optim;
pub use gradus_random as random;
pub use gradus_tensor as tensor;
pub use gradus_train as train;
pub use gradus_train::load;

/// What the job needs, in one line.
pub mod prelude {
    pub use crate::models;
    pub use gradus_augment::ImageDataGenerator;
    pub use gradus_data::{Manifest, flow_from_dataframe, flow_from_directory};
    pub use gradus_layers::{
        Activation, AveragePooling2D, BatchNormalization, BinaryCrossentropy,
        CategoricalCrossentropy, Concatenate, Conv2D, Dense, Dropout, Flatten,
        GlobalAveragePooling2D, Layer, MaxPooling2D, MeanSquaredError, Padding, ReLU, Residual,
        Sequential, SparseCategoricalCrossentropy, ZeroPadding2D,
    };
    pub use gradus_optim::{Adam, AdamW, RMSprop, SGD};
    pub use gradus_tensor::{Context, Device, Precision};
    pub use gradus_train::{
        CSVLogger, Checkpoint, EarlyStopping, Fit, History, LearningRateScheduler, Model,
        ModelCheckpoint, ReduceLROnPlateau, TensorBoard, TerminateOnNaN,
    };
}
