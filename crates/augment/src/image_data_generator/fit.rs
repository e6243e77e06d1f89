//! `fit`: what has to be known of the data before it can be standardized by it.
//!
//! ```text
//! Formula      mean, std: of each channel over all pixels of all images, std of what is centred
//!              ZCA: of the images centred, see [`zca`](crate::zca)
//! Shapes       images: n·h·w·C, bytes; held as n·rounds·h·w·C floats meanwhile
//! Conventions  [`Compatibility::Documented`]: the statistics of exactly what they will be applied
//!              to, after all that `apply` does before. [`Compatibility::Keras`]: images are rescaled
//!              *first* and transformed then, so that a brightness of images in [0, 1] makes them
//!              black, and neither the preprocessing function nor samplewise normalization has a
//!              part in it. Without `augment` and without those two there is no difference
//! ```

use super::{ImageDataGenerator, Statistics};
use crate::affine::Compatibility;
use crate::standardize::{self, Standardize};
use crate::{Error, zca};
use gradus_random::{Domain, Key, Mt19937, Source};
use ndarray::{Array4, ArrayView3, ArrayView4, ArrayViewMut3};

const DOMAIN: Domain = Domain::named("augment.fit");

impl ImageDataGenerator {
    /// Computes what featurewise normalization and ZCA whitening need from sample images (n ·
    /// height · width · channels). Where neither is on it computes nothing.
    ///
    /// With `augment` the images are changed first, `rounds` times each, by what is drawn from
    /// `seed`: with [`Compatibility::Keras`] as `np.random.seed(seed)` would.
    ///
    /// # Errors
    /// Where there is no image or no round, or ZCA whitening is on and an image holds more than
    /// [`zca::MAX_VALUES`] values.
    pub fn fit(
        &mut self,
        images: ArrayView4<'_, u8>,
        augment: bool,
        rounds: u32,
        seed: u32,
    ) -> Result<(), Error> {
        let on = self.standardize;
        let (n, height, width, channels) = images.dim();
        if images.is_empty() || (augment && rounds == 0) {
            return Err(Error::NothingToFit { images: n, rounds });
        }
        let values = height * width * channels;
        if on.zca_whitening && values > zca::MAX_VALUES {
            let limit = zca::MAX_VALUES;
            return Err(Error::ZcaTooLarge { height, width, channels, values, limit });
        }
        self.statistics = Statistics::default();
        if on.featurewise_center {
            let seen = self.seen(images, augment.then_some(rounds), seed);
            self.statistics = statistics(on, self.zca_epsilon, seen);
        }
        Ok(())
    }

    /// The images as they come to featurewise normalization.
    fn seen(&self, images: ArrayView4<'_, u8>, rounds: Option<u32>, seed: u32) -> Array4<f32> {
        let (n, height, width, channels) = images.dim();
        let copies = rounds.unwrap_or(1) as usize;
        let mut seen = Array4::zeros((n * copies, height, width, channels));
        let mut numpy = Mt19937::new(seed);
        for (at, into) in seen.outer_iter_mut().enumerate() {
            let key = Key { seed: seed.into(), epoch: (at / n) as u32, index: (at % n) as u32 };
            let source = rounds.map(|_| match self.compatibility {
                Compatibility::Documented => Source::Key(fitting(key)),
                Compatibility::Keras => Source::Mt19937(&mut numpy),
            });
            self.see(source, images.index_axis(ndarray::Axis(0), at % n), into);
        }
        seen
    }

    /// One image, changed where there is a source to draw from.
    fn see(
        &self,
        source: Option<Source<'_>>,
        from: ArrayView3<'_, u8>,
        mut into: ArrayViewMut3<'_, f32>,
    ) {
        let (height, width, _) = from.dim();
        let params = source.map(|source| self.draw(source, [height, width])).unwrap_or_default();
        match self.compatibility {
            Compatibility::Documented => {
                self.apply_transform(&params, from, into.view_mut());
                self.before_fitted(into);
            }
            Compatibility::Keras => {
                let rescaled = from.mapv(|byte| f32::from(byte) * self.rescale);
                self.apply_transform(&params, rescaled.view(), into);
            }
        }
    }
}

/// The key of a sample's draws while fitting: others than those while training.
fn fitting(key: Key) -> Key {
    Key { seed: key.stream(DOMAIN).next_u64(), ..key }
}

fn statistics(on: Standardize, epsilon: f64, mut x: Array4<f32>) -> Statistics {
    let (n, height, width, channels) = x.dim();
    let pixels = (n * height, width, channels);
    let mut all = x.view_mut().into_shape_with_order(pixels).expect("images one below the other");
    let [mean, std] = standardize::of_channels(all.view());
    let std = Some(std).filter(|_| on.featurewise_std_normalization);
    standardize::featurewise(Some(&mean), std.as_ref(), all.view_mut());
    let zca_whitening_matrix = on.zca_whitening.then(|| {
        let rows = x.view().into_shape_with_order((n, height * width * channels));
        zca::whitening_matrix(rows.expect("an image to a row"), epsilon)
    });
    Statistics { mean: Some(mean), std, zca_whitening_matrix }
}
