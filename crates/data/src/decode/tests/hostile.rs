//! Files that are damaged, or that were made to do harm.

use super::*;
use crate::decode::jpeg::MOST_SCANS;
use ::gif::{Encoder, Frame};

/// 60 000 x 60 000 pixels that 10 bytes of zeros shall fill.
const PNG_BOMB: &[u8] = b"\x89PNG\r\n\x1A\n\
    \0\0\0\x0DIHDR\0\0\xEA\x60\0\0\xEA\x60\x08\x02\0\0\0\x0F\xB0\xE2\x15\
    \0\0\0\x0BIDAT\x78\x9C\x63\x60\x80\x01\0\0\x0A\0\x01\x7F\x80\x74\x5E\
    \0\0\0\0IEND\xAE\x42\x60\x82";

fn gradient() -> image::RgbImage {
    image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 6) as u8, (y * 8) as u8, x as u8]))
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let mut whole = Cursor::new(Vec::new());
    gradient().write_to(&mut whole, format).unwrap();
    whole.into_inner()
}

fn gif() -> Vec<u8> {
    let mut whole = Vec::new();
    let palette: Vec<u8> = (0..=255).flat_map(|v| [v, 255 - v, v / 2]).collect();
    let mut encoder = Encoder::new(&mut whole, 40, 30, &palette).unwrap();
    let pixels: Vec<u8> = (0..1200).map(|i| (i * 7) as u8).collect();
    encoder.write_frame(&Frame::from_indexed_pixels(40, 30, pixels, None)).unwrap();
    drop(encoder);
    whole
}

/// What comes of these bytes, and the decoder that read them.
fn read(bytes: &[u8]) -> (Result<[usize; 3], Failure>, Decoder) {
    let mut decoder = Decoder { file: bytes.to_vec(), ..Decoder::default() };
    let shape = decoder.decode(Reading { max_pixels: 1 << 20, ..Reading::default() });
    (shape, decoder)
}

fn assert_too_large(bytes: &[u8]) {
    let (shape, decoder) = read(bytes);
    assert!(matches!(shape, Err(Failure::TooLarge(..))), "{:?}", &bytes[..8]);
    assert_eq!(decoder.pixels.capacity() + decoder.native.capacity(), 0);
}

#[test]
fn every_format_cut_at_a_tenth_is_refused() {
    use ImageFormat as F;
    let mut files = [F::Png, F::Bmp, F::Tiff, F::Pnm, F::Jpeg].map(encoded).to_vec();
    files.push(gif());
    for whole in files {
        assert!(matches!(read(&whole).0, Ok([30, 40, 3])));
        for tenth in 0..10 {
            let (shape, _) = read(&whole[..whole.len() * tenth / 10]);
            assert!(matches!(shape, Err(Failure::Image(_))), "{:?}, {tenth}", &whole[..4]);
        }
    }
}

#[test]
fn a_decoder_that_panics_is_an_error() {
    let read = guarded::<()>(ImageFormat::Tiff, || panic!("as a decoder would"));
    assert!(matches!(read, Err(Failure::Image(ImageError::Decoding(_)))));
}

#[test]
fn files_without_any_image_are_refused() {
    let jpeg = b"\xFF\xD8\xFF\xD9";
    for file in [&b""[..], b"not an image", &jpeg[..3], jpeg, b"GIF89a", b"P6"] {
        assert!(matches!(read(file).0, Err(Failure::Image(_))), "{file:?}");
    }
}

#[test]
fn a_header_that_declares_too_much_is_refused_before_memory_is_asked_for() {
    assert_too_large(b"GIF89a\xFF\xFF\xFF\xFF\0\0\0\x2C\0\0\0\0\x01\0\x01\0\0\x02\0\x3B");
    assert_too_large(b"P6 99999 99999 255\n");
    assert_too_large(PNG_BOMB);
    let mut bmp = encoded(ImageFormat::Bmp);
    bmp[18..26].copy_from_slice(&[0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0, 0]);
    assert_too_large(&bmp);
    let mut jpeg = encoded(ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|m| m == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xFF);
    assert_too_large(&jpeg);
}

/// Where the first directory of a TIFF file has its entries, of 12 bytes each.
fn entries(tiff: &[u8]) -> std::ops::Range<usize> {
    let at = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let count = usize::from(u16::from_le_bytes(tiff[at..at + 2].try_into().unwrap()));
    at + 2..at + 2 + 12 * count
}

#[test]
fn a_tiff_of_absurd_size_or_whose_directories_go_in_circles_is_refused() {
    let whole = encoded(ImageFormat::Tiff);
    let entries = entries(&whole);
    let mut absurd = whole.clone();
    for entry in absurd[entries.clone()].as_chunks_mut::<12>().0 {
        // Tags 256 and 257 are width and height, here of type 4: 32 bits.
        if matches!(entry[..2], [0 | 1, 1]) {
            entry[2] = 4;
            entry[8..].fill(0x7F);
        }
    }
    let (shape, decoder) = read(&absurd);
    assert!(shape.is_err());
    assert_eq!(decoder.pixels.capacity() + decoder.native.capacity(), 0);

    let mut circle = whole;
    let first: [u8; 4] = circle[4..8].try_into().unwrap();
    circle[entries.end..entries.end + 4].copy_from_slice(&first);
    assert!(matches!(read(&circle).0, Err(Failure::Image(_))));
}

#[test]
fn a_jpeg_cut_short_anywhere_is_refused() {
    for whole in [&encoded(ImageFormat::Jpeg)[..], PROGRESSIVE] {
        assert!(read(whole).0.is_ok());
        for length in 0..whole.len() {
            let (shape, _) = read(&whole[..length]);
            assert!(matches!(shape, Err(Failure::Image(_))), "{length} of {}", whole.len());
        }
    }
}

#[test]
fn a_jpeg_damaged_at_any_byte_is_refused_or_a_picture() {
    for whole in [&encoded(ImageFormat::Jpeg)[..], PROGRESSIVE] {
        let mut bytes = whole.to_vec();
        let mut pictures = 0;
        for i in 0..whole.len() {
            for mask in [0x01, 0x10, 0x80, 0xFF] {
                bytes[i] ^= mask;
                let (shape, decoder) = read(&bytes);
                if let Ok([h, w, c]) = shape {
                    assert_eq!(decoder.pixels.len(), h * w * c, "byte {i}, mask {mask}");
                    pictures += 1;
                }
                bytes[i] = whole[i];
            }
        }
        assert!(pictures > 0 && pictures < 4 * whole.len());
    }
}

#[test]
fn more_scans_than_an_encoder_makes_are_refused() {
    let last = PROGRESSIVE.windows(2).rposition(|m| m == [0xFF, 0xDA]).unwrap();
    let (before, scan) = PROGRESSIVE[..PROGRESSIVE.len() - 2].split_at(last);
    let scans = |count| [before, &scan.repeat(count), b"\xFF\xD9"].concat();
    assert!(read(&scans(2)).0.is_ok());
    assert!(matches!(read(&scans(MOST_SCANS)).0, Err(Failure::Image(ImageError::Decoding(_)))));
}

#[test]
fn a_lossless_jpeg_is_refused_as_unsupported() {
    let mut whole = Cursor::new(Vec::new());
    DynamicImage::from(gradient()).to_luma8().write_to(&mut whole, ImageFormat::Jpeg).unwrap();
    let mut bytes = whole.into_inner();
    let frame = bytes.windows(2).position(|m| m == [0xFF, 0xC0]).unwrap();
    bytes[frame + 1] = 0xC3;
    assert!(matches!(read(&bytes).0, Err(Failure::Image(ImageError::Unsupported(_)))));
}
