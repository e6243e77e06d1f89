//! JPEG files, by way of the `libjpeg-turbo-rs` crate.
//!
//! ```text
//! Read         baseline, extended sequential and progressive, 8 bits, Huffman and
//!              arithmetic codes; gray, YCbCr, RGB, CMYK, YCCK
//! Refused      lossless codes, 12 bits, two channels, a height that comes later (DNL), a file that ends before its
//!              image, broken codes
//! CMYK         ink is inverted, as Adobe stores it; R = k' − C·k'/255 with k' = 255 − K
//! ```
//!
//! Levels are libjpeg-turbo's, which are Pillow's. `docs/decisions/0012-libjpeg-turbo-rs.md` says
//! why it is this crate.

use super::{Failure, Native, broken, check};
use crate::resize::times;
use image::error::{ImageError, UnsupportedError, UnsupportedErrorKind};
use image::metadata::Orientation;
use image::{ColorType, ImageFormat};
use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat};

const CUT_SHORT: &str = "the file ends before the image does; copy or download it again";

/// More scans than encoders make. Each takes time for the whole image and hardly any bytes.
pub(super) const MOST_SCANS: usize = 500;

impl From<JpegError> for Failure {
    fn from(error: JpegError) -> Self {
        match error {
            JpegError::Unsupported(feature) => unsupported(feature),
            JpegError::UnexpectedEof => broken(ImageFormat::Jpeg, CUT_SHORT),
            error => broken(ImageFormat::Jpeg, error),
        }
    }
}

fn unsupported(feature: String) -> Failure {
    let kind = UnsupportedErrorKind::GenericFeature(feature);
    let format = ImageFormat::Jpeg.into();
    Failure::Image(ImageError::Unsupported(UnsupportedError::from_format_and_kind(format, kind)))
}

/// Fills `native` with gray or RGB.
pub(super) fn decode(
    file: &[u8],
    max_pixels: u64,
    native: &mut Vec<u8>,
) -> Result<(Native, Option<Orientation>), Failure> {
    let mut decoder = Decoder::new(file)?;
    if !has_end(file) {
        return Err(broken(ImageFormat::Jpeg, CUT_SHORT));
    }
    let frame = decoder.header();
    let (width, height) = (frame.width.into(), frame.height.into());
    // Of a file with several scans the coefficients are kept, two bytes for each sample: as much
    // memory again.
    let several = decoder.has_multiple_scans();
    check(width, height, if several { max_pixels / 2 } else { max_pixels })?;
    if frame.is_lossless {
        return Err(unsupported("lossless JPEG".into()));
    }
    if frame.precision != 8 {
        return Err(unsupported(format!("{} bits in each channel of a JPEG", frame.precision)));
    }
    let (format, color) = match frame.components.len() {
        1 => (PixelFormat::Grayscale, ColorType::L8),
        3 => (PixelFormat::Rgb, ColorType::Rgb8),
        4 => (PixelFormat::Cmyk, ColorType::Rgb8),
        channels => return Err(unsupported(format!("{channels} channels in a JPEG"))),
    };
    decoder.set_output_format(format);
    decoder.set_limits(DecodeLimits { max_scans: MOST_SCANS, ..DecodeLimits::default() });
    native.resize(decoder.output_buffer_size()?, 0);
    decoder.decode_image_into(native)?;
    if format == PixelFormat::Cmyk {
        cmyk_to_rgb(native);
    }
    let orientation = decoder.exif_data().and_then(Orientation::from_exif_chunk);
    Ok((Native { width, height, color }, orientation))
}

/// Whether the mark of an image's end comes after its first scan has begun. Pillow refuses a file
/// without it, though all pixels be there; in a preview before the scan it does not count. It is
/// looked for from the back, where a whole file has it.
fn has_end(file: &[u8]) -> bool {
    let mut rest = file;
    loop {
        rest = match *rest {
            [0xFF, 0xDA, ref scan @ ..] => return scan.windows(2).rev().any(|m| m == [0xFF, 0xD9]),
            // A segment: its length counts itself.
            [0xFF, 0xC0..=0xCF | 0xDB..=0xFE, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                rest.get(2 + length.max(2)..).unwrap_or_default()
            }
            [_, ref others @ ..] => others,
            [] => return false,
        };
    }
}

/// Four bytes of ink become three of light, in place. 0 is all of the ink.
fn cmyk_to_rgb(pixels: &mut Vec<u8>) {
    let count = pixels.len() / 4;
    for i in 0..count {
        let light = pixels[4 * i + 3];
        for c in 0..3 {
            pixels[3 * i + c] = light - times(255 - pixels[4 * i + c], light);
        }
    }
    pixels.truncate(3 * count);
}
