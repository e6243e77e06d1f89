//! An image file as bytes, as Pillow's `Image.open(path).convert(mode)` gives them.
//!
//! ```text
//! Format       what the first bytes say, not the name: JPEG, PNG, GIF (first frame), BMP, TIFF,
//!              PPM
//! Alpha        dropped, nothing is blended; palettes are expanded
//! Gray         (19595·R + 38470·G + 7471·B + 32768) >> 16
//! 16 bits      colour keeps the high byte, and is scaled and rounded in PPM files; a lone gray
//!              channel is cut off at 255 (Pillow's `I;16`)
//! EXIF         ignored unless asked for
//! Cut short    an error, as with Pillow; damage inside a JPEG is an error or part of the picture
//! ```
//!
//! The bytes are Pillow's own: tests/golden.rs and tests/odd_files.rs hold them against it.

mod gif;
mod jpeg;
mod orientation;
mod pixels;

use crate::Error;
use image::error::{DecodingError, ImageError};
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageFormat, ImageReader, Limits};
use ndarray::ArrayView3;
use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Which channels an image is read with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ColorMode {
    /// Red, green and blue. Keras's default.
    #[default]
    Rgb,
    /// One channel. Where a file has 16 bits of gray, values stop at 255; Keras keeps them all.
    Grayscale,
    /// Red, green, blue and alpha, which is 255 where a file has none.
    Rgba,
}

impl ColorMode {
    /// How many channels there are.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::Grayscale => 1,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// How a [`Decoder`] reads a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reading {
    /// Which channels there are. RGB by default.
    pub color_mode: ColorMode,
    /// Whether the image is turned and mirrored as its EXIF block says. Not by default, as in
    /// Keras.
    pub exif_orientation: bool,
    /// The most pixels an image may declare: [`Decoder::MAX_PIXELS`] by default. Larger ones are
    /// refused before any memory is asked for, however small their file. A progressive JPEG, which
    /// takes twice the memory, may have half as many.
    pub max_pixels: u64,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            color_mode: ColorMode::default(),
            exif_orientation: false,
            max_pixels: Decoder::MAX_PIXELS,
        }
    }
}

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
    /// The pixels as the file has them, where that is not what is asked for.
    native: Vec<u8>,
    /// (height, width, channels)
    pixels: Vec<u8>,
    /// The same, turned as EXIF says; before that the indices of a GIF's palette.
    turned: Vec<u8>,
}

/// What lies in `native`.
struct Native {
    width: u32,
    height: u32,
    color: ColorType,
}

/// Why a file is not read, before anybody knows its name.
enum Failure {
    Image(ImageError),
    /// Width, height and the most pixels there may be.
    TooLarge(u32, u32, u64),
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

fn broken(
    format: ImageFormat,
    reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Failure {
    Failure::Image(ImageError::Decoding(DecodingError::new(format.into(), reason)))
}

/// A damaged file can make a decoder panic, which shall not end a process that reads thousands.
/// What it leaves behind are bytes, of which the next file makes its own.
fn guarded<T>(
    format: ImageFormat,
    decode: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(broken(format, "its decoder gave up; write the file anew")))
}

fn check(width: u32, height: u32, limit: u64) -> Result<(), Failure> {
    let large = u64::from(width) * u64::from(height) > limit;
    if large { Err(Failure::TooLarge(width, height, limit)) } else { Ok(()) }
}

impl Decoder {
    /// The most pixels an image may declare unless told otherwise: 89 478 485, a quarter of a
    /// gibibyte as RGB, where Pillow begins to warn of decompression bombs.
    pub const MAX_PIXELS: u64 = 1024 * 1024 * 1024 / 4 / 3;

    /// The image of that file: (height, width, 3).
    ///
    /// # Errors
    /// As [`Decoder::read_as`].
    pub fn read(&mut self, path: impl AsRef<Path>) -> Result<ArrayView3<'_, u8>, Error> {
        self.read_as(path, Reading::default())
    }

    /// The image of that file: (height, width, channels).
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Image`] if it is no whole image of a known
    /// format, [`Error::TooLarge`] if it has more pixels than [`Reading::max_pixels`].
    pub fn read_as(
        &mut self,
        path: impl AsRef<Path>,
        reading: Reading,
    ) -> Result<ArrayView3<'_, u8>, Error> {
        let path = path.as_ref();
        self.file.clear();
        File::open(path)
            .and_then(|mut file| file.read_to_end(&mut self.file))
            .map_err(Error::io(path))?;
        self.decoded(path, reading)
    }

    /// The image that a file would hold whose content is `bytes`; errors call it `name`.
    ///
    /// # Errors
    /// As [`Decoder::read_as`].
    pub fn read_bytes(
        &mut self,
        name: &str,
        bytes: &[u8],
        reading: Reading,
    ) -> Result<ArrayView3<'_, u8>, Error> {
        self.file.clear();
        self.file.extend_from_slice(bytes);
        self.decoded(Path::new(name), reading)
    }

    fn decoded(&mut self, path: &Path, reading: Reading) -> Result<ArrayView3<'_, u8>, Error> {
        let shape = self.decode(reading).map_err(|failure| match failure {
            Failure::Image(cause) => Error::Image { path: path.to_path_buf(), line: None, cause },
            Failure::TooLarge(width, height, limit) => {
                Error::TooLarge { path: path.to_path_buf(), line: None, width, height, limit }
            }
        })?;
        Ok(ArrayView3::from_shape(shape, &self.pixels).expect("as many bytes as the shape"))
    }

    /// Fills `pixels` from `file` and says what shape they have.
    fn decode(&mut self, reading: Reading) -> Result<[usize; 3], Failure> {
        let Self { file, native, pixels, turned } = self;
        let format = image::guess_format(file)?;
        let limit = reading.max_pixels;
        let (found, orientation) = guarded(format, || match format {
            ImageFormat::Jpeg => jpeg::decode(file, limit, native),
            ImageFormat::Gif => Ok((gif::first_frame(file, limit, turned, native)?, None)),
            _ => other(file, format, limit, native),
        })?;
        pixels::convert(&found, format, reading.color_mode, native, pixels)?;
        let size = [found.height as usize, found.width as usize, reading.color_mode.channels()];
        match orientation {
            Some(orientation) if reading.exif_orientation => {
                Ok(orientation::apply(orientation, size, pixels, turned))
            }
            _ => Ok(size),
        }
    }
}

/// The formats that are left to the `image` crate.
fn other(
    file: &[u8],
    format: ImageFormat,
    max_pixels: u64,
    native: &mut Vec<u8>,
) -> Result<(Native, Option<Orientation>), Failure> {
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    // For what decoders allocate besides the image: compressed metadata, above all.
    let mut limits = Limits::default();
    limits.max_alloc = Some(max_pixels.saturating_mul(3));
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    check(width, height, max_pixels)?;
    let color = decoder.color_type();
    pixels::check(color, format)?;
    let orientation = decoder.orientation().ok();
    native.resize(decoder.total_bytes() as usize, 0);
    decoder.read_image(native)?;
    Ok((Native { width, height, color }, orientation))
}

#[cfg(test)]
mod tests;
