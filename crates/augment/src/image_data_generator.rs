//! Keras's `ImageDataGenerator`: the bundle of random changes and of value operations.
//!
//! ```text
//! Order        affine and flips → rescale, as in Keras's `apply_transform` and `standardize`
//! Draws        theta, height shift, width shift, shear, (zx, zy), horizontal flip, vertical flip,
//!              uniform in their ranges, in Keras's order. What is off draws nothing, except that
//!              both flips always draw. The numbers come from a [`Source`] alone
//! Conventions  Keras's argument names, defaults and units, each at its method. Everything is off
//!              until asked for: with nothing but `rescale` this is the generator for validation
//! Reference    Keras 3, `keras/src/legacy/preprocessing/image.py`
//! ```

use crate::affine::{self, Affine, Compatibility, Interpolation, Sampling};
use crate::ranges::{check_range, symmetric};
use crate::{Error, FillMode, Params, ShiftRange, ZoomRange};
use gradus_random::{Domain, Source};
use ndarray::{ArrayView3, ArrayViewMut3};

const DOMAIN: Domain = Domain::named("augment.image_data_generator");

/// Draws the parameters of an image, and applies them: a pure function of source and image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageDataGenerator {
    rotation_range: f64,
    width_shift_range: ShiftRange,
    height_shift_range: ShiftRange,
    shear_range: f64,
    zoom_range: ZoomRange,
    horizontal_flip: bool,
    vertical_flip: bool,
    rescale: f32,
    sampling: Sampling,
    compatibility: Compatibility,
}

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
                rescale: 1.0,
                sampling: Sampling::default(),
                compatibility: Compatibility::default(),
            },
            interpolation_order: 1,
        }
    }

    /// The parameters of a sample for an image of `[height, width]` pixels. From a
    /// [`Key`](gradus_random::Key) they are the same in every run, whichever thread asks; from
    /// NumPy's generator they are the next ones that Keras would draw.
    #[must_use]
    pub fn draw<'a>(&self, from: impl Into<Source<'a>>, [height, width]: [usize; 2]) -> Params {
        let rng = &mut from.into().stream(DOMAIN);
        let theta = symmetric(self.rotation_range, rng);
        let by_height = self.height_shift_range.draw(rng, height as f64);
        let by_width = self.width_shift_range.draw(rng, width as f64);
        let (tx, ty) = match self.compatibility {
            Compatibility::Documented => (by_width, by_height),
            Compatibility::Keras => (by_height, by_width),
        };
        let shear = symmetric(self.shear_range, rng);
        let [zx, zy] = self.zoom_range.draw(rng);
        let flip_horizontal = (rng.uniform() < 0.5) & self.horizontal_flip;
        let flip_vertical = (rng.uniform() < 0.5) & self.vertical_flip;
        Params { theta, tx, ty, shear, zx, zy, flip_horizontal, flip_vertical }
    }

    /// `into` = the image `from` (height · width · channels, 0–255) with `params` applied, then
    /// rescaled. The identity leaves every pixel untouched but for the rescaling.
    ///
    /// # Panics
    /// If `from` and `into` differ in shape.
    pub fn apply(&self, params: &Params, from: ArrayView3<'_, u8>, into: ArrayViewMut3<'_, f32>) {
        let (height, width, _) = from.dim();
        let affine = Affine::new(params, [height, width], self.compatibility);
        affine::apply(&affine, self.sampling, self.rescale, from, into);
    }

    /// Both in one call, as a function to hand to a data loader: source and image in, image out.
    ///
    /// The function panics if its images differ in shape.
    pub fn transform(
        &self,
    ) -> impl Fn(Source<'_>, ArrayView3<'_, u8>, ArrayViewMut3<'_, f32>) + Clone + Send + Sync + use<>
    {
        let generator = self.clone();
        move |source: Source<'_>, from: ArrayView3<'_, u8>, into: ArrayViewMut3<'_, f32>| {
            let (height, width, _) = from.dim();
            generator.apply(&generator.draw(source, [height, width]), from, into);
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

    /// Every pixel is multiplied by this, after all else. Default 1; 1/255 brings bytes to [0, 1].
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
        let (rescale, cval) = (generator.rescale, generator.sampling.cval);
        if !rescale.is_finite() || rescale == 0.0 {
            return Err(Error::Rescale { found: rescale });
        }
        if !cval.is_finite() {
            return Err(Error::Cval { found: cval });
        }
        generator.sampling.interpolation = match self.interpolation_order {
            0 => Interpolation::Nearest,
            1 => Interpolation::Bilinear,
            found => return Err(Error::InterpolationOrder { found }),
        };
        Ok(generator)
    }
}
