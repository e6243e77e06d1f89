//! Keras's `ImageDataGenerator`: the bundle of random changes and of value operations.
//!
//! ```text
//! Order        affine → channel shift → flips → brightness, as in Keras's `apply_transform`, then
//!              preprocessing function → rescale → samplewise center → samplewise std → featurewise
//!              center → featurewise std → ZCA, as in Keras's `standardize`
//! Draws        theta, height shift, width shift, shear, (zx, zy), horizontal flip, vertical flip,
//!              channel shift, brightness, uniform in their ranges, in Keras's order. What is off
//!              draws nothing, except that both flips always draw. The numbers come from a
//!              [`Source`] alone
//! Cost         affine, flips and rescale are one pass; everything else works in place after it
//! Conventions  Keras's argument names, defaults and units, each at its method. Everything is off
//!              until asked for: with nothing but `rescale` this is the generator for validation
//! Reference    Keras 3, `keras/src/legacy/preprocessing/image.py`
//! ```

mod builder;
mod fit;
mod on_device;
mod transform;

use crate::affine::{self, Affine, Compatibility, Pixel, Sampling};
use crate::ranges::{BrightnessRange, symmetric};
use crate::standardize::{self, Standardize, Statistics, Warning};
use crate::{Params, ShiftRange, ZoomRange, brightness, channel_shift, zca};
use gradus_random::{Domain, Source, Transform};
use ndarray::{Array1, ArrayView3, ArrayViewMut3};
use std::fmt;
use std::sync::Arc;

pub use builder::ImageDataGeneratorBuilder;

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
    channel_shift_range: f64,
    brightness_range: Option<BrightnessRange>,
    preprocessing_function: Option<Preprocessing>,
    rescale: f32,
    standardize: Standardize,
    zca_epsilon: f64,
    warnings: Vec<Warning>,
    statistics: Statistics,
    sampling: Sampling,
    compatibility: Compatibility,
}

/// A function of the user's, shared by all copies of a generator.
#[derive(Clone)]
struct Preprocessing(Arc<Function>);

type Function = dyn Fn(ArrayViewMut3<'_, f32>) + Send + Sync;

impl fmt::Debug for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a function")
    }
}

impl PartialEq for Preprocessing {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl ImageDataGenerator {
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
        let shifted = self.channel_shift_range != 0.0;
        let channel_shift_intensity = shifted.then(|| symmetric(self.channel_shift_range, rng));
        let brightness = self.brightness_range.map(|range| rng.between(range.low, range.high));
        Params {
            theta,
            tx,
            ty,
            shear,
            zx,
            zy,
            flip_horizontal,
            flip_vertical,
            channel_shift_intensity,
            brightness,
        }
    }

    /// `into` = the image `from` (height · width · channels, 0-255) with `params` applied, then
    /// standardized. The identity leaves every pixel untouched but for that.
    ///
    /// # Panics
    /// If `from` and `into` differ in shape, or what was fitted is of another shape.
    pub fn apply<T: Pixel>(
        &self,
        params: &Params,
        from: ArrayView3<'_, T>,
        mut into: ArrayViewMut3<'_, f32>,
    ) {
        if self.is_one_pass(params) {
            return self.affine(params, self.rescale, from, into);
        }
        self.apply_transform(params, from, into.view_mut());
        self.standardize(into);
    }

    /// The first half alone, Keras's `apply_transform`: `params` applied, values 0-255.
    ///
    /// # Panics
    /// If `from` and `into` differ in shape.
    pub fn apply_transform<T: Pixel>(
        &self,
        params: &Params,
        from: ArrayView3<'_, T>,
        mut into: ArrayViewMut3<'_, f32>,
    ) {
        self.affine(params, 1.0, from, into.view_mut());
        if let Some(intensity) = params.channel_shift_intensity {
            channel_shift::apply(intensity, into.view_mut());
        }
        if let Some(factor) = params.brightness {
            brightness::apply(factor, into);
        }
    }

    /// The second half alone, Keras's `standardize`, in place: preprocessing function, rescaling,
    /// samplewise and then featurewise normalization.
    ///
    /// # Panics
    /// If what was fitted is of another shape.
    pub fn standardize(&self, mut image: ArrayViewMut3<'_, f32>) {
        self.before_fitted(image.view_mut());
        standardize::featurewise(self.mean(), self.std(), image.view_mut());
        let matrix = self.statistics.zca_whitening_matrix.as_ref();
        if let Some(matrix) = matrix.filter(|_| self.standardize.zca_whitening) {
            zca::apply(matrix, image);
        }
    }

    /// The mean of each channel, if it is taken from it.
    fn mean(&self) -> Option<&Array1<f32>> {
        self.statistics.mean.as_ref().filter(|_| self.standardize.featurewise_center)
    }

    /// The deviation of each channel, if it is divided by it.
    fn std(&self) -> Option<&Array1<f32>> {
        let on = self.standardize.featurewise_std_normalization;
        self.statistics.std.as_ref().filter(|_| on)
    }

    /// What [`standardize`](Self::standardize) does before anything fitted is needed.
    fn before_fitted(&self, mut image: ArrayViewMut3<'_, f32>) {
        if let Some(Preprocessing(function)) = &self.preprocessing_function {
            function(image.view_mut());
        }
        image.mapv_inplace(|x| x * self.rescale);
        self.standardize.samplewise(image);
    }

    fn affine<T: Pixel>(
        &self,
        params: &Params,
        rescale: f32,
        from: ArrayView3<'_, T>,
        into: ArrayViewMut3<'_, f32>,
    ) {
        let (height, width, _) = from.dim();
        let affine = Affine::new(params, [height, width], self.compatibility);
        affine::apply(&affine, self.sampling, rescale, from, into);
    }

    /// Whether nothing happens beside the affine, the flips and the rescaling.
    fn is_one_pass(&self, params: &Params) -> bool {
        params.channel_shift_intensity.is_none()
            && params.brightness.is_none()
            && self.preprocessing_function.is_none()
            && self.standardize == Standardize::default()
    }

    /// What is off or on other than it was asked for, and what does nothing until
    /// [`fit`](Self::fit) was called. Worth printing before training.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let unfitted = self.standardize.unfitted(&self.statistics);
        self.warnings.iter().copied().chain(unfitted).collect()
    }

    /// What was fitted: to be kept beside a job that is to be resumed.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Takes what another generator with the same arguments has fitted.
    pub fn set_statistics(&mut self, statistics: Statistics) {
        self.statistics = statistics;
    }

    /// Draws and applies in one call, to be handed to a data loader: source and image in, image
    /// out. It holds what is fitted by now.
    ///
    /// It panics if its images differ in shape, or from those fitted on.
    #[must_use]
    pub fn transform(&self) -> impl Transform + Clone + use<> {
        self.clone()
    }
}
