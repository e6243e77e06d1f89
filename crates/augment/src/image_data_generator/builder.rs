//! Keras's arguments one by one, checked when all are given.

use super::{ImageDataGenerator, Preprocessing};
use crate::affine::{Compatibility, Interpolation, Sampling};
use crate::ranges::{BrightnessRange, check_range};
use crate::standardize::{Standardize, Statistics};
use crate::{Error, FillMode, ShiftRange, ZoomRange};
use ndarray::ArrayViewMut3;
use std::sync::Arc;

impl ImageDataGenerator {
    /// A generator that changes nothing, to be given Keras's arguments one by one.
    pub fn builder() -> ImageDataGeneratorBuilder {
        ImageDataGeneratorBuilder {
            generator: Self {
                rotation_range: 0.0,
                width_shift_range: ShiftRange::Uniform(0.0),
                height_shift_range: ShiftRange::Uniform(0.0),
                shear_range: 0.0,
                zoom_range: ZoomRange::OFF,
                horizontal_flip: false,
                vertical_flip: false,
                channel_shift_range: 0.0,
                brightness_range: None,
                preprocessing_function: None,
                rescale: 1.0,
                standardize: Standardize::default(),
                zca_epsilon: 1e-6,
                warnings: Vec::new(),
                statistics: Statistics::default(),
                sampling: Sampling::default(),
                compatibility: Compatibility::default(),
            },
            interpolation_order: 1,
        }
    }
}

/// Keras's arguments, checked when all are given.
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct ImageDataGeneratorBuilder {
    generator: ImageDataGenerator,
    interpolation_order: u8,
}

impl ImageDataGeneratorBuilder {
    /// Rotation by up to that many degrees either way. Default 0.
    pub fn rotation_range(mut self, degrees: f64) -> Self {
        self.generator.rotation_range = degrees;
        self
    }

    /// Shift along the width: a fraction of it below 1.0, pixels from 1.0 on; an integer or a list
    /// as [`ShiftRange`] says. Default 0.0.
    pub fn width_shift_range(mut self, range: impl Into<ShiftRange>) -> Self {
        self.generator.width_shift_range = range.into();
        self
    }

    /// Shift along the height, likewise. Default 0.0.
    pub fn height_shift_range(mut self, range: impl Into<ShiftRange>) -> Self {
        self.generator.height_shift_range = range.into();
        self
    }

    /// Shear by up to that many **degrees** either way. Default 0.
    ///
    /// A famous trap: the 0.1 of many tutorials dates from when this was in radians. Today it is a
    /// tenth of a degree, which moves no pixel of a 128 × 128 image by more than a ninth of a
    /// pixel. Write 5 or 10 for a shear that can be seen.
    pub fn shear_range(mut self, degrees: f64) -> Self {
        self.generator.shear_range = degrees;
        self
    }

    /// Zoom by a factor in [1 − z, 1 + z], or in `[low, high]`, drawn for each axis by itself, so
    /// that the aspect ratio changes too. A factor below 1 enlarges. Default 0.0.
    pub fn zoom_range(mut self, range: impl Into<ZoomRange>) -> Self {
        self.generator.zoom_range = range.into();
        self
    }

    /// Exchanges left and right in half of the images. Default false.
    pub fn horizontal_flip(mut self, flip: bool) -> Self {
        self.generator.horizontal_flip = flip;
        self
    }

    /// Exchanges top and bottom in half of the images. Default false.
    pub fn vertical_flip(mut self, flip: bool) -> Self {
        self.generator.vertical_flip = flip;
        self
    }

    /// Adds up to that much, either way, to all values of an image, within its own extremes.
    /// Default 0.
    pub fn channel_shift_range(mut self, range: f64) -> Self {
        self.generator.channel_shift_range = range;
        self
    }

    /// Multiplies the colours by a factor in `[low, high]`, and cuts values off to whole levels.
    /// Default: none, which unlike `[1.0, 1.0]` cuts nothing.
    pub fn brightness_range(mut self, [low, high]: [f64; 2]) -> Self {
        self.generator.brightness_range = Some(BrightnessRange { low, high });
        self
    }

    /// A function of the finished image, on the scale 0-255, before rescaling. Default: none.
    /// It should allocate nothing: it is called for every image.
    pub fn preprocessing_function(
        mut self,
        function: impl Fn(ArrayViewMut3<'_, f32>) + Send + Sync + 'static,
    ) -> Self {
        self.generator.preprocessing_function = Some(Preprocessing(Arc::new(function)));
        self
    }

    /// Takes from each image its own mean. Default false.
    pub fn samplewise_center(mut self, on: bool) -> Self {
        self.generator.standardize.samplewise_center = on;
        self
    }

    /// Divides each image by its own standard deviation, centred first. Default false.
    pub fn samplewise_std_normalization(mut self, on: bool) -> Self {
        self.generator.standardize.samplewise_std_normalization = on;
        self
    }

    /// Takes the mean of each channel over the data: needs [`ImageDataGenerator::fit`]. Default
    /// false.
    pub fn featurewise_center(mut self, on: bool) -> Self {
        self.generator.standardize.featurewise_center = on;
        self
    }

    /// Divides each channel by its standard deviation over the data, centred first: needs
    /// [`ImageDataGenerator::fit`]. Default false.
    pub fn featurewise_std_normalization(mut self, on: bool) -> Self {
        self.generator.standardize.featurewise_std_normalization = on;
        self
    }

    /// Takes the correlations between all values out of the images, centred first: needs
    /// [`ImageDataGenerator::fit`], and small images ([`zca::MAX_VALUES`](crate::zca)). Default
    /// false.
    pub fn zca_whitening(mut self, on: bool) -> Self {
        self.generator.standardize.zca_whitening = on;
        self
    }

    /// What is added to the singular values before dividing by them. Default 1e-6.
    pub fn zca_epsilon(mut self, epsilon: f64) -> Self {
        self.generator.zca_epsilon = epsilon;
        self
    }

    /// What lies beyond the border. Default [`FillMode::Nearest`].
    pub fn fill_mode(mut self, mode: FillMode) -> Self {
        self.generator.sampling.fill_mode = mode;
        self
    }

    /// The value beyond the border with [`FillMode::Constant`], before rescaling. Default 0.
    pub fn cval(mut self, value: f32) -> Self {
        self.generator.sampling.cval = value;
        self
    }

    /// Every pixel is multiplied by this, after all changes and before standardizing. Default 1;
    /// 1/255 brings bytes to [0, 1].
    pub fn rescale(mut self, factor: f32) -> Self {
        self.generator.rescale = factor;
        self
    }

    /// 0 for the nearest pixel, 1 for bilinear interpolation. Default 1.
    pub fn interpolation_order(mut self, order: u8) -> Self {
        self.interpolation_order = order;
        self
    }

    /// Whether Keras is followed to the letter of its documentation or to that of its code, where
    /// the two differ. Default [`Compatibility::Documented`].
    pub fn compatibility(mut self, compatibility: Compatibility) -> Self {
        self.generator.compatibility = compatibility;
        self
    }

    /// The generator.
    ///
    /// # Errors
    /// Names the first argument that no augmentation can be built from, with what was given.
    pub fn build(self) -> Result<ImageDataGenerator, Error> {
        let mut generator = self.generator;
        check_range("rotation_range", generator.rotation_range)?;
        generator.width_shift_range.check("width_shift_range")?;
        generator.height_shift_range.check("height_shift_range")?;
        check_range("shear_range", generator.shear_range)?;
        generator.zoom_range.check()?;
        check_range("channel_shift_range", generator.channel_shift_range)?;
        generator.brightness_range.map_or(Ok(()), BrightnessRange::check)?;
        let (rescale, cval) = (generator.rescale, generator.sampling.cval);
        if !rescale.is_finite() || rescale == 0.0 {
            return Err(Error::Rescale { found: rescale });
        }
        if !cval.is_finite() {
            return Err(Error::Cval { found: cval });
        }
        let epsilon = generator.zca_epsilon;
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(Error::ZcaEpsilon { found: epsilon });
        }
        generator.warnings = generator.standardize.resolve();
        generator.sampling.interpolation = match self.interpolation_order {
            0 => Interpolation::Nearest,
            1 => Interpolation::Bilinear,
            found => return Err(Error::InterpolationOrder { found }),
        };
        Ok(generator)
    }
}
