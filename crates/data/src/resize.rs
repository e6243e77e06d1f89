//! Resizing, pixel for pixel as Pillow does it.
//!
//! ```text
//! Nearest      out(i) = in(⌊xᵢ⌋) on each axis, x₀ = s/2, xᵢ₊₁ = xᵢ + s, s = in/out
//! ```
//!
//! Conventions: f64, and the steps are *added up*. Computing (i + ½)·s directly is the same but for
//! ties, where the accumulated rounding decides: from 200 to 53 pixels it is another picture.
//! Nothing is averaged, so a small picture of a large photo is grainy; it is Keras's default.

use ndarray::{ArrayView3, ArrayViewMut3};

/// How the pixels of the resized image come from those of the original.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interpolation {
    /// The nearest pixel, unchanged. Keras's default.
    #[default]
    Nearest,
}

impl Interpolation {
    /// Fills `into` (height, width, channels) with `from` resized to it.
    ///
    /// # Panics
    /// If the numbers of channels differ, or `from` has no pixel.
    pub fn resize(self, from: ArrayView3<'_, u8>, into: ArrayViewMut3<'_, u8>) {
        match self {
            Self::Nearest => nearest(from, into),
        }
    }
}

fn nearest(from: ArrayView3<'_, u8>, mut into: ArrayViewMut3<'_, u8>) {
    let (h, w, channels) = from.dim();
    assert!(h > 0 && w > 0, "an image of {h} x {w} cannot be resized");
    assert_eq!(channels, into.dim().2, "resizing keeps the channels");
    let (out_h, out_w, _) = into.dim();
    for (mut row, y) in into.outer_iter_mut().zip(sources(h, out_h)) {
        let line = from.index_axis(ndarray::Axis(0), y);
        if let (3, Some(line), Some(row)) = (channels, line.to_slice(), row.as_slice_mut()) {
            let line = line.as_chunks::<3>().0;
            let pixels = row.as_chunks_mut::<3>().0.iter_mut();
            pixels.zip(sources(w, out_w)).for_each(|(pixel, x)| *pixel = line[x]);
            continue;
        }
        for (mut pixel, x) in row.outer_iter_mut().zip(sources(w, out_w)) {
            pixel.assign(&line.row(x));
        }
    }
}

/// For each of `to` output positions the input position among `from`.
fn sources(from: usize, to: usize) -> impl Iterator<Item = usize> {
    let scale = from as f64 / to as f64;
    let mut at = scale * 0.5;
    (0..to).map(move |_| {
        let source = at as usize;
        at += scale;
        // However long the sum, its error is far below the s/2 by which it stays inside.
        source.min(from - 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn image(h: usize, w: usize) -> Array3<u8> {
        Array3::from_shape_fn((h, w, 3), |(y, x, c)| (y * 31 + x * 7 + c * 101) as u8)
    }

    #[test]
    fn the_same_size_is_the_same_image() {
        let from = image(5, 8);
        let mut into = Array3::zeros((5, 8, 3));
        Interpolation::Nearest.resize(from.view(), into.view_mut());
        assert_eq!(from, into);
    }

    #[test]
    fn twice_the_size_repeats_every_pixel() {
        let from = image(3, 2);
        let mut into = Array3::zeros((6, 4, 3));
        Interpolation::Nearest.resize(from.view(), into.view_mut());
        for ((y, x, c), &value) in into.indexed_iter() {
            assert_eq!(value, from[[y / 2, x / 2, c]]);
        }
    }

    #[test]
    fn ties_fall_as_the_accumulated_sum_does() {
        // 26.5 · 200/53 = 100 exactly; the sum of 26 rounded steps stays just below it.
        assert_eq!(sources(200, 53).nth(26), Some(99));
        assert_eq!((26.5 * (200.0 / 53.0)) as usize, 100);
    }

    #[test]
    fn no_source_lies_outside_whatever_the_sizes() {
        for from in 1..60 {
            for to in 1..200 {
                let all: Vec<usize> = sources(from, to).collect();
                assert!(all.iter().all(|&s| s < from) && all.is_sorted(), "{from} to {to}");
            }
        }
    }
}
