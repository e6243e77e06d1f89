//! Sizes and places that must come out whatever the picture; Pillow's own results are in
//! tests/golden.rs.

use super::nearest::sources;
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
    assert_eq!(sources(200, [0, 200], 53).nth(26), Some(99));
    assert_eq!((26.5 * (200.0 / 53.0)) as usize, 100);
}

#[test]
fn no_source_lies_outside_whatever_the_sizes() {
    for from in 1..60 {
        for to in 1..200 {
            let all: Vec<usize> = sources(from, [0, from], to).collect();
            assert!(all.iter().all(|&s| s < from) && all.is_sorted(), "{from} to {to}");
        }
    }
}
