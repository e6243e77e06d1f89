//! Held against Pillow: the changes of RandAugment to the bit, and the crop's enlargement.
//!
//! `golden/pillow.py` writes `golden/pillow.json`; the test needs no Python.

use gradus_augment::{Change, RandomResizedCrop, Rect};
use gradus_testing::{Tolerance, assert_close};
use ndarray::Array3;
use serde_json::Value;

const SHAPE: (usize, usize, usize) = (20, 16, 3);

fn pillow() -> Value {
    serde_json::from_str(include_str!("golden/pillow.json")).expect("JSON")
}

/// An image that needs no file: each level a hash of its place, the first rows one level.
fn noise() -> Array3<u8> {
    Array3::from_shape_fn(SHAPE, |(r, c, k)| {
        let i = (r * SHAPE.1 + c) * SHAPE.2 + k;
        let h = (i as u32).wrapping_mul(2_654_435_761);
        let h = (h ^ h >> 15).wrapping_mul(2_246_822_519);
        let h = (h ^ h >> 13) >> 24;
        if r < 4 { 99 } else { (30 + h * 7 / 10) as u8 }
    })
}

/// The change of that name, as Debug writes it.
fn change(name: &str) -> Change {
    let (kind, number) = name.split_once('(').unwrap_or((name, "0)"));
    let m: f64 = number.trim_end_matches(')').parse().expect("a number");
    match kind {
        "ShearX" => Change::ShearX(m),
        "ShearY" => Change::ShearY(m),
        "TranslateX" => Change::TranslateX(m as i32),
        "TranslateY" => Change::TranslateY(m as i32),
        "Rotate" => Change::Rotate(m),
        "Brightness" => Change::Brightness(m),
        "Color" => Change::Color(m),
        "Contrast" => Change::Contrast(m),
        "Sharpness" => Change::Sharpness(m),
        "Posterize" => Change::Posterize(m as u32),
        "Solarize" => Change::Solarize(m),
        "AutoContrast" => Change::AutoContrast,
        "Equalize" => Change::Equalize,
        _ => panic!("unknown change {name}"),
    }
}

#[test]
fn every_change_gives_pillow_s_levels_to_the_bit() {
    let pillow = pillow();
    let changes = pillow["changes"].as_object().expect("changes");
    assert_eq!(changes.len(), 18);
    for (name, expected) in changes {
        let mut image = noise().mapv(f32::from);
        change(name).apply(0.0, image.view_mut());
        let hex: String = image.iter().map(|&x| format!("{:02x}", x as u8)).collect();
        let expected = expected.as_str().expect("hexadecimal digits");
        let pairs = || hex.as_bytes().chunks(2).zip(expected.as_bytes().chunks(2));
        let wrong = pairs().filter(|(a, b)| a != b).count();
        assert_eq!((hex.len(), wrong), (expected.len(), 0), "{name}: values that differ");
    }
}

#[test]
fn a_part_in_another_size_is_pillow_s_bilinear_image() {
    for case in pillow()["resize"].as_array().expect("cases") {
        let side = |name: &str| case[name].as_u64().expect("a number") as usize;
        let (top, left) = (side("top"), side("left"));
        let (height, width) = (side("bottom") - top, side("right") - left);
        let mut y = Array3::zeros((side("height"), side("width"), 3));
        let part = Rect { top, left, height, width };
        RandomResizedCrop::default().apply(&part, noise().view(), y.view_mut());
        let expected: Vec<f64> =
            case["y"].as_array().expect("values").iter().map(|v| v.as_f64().unwrap()).collect();
        // Four decimals are written.
        let tolerance = Tolerance { abs: 1.2e-4, rel: 0.0 };
        assert_close(&format!("{part:?}"), y.as_slice().unwrap(), &expected, tolerance);
    }
}
