//! A random part of an image, of random shape, enlarged to the whole: the crop of the Inception
//! papers.
//!
//! ```text
//! Formula      a rectangle of `scale` times the area and an aspect ratio in `ratio` ([`Rect`]), then
//!              y[r, c] = Σ wᵣ[i]·w꜀[j]·x[top + i, left + j], w a triangle about the pixel's centre,
//!              as wide as a source pixel, or as a target pixel where the image shrinks
//! Shapes       x: h·w·C   y: any height and width, the same C
//! Cost         4·C multiply-adds a pixel where the image grows, 4·C for each source pixel where it
//!              shrinks; working memory for the target's rows at the source's width
//! Conventions  torchvision's `RandomResizedCrop` with antialiasing: ten attempts, then the largest
//!              part in the middle whose ratio is allowed. Weights are Pillow's; nothing is rounded
//! Reference    Szegedy et al.: Going deeper with convolutions. CVPR 2015, section 6
//! ```

use crate::affine::Pixel;
use crate::pipeline::Stage;
use crate::ranges::check_interval;
use crate::{Error, Rect, scratch};
use gradus_random::{Domain, Source};
use ndarray::{ArrayView3, ArrayViewMut3, Axis, s};

const DOMAIN: Domain = Domain::named("augment.random_resized_crop");

/// Shows a random part of the image in full size. Defaults are torchvision's: `scale`
/// \[0.08, 1\], `ratio` \[3/4, 4/3\].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomResizedCrop {
    scale: [f64; 2],
    ratio: [f64; 2],
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }
    }
}

impl RandomResizedCrop {
    /// A part of the area between the two of `scale`, of a width over height between those of
    /// `ratio`.
    ///
    /// # Errors
    /// Where bounds are not above 0, out of order, or a part is larger than the whole.
    pub fn new(scale: [f64; 2], ratio: [f64; 2]) -> Result<Self, Error> {
        check_interval("scale", scale, 1.0)?;
        check_interval("ratio", ratio, f64::MAX)?;
        Ok(Self { scale, ratio })
    }

    /// The part of an image of `[height, width]` pixels that is shown.
    #[must_use]
    pub fn draw<'a>(&self, from: impl Into<Source<'a>>, size: [usize; 2]) -> Rect {
        let rng = &mut from.into().stream(DOMAIN);
        let drawn = Rect::draw(rng, size, size, self.scale, self.ratio);
        drawn.unwrap_or_else(|| self.middle(size))
    }

    /// The largest part in the middle whose ratio is allowed.
    fn middle(&self, [height, width]: [usize; 2]) -> Rect {
        let [narrow, wide] = self.ratio;
        let ratio = (width as f64 / height as f64).clamp(narrow, wide);
        let h = ((width as f64 / ratio).round() as usize).clamp(height.min(1), height);
        let w = ((height as f64 * ratio).round() as usize).clamp(width.min(1), width);
        Rect { top: (height - h) / 2, left: (width - w) / 2, height: h, width: w }
    }

    /// `into` = that part of `from`, in the size of `into`.
    ///
    /// # Panics
    /// If the part is not within `from`, or the channels differ.
    pub fn apply<T: Pixel>(
        &self,
        part: &Rect,
        from: ArrayView3<'_, T>,
        into: ArrayViewMut3<'_, f32>,
    ) {
        let Rect { top, left, height, width } = *part;
        resize(from.slice(s![top..top + height, left..left + width, ..]), into);
    }
}

impl Stage for RandomResizedCrop {
    fn run(&self, source: Source<'_>, image: ArrayViewMut3<'_, f32>) {
        let (height, width, _) = image.dim();
        let part = self.draw(source, [height, width]);
        scratch::with_copy(image, |from, into| self.apply(&part, from, into));
    }

    fn description(&self) -> String {
        format!("{self:?}")
    }
}

/// `into` = all of `from`: rows are brought together first, then columns.
fn resize<T: Pixel>(from: ArrayView3<'_, T>, mut into: ArrayViewMut3<'_, f32>) {
    let (height, width, channels) = from.dim();
    let (rows, columns, same) = into.dim();
    assert_eq!(channels, same, "an image and its part have the same channels");
    let length = width * channels;
    scratch::with(rows * length, |lines| {
        lines.fill(0.0);
        into.fill(0.0);
        for (r, line) in lines.chunks_exact_mut(length.max(1)).enumerate() {
            for (i, weight) in triangle(r, rows, height) {
                for (sum, &x) in line.iter_mut().zip(from.index_axis(Axis(0), i)) {
                    let x: f32 = x.into();
                    *sum += weight * x;
                }
            }
        }
        for c in 0..columns {
            for (j, weight) in triangle(c, columns, width) {
                for (r, line) in lines.chunks_exact(length).enumerate() {
                    let x = &line[j * channels..][..channels];
                    (0..channels).for_each(|k| into[[r, c, k]] += weight * x[k]);
                }
            }
        }
    });
}

/// The pixels of `extent` that pixel `at` of `target` is made of, with weights that sum to 1.
fn triangle(at: usize, target: usize, extent: usize) -> impl Iterator<Item = (usize, f32)> {
    let scale = extent as f64 / target as f64;
    let reach = scale.max(1.0);
    let centre = (at as f64 + 0.5) * scale;
    let first = (centre - reach + 0.5).max(0.0) as usize;
    let end = ((centre + reach + 0.5) as usize).min(extent);
    let weight = move |j: usize| (1.0 - ((j as f64 - centre + 0.5) / reach).abs()).max(0.0);
    let sum: f64 = (first..end).map(weight).sum();
    (first..end).map(move |j| (j, (weight(j) / sum) as f32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_random::Key;
    use ndarray::Array3;

    fn key(index: u32) -> Key {
        Key { seed: 5, epoch: 0, index }
    }

    #[test]
    fn parts_lie_within_the_image_and_have_the_area_and_ratio_asked_for() {
        let crop = RandomResizedCrop::new([0.2, 0.7], [0.5, 2.0]).unwrap();
        let mut areas = Vec::new();
        for index in 0..2000 {
            let part = crop.draw(key(index), [300, 400]);
            assert!(part.top + part.height <= 300 && part.left + part.width <= 400);
            let ratio = part.width as f64 / part.height as f64;
            assert!((0.48..2.05).contains(&ratio), "{part:?}");
            areas.push((part.width * part.height) as f64 / 120_000.0);
        }
        assert!(areas.iter().all(|a| (0.19..0.71).contains(a)));
        let mean = areas.iter().sum::<f64>() / 2000.0;
        // The largest and longest do not fit, so the mean is a little below the middle.
        assert!((0.40..0.46).contains(&mean), "{mean}");
    }

    #[test]
    fn where_nothing_fits_the_middle_is_shown() {
        let crop = RandomResizedCrop::new([1.0, 1.0], [1.0, 1.0]).unwrap();
        let expected = Rect { top: 0, left: 45, height: 10, width: 10 };
        assert_eq!(crop.draw(key(0), [10, 100]), expected);
    }

    #[test]
    fn the_whole_image_in_its_own_size_is_itself() {
        let x = Array3::from_shape_fn((7, 5, 3), |(r, c, k)| (r * 31 + c * 7 + k) as u8);
        let mut y = Array3::zeros(x.dim());
        let whole = Rect { top: 0, left: 0, height: 7, width: 5 };
        RandomResizedCrop::default().apply(&whole, x.view(), y.view_mut());
        assert_eq!(y, x.mapv(f32::from));
    }

    #[test]
    fn a_flat_part_stays_flat_in_every_size() {
        for (part, size) in [([3, 9], [40, 2]), ([20, 20], [7, 7]), ([1, 1], [5, 4])] {
            let x = Array3::from_elem((20, 20, 2), 77u8);
            let mut y = Array3::zeros((size[0], size[1], 2));
            let part = Rect { top: 0, left: 20 - part[1], height: part[0], width: part[1] };
            RandomResizedCrop::default().apply(&part, x.view(), y.view_mut());
            assert!(y.iter().all(|v: &f32| (v - 77.0).abs() < 1e-4), "{part:?}");
        }
    }

    #[test]
    fn bounds_that_make_no_part_are_refused() {
        for scale in [[0.0, 1.0], [0.5, 0.2], [0.5, 1.5], [f64::NAN, 1.0]] {
            let error = RandomResizedCrop::new(scale, [1.0, 1.0]).unwrap_err();
            assert!(matches!(error, Error::Interval { argument: "scale", .. }), "{error}");
        }
    }
}
