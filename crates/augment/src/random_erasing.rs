//! A rectangle of the image is lost: the network has to look at the rest, too.
//!
//! ```text
//! Formula      with probability p: y[r, c] = value for (r, c) in a random rectangle ([`Rect`]), of
//!              `scale` times the area and a height over width in `ratio`, log-uniform
//! Shapes       x, y: h·w·C, in place
//! Conventions  torchvision's `RandomErasing`: neither side as long as the image's; where nothing fits
//!              in ten attempts nothing is erased. The value is on the scale of the image, so that
//!              the stage may stand before the rescaling or behind it
//! Reference    Zhong et al.: Random erasing data augmentation. AAAI 2020
//! ```

use crate::pipeline::Stage;
use crate::ranges::{check_bounds, check_interval};
use crate::{Error, Rect};
use gradus_random::{Domain, Key, Source};
use ndarray::{ArrayViewMut3, s};

const DOMAIN: Domain = Domain::named("augment.random_erasing");
const NOISE: Domain = Domain::named("augment.random_erasing.noise");

/// What stands in the rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Erasure {
    /// The same value everywhere.
    Value(f32),
    /// For each pixel and channel another value, uniform in `low..high`. The paper's best, with
    /// 0 and 255.
    Noise {
        /// The least value.
        low: f32,
        /// The greatest value.
        high: f32,
    },
}

/// Erases a random rectangle. Defaults are torchvision's: p 0.5, `scale` \[0.02, 0.33\], `ratio`
/// \[0.3, 3.3\], value 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomErasing {
    p: f64,
    scale: [f64; 2],
    ratio: [f64; 2],
    erasure: Erasure,
}

/// What is erased of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Where, if anywhere.
    pub part: Option<Rect>,
    /// The seed of the noise, if there is any.
    pub noise: u64,
}

impl Default for RandomErasing {
    fn default() -> Self {
        let erasure = Erasure::Value(0.0);
        Self { p: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], erasure }
    }
}

impl RandomErasing {
    /// Erases with probability `p` a part of the area between the two of `scale`, of a height over
    /// width between those of `ratio`.
    ///
    /// # Errors
    /// Where `p` is no probability, or bounds are not above 0, out of order, or more than the whole.
    pub fn new(p: f64, scale: [f64; 2], ratio: [f64; 2], erasure: Erasure) -> Result<Self, Error> {
        check_bounds("p", p, [0.0, 1.0])?;
        check_interval("scale", scale, 1.0)?;
        check_interval("ratio", ratio, f64::MAX)?;
        Ok(Self { p, scale, ratio, erasure })
    }

    /// What is erased of an image of `[height, width]` pixels.
    #[must_use]
    pub fn draw<'a>(&self, from: impl Into<Source<'a>>, size: [usize; 2]) -> Erased {
        let rng = &mut from.into().stream(DOMAIN);
        if rng.uniform() >= self.p {
            return Erased::default();
        }
        let [flat, tall] = self.ratio;
        let shorter = size.map(|side| side.saturating_sub(1));
        // A rectangle's ratio is width over height.
        let part = Rect::draw(rng, size, shorter, self.scale, [1.0 / tall, 1.0 / flat]);
        let noise = (rng.uniform() * (1u64 << 53) as f64) as u64;
        Erased { part, noise }
    }

    /// Erases it.
    ///
    /// # Panics
    /// If the rectangle is not within the image.
    pub fn apply(&self, erased: &Erased, mut image: ArrayViewMut3<'_, f32>) {
        let Some(Rect { top, left, height, width }) = erased.part else {
            return;
        };
        let mut part = image.slice_mut(s![top..top + height, left..left + width, ..]);
        match self.erasure {
            Erasure::Value(value) => part.fill(value),
            Erasure::Noise { low, high } => {
                let mut rng = Key { seed: erased.noise, epoch: 0, index: 0 }.stream(NOISE);
                let [low, high] = [low, high].map(f64::from);
                part.mapv_inplace(|_| rng.between(low, high) as f32);
            }
        }
    }
}

impl Stage for RandomErasing {
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
    use ndarray::Array3;

    fn key(index: u32) -> Key {
        Key { seed: 8, epoch: 0, index }
    }

    #[test]
    fn a_rectangle_of_the_right_size_is_erased_in_half_of_the_images() {
        let erasing = RandomErasing::default();
        let mut erased = 0;
        for index in 0..2000 {
            let mut image = Array3::from_elem((60, 80, 3), 9.0f32);
            erasing.run(key(index).into(), image.view_mut());
            let gone = image.iter().filter(|&&x| x == 0.0).count() as f64 / 14_400.0;
            assert!(gone == 0.0 || (0.017..0.34).contains(&gone), "{gone}");
            erased += i32::from(gone > 0.0);
        }
        // Five standard deviations of 2000 coins are 112.
        assert!((erased - 1000).abs() < 112, "{erased}");
    }

    #[test]
    fn noise_fills_the_part_and_is_the_same_for_the_same_draw() {
        let noise = Erasure::Noise { low: 100.0, high: 200.0 };
        let erasing = RandomErasing::new(1.0, [0.2, 0.2], [1.0, 1.0], noise).unwrap();
        let drawn = erasing.draw(key(0), [50, 50]);
        let mut images = [(); 2].map(|()| Array3::zeros((50, 50, 3)));
        for image in &mut images {
            erasing.apply(&drawn, image.view_mut());
        }
        assert_eq!(images[0], images[1]);
        let inside: Vec<f32> = images[0].iter().copied().filter(|&x| x != 0.0).collect();
        assert_eq!(inside.len(), 22 * 22 * 3);
        assert!(inside.iter().all(|x| (100.0..=200.0).contains(x)));
        let mean = inside.iter().sum::<f32>() / inside.len() as f32;
        assert!((mean - 150.0).abs() < 4.0, "{mean}");
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        let error = RandomErasing::new(1.5, [0.1, 0.2], [1.0, 1.0], Erasure::Value(0.0));
        assert!(matches!(error, Err(Error::Bounds { argument: "p", .. })));
    }
}
