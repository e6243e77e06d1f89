//! Augmented images as files, to be looked at: Keras's `save_to_dir`.
//!
//! ```text
//! Pixels       shifted and stretched so that the least is 0 and the greatest 255, cut to whole
//!              numbers: Keras's `array_to_img(scale=True)`
//! Names        `<prefix>_<row>_<epoch>.<format>`: the same run writes the same files. With
//!              [`Randomness::Keras`](crate::Randomness) `<prefix>_<row>_<number>.<format>`, the
//!              number drawn as Keras draws it after the batch. What stands in for a bad image
//!              bears the row of that
//! ```

use crate::{Error, Key, Mt19937};
use image::{ColorType, ImageError, ImageFormat};
use ndarray::ArrayView3;
use std::fs;
use std::path::PathBuf;

/// The format of the images that [`Flow::save_to_dir`](crate::Flow::save_to_dir) writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveFormat {
    /// Keras's default.
    #[default]
    Png,
    /// Smaller, and not the exact pixels.
    Jpeg,
}

/// Where images are written, and how.
#[derive(Clone, Debug)]
pub(crate) struct SaveTo {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) prefix: String,
    pub(crate) format: SaveFormat,
    /// From how many numbers Keras draws: 10 million for files, 10 thousand for arrays.
    pub(crate) numbers: u32,
}

impl SaveTo {
    /// Makes the folder, and refuses images that the format cannot hold.
    pub(crate) fn check(&self, channels: usize) -> Result<(), Error> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let fits = match self.format {
            SaveFormat::Png => matches!(channels, 1 | 3 | 4),
            SaveFormat::Jpeg => matches!(channels, 1 | 3),
        };
        if !fits {
            return Err(Error::Argument {
                argument: "save_format",
                found: format!("{:?} for images of {channels} channels", self.format),
                remedy: "save PNG of 1, 3 or 4 channels, or JPEG of 1 or 3",
            });
        }
        fs::create_dir_all(folder).map_err(Error::io(folder))
    }

    /// Writes one image, which is that of `key`.
    pub(crate) fn save(
        &self,
        image: ArrayView3<'_, f32>,
        key: Key,
        rng: Option<&mut Mt19937>,
    ) -> Result<(), Error> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let number = rng.map_or(key.epoch, |rng| rng.below(self.numbers));
        let (format, ending) = match self.format {
            SaveFormat::Png => (ImageFormat::Png, "png"),
            SaveFormat::Jpeg => (ImageFormat::Jpeg, "jpeg"),
        };
        let path = folder.join(format!("{}_{}_{number}.{ending}", self.prefix, key.index));
        let (height, width, channels) = image.dim();
        let color = match channels {
            1 => ColorType::L8,
            3 => ColorType::Rgb8,
            _ => ColorType::Rgba8,
        };
        let (bytes, size) = (stretched(image), [width as u32, height as u32]);
        image::save_buffer_with_format(&path, &bytes, size[0], size[1], color, format).map_err(
            |error| match error {
                ImageError::IoError(cause) => Error::Io { path, cause },
                cause => Error::Image { path, line: None, cause },
            },
        )
    }
}

fn stretched(image: ArrayView3<'_, f32>) -> Vec<u8> {
    let least = image.iter().copied().fold(f32::INFINITY, f32::min);
    let most = image.iter().map(|v| v - least).fold(0.0, f32::max);
    let most = if most == 0.0 { 1.0 } else { most };
    image.iter().map(|v| ((v - least) / most * 255.0) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn pixels_are_stretched_over_all_levels_and_cut() {
        let image = Array3::from_shape_vec((1, 2, 2), vec![-1.0, 0.0, 1.0, 0.5]).unwrap();
        assert_eq!(stretched(image.view()), [0, 127, 255, 191]);
        assert_eq!(stretched(Array3::from_elem((1, 1, 3), 7.0).view()), [0, 0, 0]);
    }
}
