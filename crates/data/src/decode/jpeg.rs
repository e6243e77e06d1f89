//! JPEG files, by way of the `jpeg-decoder` crate.
//!
//! ```text
//! Read         baseline, extended sequential and progressive, 8 bits, Huffman codes; gray, YCbCr,
//!              RGB, CMYK, YCCK
//! Refused      lossless and arithmetic codes, 12 bits, a height that comes later (DNL), a file
//!              that ends before its image, broken codes and restart markers
//! CMYK         ink is inverted, as Adobe stores it; R = k' − C·k'/255 with k' = 255 − K
//! ```
//!
//! Levels differ from Pillow's by 3 at most in photos; by 4 in a few pixels of noise, and of files
//! whose chroma is halved along rows only (4:2:2). `docs/decisions/0005-jpeg-decoder.md` says why
//! it is this crate.

use super::{Failure, Native, broken, check};
use crate::resize::times;
use image::error::{ImageError, UnsupportedError, UnsupportedErrorKind};
use image::metadata::Orientation;
use image::{ColorType, ImageFormat};
use jpeg_decoder::{CodingProcess, Decoder, Error, PixelFormat};
use std::io::ErrorKind;

const CUT_SHORT: &str = "the file ends before the image does; copy or download it again";

/// More scans than encoders make. Each takes time for the whole image and hardly any bytes.
pub(super) const MOST_SCANS: usize = 500;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unsupported(feature) => unsupported(format!("{feature:?}")),
            Error::Io(e) if e.kind() == ErrorKind::UnexpectedEof => {
                broken(ImageFormat::Jpeg, CUT_SHORT)
            }
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
    let mut decoder = Decoder::new(file);
    decoder.read_info()?;
    let info = decoder.info().ok_or_else(|| broken(ImageFormat::Jpeg, CUT_SHORT))?;
    let (width, height) = (info.width.into(), info.height.into());
    match info.coding_process {
        CodingProcess::Lossless => return Err(unsupported("lossless JPEG".into())),
        // Its coefficients are kept, two bytes for each sample: as much memory again.
        CodingProcess::DctProgressive => check(width, height, max_pixels / 2)?,
        CodingProcess::DctSequential => check(width, height, max_pixels)?,
    }
    if file.windows(2).filter(|marker| *marker == [0xFF, 0xDA]).count() > MOST_SCANS {
        let reason = format!("it has more than {MOST_SCANS} scans");
        return Err(broken(ImageFormat::Jpeg, reason));
    }
    *native = decoder.decode()?;
    let orientation = decoder.exif_data().and_then(Orientation::from_exif_chunk);
    let color = match info.pixel_format {
        PixelFormat::L8 => ColorType::L8,
        PixelFormat::CMYK32 => {
            cmyk_to_rgb(native);
            ColorType::Rgb8
        }
        _ => ColorType::Rgb8,
    };
    Ok((Native { width, height, color }, orientation))
}

/// Four bytes of ink become three of light, in place.
fn cmyk_to_rgb(pixels: &mut Vec<u8>) {
    let count = pixels.len() / 4;
    for i in 0..count {
        let light = 255 - pixels[4 * i + 3];
        for c in 0..3 {
            pixels[3 * i + c] = light - times(pixels[4 * i + c], light);
        }
    }
    pixels.truncate(3 * count);
}
