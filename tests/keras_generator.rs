//! Compatibility with Keras from the file to the batch: what Keras's own `flow_from_dataframe` gave
//! by `next()` over two epochs, with everything random switched on, is what ours gives.
//!
//! `golden/keras_generator.py` wrote the batches; both draw the same seven PNG files.

use gradus::augment::{Compatibility, FillMode, ImageDataGenerator};
use gradus::data::{DataLoader, Interpolation, Manifest, Randomness, flow_from_dataframe};
use gradus_testing::{Golden, Tolerance, assert_close};
use image::{Rgb, RgbImage};
use std::path::Path;

const FILES: u32 = 7;

/// Small images of seven sizes, wide and tall.
fn draw(folder: &Path) {
    for i in 0..FILES {
        let image = RgbImage::from_fn(31 - 2 * i, 15 + 4 * i, |c, r| {
            let level = |k: u32| (7 * r + 13 * c + 50 * k + 29 * i + 3 * (r * c % 31)) as u8;
            Rgb([level(0), level(1), level(2)])
        });
        image.save(folder.join(format!("{i}.png"))).expect("a writable folder");
    }
}

/// The generator of a case; what all have in common stands in the script as `ALL`.
fn generator(golden: &Golden, case: &str) -> ImageDataGenerator {
    let params = golden.params(case);
    let generator = ImageDataGenerator::builder()
        .compatibility(Compatibility::Keras)
        .rotation_range(25.0)
        .width_shift_range(0.2)
        .height_shift_range(0.15)
        .shear_range(12.0)
        .zoom_range(0.3)
        .horizontal_flip(true)
        .vertical_flip(true)
        .channel_shift_range(30.0)
        .brightness_range([0.6, 1.4])
        .rescale(params["rescale"].as_f64().unwrap_or(1.0) as f32)
        .cval(params["cval"].as_f64().unwrap_or(0.0) as f32)
        .interpolation_order(params["interpolation_order"].as_u64().unwrap_or(1) as u8);
    let mode = match params["fill_mode"].as_str().unwrap_or("nearest") {
        "nearest" => FillMode::Nearest,
        "constant" => FillMode::Constant,
        "reflect" => FillMode::Reflect,
        "wrap" => FillMode::Wrap,
        other => panic!("no fill mode is called {other}"),
    };
    generator.fill_mode(mode).build().expect("valid")
}

fn open(golden: &Golden, case: &str, interpolation: Interpolation, folder: &Path) -> DataLoader {
    let rows = (0..FILES).map(|i| [format!("{i}.png"), ["a", "b"][i as usize % 2].to_owned()]);
    let frame = Manifest::from_rows(&["filename", "class"], rows).expect("two columns");
    let target = |axis: usize| golden.params(case)["target"][axis].as_u64().expect("pixels");
    flow_from_dataframe(&frame, folder)
        .target_size(target(0) as usize, target(1) as usize)
        .interpolation(interpolation)
        .batch_size(3)
        .seed(golden.params(case)["seed"].as_u64().expect("a seed"))
        .randomness(Randomness::Keras)
        .transform(generator(golden, case).transform())
        .open()
        .expect("seven images")
}

fn follow(golden: &Golden, case: &str, interpolation: Interpolation, folder: &Path, allowed: f64) {
    let mut loader = open(golden, case, interpolation, folder);
    let (mut rows, mut images) = (Vec::new(), Vec::new());
    for epoch in 0..2 {
        loader.start(epoch, None);
        while let Some(batch) = loader.next_batch() {
            let batch = batch.expect("readable images");
            rows.extend(batch.rows().iter().map(|&row| row as i32));
            images.extend(batch.images().iter().copied());
        }
    }
    assert_eq!(rows, golden.integers(case, "rows").into_raw_vec_and_offset().0, "{case}: order");
    let range = 255.0 * golden.params(case)["rescale"].as_f64().unwrap_or(1.0);
    let tolerance = Tolerance { abs: allowed * range, rel: 0.0 };
    let expected = golden.tensor(case, "images").into_raw_vec_and_offset().0;
    assert_close(case, &images, &expected, tolerance);
}

#[test]
fn batches_are_those_of_keras_s_own_generator() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/keras_generator.safetensors");
    let (golden, folder) = (Golden::read(path), tempfile::tempdir().expect("a folder"));
    draw(folder.path());
    for case in golden.cases("nearest.") {
        follow(&golden, case, Interpolation::Nearest, folder.path(), 1e-5);
    }
    for case in golden.cases("bilinear.") {
        follow(&golden, case, Interpolation::Bilinear, folder.path(), 1e-5);
    }
}
