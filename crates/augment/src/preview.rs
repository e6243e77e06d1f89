//! What the network will see: a batch before and after augmentation, on one sheet.
//!
//! ```text
//! Layout       a row for each image; the first column is the image itself, each further one what
//!              one epoch makes of it
//! Shapes       images: n·h·w·C, u8, C of 1 (gray), 3 or 4 (alpha is not shown)   sheet: H·W·3, u8
//! Conventions  values in [0, 1] are shown times 255, values in [0, 255] as they are, and all others
//!              stretched from the least to the greatest of the sheet: the same for all pictures
//! ```

use gradus_random::{Key, Transform};
use ndarray::{Array3, Array5, ArrayView3, ArrayView4, Axis, s};

/// Pixels between two pictures; twice as many beside the first column and around the sheet.
const GAP: usize = 4;
const PAPER: u8 = 250;

/// The sheet: `images` in the first column, and beside each what `transform` makes of it in the
/// epochs 0 to `epochs` − 1 of a run with that seed, the image's row being its place in the batch.
///
/// ```
/// use gradus_augment::{ImageDataGenerator, preview};
/// use ndarray::Array4;
/// # fn main() -> Result<(), gradus_augment::Error> {
/// let photos = Array4::<u8>::zeros((3, 32, 48, 3));
/// let generator = ImageDataGenerator::builder().rotation_range(15.0).build()?;
/// let sheet = preview::contact_sheet(photos.view(), 5, 42, generator.transform());
/// let png = preview::encode_png(sheet.view());
/// assert!(png.starts_with(b"\x89PNG"));
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// If the images have 2 channels or more than 4.
#[must_use]
pub fn contact_sheet(
    images: ArrayView4<'_, u8>,
    epochs: u32,
    seed: u64,
    transform: impl Transform,
) -> Array3<u8> {
    let (n, height, width, channels) = images.dim();
    assert!([1, 3, 4].contains(&channels), "a picture has 1, 3 or 4 channels, not {channels}");
    let mut drawn = Array5::<f32>::zeros((n, epochs as usize, height, width, channels));
    for (index, (mut row, image)) in (0..).zip(drawn.outer_iter_mut().zip(images.outer_iter())) {
        for (epoch, into) in (0..).zip(row.outer_iter_mut()) {
            transform.apply(Key { seed, epoch, index }.into(), image, into);
        }
    }
    let level = levels(&drawn);
    let left = |column: usize| GAP * (2 + usize::from(column > 0)) + column * (width + GAP);
    let top = |row: usize| 2 * GAP + row * (height + GAP);
    let size = (top(n) + GAP, left(epochs as usize + 1) + GAP, 3);
    let mut sheet = Array3::from_elem(size, PAPER);
    for (i, image) in images.outer_iter().enumerate() {
        let mut put = |column: usize, picture: ArrayView3<'_, u8>| {
            let (top, left) = (top(i), left(column));
            let mut frame = sheet.slice_mut(s![top..top + height, left..left + width, ..]);
            // One channel stands for all three.
            frame.assign(&picture.slice(s![.., .., ..channels.min(3)]));
        };
        put(0, image);
        for (epoch, picture) in drawn.index_axis(Axis(0), i).outer_iter().enumerate() {
            put(epoch + 1, picture.mapv(&level).view());
        }
    }
    sheet
}

/// How values are shown as levels.
fn levels(drawn: &Array5<f32>) -> impl Fn(f32) -> u8 + use<> {
    let least = drawn.iter().copied().fold(f32::INFINITY, f32::min);
    let most = drawn.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // A rescaled 255 may lie a rounding above 1.
    let (from, scale) = match (least, most) {
        (least, most) if least >= 0.0 && most <= 1.0 + 1e-6 => (0.0, 255.0),
        (least, most) if least >= 0.0 && most <= 255.0 + 1e-3 => (0.0, 1.0),
        (least, most) => (least, 255.0 / (most - least)),
    };
    move |x| ((x - from) * scale).round() as u8
}

/// The sheet as the bytes of a PNG file.
///
/// # Panics
/// If the sheet has no pixels, or not three channels.
#[must_use]
pub fn encode_png(sheet: ArrayView3<'_, u8>) -> Vec<u8> {
    let (height, width, channels) = sheet.dim();
    assert_eq!(channels, 3, "a sheet has three channels");
    let side = |n: usize| u32::try_from(n).expect("a sheet of fewer than 2³² pixels a side");
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(width), side(height));
    encoder.set_color(png::ColorType::Rgb);
    let pixels: Vec<u8> = sheet.iter().copied().collect();
    let mut writer = encoder.write_header().expect("a sheet has pixels, and memory takes all");
    writer.write_image_data(&pixels).expect("as many bytes as the header says");
    writer.finish().expect("memory takes all");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageDataGenerator, Params};
    use ndarray::Array4;

    #[test]
    fn the_first_column_shows_the_images_and_the_others_what_is_drawn() {
        let images = Array4::from_shape_fn((2, 5, 6, 3), |(i, r, c, k)| {
            (100 * i + 9 * r + 5 * c + 2 * k) as u8
        });
        let rescale = ImageDataGenerator::builder().rescale(1.0 / 255.0).build().unwrap();
        let sheet = contact_sheet(images.view(), 2, 0, rescale.transform());
        assert_eq!(sheet.dim(), (8 + 2 * 9 + 4, 12 + 3 * 10 + 4, 3));
        for (i, image) in images.outer_iter().enumerate() {
            for left in [8, 22, 32] {
                let top = 8 + 9 * i;
                assert_eq!(sheet.slice(s![top..top + 5, left..left + 6, ..]), image);
            }
        }
        assert_eq!(sheet.iter().filter(|&&x| x == PAPER).count(), sheet.len() - 6 * 90);
    }

    #[test]
    fn values_of_any_scale_are_shown_and_gray_is_shown_as_gray() {
        let images = Array4::from_shape_fn((1, 2, 2, 1), |(_, r, c, _)| (100 * r + 50 * c) as u8);
        let center = ImageDataGenerator::builder().samplewise_center(true).build().unwrap();
        let sheet = contact_sheet(images.view(), 1, 0, center.transform());
        let shown = sheet.slice(s![8..10, 18..20, ..]);
        assert_eq!(shown.slice(s![.., .., 2]), ndarray::arr2(&[[0, 85], [170, 255]]));
        assert_eq!(shown.slice(s![.., .., 0]), shown.slice(s![.., .., 1]));
    }

    #[test]
    fn epochs_and_rows_draw_as_a_run_would() {
        let images = Array4::from_shape_fn((2, 9, 9, 3), |(_, r, c, k)| (20 * r + 3 * c + k) as u8);
        let generator = ImageDataGenerator::builder().rotation_range(90.0).build().unwrap();
        let sheet = contact_sheet(images.view(), 2, 7, generator.transform());
        let params: Params = generator.draw(Key { seed: 7, epoch: 1, index: 1 }, [9, 9]);
        let mut expected = Array3::zeros((9, 9, 3));
        generator.apply(&params, images.index_axis(Axis(0), 1), expected.view_mut());
        assert_eq!(sheet.slice(s![21..30, 38..47, ..]), expected.mapv(|x: f32| x.round() as u8));
    }
}
