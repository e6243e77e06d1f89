//! From the pixels of a file to bytes of the mode that is asked for.

use super::{ColorMode, Native};
use image::error::{ImageError, UnsupportedError, UnsupportedErrorKind};
use image::{ColorType, ImageFormat};
use std::array::from_fn;
use std::mem::swap;

/// Refuses what has no place in bytes, such as pixels that are floats.
pub(super) fn check(color: ColorType, format: ImageFormat) -> Result<(), ImageError> {
    if !matches!(color, ColorType::Rgb32F | ColorType::Rgba32F) {
        return Ok(());
    }
    let kind = UnsupportedErrorKind::Color(color.into());
    Err(ImageError::Unsupported(UnsupportedError::from_format_and_kind(format.into(), kind)))
}

/// Fills `into` from `native`, which is left as it falls.
pub(super) fn convert(
    found: &Native,
    format: ImageFormat,
    mode: ColorMode,
    native: &mut Vec<u8>,
    into: &mut Vec<u8>,
) -> Result<(), ImageError> {
    let word = |a, b| u16::from_ne_bytes([a, b]);
    let high = |a, b| (word(a, b) >> 8) as u8;
    let clip = |a, b| word(a, b).min(255) as u8;
    // v·255/65535 rounded, without a fraction: 65535 = 255 · 257.
    let scale = |a, b| ((u32::from(word(a, b)) + 128) / 257) as u8;
    match (found.color, mode) {
        (ColorType::Rgb8, ColorMode::Rgb)
        | (ColorType::L8, ColorMode::Grayscale)
        | (ColorType::Rgba8, ColorMode::Rgba) => swap(native, into),
        (ColorType::L8, _) => expand(native, into, mode, |[v]| [v, v, v, 255]),
        (ColorType::La8, _) => expand(native, into, mode, |[v, a]| [v, v, v, a]),
        (ColorType::Rgb8, _) => expand(native, into, mode, |[r, g, b]| [r, g, b, 255]),
        (ColorType::Rgba8, _) => expand(native, into, mode, |rgba| rgba),
        (ColorType::L16, _) => {
            expand(native, into, mode, |[a, b]| [clip(a, b), clip(a, b), clip(a, b), 255]);
        }
        (ColorType::La16, _) => expand(native, into, mode, |[v0, v1, a0, a1]| {
            let v = high(v0, v1);
            [v, v, v, high(a0, a1)]
        }),
        (ColorType::Rgb16, _) if format == ImageFormat::Pnm => {
            expand(native, into, mode, |p: [u8; 6]| {
                from_fn(|i| p.get(2 * i..2 * i + 2).map_or(255, |p| scale(p[0], p[1])))
            });
        }
        (ColorType::Rgb16, _) => expand(native, into, mode, |p: [u8; 6]| {
            from_fn(|i| p.get(2 * i..2 * i + 2).map_or(255, |p| high(p[0], p[1])))
        }),
        (ColorType::Rgba16, _) => {
            expand(native, into, mode, |p: [u8; 8]| from_fn(|i| high(p[2 * i], p[2 * i + 1])))
        }
        (color, _) => return check(color, format),
    }
    Ok(())
}

/// Every `N` bytes of `from` become one pixel of `into`, by way of red, green, blue and alpha.
fn expand<const N: usize>(
    from: &[u8],
    into: &mut Vec<u8>,
    mode: ColorMode,
    pixel: impl Fn([u8; N]) -> [u8; 4],
) {
    let pixels = from.as_chunks().0.iter().map(|&p| pixel(p));
    into.clear();
    match mode {
        ColorMode::Rgb => into.extend(pixels.flat_map(|[r, g, b, _]| [r, g, b])),
        ColorMode::Rgba => into.extend(pixels.flatten()),
        ColorMode::Grayscale => into.extend(pixels.map(luminance)),
    }
}

fn luminance([r, g, b, _]: [u8; 4]) -> u8 {
    ((19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b) + 32768) >> 16) as u8
}
