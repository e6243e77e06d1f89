//! What changes images at random: the interfaces that data, augmentation and training share.
//!
//! A loader knows no augmentation, an augmentation no loader, and neither the trainer. What they
//! have in common is what draws from a [`Source`]: an image's change, and a batch's.

use crate::{OnDevice, Source};
use ndarray::{ArrayD, ArrayView3, ArrayViewMut1, ArrayViewMut2, ArrayViewMut3, ArrayViewMut4};

/// What was fitted on data, by name: a mean, a matrix.
pub type Fitted = Vec<(String, ArrayD<f32>)>;

/// Turns the bytes of an image into the floats that the network sees.
///
/// Every closure of the signature of [`Transform::apply`] is one; the types of its parameters have
/// to be written out:
///
/// ```
/// use gradus_random::{Source, Transform};
/// use ndarray::{ArrayView3, ArrayViewMut3};
/// fn takes(_: impl Transform) {}
/// takes(|_: Source<'_>, from: ArrayView3<'_, u8>, mut into: ArrayViewMut3<'_, f32>| {
///     into.zip_mut_with(&from, |y, &x| *y = f32::from(x) / 255.0);
/// });
/// ```
pub trait Transform: Send + Sync {
    /// Fills `into` from `from`, both (height, width, channels) and of one shape. Randomness comes
    /// from `source` alone: then nothing depends on which worker is called, or when.
    fn apply(&self, source: Source<'_>, from: ArrayView3<'_, u8>, into: ArrayViewMut3<'_, f32>);

    /// The same for images that are floats already, from 0 to 255 as a rule; none, unless
    /// overridden, where it takes bytes alone.
    fn on_floats(&self) -> Option<&dyn OnFloats> {
        None
    }

    /// The same as numbers, where a device can do all of it to images of `size` (height, width,
    /// channels), which are bytes; none, unless overridden, where it takes [`Transform::apply`].
    fn on_device(&self, size: [usize; 3]) -> Option<&dyn OnDevice> {
        let _ = size;
        None
    }

    /// What it does, with all its options: a run is resumed with the same only. The name of the
    /// type, unless overridden; what was fitted does not belong in here.
    fn description(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }

    /// What there is to say to someone who lets it draw from NumPy's generator to get Keras's own
    /// images, and will not get them. Nothing, unless overridden.
    fn keras_remark(&self) -> Option<String> {
        None
    }

    /// What was fitted, for a checkpoint to hold. Nothing, unless overridden.
    fn fitted(&self) -> Fitted {
        Fitted::new()
    }

    /// Takes back what [`Transform::fitted`] gave, for images of `size` (height, width, channels).
    ///
    /// # Errors
    /// What is wrong, if that is not what such a transform fits on such images.
    fn set_fitted(&mut self, fitted: Fitted, size: [usize; 3]) -> Result<(), String> {
        let _ = size;
        match fitted.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("{} fits no {name}", self.description())),
        }
    }
}

/// A [`Transform`] of images that are floats.
pub trait OnFloats {
    /// As [`Transform::apply`].
    fn apply(&self, source: Source<'_>, from: ArrayView3<'_, f32>, into: ArrayViewMut3<'_, f32>);
}

impl<F> Transform for F
where
    F: Fn(Source<'_>, ArrayView3<'_, u8>, ArrayViewMut3<'_, f32>) + Send + Sync,
{
    fn apply(&self, source: Source<'_>, from: ArrayView3<'_, u8>, into: ArrayViewMut3<'_, f32>) {
        self(source, from, into);
    }

    /// A function does not say what it does.
    fn description(&self) -> String {
        "a function".to_owned()
    }
}

/// Changes the images of a batch and their targets together, in place.
///
/// Every closure of the signature of [`BatchTransform::apply`] is one; the types of its parameters
/// have to be written out.
pub trait BatchTransform {
    /// Changes `images` (N, H, W, C), `targets` (N, outputs) and, where samples have any, `weights`
    /// (N). Randomness comes from `source` alone, in whose key the step stands for the row.
    fn apply(
        &mut self,
        source: Source<'_>,
        images: ArrayViewMut4<'_, f32>,
        targets: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut1<'_, f32>>,
    );

    /// What it does, with all its options: a run is resumed with the same only. The name of the
    /// type, unless overridden.
    fn description(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }
}

impl<F> BatchTransform for F
where
    F: FnMut(
        Source<'_>,
        ArrayViewMut4<'_, f32>,
        ArrayViewMut2<'_, f32>,
        Option<ArrayViewMut1<'_, f32>>,
    ),
{
    fn apply(
        &mut self,
        source: Source<'_>,
        images: ArrayViewMut4<'_, f32>,
        targets: ArrayViewMut2<'_, f32>,
        weights: Option<ArrayViewMut1<'_, f32>>,
    ) {
        self(source, images, targets, weights);
    }

    /// A function does not say what it does.
    fn description(&self) -> String {
        "a function".to_owned()
    }
}
