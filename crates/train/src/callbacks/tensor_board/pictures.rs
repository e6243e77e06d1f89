//! Images of a batch as PNG files.
//!
//! ```text
//! Shapes       x: N·H·W·C, as the network sees it
//! Conventions  values are divided by what pixels were multiplied with; if all are then in 0 … 255
//!              they are shown as they are, otherwise stretched from the least to the greatest. Three
//!              channels are colours; of any other number the first is shown, as gray
//! ```

use gradus_tensor::Tensor;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

/// The first `count` images, and their width and height.
pub(super) fn pictures(x: &Tensor, rescale: f32, count: usize) -> ([u32; 2], Vec<Vec<u8>>) {
    let &[n, height, width, channels] = x.shape().dims() else { return ([0; 2], Vec::new()) };
    let size = [width as u32, height as u32];
    let one = height * width * channels;
    let numbers = x.numbers::<f32>();
    let shown = &numbers[..count.min(n) * one];
    let level = levels(shown, rescale);
    let color = if channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
    let kept = if channels == 3 { 3 } else { 1 };
    let files = shown.chunks_exact(one).map(|image| {
        let pixels = image.chunks_exact(channels).flat_map(|pixel| &pixel[..kept]);
        let pixels: Vec<u8> = pixels.map(|v| level(*v)).collect();
        let mut png = Vec::new();
        let encoder = PngEncoder::new(&mut png);
        encoder.write_image(&pixels, size[0], size[1], color).expect("memory takes all");
        png
    });
    (size, files.collect())
}

/// How values are shown as levels.
fn levels(values: &[f32], rescale: f32) -> impl Fn(f32) -> u8 + use<> {
    let ends = (f32::INFINITY, f32::NEG_INFINITY);
    let (least, most) = values.iter().fold(ends, |(low, high), v| (low.min(*v), high.max(*v)));
    // A rescaled 255 may lie a rounding above 255.
    let fits = |v: f32| (-0.01..=255.01).contains(&(v / rescale));
    let (from, scale) = match fits(least) && fits(most) {
        true => (0.0, 1.0 / rescale),
        false => (least, 255.0 / (most - least)),
    };
    move |v| ((v - from) * scale).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::Shape;

    fn decoded(values: &[f32], channels: usize, rescale: f32) -> Vec<Vec<u8>> {
        let shape = Shape::new(&[values.len() / channels / 2, 1, 2, channels]);
        let (size, files) = pictures(&Tensor::from_slice(shape, values), rescale, 2);
        assert_eq!(size, [2, 1]);
        let pixels = |png: &Vec<u8>| image::load_from_memory(png).unwrap().into_bytes();
        files.iter().map(pixels).collect()
    }

    #[test]
    fn levels_are_those_of_the_photo_where_they_can_be() {
        let photo = [0.0, 51.0, 255.0, 1.0, 2.0, 3.0];
        let seen = photo.map(|v| v * (1.0 / 255.0));
        assert_eq!(decoded(&seen, 3, 1.0 / 255.0), [[0, 51, 255, 1, 2, 3]]);
        assert_eq!(decoded(&[-1.0, 1.0], 1, 1.0), [[0, 255]]);
    }

    #[test]
    fn only_as_many_as_asked_for_are_shown_and_two_channels_as_gray() {
        let values: Vec<f32> = (0..12).map(|v| v as f32).collect();
        assert_eq!(decoded(&values, 2, 1.0), [[0, 2], [4, 6]]);
    }
}
