//! A rectangle of one image in another, and targets in proportion.
//!
//! ```text
//! Formula      x̃ᵢ = xᵢ₋₁ in a rectangle of sides √(1 − λ)·h and √(1 − λ)·w about a random pixel, cut
//!              off at the border, xᵢ elsewhere;  ỹᵢ = λ'·yᵢ + (1 − λ')·yᵢ₋₁, 1 − λ' the part of the
//!              image that the rectangle really covers; λ of Beta(α, α)
//! Shapes       x: n·h·w·C   y: n·K, probabilities, such as one-hot; in place
//! Conventions  torchvision's `CutMix`: one rectangle for a batch, each image with the one before it
//!              torchvision has no weights of samples: here w̃ᵢ = λ'·wᵢ + (1 − λ')·wᵢ₋₁
//! Reference    Yun et al.: CutMix: Regularization strategy to train strong classifiers with
//!              localizable features. ICCV 2019
//! ```

use crate::mixup::with_the_one_before;
use crate::{Error, Rect, beta};
use gradus_random::{BatchTransform, Domain, Source};
use ndarray::{ArrayViewMut1, ArrayViewMut2, ArrayViewMut4, s};

const DOMAIN: Domain = Domain::named("augment.cutmix");

/// Cuts the images of a batch into each other. Default α: 1.0, as in the paper and in torchvision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CutMix {
    alpha: f64,
}

/// What is cut out of each image of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// The rectangle that comes from the image before; it may be empty.
    pub part: Rect,
    /// λ': the part of the image that is still its own.
    pub lambda: f64,
}

impl Default for CutMix {
    fn default() -> Self {
        Self { alpha: 1.0 }
    }
}

impl CutMix {
    /// With that α.
    ///
    /// # Errors
    /// [`Error::Bounds`] where it is not a number from 0.001 to a million.
    pub fn new(alpha: f64) -> Result<Self, Error> {
        beta::check(alpha)?;
        Ok(Self { alpha })
    }

    /// The cut of a batch of images of `[height, width]` pixels: give the key of seed, epoch and
    /// step.
    ///
    /// # Panics
    /// If the images have no pixels.
    #[must_use]
    pub fn draw<'a>(&self, from: impl Into<Source<'a>>, size: [usize; 2]) -> Cut {
        let rng = &mut from.into().stream(DOMAIN);
        let half = 0.5 * (1.0 - beta::symmetric(self.alpha, rng)).sqrt();
        let [(left, width), (top, height)] = [size[1], size[0]].map(|side| {
            let centre = rng.below(side as u32) as usize;
            let half = (half * side as f64) as usize;
            let first = centre.saturating_sub(half);
            (first, (centre + half).min(side) - first)
        });
        let area = (height * width) as f64;
        let lambda = 1.0 - area / (size[0] * size[1]) as f64;
        Cut { part: Rect { top, left, height, width }, lambda }
    }

    /// Makes the cut.
    ///
    /// # Panics
    /// If there is not one target to an image, or the cut is not within the images.
    pub fn apply(
        &self,
        cut: &Cut,
        mut images: ArrayViewMut4<'_, f32>,
        targets: ArrayViewMut2<'_, f32>,
    ) {
        assert_eq!(images.dim().0, targets.nrows(), "one target to an image");
        let Rect { top, left, height, width } = cut.part;
        let parts = images.slice_mut(s![.., top..top + height, left..left + width, ..]);
        with_the_one_before(parts, 0.0);
        with_the_one_before(targets, cut.lambda as f32);
    }
}

impl BatchTransform for CutMix {
    /// Weights are mixed as targets are.
    fn apply(
        &mut self,
        source: Source<'_>,
        images: ArrayViewMut4<'_, f32>,
        targets: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut1<'_, f32>>,
    ) {
        let (_, height, width, _) = images.dim();
        let cut = self.draw(source, [height, width]);
        CutMix::apply(self, &cut, images, targets);
        if let Some(weights) = weights {
            with_the_one_before(weights, cut.lambda as f32);
        }
    }

    fn description(&self) -> String {
        format!("{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_random::Key;
    use ndarray::{Array2, Array4};

    #[test]
    fn targets_are_the_parts_of_the_pixels() {
        for index in 0..50 {
            let mut images = Array4::from_shape_fn((4, 9, 14, 2), |(i, ..)| i as f32);
            let mut targets = Array2::eye(4);
            let cutmix = CutMix::default();
            let cut = cutmix.draw(Key { seed: 0, epoch: 0, index }, [9, 14]);
            cutmix.apply(&cut, images.view_mut(), targets.view_mut());
            for (i, image) in images.outer_iter().enumerate() {
                let share = |class: f32| {
                    let n = image.iter().filter(|&&x| x == class).count();
                    n as f32 / image.len() as f32
                };
                let (own, before) = (targets[[i, i]], targets[[i, (i + 3) % 4]]);
                assert!((own - share(i as f32)).abs() < 1e-6, "{cut:?}");
                assert!((before - share(((i + 3) % 4) as f32)).abs() < 1e-6, "{cut:?}");
            }
        }
    }

    /// Uniform λ cuts half of the image on average, less what falls beyond the border.
    #[test]
    fn cuts_come_in_all_sizes() {
        let draw = |index| CutMix::default().draw(Key { seed: 2, epoch: 0, index }, [32, 32]);
        let own: Vec<f64> = (0..2000).map(|index| draw(index).lambda).collect();
        assert!(own.iter().any(|&l| l > 0.98) && own.iter().any(|&l| l < 0.2));
        let mean = own.iter().sum::<f64>() / 2000.0;
        assert!((0.6..0.8).contains(&mean), "{mean}");
    }
}
