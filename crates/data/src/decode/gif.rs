//! The first frame of a GIF file, on the screen that the file declares, as Pillow shows it.

use super::{Failure, Native, broken, check};
use gif::{ColorOutput, DecodeOptions, DecodingError};
use image::{ColorType, ImageFormat};

impl From<DecodingError> for Failure {
    fn from(error: DecodingError) -> Self {
        broken(ImageFormat::Gif, error)
    }
}

/// Fills `native` with RGBA; transparent pixels keep the colour that the palette gives them.
pub(super) fn first_frame(
    file: &[u8],
    max_pixels: u64,
    indices: &mut Vec<u8>,
    native: &mut Vec<u8>,
) -> Result<Native, Failure> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let mut decoder = options.read_info(file)?;
    check(decoder.width().into(), decoder.height().into(), max_pixels)?;
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let no_frame = || DecodingError::from(std::io::Error::other("it has no frame"));
    let frame = decoder.next_frame_info()?.ok_or_else(no_frame)?;
    let transparent = frame.transparent;
    let palette = frame.palette.clone().or(global);
    let [left, top] = [frame.left, frame.top].map(usize::from);
    let frame_width = usize::from(frame.width);
    // Pillow makes the screen larger where the first frame does not fit on it.
    let right = u32::from(frame.left) + u32::from(frame.width);
    let bottom = u32::from(frame.top) + u32::from(frame.height);
    let (width, height) = (right.max(decoder.width().into()), bottom.max(decoder.height().into()));
    check(width, height, max_pixels)?;
    indices.resize(decoder.buffer_size(), 0);
    decoder.read_into_buffer(indices)?;

    let color = |index: u8| {
        let alpha = if transparent == Some(index) { 0 } else { 255 };
        let place = 3 * usize::from(index);
        match palette.as_deref().map(|p| p.get(place..place + 3)) {
            Some(Some(&[r, g, b])) => [r, g, b, alpha],
            Some(_) => [0, 0, 0, alpha],
            None => [index, index, index, alpha],
        }
    };
    native.clear();
    let around = color(transparent.unwrap_or(0));
    native.extend(std::iter::repeat_n(around, (width * height) as usize).flatten());
    let line = 4 * width as usize;
    let rows = native.chunks_exact_mut(line).skip(top);
    for (row, indices) in rows.zip(indices.chunks_exact(frame_width.max(1))) {
        for (pixel, &index) in row.as_chunks_mut().0[left..].iter_mut().zip(indices) {
            *pixel = color(index);
        }
    }
    Ok(Native { width, height, color: ColorType::Rgba8 })
}
