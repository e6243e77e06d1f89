//! What can be wrong with the arguments of an augmentation.

/// An argument that no augmentation can be built from.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A range is negative, infinite or not a number.
    #[error("{argument} is {found}: give a finite number, 0 (off) or more")]
    Range {
        /// Keras's name of the argument.
        argument: &'static str,
        /// What was given.
        found: f64,
    },
    /// A list of shifts to choose from is empty.
    #[error("{argument} is an empty list: give at least one shift, or leave the argument out")]
    NoShift {
        /// Keras's name of the argument.
        argument: &'static str,
    },
    /// A bound of the zoom is not above zero, or they are out of order.
    #[error(
        "zoom_range is [{low}, {high}]: both factors must be above 0, finite and in order \
         (a single z below 1 means [1 - z, 1 + z])"
    )]
    ZoomRange {
        /// The smallest factor.
        low: f64,
        /// The largest factor.
        high: f64,
    },
    /// A bound of the brightness is below zero, or they are out of order.
    #[error(
        "brightness_range is [{low}, {high}]: give two finite factors, 0 (black) or more and in \
         order, such as [0.8, 1.2]"
    )]
    BrightnessRange {
        /// The smallest factor.
        low: f64,
        /// The largest factor.
        high: f64,
    },
    /// A number beyond its bounds.
    #[error("{argument} is {found}: give a number from {low} to {high}")]
    Bounds {
        /// The name of the argument.
        argument: &'static str,
        /// What was given.
        found: f64,
        /// The smallest that is allowed.
        low: f64,
        /// The greatest that is allowed.
        high: f64,
    },
    /// Two bounds that are not above zero or out of order.
    #[error(
        "{argument} is [{low}, {high}]: give two finite numbers above 0, in order and at most {most}"
    )]
    Interval {
        /// The name of the argument.
        argument: &'static str,
        /// The lower bound that was given.
        low: f64,
        /// The upper bound that was given.
        high: f64,
        /// The greatest upper bound that is allowed.
        most: f64,
    },
    /// What is added to the singular values is not above zero.
    #[error("zca_epsilon is {found}: give a finite number above 0, such as 1e-6")]
    ZcaEpsilon {
        /// What was given.
        found: f64,
    },
    /// There is no image to compute statistics of.
    #[error("fit was given {rounds} rounds over {images} images: give at least one of each")]
    NothingToFit {
        /// How many images there are.
        images: usize,
        /// How many times they were to be augmented.
        rounds: u32,
    },
    /// Images with more values than a whitening matrix can be made for.
    #[error(
        "zca_whitening of {height} x {width} x {channels} images needs a square matrix of \
         {values} rows: the limit is {limit} (32 x 32 x 3 images have 3072). Use smaller images or \
         featurewise_std_normalization"
    )]
    ZcaTooLarge {
        /// Rows of an image.
        height: usize,
        /// Columns of an image.
        width: usize,
        /// Channels of an image.
        channels: usize,
        /// All values of an image.
        values: usize,
        /// The most that there may be.
        limit: usize,
    },
    /// The factor for all pixels is 0, infinite or not a number.
    #[error("rescale is {found}: give a finite number other than 0, such as 1/255")]
    Rescale {
        /// What was given.
        found: f32,
    },
    /// The value beyond the border is infinite or not a number.
    #[error("cval is {found}: give a finite number, on the scale 0-255 of the pixels")]
    Cval {
        /// What was given.
        found: f32,
    },
    /// A spline order that is not implemented.
    #[error("interpolation_order is {found}: 0 (nearest) and 1 (bilinear) are implemented")]
    InterpolationOrder {
        /// What was given.
        found: u8,
    },
    /// A word that names no fill mode.
    #[error("fill_mode is {found:?}: use \"nearest\", \"constant\", \"reflect\" or \"wrap\"")]
    FillMode {
        /// What was given.
        found: String,
    },
}
