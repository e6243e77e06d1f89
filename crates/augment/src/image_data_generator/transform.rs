//! The generator as a loader and a checkpoint know it: what it does, and what it has fitted.

use super::{ImageDataGenerator, Statistics};
use crate::affine::Compatibility;
use gradus_random::{Fitted, OnDevice, OnFloats, Source, Transform};
use ndarray::{ArrayD, ArrayView3, ArrayViewMut3, Dimension};

const MEAN: &str = "mean";
const STD: &str = "std";
const MATRIX: &str = "zca_whitening_matrix";

impl Transform for ImageDataGenerator {
    fn apply(&self, source: Source<'_>, from: ArrayView3<'_, u8>, into: ArrayViewMut3<'_, f32>) {
        let (height, width, _) = from.dim();
        ImageDataGenerator::apply(self, &self.draw(source, [height, width]), from, into);
    }

    fn on_floats(&self) -> Option<&dyn OnFloats> {
        Some(self)
    }

    fn on_device(&self, size: [usize; 3]) -> Option<&dyn OnDevice> {
        self.fits_a_map(size).then_some(self as &dyn OnDevice)
    }

    /// All options by name. A preprocessing function is `a function`.
    fn description(&self) -> String {
        let options =
            Self { statistics: Statistics::default(), warnings: Vec::new(), ..self.clone() };
        format!("{options:?}")
    }

    fn keras_remark(&self) -> Option<String> {
        let documented = self.compatibility == Compatibility::Documented;
        documented.then(|| {
            "the order and the numbers are Keras's, and the augmentation is what Keras documents: \
             for what Keras does with these numbers set compatibility(Compatibility::Keras)"
                .to_owned()
        })
    }

    fn fitted(&self) -> Fitted {
        let Statistics { mean, std, zca_whitening_matrix } = self.statistics.clone();
        let all = [
            (MEAN, mean.map(|mean| mean.into_dyn())),
            (STD, std.map(|std| std.into_dyn())),
            (MATRIX, zca_whitening_matrix.map(|matrix| matrix.into_dyn())),
        ];
        all.into_iter().filter_map(|(name, it)| Some((name.to_owned(), it?))).collect()
    }

    fn set_fitted(&mut self, fitted: Fitted, [h, w, c]: [usize; 3]) -> Result<(), String> {
        let mut statistics = Statistics::default();
        let values = h * w * c;
        for (name, array) in fitted {
            match name.as_str() {
                MEAN => statistics.mean = Some(shaped(&name, array, &[c])?),
                STD => statistics.std = Some(shaped(&name, array, &[c])?),
                MATRIX => {
                    statistics.zca_whitening_matrix = Some(shaped(&name, array, &[values, values])?)
                }
                _ => return Err(format!("an ImageDataGenerator fits no {name}")),
            }
        }
        self.statistics = statistics;
        Ok(())
    }
}

impl OnFloats for ImageDataGenerator {
    fn apply(&self, source: Source<'_>, from: ArrayView3<'_, f32>, into: ArrayViewMut3<'_, f32>) {
        let (height, width, _) = from.dim();
        ImageDataGenerator::apply(self, &self.draw(source, [height, width]), from, into);
    }
}

/// The array, if it is of that shape.
fn shaped<D: Dimension>(
    name: &str,
    array: ArrayD<f32>,
    shape: &[usize],
) -> Result<ndarray::Array<f32, D>, String> {
    let found = array.shape().to_vec();
    let of_shape = Some(array).filter(|array| array.shape() == shape);
    of_shape
        .and_then(|array| array.into_dimensionality().ok())
        .ok_or_else(|| format!("{name} is of shape {found:?}, and these images need {shape:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array4, arr1};

    #[test]
    fn every_option_is_in_the_description_and_nothing_that_was_fitted() {
        let builder = || ImageDataGenerator::builder().featurewise_center(true);
        let plain = builder().build().unwrap();
        for other in [
            builder().rotation_range(1.0),
            builder().width_shift_range(0.1),
            builder().zoom_range([0.5, 1.0]),
            builder().brightness_range([0.5, 1.0]),
            builder().horizontal_flip(true),
            builder().rescale(0.5),
            builder().zca_whitening(true),
            builder().fill_mode(crate::FillMode::Wrap),
            builder().interpolation_order(0),
            builder().compatibility(Compatibility::Keras),
            builder().preprocessing_function(|_| ()),
        ] {
            assert_ne!(other.build().unwrap().description(), plain.description());
        }
        let mut fitted = plain.clone();
        fitted.fit(Array4::zeros((1, 2, 2, 3)).view(), false, 1, 0).unwrap();
        assert_ne!(fitted, plain);
        assert_eq!(fitted.description(), plain.description());
    }

    #[test]
    fn what_was_fitted_comes_back() {
        let builder = ImageDataGenerator::builder().zca_whitening(true);
        let empty = builder.build().unwrap();
        let mut fitted = empty.clone();
        let images = Array4::from_shape_fn((5, 2, 2, 1), |(i, r, c, _)| (i * 40 + r * c) as u8);
        fitted.fit(images.view(), false, 1, 0).unwrap();
        let mut other = empty;
        other.set_fitted(fitted.fitted(), [2, 2, 1]).unwrap();
        assert_eq!(other, fitted);
        let error = other.set_fitted(fitted.fitted(), [2, 3, 1]).unwrap_err();
        assert!(error.contains("[4, 4]") && error.contains("[6, 6]"), "{error}");
        let unknown = vec![("median".to_owned(), arr1(&[0.0]).into_dyn())];
        assert!(other.set_fitted(unknown, [2, 2, 1]).is_err());
        assert_eq!(other, fitted, "an error changes nothing");
    }
}
