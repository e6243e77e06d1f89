//! Decoding and resizing held against Pillow, by way of Keras's `load_img`.

use gradus_data::ndarray::{Array3, Ix3};
use gradus_data::{Decoder, Interpolation};
use gradus_testing::{Golden, test_data};

fn decode(file: &str) -> Array3<u8> {
    let path = test_data(&format!("goldens/files/{file}")).expect("beside the golden file");
    Decoder::default().read(path).unwrap().to_owned()
}

fn expected(golden: &Golden, case: &str) -> Array3<u8> {
    golden.bytes(case, "y").into_dimensionality::<Ix3>().unwrap()
}

fn file<'a>(golden: &'a Golden, case: &str) -> &'a str {
    golden.params(case)["file"].as_str().expect("every case names its file")
}

#[test]
fn png_files_decode_exactly_as_with_pillow() {
    let Some(golden) = Golden::open("image_io") else {
        return;
    };
    let cases = golden.cases("decode.");
    let png: Vec<_> = cases.iter().filter(|c| c.ends_with(".png")).collect();
    assert_eq!(png.len(), 5);
    for case in png {
        assert_eq!(decode(file(&golden, case)), expected(&golden, case), "{case}");
    }
}

/// Another decoder's arithmetic. Measured: at most 1 level for gray, 2 for 4:4:4, 3 for 4:2:2 and
/// 4 for 4:2:0 (a few pixels of chroma upsampling); at most half a level on average.
#[test]
fn jpeg_files_decode_within_four_levels_of_pillow_and_half_a_level_on_average() {
    let Some(golden) = Golden::open("image_io") else {
        return;
    };
    let cases = golden.cases("decode.");
    let jpeg: Vec<_> = cases.iter().filter(|c| c.ends_with(".jpg")).collect();
    assert_eq!(jpeg.len(), 7);
    for case in jpeg {
        let (y, pillow) = (decode(file(&golden, case)), expected(&golden, case));
        assert_eq!(y.dim(), pillow.dim(), "{case}");
        let off: Vec<u8> = y.iter().zip(&pillow).map(|(a, b)| a.abs_diff(*b)).collect();
        let largest = off.iter().copied().max().unwrap();
        let mean = off.iter().map(|&d| f64::from(d)).sum::<f64>() / off.len() as f64;
        assert!(largest <= 4 && mean <= 0.5, "{case}: off by {largest}, {mean:.3} on average");
    }
}

#[test]
fn nearest_takes_exactly_the_pixels_that_pillow_takes() {
    let Some(golden) = Golden::open("image_io") else {
        return;
    };
    let cases = golden.cases("resize.");
    let nearest: Vec<_> = cases.iter().filter(|c| c.ends_with(".nearest")).collect();
    assert_eq!(nearest.len(), 7);
    for case in nearest {
        // What is compared is the resizing: it begins with the pixels that Pillow decoded.
        let original = expected(&golden, &format!("decode.{}", file(&golden, case)));
        let y = expected(&golden, case);
        let mut resized = Array3::zeros(y.dim());
        Interpolation::Nearest.resize(original.view(), resized.view_mut());
        assert_eq!(resized, y, "{case}");
    }
}
