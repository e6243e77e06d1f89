//! Other light and other colours: brightness, contrast, saturation and hue, in random order.
//!
//! ```text
//! Formula      brightness   y = f·x
//!              contrast     y = f·x + (1 − f)·m, m the mean of the whole image in gray
//!              saturation   y = f·x + (1 − f)·g, g the gray of the pixel
//!              hue          the angle of (hue, saturation, value) turned by f of a full turn
//!              g = 0.2989·R + 0.587·G + 0.114·B; all cut off at 0 and 255
//! Shapes       x, y: h·w·C, in place. Of one channel saturation and hue are the identity; the alpha
//!              of four channels stays; of other numbers of channels the gray is their mean
//! Draws        the order, then the four factors, uniform in [max(0, 1 − b), 1 + b] for brightness,
//!              contrast and saturation, in [−h, h] for hue
//! Conventions  torchvision's `ColorJitter` on float images, times 255
//! Reference    Howard: Some improvements on deep convolutional neural network based image
//!              classification, 2013; torchvision, `transforms/v2/functional/_color.py`
//! ```

use crate::Error;
use crate::brightness::colours;
use crate::pipeline::Stage;
use crate::ranges::{check_bounds, check_range};
use gradus_random::{Domain, Source};
use ndarray::{ArrayViewMut1, ArrayViewMut3, Axis};

const DOMAIN: Domain = Domain::named("augment.color_jitter");

/// One change of all colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Adjustment {
    /// By that factor; 1 changes nothing.
    Brightness(f64),
    /// By that factor; 1 changes nothing, 0 leaves a gray area.
    Contrast(f64),
    /// By that factor; 1 changes nothing, 0 leaves a gray image.
    Saturation(f64),
    /// By that part of a full turn; 0 changes nothing.
    Hue(f64),
}

/// Changes brightness, contrast, saturation and hue. All are off by default, as in torchvision.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColorJitter {
    brightness: f64,
    contrast: f64,
    saturation: f64,
    hue: f64,
}

impl ColorJitter {
    /// Factors up to 1 ± each of the first three, and a hue of up to ± `hue` turns.
    ///
    /// # Errors
    /// Where one is negative or not finite, or `hue` is above 0.5, half a turn.
    pub fn new(brightness: f64, contrast: f64, saturation: f64, hue: f64) -> Result<Self, Error> {
        check_range("brightness", brightness)?;
        check_range("contrast", contrast)?;
        check_range("saturation", saturation)?;
        check_bounds("hue", hue, [0.0, 0.5])?;
        Ok(Self { brightness, contrast, saturation, hue })
    }

    /// The four changes in the order in which they are made.
    #[must_use]
    pub fn draw<'a>(&self, from: impl Into<Source<'a>>) -> [Adjustment; 4] {
        let rng = &mut from.into().stream(DOMAIN);
        let mut order = [0, 1, 2, 3];
        for i in (1..4).rev() {
            order.swap(i, rng.below(i as u32 + 1) as usize);
        }
        let mut factor = |range: f64| rng.between((1.0 - range).max(0.0), 1.0 + range);
        let drawn = [
            Adjustment::Brightness(factor(self.brightness)),
            Adjustment::Contrast(factor(self.contrast)),
            Adjustment::Saturation(factor(self.saturation)),
            Adjustment::Hue(rng.between(-self.hue, self.hue)),
        ];
        order.map(|i| drawn[i])
    }

    /// Makes the changes one after the other, on values 0-255.
    pub fn apply(&self, adjustments: &[Adjustment], mut image: ArrayViewMut3<'_, f32>) {
        for adjustment in adjustments {
            adjustment.apply(image.view_mut());
        }
    }
}

impl Stage for ColorJitter {
    fn run(&self, source: Source<'_>, image: ArrayViewMut3<'_, f32>) {
        self.apply(&self.draw(source), image);
    }

    fn description(&self) -> String {
        format!("{self:?}")
    }
}

impl Adjustment {
    /// Makes the change in place, on values 0-255.
    pub fn apply(self, image: ArrayViewMut3<'_, f32>) {
        let channels = image.dim().2;
        let (mut image, _) = image.split_at(Axis(2), colours(channels));
        match self {
            Self::Brightness(f) => image.mapv_inplace(|x| toward(0.0, x, f as f32)),
            Self::Contrast(f) if f != 1.0 => {
                let sum: f64 = image.rows_mut().into_iter().map(|p| f64::from(gray(&p))).sum();
                let mean = (sum / (image.len() / image.dim().2.max(1)).max(1) as f64) as f32;
                image.mapv_inplace(|x| toward(mean, x, f as f32));
            }
            Self::Saturation(f) if f != 1.0 => {
                for mut pixel in image.rows_mut() {
                    let gray = gray(&pixel);
                    pixel.mapv_inplace(|x| toward(gray, x, f as f32));
                }
            }
            Self::Hue(turn) if turn != 0.0 && image.dim().2 == 3 => {
                for mut pixel in image.rows_mut() {
                    let turned = turn_hue([pixel[0], pixel[1], pixel[2]], turn as f32);
                    pixel.iter_mut().zip(turned).for_each(|(x, y)| *x = y);
                }
            }
            Self::Contrast(_) | Self::Saturation(_) | Self::Hue(_) => {}
        }
    }
}

/// From `a` at factor 0 through `x` at 1, and beyond.
fn toward(a: f32, x: f32, factor: f32) -> f32 {
    (factor * x + (1.0 - factor) * a).clamp(0.0, 255.0)
}

fn gray(pixel: &ArrayViewMut1<'_, f32>) -> f32 {
    match pixel.len() {
        3 => 0.2989 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2],
        n => pixel.sum() / n as f32,
    }
}

/// The colour of that value and saturation whose hue is `turn` further. The hue counts sixths of a
/// turn: red, yellow, green, cyan, blue, magenta.
fn turn_hue(rgb: [f32; 3], turn: f32) -> [f32; 3] {
    let [r, g, b] = rgb;
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let spread = most - least;
    if spread == 0.0 {
        return rgb;
    }
    let sixths = match () {
        () if most == r => (g - b) / spread,
        () if most == g => 2.0 + (b - r) / spread,
        () => 4.0 + (r - g) / spread,
    };
    let sixths = (sixths + 6.0 * turn).rem_euclid(6.0);
    // Each channel is at its most within a sixth of its own hue, and at its least opposite.
    [0.0f32, 2.0, 4.0].map(|own| {
        let away = (sixths - own).abs();
        let away = away.min(6.0 - away);
        least + spread * (2.0 - away).clamp(0.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_random::Key;
    use ndarray::Array3;

    fn adjusted(adjustment: Adjustment, pixels: &[[f32; 3]]) -> Vec<f32> {
        let values = pixels.concat();
        let mut image = Array3::from_shape_vec((1, pixels.len(), 3), values).unwrap();
        adjustment.apply(image.view_mut());
        image.into_raw_vec_and_offset().0
    }

    #[test]
    fn thirds_of_a_turn_exchange_the_primary_colours() {
        let third = Adjustment::Hue(1.0 / 3.0);
        let turned = adjusted(third, &[[200.0, 10.0, 10.0], [7.0, 7.0, 7.0], [0.0, 100.0, 50.0]]);
        let expected = [10.0, 200.0, 10.0, 7.0, 7.0, 7.0, 50.0, 0.0, 100.0];
        assert!(turned.iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-3), "{turned:?}");
    }

    /// Python's `colorsys`: hue turned by 0.1 and by −0.25.
    #[test]
    fn hue_is_that_of_colorsys() {
        for (turn, expected) in [(0.1, [200.0, 200.0, 50.0]), (-0.25, [185.0, 50.0, 200.0])] {
            let turned = adjusted(Adjustment::Hue(turn), &[[200.0, 110.0, 50.0]]);
            let near = turned.iter().zip(expected).all(|(y, e): (&f32, f32)| (y - e).abs() < 1e-3);
            assert!(near, "{turn}: {turned:?}");
        }
    }

    #[test]
    fn no_saturation_is_gray_and_no_contrast_is_the_mean() {
        let pixels = [[255.0, 0.0, 0.0], [0.0, 0.0, 255.0]];
        let gray = adjusted(Adjustment::Saturation(0.0), &pixels);
        let [red, blue] = [0.2989 * 255.0, 0.114 * 255.0];
        assert_eq!(gray, [red, red, red, blue, blue, blue]);
        let flat = adjusted(Adjustment::Contrast(0.0), &pixels);
        assert!(flat.iter().all(|x| (x - (red + blue) / 2.0).abs() < 1e-4), "{flat:?}");
        let bright = adjusted(Adjustment::Brightness(1.5), &[[100.0, 200.0, 0.0]]);
        assert_eq!(bright, [150.0, 255.0, 0.0]);
    }

    #[test]
    fn neutral_factors_change_nothing_and_alpha_is_never_touched() {
        let x = Array3::from_shape_fn((3, 4, 4), |(r, c, k)| (60 * r + 20 * c + 5 * k) as f32);
        let mut y = x.clone();
        ColorJitter::default().run(Key { seed: 0, epoch: 0, index: 0 }.into(), y.view_mut());
        assert_eq!(x, y);
        let jitter = ColorJitter::new(0.9, 0.9, 0.9, 0.5).unwrap();
        jitter.run(Key { seed: 0, epoch: 0, index: 1 }.into(), y.view_mut());
        assert_eq!(x.index_axis(Axis(2), 3), y.index_axis(Axis(2), 3));
        assert_ne!(x, y);
    }

    #[test]
    fn every_order_occurs() {
        let jitter = ColorJitter::new(0.4, 0.4, 0.4, 0.1).unwrap();
        let first = |index| match jitter.draw(Key { seed: 1, epoch: 0, index })[0] {
            Adjustment::Brightness(_) => 0,
            Adjustment::Contrast(_) => 1,
            Adjustment::Saturation(_) => 2,
            Adjustment::Hue(_) => 3,
        };
        let mut counts = [0; 4];
        (0..4000).for_each(|index| counts[first(index)] += 1);
        // 1000 each; five standard deviations of a quarter of 4000 are 137.
        assert!(counts.iter().all(|&n: &i32| (n - 1000).abs() < 137), "{counts:?}");
    }

    #[test]
    fn more_than_half_a_turn_is_refused() {
        let error = ColorJitter::new(0.0, 0.0, 0.0, 0.6).unwrap_err();
        assert_eq!(error, Error::Bounds { argument: "hue", found: 0.6, low: 0.0, high: 0.5 });
    }
}
