//! A few changes picked at random from fourteen, all of one strength: two numbers to choose instead
//! of a policy.
//!
//! ```text
//! Formula      n times: one of the fourteen of [`Change`], its magnitude the m-th of 31 between none
//!              and its greatest, with either sign where it has two
//! Draws        for each: which, and, where it has two signs and a magnitude, the sign
//! Conventions  operations and magnitudes of torchvision's `RandAugment`, on whole levels as Pillow
//!              computes them: values are rounded first
//! Reference    Cubuk et al.: RandAugment: Practical automated data augmentation with a reduced search
//!              space. CVPR workshops 2020
//! ```

mod change;

use crate::Error;
use crate::pipeline::Stage;
use crate::ranges::check_bounds;
use gradus_random::{Domain, Source, Stream};
use ndarray::ArrayViewMut3;

pub use change::Change;

const DOMAIN: Domain = Domain::named("augment.rand_augment");

/// The most changes of one image.
const MOST: usize = 8;

/// What is done to one image: the changes in order, and the identity where there are fewer.
pub type Changes = [Change; MOST];

/// Makes `num_ops` random changes of strength `magnitude`. Defaults are torchvision's: 2 and 9.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandAugment {
    num_ops: usize,
    magnitude: u32,
    fill: f32,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { num_ops: 2, magnitude: 9, fill: 0.0 }
    }
}

impl RandAugment {
    /// `num_ops` changes (at most 8), each of strength `magnitude`, 0 to 30.
    ///
    /// # Errors
    /// Where one of them is greater.
    pub fn new(num_ops: usize, magnitude: u32) -> Result<Self, Error> {
        check_bounds("num_ops", num_ops as f64, [0.0, MOST as f64])?;
        check_bounds("magnitude", magnitude.into(), [0.0, 30.0])?;
        Ok(Self { num_ops, magnitude, fill: 0.0 })
    }

    /// The level beyond the border of what is moved, 0 to 255. Default 0, black.
    ///
    /// # Errors
    /// Where it is no level.
    pub fn fill(mut self, level: f32) -> Result<Self, Error> {
        check_bounds("fill", level.into(), [0.0, 255.0])?;
        self.fill = level;
        Ok(self)
    }

    /// The changes of an image of `[height, width]` pixels.
    #[must_use]
    pub fn draw<'a>(&self, from: impl Into<Source<'a>>, size: [usize; 2]) -> Changes {
        let rng = &mut from.into().stream(DOMAIN);
        let mut changes = [Change::Identity; MOST];
        changes[..self.num_ops].fill_with(|| self.change(rng, size));
        changes
    }

    fn change(&self, rng: &mut Stream<'_>, [height, width]: [usize; 2]) -> Change {
        let which = rng.below(14);
        let strength = f64::from(self.magnitude) / 30.0;
        let mut signed = |greatest: f64| {
            let negative = strength > 0.0 && rng.below(2) == 1;
            if negative { -greatest * strength } else { greatest * strength }
        };
        // In the paper images have 331 pixels a side, and move by up to 150.
        let shift = |side: usize| 150.0 / 331.0 * side as f64;
        match which {
            0 => Change::Identity,
            1 => Change::ShearX(signed(0.3)),
            2 => Change::ShearY(signed(0.3)),
            3 => Change::TranslateX(signed(shift(width)) as i32),
            4 => Change::TranslateY(signed(shift(height)) as i32),
            5 => Change::Rotate(signed(30.0)),
            6 => Change::Brightness(signed(0.9)),
            7 => Change::Color(signed(0.9)),
            8 => Change::Contrast(signed(0.9)),
            9 => Change::Sharpness(signed(0.9)),
            10 => Change::Posterize(8 - (4.0 * strength).round_ties_even() as u32),
            11 => Change::Solarize(255.0 * (1.0 - strength)),
            12 => Change::AutoContrast,
            _ => Change::Equalize,
        }
    }

    /// Makes them, on values 0-255 that are rounded to whole levels first.
    pub fn apply(&self, changes: &Changes, mut image: ArrayViewMut3<'_, f32>) {
        image.mapv_inplace(|x| x.round().clamp(0.0, 255.0));
        for change in changes {
            change.apply(self.fill, image.view_mut());
        }
    }
}

impl Stage for RandAugment {
    fn run(&self, source: Source<'_>, image: ArrayViewMut3<'_, f32>) {
        let (height, width, _) = image.dim();
        self.apply(&self.draw(source, [height, width]), image);
    }

    fn description(&self) -> String {
        format!("{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_random::Key;

    fn draw(augment: RandAugment, index: u32) -> Changes {
        augment.draw(Key { seed: 4, epoch: 0, index }, [331, 331])
    }

    #[test]
    fn all_fourteen_occur_alike_and_no_more_changes_than_asked_for() {
        let mut counts = std::collections::HashMap::new();
        for index in 0..7000 {
            let changes = draw(RandAugment::default(), index);
            assert!(changes[2..].iter().all(|&c| c == Change::Identity));
            for change in &changes[..2] {
                *counts.entry(std::mem::discriminant(change)).or_insert(0) += 1;
            }
        }
        assert_eq!(counts.len(), 14);
        // 1000 each; five standard deviations are 153.
        assert!(counts.values().all(|n: &i32| (n - 1000).abs() < 153), "{counts:?}");
    }

    #[test]
    fn magnitudes_are_torchvision_s() {
        let all = |magnitude| {
            let augment = RandAugment::new(8, magnitude).unwrap();
            (0..400).flat_map(move |index| draw(augment, index))
        };
        for change in all(9) {
            let right = match change {
                Change::ShearX(m) | Change::ShearY(m) => (m.abs() - 0.09).abs() < 1e-12,
                Change::TranslateX(m) | Change::TranslateY(m) => m.abs() == 45,
                Change::Rotate(m) => (m.abs() - 9.0).abs() < 1e-12,
                Change::Posterize(bits) => bits == 7,
                Change::Solarize(threshold) => (threshold - 178.5).abs() < 1e-9,
                Change::Identity | Change::AutoContrast | Change::Equalize => true,
                Change::Brightness(m) | Change::Color(m) => (m.abs() - 0.27).abs() < 1e-12,
                Change::Contrast(m) | Change::Sharpness(m) => (m.abs() - 0.27).abs() < 1e-12,
            };
            assert!(right, "{change:?}");
        }
        assert!(all(30).any(|c| c == Change::Posterize(4)));
        assert!(all(0).any(|c| c == Change::Rotate(0.0)));
    }

    #[test]
    fn numbers_beyond_the_scale_are_refused() {
        assert!(matches!(RandAugment::new(9, 9), Err(Error::Bounds { argument: "num_ops", .. })));
        assert!(matches!(
            RandAugment::new(2, 31),
            Err(Error::Bounds { argument: "magnitude", .. })
        ));
        let fill = RandAugment::default().fill(300.0);
        assert!(matches!(fill, Err(Error::Bounds { argument: "fill", .. })));
    }
}
