//! What is kept of a file, and what is refused; Pillow's own results are in tests/.

use super::*;
use image::{DynamicImage, ExtendedColorType};
use ndarray::Array3;
use std::path::PathBuf;

/// Writes `pixels` in a file and gives what the decoder reads from it, as one line.
fn through(name: &str, width: u32, color: ExtendedColorType, pixels: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    image::save_buffer(&path, pixels, width, 1, color).unwrap();
    let mut decoder = Decoder::default();
    decoder.read(&path).unwrap().iter().copied().collect()
}

fn words(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_ne_bytes()).collect()
}

#[test]
fn alpha_is_dropped_without_blending() {
    let read = through("a.png", 2, ExtendedColorType::Rgba8, &[9, 8, 7, 0, 1, 2, 3, 128]);
    assert_eq!(read, [9, 8, 7, 1, 2, 3]);
    let read = through("a.png", 2, ExtendedColorType::La8, &[5, 0, 6, 255]);
    assert_eq!(read, [5, 5, 5, 6, 6, 6]);
}

/// The expected values are Pillow 13's.
#[test]
fn sixteen_bits_become_eight_as_pillow_does_it() {
    let values = [0, 127, 255, 257, 1000, 0x7F80, 0xFF00, 0xFFFF];
    let gray = through("a.png", 8, ExtendedColorType::L16, &words(&values));
    let first: Vec<u8> = gray.iter().step_by(3).copied().collect();
    assert_eq!(first, [0, 127, 255, 255, 255, 255, 255, 255]);

    let rgb: Vec<u16> = values.iter().flat_map(|&v| [v; 3]).collect();
    let read = through("a.png", 8, ExtendedColorType::Rgb16, &words(&rgb));
    let first: Vec<u8> = read.iter().step_by(3).copied().collect();
    assert_eq!(first, [0, 0, 0, 1, 3, 127, 255, 255]);

    let rgba: Vec<u16> = values.iter().flat_map(|&v| [v, v, v, 9]).collect();
    assert_eq!(through("a.png", 8, ExtendedColorType::Rgba16, &words(&rgba)), read);

    let read = through("a.ppm", 8, ExtendedColorType::Rgb16, &words(&rgb));
    let first: Vec<u8> = read.iter().step_by(3).copied().collect();
    assert_eq!(first, [0, 0, 1, 1, 4, 127, 254, 255]);
}

mod hostile;

/// The 40 x 24 pixels that tests/golden/odd.py writes as a progressive JPEG.
const PROGRESSIVE: &[u8] = include_bytes!("../../tests/golden/progressive.jpg");

#[test]
fn ink_becomes_light_as_pillow_makes_it() {
    let ink = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cmyk.jpg");
    let pillow = include_bytes!("../../tests/golden/cmyk.rgb");
    let mut decoder = Decoder::default();
    let read = decoder.read(ink).unwrap();
    assert_eq!(read.dim(), (24, 40, 3));
    assert!(read.iter().eq(pillow));
}

#[test]
fn a_progressive_jpeg_may_have_half_as_many_pixels() {
    let mut decoder = Decoder { file: PROGRESSIVE.to_vec(), ..Decoder::default() };
    let mut read = |max_pixels| decoder.decode(Reading { max_pixels, ..Reading::default() });
    assert!(matches!(read(2 * 40 * 24), Ok([24, 40, 3])));
    assert!(matches!(read(2 * 40 * 24 - 1), Err(Failure::TooLarge(40, 24, 959))));
}

fn jpeg(folder: &Path) -> (PathBuf, Vec<u8>) {
    let gradient = image::RgbImage::from_fn(40, 30, |x, y| {
        image::Rgb([(x * 6) as u8, (y * 8) as u8, (x * y) as u8])
    });
    let path = folder.join("a.jpg");
    DynamicImage::from(gradient).save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

#[test]
fn what_follows_the_end_of_a_jpeg_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = jpeg(folder.path());
    let mut decoder = Decoder::default();
    let whole: Array3<u8> = decoder.read(&path).unwrap().to_owned();
    std::fs::write(&path, [&bytes[..], &[0; 100]].concat()).unwrap();
    assert_eq!(decoder.read(&path).unwrap(), whole);
}

#[test]
fn all_eight_orientations_bring_the_upper_left_pixel_where_exif_says() {
    // The first pixel of a 2 x 3 image, and where it is seen in each orientation.
    let places = [(0, 0), (0, 2), (1, 2), (1, 0), (0, 0), (0, 1), (2, 1), (2, 0)];
    for (value, (y, x)) in (1..).zip(places) {
        let (mut pixels, mut turned) = (vec![9, 0, 0, 0, 0, 0], Vec::new());
        let orientation = Orientation::from_exif(value).unwrap();
        let [_, width, _] = orientation::apply(orientation, [2, 3, 1], &mut pixels, &mut turned);
        assert_eq!(width, if value < 5 { 3 } else { 2 }, "{value}");
        assert_eq!(pixels[y * width + x], 9, "{value}");
    }
}
