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
