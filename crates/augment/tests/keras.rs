//! Held against Keras in a file of our own: what is drawn with everything on, and what is fitted.
//!
//! `golden/draws.py` writes `golden/keras.json`; the test needs no Python.

use gradus_augment::{
    Compatibility, ImageDataGenerator, ImageDataGeneratorBuilder, Params, ShiftRange, Warning,
    ZoomRange,
};
use gradus_random::{Mt19937, Source};
use gradus_testing::{Tolerance, assert_close};
use ndarray::{Array4, Axis};
use serde_json::Value;

fn keras() -> Value {
    serde_json::from_str(include_str!("golden/keras.json")).expect("JSON")
}

fn new() -> ImageDataGeneratorBuilder {
    ImageDataGenerator::builder().compatibility(Compatibility::Keras)
}

/// Images that need no file: each value a hash of its place.
fn noise(shape: (usize, usize, usize, usize)) -> Array4<u8> {
    let n = shape.0 * shape.1 * shape.2 * shape.3;
    let byte = |i: u32| {
        let h = i.wrapping_mul(2_654_435_761);
        let h = (h ^ h >> 15).wrapping_mul(2_246_822_519);
        ((h ^ h >> 13) >> 24) as u8
    };
    Array4::from_shape_vec(shape, (0..n as u32).map(byte).collect()).expect("as many values")
}

/// Keras's dictionary as ours.
fn params(row: &Value) -> Params {
    let number = |name: &str| row[name].as_str().expect("text").parse::<f64>().expect("a number");
    let mut params = Params::default();
    (params.theta, params.shear) = (number("theta"), number("shear"));
    (params.tx, params.ty) = (number("tx"), number("ty"));
    (params.zx, params.zy) = (number("zx"), number("zy"));
    params.flip_horizontal = number("flip_horizontal") == 1.0;
    params.flip_vertical = number("flip_vertical") == 1.0;
    params.channel_shift_intensity = Some(number("channel_shift_intensity"));
    params.brightness = Some(number("brightness"));
    params
}

#[test]
fn with_everything_on_the_same_seed_draws_keras_s_parameters_to_the_last_bit() {
    let keras = keras();
    let all = |width: ShiftRange, height: ShiftRange, zoom: ZoomRange| {
        new()
            .rotation_range(25.0)
            .shear_range(7.5)
            .horizontal_flip(true)
            .vertical_flip(true)
            .width_shift_range(width)
            .height_shift_range(height)
            .zoom_range(zoom)
            .channel_shift_range(40.0)
            .brightness_range([0.6, 1.5])
            .build()
            .expect("valid")
    };
    let generators = [
        ("floats", all(0.1.into(), 0.25.into(), 0.3.into())),
        ("pixels", all(7u32.into(), 12.5.into(), [0.5, 0.9].into())),
        ("lists", all(vec![0.1, 0.2, 0.4].into(), vec![3.0, 8.0, 0.5].into(), 0.0.into())),
        ("one pixel", all(1u32.into(), vec![0.3].into(), 0.1.into())),
    ];
    for (name, generator) in generators {
        let mut rows = keras["draws"][name].as_array().expect("rows").iter();
        for seed in keras["seeds"].as_array().expect("seeds") {
            let mut numpy = Mt19937::new(seed.as_u64().expect("a seed") as u32);
            for _ in 0..3 {
                let drawn = generator.draw(Source::Mt19937(&mut numpy), [31, 18]);
                assert_eq!(drawn, params(rows.next().expect("a row")), "{name}, seed {seed}");
            }
        }
        assert!(rows.next().is_none(), "{name}: all rows are compared");
    }
}

/// Fits on `n` images and holds everything that Keras has of it.
fn fitted(case: &str, n: usize, builder: ImageDataGeneratorBuilder, augment: bool) {
    let (keras, images) = (keras(), noise((n, 3, 2, 3)));
    let mut generator = builder.build().expect("valid");
    generator.fit(images.view(), augment, 3, 11).expect("small images");
    let mut y = images.index_axis(Axis(0), 0).mapv(f32::from);
    generator.standardize(y.view_mut());
    let statistics = generator.statistics();
    let matrix = statistics.zca_whitening_matrix.as_ref();
    let ours = [
        ("y", Some(y.iter().copied().collect::<Vec<_>>())),
        ("mean", statistics.mean.as_ref().map(|v| v.to_vec())),
        ("std", statistics.std.as_ref().map(|v| v.to_vec())),
        ("zca_whitening_matrix", matrix.map(|m| m.iter().copied().collect())),
    ];
    for (field, ours) in ours {
        let theirs = keras["fit"][case][field]
            .as_array()
            .map(|list| list.iter().map(|v| v.as_f64().expect("a number")).collect::<Vec<_>>());
        assert_eq!(ours.is_some(), theirs.is_some(), "{case}: {field}");
        let scale = theirs.iter().flatten().fold(0.0f64, |m, v| m.max(v.abs()));
        // Keras sums hundreds of values in f32; the matrix is compared with f64.
        let tolerance = Tolerance { abs: 2e-6 * scale, rel: 0.0 };
        let (ours, theirs) = (ours.unwrap_or_default(), theirs.unwrap_or_default());
        assert_close(&format!("{case}: {field}"), &ours, &theirs, tolerance);
    }
}

#[test]
fn what_is_fitted_and_what_it_does_to_an_image_is_keras_s() {
    let std = || new().featurewise_std_normalization(true).rescale(1.0 / 255.0);
    fitted("center", 40, new().featurewise_center(true), false);
    fitted("std", 40, std(), false);
    fitted("samplewise and std", 40, std().samplewise_std_normalization(true), false);
    fitted("augmented", 40, std().rotation_range(90.0).horizontal_flip(true), true);
    let values = new().brightness_range([0.5, 1.5]).channel_shift_range(30.0);
    fitted("augmented brightness", 40, values.featurewise_std_normalization(true), true);
    let zca = || new().zca_whitening(true).rescale(1.0 / 255.0);
    fitted("zca", 40, zca(), false);
    fitted("zca of few", 4, zca().zca_epsilon(0.1), false);
}

#[test]
fn what_was_fitted_can_be_kept_and_given_to_another_generator() {
    let builder = || new().zca_whitening(true).zca_epsilon(0.1);
    let (mut first, mut second) = (builder().build().unwrap(), builder().build().unwrap());
    let asked = Warning::FeaturewiseCenterOn { argument: "zca_whitening" };
    assert_eq!(first.warnings().len(), 3, "one for what is on, two for what is not fitted");
    first.fit(noise((9, 3, 2, 3)).view(), false, 1, 0).unwrap();
    assert_eq!(first.warnings(), [asked]);
    second.set_statistics(first.statistics().clone());
    assert_eq!(first, second);
}

#[test]
fn as_documented_the_statistics_are_of_what_they_are_applied_to() {
    let images = noise((20, 6, 5, 3));
    let mut generator = ImageDataGenerator::builder()
        .brightness_range([0.5, 1.5])
        .preprocessing_function(|mut image| image.mapv_inplace(|x| x * x))
        .rescale(1.0 / 65025.0)
        .featurewise_std_normalization(true)
        .build()
        .unwrap();
    generator.fit(images.view(), false, 1, 0).unwrap();
    let mut sum = 0.0;
    for image in images.outer_iter() {
        let mut y = ndarray::Array3::zeros(image.dim());
        generator.apply(&Params::default(), image, y.view_mut());
        sum += y.iter().map(|&y| f64::from(y * y)).sum::<f64>();
    }
    let variance = sum / images.len() as f64;
    assert!((variance - 1.0).abs() < 1e-4, "{variance}");
}
