//! What of the generator a device can do by itself, and how it is told.

use super::ImageDataGenerator;
use crate::FillMode;
use crate::affine::Affine;
use crate::standardize::{EPSILON, Standardize};
use gradus_random::{MOST_CHANNELS, OnDevice, PixelMap, Source};

impl ImageDataGenerator {
    /// Whether a [`PixelMap`] says all that happens to images of that size.
    pub(super) fn fits_a_map(&self, [height, width, channels]: [usize; 3]) -> bool {
        let values = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(channels));
        let Standardize { featurewise_center, featurewise_std_normalization, .. } =
            self.standardize;
        let by_channel = Standardize {
            featurewise_center,
            featurewise_std_normalization,
            ..Standardize::default()
        };
        let fitted = [self.mean(), self.std()];
        // What Pillow does to values that are no levels takes the extremes of the whole image.
        let levels = self.sampling.fill_mode != FillMode::Constant || is_level(self.sampling.cval);
        channels <= MOST_CHANNELS
            && values.is_some_and(|values| i32::try_from(values).is_ok())
            && self.channel_shift_range == 0.0
            && self.preprocessing_function.is_none()
            && self.standardize == by_channel
            && fitted.into_iter().flatten().all(|fitted| fitted.len() == channels)
            && (self.brightness_range.is_none() || levels)
    }
}

impl OnDevice for ImageDataGenerator {
    fn pixel_map(&self, source: Source<'_>, size: [usize; 2]) -> PixelMap {
        let params = self.draw(source, size);
        let affine = Affine::new(&params, size, self.compatibility);
        let mut map = PixelMap { rescale: self.rescale, ..affine.map(self.sampling) };
        if let Some(factor) = params.brightness {
            (map.brightness, map.brightens) = (factor as f32, 1);
        }
        for (into, mean) in map.mean.iter_mut().zip(self.mean().into_iter().flatten()) {
            *into = *mean;
        }
        for (into, std) in map.std.iter_mut().zip(self.std().into_iter().flatten()) {
            *into = std + EPSILON;
        }
        map
    }
}

fn is_level(value: f32) -> bool {
    (0.0..=255.0).contains(&value)
}
