//! Two images and their targets, one shining through the other.
//!
//! ```text
//! Formula      x̃ᵢ = λ·xᵢ + (1 − λ)·xᵢ₋₁,  ỹᵢ = λ·yᵢ + (1 − λ)·yᵢ₋₁,  λ of Beta(α, α), x₋₁ the last
//! Shapes       x: n·h·w·C   y: n·K, probabilities, such as one-hot; in place
//! Cost         one pass over the batch, and one image of working memory
//! Conventions  one λ for a batch, and each image with the one before it, as torchvision's `MixUp`
//!              does: in a shuffled batch that is any other image
//!              torchvision has no weights of samples: here w̃ᵢ = λ·wᵢ + (1 − λ)·wᵢ₋₁
//! Reference    Zhang et al.: mixup: Beyond empirical risk minimization. ICLR 2018
//! ```

use crate::{Error, beta, scratch};
use gradus_random::{BatchTransform, Domain, Source};
use ndarray::{
    ArrayViewMut, ArrayViewMut1, ArrayViewMut2, ArrayViewMut4, Axis, Dimension, RemoveAxis, Zip,
};

const DOMAIN: Domain = Domain::named("augment.mixup");

/// Mixes the images of a batch and their targets. Default α: 1.0, as in torchvision; the paper has
/// 0.2 to 0.4 for ImageNet.
///
/// ```
/// use gradus_augment::MixUp;
/// use gradus_random::Key;
/// use ndarray::{Array2, Array4};
/// let mut images = Array4::<f32>::zeros((4, 8, 8, 3));
/// let mut targets = Array2::<f32>::eye(4);
/// let mixup = MixUp::default();
/// // In place of the row of a sample stands the step of the batch.
/// let lambda = mixup.draw(Key { seed: 0, epoch: 3, index: 17 });
/// mixup.apply(lambda, images.view_mut(), targets.view_mut());
/// assert_eq!(targets[[2, 2]], lambda as f32);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixUp {
    alpha: f64,
}

impl Default for MixUp {
    fn default() -> Self {
        Self { alpha: 1.0 }
    }
}

impl MixUp {
    /// With that α.
    ///
    /// # Errors
    /// [`Error::Bounds`] where it is not a number from 0.001 to a million.
    pub fn new(alpha: f64) -> Result<Self, Error> {
        beta::check(alpha)?;
        Ok(Self { alpha })
    }

    /// λ for a batch: give the key of seed, epoch and step.
    #[must_use]
    pub fn draw<'a>(&self, from: impl Into<Source<'a>>) -> f64 {
        beta::symmetric(self.alpha, &mut from.into().stream(DOMAIN))
    }

    /// Mixes them.
    ///
    /// # Panics
    /// If there is not one target to an image.
    pub fn apply(
        &self,
        lambda: f64,
        images: ArrayViewMut4<'_, f32>,
        targets: ArrayViewMut2<'_, f32>,
    ) {
        assert_eq!(images.dim().0, targets.nrows(), "one target to an image");
        with_the_one_before(images, lambda as f32);
        with_the_one_before(targets, lambda as f32);
    }
}

impl BatchTransform for MixUp {
    /// Weights are mixed as targets are.
    fn apply(
        &mut self,
        source: Source<'_>,
        images: ArrayViewMut4<'_, f32>,
        targets: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut1<'_, f32>>,
    ) {
        let lambda = self.draw(source);
        MixUp::apply(self, lambda, images, targets);
        if let Some(weights) = weights {
            with_the_one_before(weights, lambda as f32);
        }
    }

    fn description(&self) -> String {
        format!("{self:?}")
    }
}

/// λ of each item and 1 − λ of the one before it; before the first comes the last.
pub(crate) fn with_the_one_before<D: RemoveAxis>(mut items: ArrayViewMut<'_, f32, D>, lambda: f32) {
    let n = items.len_of(Axis(0));
    if n == 0 {
        return;
    }
    let mix = |x: &mut f32, &before: &f32| *x = lambda * *x + (1.0 - lambda) * before;
    let item = items.index_axis(Axis(0), 0).raw_dim();
    scratch::with(item.size(), |buffer| {
        let mut last = ArrayViewMut::from_shape(item, buffer).expect("as many values");
        last.assign(&items.index_axis(Axis(0), n - 1));
        for i in (1..n).rev() {
            let (before, mut from) = items.view_mut().split_at(Axis(0), i);
            let before = before.index_axis_move(Axis(0), i - 1);
            Zip::from(from.index_axis_mut(Axis(0), 0)).and(before).for_each(|x, b| mix(x, b));
        }
        Zip::from(items.index_axis_mut(Axis(0), 0)).and(&last).for_each(mix);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_random::Key;
    use ndarray::{Array2, Array4};

    #[test]
    fn each_image_and_target_is_mixed_with_the_one_before() {
        let mut images = Array4::from_shape_fn((3, 2, 2, 1), |(i, ..)| [1.0, 10.0, 100.0][i]);
        let mut targets = Array2::eye(3);
        MixUp::default().apply(0.75, images.view_mut(), targets.view_mut());
        let expected = [0.75 + 25.0, 7.5 + 0.25, 75.0 + 2.5];
        assert!(images.indexed_iter().all(|((i, ..), &x)| x == expected[i]), "{images}");
        let expected = [[0.75, 0.0, 0.25], [0.25, 0.75, 0.0], [0.0, 0.25, 0.75]];
        assert_eq!(targets, ndarray::arr2(&expected));
    }

    #[test]
    fn a_batch_of_one_and_of_none_stay_what_they_are() {
        for n in [0, 1] {
            let mut images = Array4::from_elem((n, 2, 2, 1), 8.0);
            let mut targets = Array2::from_elem((n, 2), 0.5);
            MixUp::default().apply(0.25, images.view_mut(), targets.view_mut());
            assert!(images.iter().all(|&x| x == 8.0) && targets.iter().all(|&y| y == 0.5));
        }
    }

    #[test]
    fn weights_are_mixed_as_targets_are() {
        let (mut weights, mut images) =
            (ndarray::arr1(&[1.0, 3.0, 5.0]), Array4::zeros((3, 8, 8, 1)));
        let mut targets = Array2::from_shape_fn((3, 1), |(i, _)| weights[i]);
        let (mut mixup, mut cutmix) = (MixUp::default(), crate::CutMix::default());
        let changes: [&mut dyn BatchTransform; 2] = [&mut mixup, &mut cutmix];
        for change in changes {
            let before = weights.clone();
            // A cut may be empty.
            for index in 0..5 {
                let key = Key { seed: 1, epoch: 2, index };
                let (images, targets) = (images.view_mut(), targets.view_mut());
                change.apply(key.into(), images, targets, Some(weights.view_mut()));
            }
            assert_ne!(weights, before);
        }
        assert_eq!(weights, targets.column(0));
    }

    #[test]
    fn lambda_depends_on_seed_epoch_and_step() {
        let mixup = MixUp::new(0.2).unwrap();
        let key = Key { seed: 1, epoch: 2, index: 3 };
        assert_eq!(mixup.draw(key), mixup.draw(key));
        assert_ne!(mixup.draw(key), mixup.draw(Key { index: 4, ..key }));
        assert!(matches!(MixUp::new(0.0), Err(Error::Bounds { argument: "alpha", .. })));
    }
}
