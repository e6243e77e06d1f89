//! Decoding and resizing held against Pillow, by way of Keras's `load_img`: every case of the file.
//! All of it is equal but for JPEG, which another decoder reads.

use gradus_data::ndarray::{Array3, Ix3};
use gradus_data::{ColorMode, CropBox, Decoder, Interpolation, Reading, Resizer};
use gradus_testing::{Golden, test_data};

fn decode(file: &str, color_mode: ColorMode) -> Array3<u8> {
    let path = test_data(&format!("goldens/files/{file}")).expect("beside the golden file");
    let reading = Reading { color_mode, ..Reading::default() };
    Decoder::default().read_as(path, reading).unwrap().to_owned()
}

fn expected(golden: &Golden, case: &str, field: &str) -> Array3<u8> {
    golden.bytes(case, field).into_dimensionality::<Ix3>().unwrap()
}

fn file<'a>(golden: &'a Golden, case: &str) -> &'a str {
    golden.params(case)["file"].as_str().expect("every case names its file")
}

fn interpolation(name: &str) -> Interpolation {
    match name {
        "nearest" => Interpolation::Nearest,
        "bilinear" => Interpolation::Bilinear,
        "bicubic" => Interpolation::Bicubic,
        "box" => Interpolation::Box,
        "hamming" => Interpolation::Hamming,
        "lanczos" => Interpolation::Lanczos,
        other => panic!("{other} is no filter"),
    }
}

/// What the case's parameters make of an image that Pillow decoded.
fn resize(golden: &Golden, case: &str, resizer: &mut Resizer, into: &mut Array3<u8>) {
    let params = golden.params(case);
    let from = expected(golden, &format!("decode.{}", file(golden, case)), "y");
    let ((h, w, _), (out_h, out_w, _)) = (from.dim(), into.dim());
    let part = match params["keep_aspect_ratio"].as_bool() {
        Some(true) => CropBox::keep_aspect_ratio([h, w], [out_h, out_w]),
        _ => CropBox::whole(h, w),
    };
    let filter = interpolation(params["interpolation"].as_str().unwrap());
    resizer.resize(filter, from.view(), part, into.view_mut());
}

/// Levels that a JPEG may be off by: 3, and 4 in a few pixels where chroma is halved along rows
/// only, which is upsampled with another rounding there. At most 0.2 on average.
fn assert_close(y: &Array3<u8>, pillow: &Array3<u8>, file: &str) {
    let limit = match file {
        "rgb_422.jpg" => 4,
        _ if file.ends_with(".jpg") => 3,
        _ => 0,
    };
    assert_eq!(y.dim(), pillow.dim(), "{file}");
    let off: Vec<u8> = y.iter().zip(pillow).map(|(a, b)| a.abs_diff(*b)).collect();
    let largest = off.iter().copied().max().unwrap();
    let mean = off.iter().map(|&d| f64::from(d)).sum::<f64>() / off.len() as f64;
    assert!(largest <= limit && mean <= 0.2, "{file}: off by {largest}, {mean:.3} on average");
}

#[test]
fn every_png_decodes_to_the_bytes_of_pillow_and_every_jpeg_within_a_few_levels() {
    let Some(golden) = Golden::open("image_io") else {
        return;
    };
    let cases = golden.cases("decode.");
    assert_eq!(cases.len(), 12);
    assert_eq!(cases.iter().filter(|case| case.ends_with(".png")).count(), 5);
    for case in cases {
        let file = file(&golden, case);
        assert_close(&decode(file, ColorMode::Rgb), &expected(&golden, case, "y"), file);
    }
}

#[test]
fn gray_is_weighed_as_pillow_weighs_it() {
    let Some(golden) = Golden::open("image_io") else {
        return;
    };
    let case = "grayscale.rgb.png";
    let read = decode(file(&golden, case), ColorMode::Grayscale);
    assert_eq!(read, expected(&golden, case, "y"));
}

#[test]
fn every_filter_gives_the_bytes_of_pillow() {
    let Some(golden) = Golden::open("image_io") else {
        return;
    };
    let cases = golden.cases("resize.");
    assert_eq!(cases.len(), 31);
    let mut resizer = Resizer::default();
    for case in cases {
        let y = expected(&golden, case, "y");
        let mut resized = Array3::zeros(y.dim());
        resize(&golden, case, &mut resizer, &mut resized);
        assert_eq!(resized, y, "{case}");
    }
}

/// What augmentation makes of them is the business of the crate that augments.
#[test]
fn the_tutorials_path_from_a_file_to_its_resized_bytes_is_that_of_keras() {
    let Some(golden) = Golden::open("image_io") else {
        return;
    };
    let cases = golden.cases("pipeline.");
    assert_eq!(cases.len(), 2);
    for case in cases {
        let image = decode(file(&golden, case), ColorMode::Rgb);
        let y = expected(&golden, case, "resized");
        let mut resized = Array3::zeros(y.dim());
        Interpolation::Nearest.resize(image.view(), resized.view_mut());
        assert_close(&resized, &y, file(&golden, case));
    }
}

#[test]
fn every_case_of_the_file_is_held_against_something() {
    let Some(golden) = Golden::open("image_io") else {
        return;
    };
    let mut cases = golden.cases("");
    cases.retain(|c| !["decode.", "resize.", "pipeline."].iter().any(|p| c.starts_with(p)));
    assert_eq!(cases, ["grayscale.rgb.png"]);
}
