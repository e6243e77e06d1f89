//! What was drawn for one image.
//!
//! Small, `Copy` and printable: drawing is what is seeded, shown in an error and compared with
//! Keras; applying is a pure function of the image and of these numbers.

use std::fmt;

/// The parameters of one augmented image, with Keras's names and units
/// (the dictionary that `get_random_transform` returns).
///
/// All of them describe where an output pixel *comes from*, so content moves the other way:
/// `tx = 5` shows the image five pixels further left, `zx = 0.5` twice as wide.
///
/// ```
/// use gradus_augment::Params;
/// let mut params = Params::default();
/// assert_eq!(params.to_string(), "identity");
/// (params.theta, params.flip_horizontal) = (-14.2, true);
/// assert_eq!(params.to_string(), "theta -14.2, flip_horizontal");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// Rotation in degrees; positive turns the picture counter-clockwise. Default 0.
    pub theta: f64,
    /// Shift along the columns, in pixels. Default 0.
    pub tx: f64,
    /// Shift along the rows, in pixels. Default 0.
    pub ty: f64,
    /// Shear angle in **degrees**. Default 0.
    pub shear: f64,
    /// Zoom along the columns; below 1 enlarges. Default 1.
    pub zx: f64,
    /// Zoom along the rows; below 1 enlarges. Default 1.
    pub zy: f64,
    /// Left and right exchanged, after all of the above. Default false.
    pub flip_horizontal: bool,
    /// Top and bottom exchanged, after all of the above. Default false.
    pub flip_vertical: bool,
    /// Added to every value, within the image's own extremes. Default none.
    pub channel_shift_intensity: Option<f64>,
    /// The factor of all colours, after all of the above. Default none.
    pub brightness: Option<f64>,
}

impl Default for Params {
    /// The identity.
    fn default() -> Self {
        Self {
            theta: 0.0,
            tx: 0.0,
            ty: 0.0,
            shear: 0.0,
            zx: 1.0,
            zy: 1.0,
            flip_horizontal: false,
            flip_vertical: false,
            channel_shift_intensity: None,
            brightness: None,
        }
    }
}

impl fmt::Display for Params {
    /// Only what differs from the identity, to three decimals; `Debug` shows all digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            ("theta", self.theta, 0.0),
            ("tx", self.tx, 0.0),
            ("ty", self.ty, 0.0),
            ("shear", self.shear, 0.0),
            ("zx", self.zx, 1.0),
            ("zy", self.zy, 1.0),
        ];
        let flips =
            [("flip_horizontal", self.flip_horizontal), ("flip_vertical", self.flip_vertical)];
        let mut separator = "";
        for (name, value, _) in numbers.iter().filter(|(_, value, neutral)| value != neutral) {
            write!(f, "{separator}{name} {}", (value * 1e3).round() / 1e3)?;
            separator = ", ";
        }
        for (name, _) in flips.iter().filter(|(_, on)| *on) {
            write!(f, "{separator}{name}")?;
            separator = ", ";
        }
        let values =
            [("channel_shift", self.channel_shift_intensity), ("brightness", self.brightness)];
        for (name, value) in values {
            let Some(value) = value else { continue };
            write!(f, "{separator}{name} {}", (value * 1e3).round() / 1e3)?;
            separator = ", ";
        }
        f.write_str(if separator.is_empty() { "identity" } else { "" })
    }
}
