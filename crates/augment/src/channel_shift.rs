//! All values of an image a little higher or lower: Keras's `channel_shift_range`.
//!
//! ```text
//! Formula      y = min(max(x + s, least), most), least and most those of x over all channels
//! Shapes       x, y: h·w·C, in place
//! Conventions  one number for all channels, in spite of the name; s rounded to f32 and added in
//!              f32, as NumPy does. The image keeps its own extremes: nothing leaves 0-255
//! Reference    Keras 3, `apply_channel_shift` in `keras/src/legacy/preprocessing/image.py`
//! ```

use ndarray::{ArrayView3, ArrayViewMut3};

/// Adds `intensity` to every value of the image, within the image's own extremes.
pub fn apply(intensity: f64, mut image: ArrayViewMut3<'_, f32>) {
    let [least, most] = extremes(image.view());
    image.mapv_inplace(|x| (x + intensity as f32).max(least).min(most));
}

/// The least and the greatest value; [∞, −∞] where there is none.
pub(crate) fn extremes(image: ArrayView3<'_, f32>) -> [f32; 2] {
    let start = [f32::INFINITY, f32::NEG_INFINITY];
    let among = |[least, most]: [f32; 2], x: f32| {
        [if x < least { x } else { least }, if x > most { x } else { most }]
    };
    let Some(values) = image.as_slice() else {
        return image.fold(start, |so_far, &x| among(so_far, x));
    };
    // Sixteen at a time wait for each other no longer.
    let (blocks, rest) = values.as_chunks::<16>();
    let mut lanes = [start; 16];
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(lane, &x)| *lane = among(*lane, x));
    }
    let [least, most] = lanes
        .into_iter()
        .fold(start, |so_far, [least, most]| [among(so_far, least)[0], among(so_far, most)[1]]);
    rest.iter().fold([least, most], |so_far, &x| among(so_far, x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn values_move_together_and_stop_at_the_image_s_own_extremes() {
        let mut image = Array3::from_shape_vec((1, 2, 2), vec![10.0, 20.0, 100.0, 240.0]).unwrap();
        apply(30.0, image.view_mut());
        assert_eq!(image.as_slice().unwrap(), [40.0, 50.0, 130.0, 240.0]);
        apply(-500.0, image.view_mut());
        assert!(image.iter().all(|&x| x == 40.0));
    }

    #[test]
    fn an_image_without_pixels_stays_one() {
        apply(30.0, Array3::zeros((0, 4, 3)).view_mut());
    }
}
