//! Zero mean and unit deviation: of each image for itself, or by what was fitted on many.
//!
//! ```text
//! Formula      samplewise   y = (x − mean(x)) / (std(x) + 10⁻⁶)     one mean, one std for an image
//!              featurewise  y = (x − mean) / (std + 10⁻⁶)           of each channel, fitted
//! Shapes       x, y: h·w·C, in place   mean, std: C
//! Conventions  std with N below the fraction, not N − 1. Sums in f64, so that a statistic is right
//!              to the last bit of f32 (NumPy sums in f32: a few bits for one image, some 10⁻⁴ over
//!              thousands). Samplewise comes first; each half can be asked for alone, except that
//!              std always centers, as in Keras
//! Reference    Keras 3, `ImageDataGenerator.standardize` and `fit`
//! ```

use ndarray::{Array1, Array2, ArrayView3, ArrayViewMut3, Axis, Zip};
use std::fmt;

pub(crate) const EPSILON: f32 = 1e-6;

/// What `fit` computes of the data: all that has to be kept beside a job to resume it.
/// Nothing of it is there before, and of what is not asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// The mean of each channel.
    pub mean: Option<Array1<f32>>,
    /// The standard deviation of each channel.
    pub std: Option<Array1<f32>>,
    /// h·w·C rows and columns, symmetric: see [`zca`](crate::zca).
    pub zca_whitening_matrix: Option<Array2<f32>>,
}

/// What is off or on other than it was asked for, or does nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// `featurewise_center` was switched on, because this argument needs it.
    FeaturewiseCenterOn {
        /// Keras's name of the argument.
        argument: &'static str,
    },
    /// `featurewise_std_normalization` was switched off: `zca_whitening` does that and more.
    FeaturewiseStdNormalizationOff,
    /// `samplewise_center` was switched on, because `samplewise_std_normalization` needs it.
    SamplewiseCenterOn,
    /// This argument does nothing until `fit` was called.
    NotFitted {
        /// Keras's name of the argument.
        argument: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FeaturewiseCenterOn { argument } => {
                write!(f, "{argument} needs featurewise_center, which is on now")
            }
            Self::FeaturewiseStdNormalizationOff => f.write_str(
                "zca_whitening replaces featurewise_std_normalization, which is off now",
            ),
            Self::SamplewiseCenterOn => {
                f.write_str("samplewise_std_normalization needs samplewise_center, which is on now")
            }
            Self::NotFitted { argument } => {
                write!(f, "{argument} does nothing yet: call fit with sample images first")
            }
        }
    }
}

/// Which of them are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standardize {
    pub(crate) samplewise_center: bool,
    pub(crate) samplewise_std_normalization: bool,
    pub(crate) featurewise_center: bool,
    pub(crate) featurewise_std_normalization: bool,
    pub(crate) zca_whitening: bool,
}

impl Standardize {
    /// Switches on and off what follows from what was asked for, and says so.
    pub(crate) fn resolve(&mut self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut center = |on: &mut bool, argument| {
            if !std::mem::replace(on, true) {
                warnings.push(Warning::FeaturewiseCenterOn { argument });
            }
        };
        if self.zca_whitening {
            center(&mut self.featurewise_center, "zca_whitening");
        } else if self.featurewise_std_normalization {
            center(&mut self.featurewise_center, "featurewise_std_normalization");
        }
        if self.zca_whitening && self.featurewise_std_normalization {
            self.featurewise_std_normalization = false;
            warnings.push(Warning::FeaturewiseStdNormalizationOff);
        }
        if self.samplewise_std_normalization && !self.samplewise_center {
            self.samplewise_center = true;
            warnings.push(Warning::SamplewiseCenterOn);
        }
        warnings
    }

    /// What waits for `fit`.
    pub(crate) fn unfitted(self, fitted: &Statistics) -> impl Iterator<Item = Warning> {
        let waiting = [
            (self.featurewise_center && fitted.mean.is_none(), "featurewise_center"),
            (
                self.featurewise_std_normalization && fitted.std.is_none(),
                "featurewise_std_normalization",
            ),
            (self.zca_whitening && fitted.zca_whitening_matrix.is_none(), "zca_whitening"),
        ];
        let waiting = waiting.into_iter().filter(|(waits, _)| *waits);
        waiting.map(|(_, argument)| Warning::NotFitted { argument })
    }

    /// Each image for itself.
    pub(crate) fn samplewise(self, mut image: ArrayViewMut3<'_, f32>) {
        if self.samplewise_center {
            let mean = mean_and_std(image.view()).0;
            image -= mean;
        }
        if self.samplewise_std_normalization {
            let std = mean_and_std(image.view()).1;
            image /= std + EPSILON;
        }
    }
}

/// By the mean and the deviation of each channel, as far as they are there.
///
/// # Panics
/// If the image has another number of channels than those fitted on.
pub(crate) fn featurewise(
    mean: Option<&Array1<f32>>,
    std: Option<&Array1<f32>>,
    mut image: ArrayViewMut3<'_, f32>,
) {
    for fitted in [mean, std].into_iter().flatten() {
        assert_eq!(fitted.len(), image.dim().2, "the statistics were fitted on so many channels");
    }
    if let Some(mean) = mean {
        image -= mean;
    }
    if let Some(std) = std {
        Zip::from(image.rows_mut()).for_each(|mut pixel| {
            pixel.zip_mut_with(std, |x, s| *x /= s + EPSILON);
        });
    }
}

/// Mean and standard deviation of each channel of many pixels.
pub(crate) fn of_channels(x: ArrayView3<'_, f32>) -> [Array1<f32>; 2] {
    let of = |k: usize| mean_and_std(x.index_axis(Axis(2), k).insert_axis(Axis(2)));
    let (mean, std): (Vec<f32>, Vec<f32>) = (0..x.dim().2).map(of).unzip();
    [mean.into(), std.into()]
}

/// Of all values together.
fn mean_and_std(x: ArrayView3<'_, f32>) -> (f32, f32) {
    let n = x.len().max(1) as f64;
    let mean = x.fold(0.0, |sum, &x| sum + f64::from(x)) / n;
    let square = x.fold(0.0, |sum, &x| sum + (f64::from(x) - mean).powi(2)) / n;
    (mean as f32, square.sqrt() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_testing::Cases;
    use ndarray::Array3;

    #[test]
    fn an_image_for_itself_gets_mean_zero_and_deviation_one() {
        for case in 0..20 {
            let mut cases = Cases::new("samplewise", case);
            let shape = (cases.extent(2, 20), cases.extent(2, 20), cases.extent(1, 4));
            let values = cases.normal(shape.0 * shape.1 * shape.2);
            let mut x = Array3::from_shape_vec(shape, values).unwrap() * 40.0 + 128.0;
            let mut on = Standardize { samplewise_std_normalization: true, ..Default::default() };
            assert_eq!(on.resolve(), [Warning::SamplewiseCenterOn]);
            on.samplewise(x.view_mut());
            let (mean, std) = mean_and_std(x.view());
            assert!(mean.abs() < 1e-6 && (std - 1.0).abs() < 1e-6, "{shape:?}: {mean} {std}");
        }
    }

    #[test]
    fn each_channel_has_its_own_statistics() {
        let x = Array3::from_shape_fn((4, 5, 3), |(r, _, k)| [r as f32, 7.0, 2.0 * r as f32][k]);
        let [mean, std] = of_channels(x.view());
        assert_eq!(mean.as_slice().unwrap(), [1.5, 7.0, 3.0]);
        assert_eq!(std.as_slice().unwrap(), [1.25f32.sqrt(), 0.0, 5f32.sqrt()]);
        let mut y = x;
        featurewise(Some(&mean), Some(&std), y.view_mut());
        assert!((y[[3, 0, 0]] - 1.5 / 1.25f32.sqrt()).abs() < 1e-5);
        assert_eq!(y[[2, 2, 1]], 0.0);
    }

    #[test]
    fn what_follows_from_what_was_asked_for_is_said() {
        let mut all = Standardize {
            zca_whitening: true,
            featurewise_std_normalization: true,
            samplewise_std_normalization: true,
            ..Default::default()
        };
        assert_eq!(
            all.resolve(),
            [
                Warning::FeaturewiseCenterOn { argument: "zca_whitening" },
                Warning::FeaturewiseStdNormalizationOff,
                Warning::SamplewiseCenterOn
            ]
        );
        let waiting: Vec<String> =
            all.unfitted(&Statistics::default()).map(|w| w.to_string()).collect();
        assert_eq!(waiting.len(), 2);
        assert!(waiting[1].starts_with("zca_whitening does nothing yet: call fit"));
        assert_eq!(all.resolve(), [], "what is resolved stays as it is");
    }
}
