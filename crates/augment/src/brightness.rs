//! Brighter or darker: Keras's `brightness_range`, with the roundings of Pillow behind it.
//!
//! ```text
//! Formula      y = trunc(min(max(f · trunc(x), 0), 255))       where all of x lies in [0, 255]
//!              otherwise x is first stretched: u = 255 (x − least) / (most − least), and the
//!              result stretched back: y / 255 · (most − least) + least
//! Shapes       x, y: h·w·C, in place
//! Conventions  a picture of whole levels goes in and comes out. Values are *cut off* to levels, not
//!              rounded: an image that was rescaled to [0, 1] before becomes black. The alpha of
//!              four channels is cut off to levels, too, but not multiplied
//! Reference    Keras 3, `apply_brightness_shift` in `keras/src/legacy/preprocessing/image.py`;
//!              Pillow, `ImageEnhance.Brightness` and `Blend.c`
//! ```

use crate::channel_shift::extremes;
use ndarray::{ArrayViewMut3, Axis};

/// Multiplies the colours of the image by `factor`: 0 is black, 1 leaves whole levels as they are.
pub fn apply(factor: f64, image: ArrayViewMut3<'_, f32>) {
    let factor = factor as f32;
    let [least, most] = extremes(image.view());
    let channels = image.dim().2;
    let (mut colours, mut alpha) = image.split_at(Axis(2), colours(channels));
    if least >= 0.0 && most <= 255.0 {
        colours.mapv_inplace(|x| blend(0.0, cut(x), factor));
        alpha.mapv_inplace(cut);
        return;
    }
    let span = most - least;
    let level = |x: f32| if span == 0.0 { 0.0 } else { cut((x - least) / span * 255.0) };
    let back = |y: f32| y / 255.0 * span + least;
    colours.mapv_inplace(|x| back(blend(0.0, level(x), factor)));
    alpha.mapv_inplace(|x| back(level(x)));
}

/// How many of so many channels are colours: the fourth of four is alpha.
pub(crate) fn colours(channels: usize) -> usize {
    if channels == 4 { 3 } else { channels }
}

/// The level 0-255 that `x` lies on or above.
pub(crate) fn cut(x: f32) -> f32 {
    // Through i32, for which processors have an instruction on many numbers at once.
    x.clamp(0.0, 255.0) as i32 as f32
}

/// Pillow's `Image.blend` of two levels: from `a` at 0 through `b` at 1, and beyond.
pub(crate) fn blend(a: f32, b: f32, alpha: f32) -> f32 {
    cut(a + alpha * (b - a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn brightened(factor: f64, channels: usize, values: &[f32]) -> Vec<f32> {
        let shape = (1, values.len() / channels, channels);
        let mut image = Array3::from_shape_vec(shape, values.to_vec()).unwrap();
        apply(factor, image.view_mut());
        image.into_raw_vec_and_offset().0
    }

    #[test]
    fn levels_are_multiplied_and_cut_off() {
        assert_eq!(brightened(0.5, 1, &[0.0, 3.0, 101.0, 255.0]), [0.0, 1.0, 50.0, 127.0]);
        assert_eq!(brightened(1.6, 1, &[0.0, 3.0, 101.0, 255.0]), [0.0, 4.0, 161.0, 255.0]);
        assert_eq!(brightened(1.0, 1, &[0.9, 254.7]), [0.0, 254.0]);
    }

    #[test]
    fn alpha_stays() {
        assert_eq!(brightened(2.0, 4, &[1.0, 2.0, 3.0, 77.0]), [2.0, 4.0, 6.0, 77.0]);
    }

    #[test]
    fn a_flat_image_outside_the_levels_stays_flat() {
        assert_eq!(brightened(0.5, 1, &[300.0, 300.0]), [300.0, 300.0]);
    }
}
