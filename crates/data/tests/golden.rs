//! Decoding and resizing held against Pillow, by way of Keras's `load_img`: every case of the file.
//! All of it is equal to the last byte.

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

#[test]
fn every_file_decodes_to_the_bytes_of_pillow() {
    let Some(golden) = Golden::open("image_io") else {
        return;
    };
    let cases = golden.cases("decode.");
    assert_eq!(cases.len(), 12);
    assert_eq!(cases.iter().filter(|case| case.ends_with(".png")).count(), 5);
    for case in cases {
        let file = file(&golden, case);
        assert_eq!(decode(file, ColorMode::Rgb), expected(&golden, case, "y"), "{file}");
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
        assert_eq!(resized, y, "{case}");
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
