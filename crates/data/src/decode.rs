//! An image file as RGB bytes, as Pillow's `Image.open(path).convert("RGB")` gives them.
//!
//! ```text
//! Format       what the first bytes say, not the name
//! Alpha        dropped, nothing is blended; palettes and grays are expanded to three channels
//! 16 bits      colour keeps the high byte; a lone gray channel is cut off at 255 (Pillow's `I;16`);
//!              in PPM files colour is scaled and rounded
//! EXIF         ignored: no image is turned
//! Cut short    an error, as with Pillow, where a decoder would leave the rest gray
//! ```
//!
//! PNG, BMP and PPM give Pillow's bytes. JPEG decoders round differently: this one and Pillow's
//! libjpeg-turbo differ by 1 level in gray, 2 in full colour and, rarely, 4 to 6 where colour is
//! subsampled (tests/golden.rs has the numbers).

use crate::Error;
use image::error::{DecodingError, ImageError, UnsupportedError, UnsupportedErrorKind};
use image::{ColorType, ImageDecoder, ImageFormat, ImageReader, Limits};
use ndarray::ArrayView3;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// Reads image files one after another into memory that it keeps.
///
/// ```no_run
/// let mut decoder = gradus_data::Decoder::default();
/// let image = decoder.read("cat.0.jpg")?;
/// let (height, width, three) = image.dim();
/// # Ok::<(), gradus_data::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    /// The file as it is on disk.
    file: Vec<u8>,
    /// The pixels as the file has them, where that is not RGB of 8 bits.
    native: Vec<u8>,
    /// (height, width, 3)
    rgb: Vec<u8>,
}

impl Decoder {
    /// The most pixels an image may declare: 89 478 485, a quarter of a gibibyte as RGB, where
    /// Pillow begins to warn of decompression bombs. Larger ones are refused before any memory is
    /// asked for, however small their file.
    pub const MAX_PIXELS: u64 = 1024 * 1024 * 1024 / 4 / 3;

    /// The image of that file: (height, width, 3).
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Image`] if it is no whole image of a known
    /// format, [`Error::TooLarge`] if it has more than [`Decoder::MAX_PIXELS`].
    #[expect(
        clippy::missing_panics_doc,
        reason = "convert fills height x width x 3 bytes or fails"
    )]
    pub fn read(&mut self, path: impl AsRef<Path>) -> Result<ArrayView3<'_, u8>, Error> {
        let path = path.as_ref();
        self.file.clear();
        File::open(path)
            .and_then(|mut file| file.read_to_end(&mut self.file))
            .map_err(Error::io(path))?;
        let image = |source| Error::Image { path: path.to_path_buf(), line: None, source };
        let mut reader = ImageReader::new(Cursor::new(self.file.as_slice()))
            .with_guessed_format()
            .map_err(Error::io(path))?;
        reader.limits(limits());
        let format = reader.format();
        let decoder = reader.into_decoder().map_err(image)?;
        let (width, height) = decoder.dimensions();
        check_size(path, width, height)?;
        if format == Some(ImageFormat::Jpeg) && !jpeg_has_its_end(&self.file) {
            return Err(image(cut_short()));
        }
        convert(decoder, format, &mut self.native, &mut self.rgb).map_err(image)?;
        let shape = (height as usize, width as usize, 3);
        Ok(ArrayView3::from_shape(shape, &self.rgb).expect("as many bytes as the shape"))
    }
}

fn check_size(path: &Path, width: u32, height: u32) -> Result<(), Error> {
    if u64::from(width) * u64::from(height) <= Decoder::MAX_PIXELS {
        return Ok(());
    }
    Err(Error::TooLarge {
        path: path.to_path_buf(),
        line: None,
        width,
        height,
        limit: Decoder::MAX_PIXELS,
    })
}

fn limits() -> Limits {
    // For what decoders allocate besides the image: compressed metadata, above all.
    let mut limits = Limits::default();
    limits.max_alloc = Some(3 * Decoder::MAX_PIXELS);
    limits
}

fn cut_short() -> ImageError {
    let reason = "the file ends before the image does; copy or download it again";
    ImageError::Decoding(DecodingError::new(ImageFormat::Jpeg.into(), reason))
}

/// Decodes into `rgb`, by way of `native` where the file's pixels are not RGB of 8 bits.
fn convert(
    decoder: impl ImageDecoder,
    format: Option<ImageFormat>,
    native: &mut Vec<u8>,
    rgb: &mut Vec<u8>,
) -> Result<(), ImageError> {
    let color = decoder.color_type();
    let buffer = if color == ColorType::Rgb8 { &mut *rgb } else { &mut *native };
    buffer.resize(decoder.total_bytes() as usize, 0);
    decoder.read_image(buffer)?;
    let word = |a, b| u16::from_ne_bytes([a, b]);
    let high = |a, b| (word(a, b) >> 8) as u8;
    let clip = |a, b| word(a, b).min(255) as u8;
    // v·255/65535 rounded, without a fraction: 65535 = 255 · 257.
    let scale = |a, b| ((u32::from(word(a, b)) + 128) / 257) as u8;
    match color {
        ColorType::Rgb8 => {}
        ColorType::L8 => expand(native, rgb, |[v]| [v; 3]),
        ColorType::La8 => expand(native, rgb, |[v, _]| [v; 3]),
        ColorType::Rgba8 => expand(native, rgb, |[r, g, b, _]| [r, g, b]),
        ColorType::L16 => expand(native, rgb, |[v0, v1]| [clip(v0, v1); 3]),
        ColorType::La16 => expand(native, rgb, |[v0, v1, _, _]| [high(v0, v1); 3]),
        ColorType::Rgb16 if format == Some(ImageFormat::Pnm) => {
            expand(native, rgb, |[v0, v1]| [scale(v0, v1)]);
        }
        ColorType::Rgb16 => expand(native, rgb, |[v0, v1]| [high(v0, v1)]),
        ColorType::Rgba16 => expand(native, rgb, |[r0, r1, g0, g1, b0, b1, _, _]| {
            [high(r0, r1), high(g0, g1), high(b0, b1)]
        }),
        _ => {
            let kind = UnsupportedErrorKind::Color(color.into());
            let hint = format.map_or(image::error::ImageFormatHint::Unknown, Into::into);
            let reason = UnsupportedError::from_format_and_kind(hint, kind);
            return Err(ImageError::Unsupported(reason));
        }
    }
    Ok(())
}

/// Every `N` bytes of `from` become `M` of `into`.
fn expand<const N: usize, const M: usize>(
    from: &[u8],
    into: &mut Vec<u8>,
    pixel: impl Fn([u8; N]) -> [u8; M],
) {
    into.clear();
    into.extend(from.as_chunks().0.iter().flat_map(|&p| pixel(p)));
}

/// Whether the markers of a JPEG file lead to its end-of-image marker. (ITU T.81, B.1.1)
///
/// The decoder fills what is missing with gray, so a file cut short must be seen from outside. A
/// search for the two bytes of the marker would find that of a thumbnail in the metadata.
fn jpeg_has_its_end(file: &[u8]) -> bool {
    const START_OF_IMAGE: u8 = 0xD8;
    const END_OF_IMAGE: u8 = 0xD9;
    let mut at = 0;
    // Between markers there is entropy-coded data, in which 0xFF is followed by 0 or by one of the
    // eight restart markers, or nothing at all.
    while let Some(skip) = file[at..].iter().position(|&b| b == 0xFF) {
        at += skip + 1;
        match file.get(at) {
            Some(&END_OF_IMAGE) => return true,
            None | Some(0xFF) => {}
            Some(0x00 | 0x01 | 0xD0..=0xD7 | &START_OF_IMAGE) => at += 1,
            // Any other marker begins a segment that says how long it is.
            Some(_) => match file.get(at + 1..at + 3) {
                Some(&[high, low]) => at += 1 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
        if at >= file.len() {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
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
    fn a_jpeg_cut_short_anywhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = jpeg(folder.path());
        let mut decoder = Decoder::default();
        assert_eq!(decoder.read(&path).unwrap().dim(), (30, 40, 3));
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = decoder.read(&path).unwrap_err();
            assert!(matches!(error, Error::Image { .. }), "{length}: {error}");
        }
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
    fn an_end_marker_inside_a_segment_is_not_the_end() {
        let comment = [0xFF, 0xD8, 0xFF, 0xFE, 0, 4, 0xFF, 0xD9];
        assert!(!jpeg_has_its_end(&comment));
        assert!(jpeg_has_its_end(&[&comment[..], &[0xFF, 0xFF, 0xD9]].concat()));
        assert!(!jpeg_has_its_end(&[0xFF, 0xD8, 0xFF, 0xFE, 0xFF]));
    }

    #[test]
    fn a_png_cut_short_and_a_text_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]))
            .save(&path)
            .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let mut decoder = Decoder::default();
        for half in [&bytes[..bytes.len() / 2], b"not an image", b""] {
            std::fs::write(&path, half).unwrap();
            let error = decoder.read(&path).unwrap_err();
            assert!(matches!(error, Error::Image { .. }), "{error}");
        }
    }

    #[test]
    fn hostile_dimensions_are_refused_before_any_memory_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut bytes) = jpeg(folder.path());
        let frame = bytes.windows(2).position(|m| m == [0xFF, 0xC0]).unwrap();
        bytes[frame + 5..frame + 9].fill(0xFF);
        std::fs::write(&path, &bytes).unwrap();
        let mut decoder = Decoder::default();
        let error = decoder.read(&path).unwrap_err();
        let Error::TooLarge { width: 65535, height: 65535, .. } = error else { panic!("{error}") };
        assert_eq!(decoder.rgb.capacity(), 0);
    }
}
