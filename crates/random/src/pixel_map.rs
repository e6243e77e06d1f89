//! What is done to one image, as numbers: for a device that does it itself.
//!
//! ```text
//! Formula      (y, x) = row·(r, c, 1), column·(r, c, 1)     the place that shows at row r, column c
//!              v = the image at (y, x), between pixels and beyond the border as the codes say
//!              v ← cut(brightness · cut(v))                 where it brightens; cut: to a level 0-255
//!              out[r, c, k] = (rescale · v − mean[k]) / std[k]
//! Flips        out[r, c] ← out[h−1−r, c], out[r, w−1−c], exact reversals of the index
//! Conventions  numbers alone, without padding and in C's layout, so that a kernel reads them as they
//!              are. What draws them knows their meaning to the last rounding, and so does the
//!              kernel: `input` in `gradus-augment` has both
//! ```

use crate::Source;

/// The most channels of an image that a [`PixelMap`] can be for.
pub const MOST_CHANNELS: usize = 4;

/// One image's way from bytes to the floats that the network sees, with all that was drawn for it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelMap {
    /// The row that shows: so much of the output's row and column, and an offset.
    pub row: [f64; 3],
    /// The column that shows, likewise.
    pub column: [f64; 3],
    /// Taken from each channel, after rescaling.
    pub mean: [f32; MOST_CHANNELS],
    /// What each channel is divided by, at the end.
    pub std: [f32; MOST_CHANNELS],
    /// What values are multiplied with.
    pub rescale: f32,
    /// What is shown beyond the border with `fill_mode` 1, on the scale of the bytes.
    pub cval: f32,
    /// What colours are multiplied with, and cut to levels: the first three channels of four, or
    /// all of fewer.
    pub brightness: f32,
    /// Whether they are: 1 or 0.
    pub brightens: u32,
    /// 0 the nearest pixel, 1 `cval`, 2 reflected, 3 wrapped around.
    pub fill_mode: u32,
    /// 0 the nearest pixel, 1 bilinear.
    pub interpolation_order: u32,
    /// Top and bottom exchanged, after all of that: 1 or 0.
    pub flip_vertical: u32,
    /// Left and right exchanged likewise.
    pub flip_horizontal: u32,
}

impl Default for PixelMap {
    /// The bytes as floats.
    fn default() -> Self {
        Self {
            row: [1.0, 0.0, 0.0],
            column: [0.0, 1.0, 0.0],
            mean: [0.0; MOST_CHANNELS],
            std: [1.0; MOST_CHANNELS],
            rescale: 1.0,
            cval: 0.0,
            brightness: 1.0,
            brightens: 0,
            fill_mode: 0,
            interpolation_order: 1,
            flip_vertical: 0,
            flip_horizontal: 0,
        }
    }
}

/// A [`Transform`](crate::Transform) that can say what it does to an image as a [`PixelMap`].
pub trait OnDevice {
    /// What [`Transform::apply`](crate::Transform::apply) does to an image of `[height, width]`
    /// pixels, with the same numbers drawn from `source`: whoever follows it gets the same picture,
    /// to the last bit.
    fn pixel_map(&self, source: Source<'_>, size: [usize; 2]) -> PixelMap;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_padding_that_nobody_wrote() {
        let fields = 6 * size_of::<f64>() + 11 * size_of::<f32>() + 5 * size_of::<u32>();
        assert_eq!(size_of::<PixelMap>(), fields);
    }
}
