//! What happens to an image between the data set and the batch: augmentation, rescaling.
//!
//! The loader knows one small interface, so that whatever augments needs no loader and the loader
//! no augmentation.

use gradus_random::Source;
use ndarray::{ArrayView3, ArrayViewMut3};

/// Turns the bytes of an image into the floats that the network sees.
///
/// Every closure of that signature is one; the types of its parameters have to be written out:
///
/// ```
/// use gradus_data::{Source, Transform, ndarray::{ArrayView3, ArrayViewMut3}};
/// fn takes(_: impl Transform) {}
/// takes(|_: Source<'_>, from: ArrayView3<'_, u8>, mut into: ArrayViewMut3<'_, f32>| {
///     into.zip_mut_with(&from, |y, &x| *y = f32::from(x) / 255.0);
/// });
/// ```
pub trait Transform: Send + Sync {
    /// Fills `into` from `from`, both (height, width, channels) and of one shape. Randomness comes
    /// from `source` alone: then nothing depends on which worker is called, or when.
    fn apply(&self, source: Source<'_>, from: ArrayView3<'_, u8>, into: ArrayViewMut3<'_, f32>);
}

impl<F> Transform for F
where
    F: Fn(Source<'_>, ArrayView3<'_, u8>, ArrayViewMut3<'_, f32>) + Send + Sync,
{
    fn apply(&self, source: Source<'_>, from: ArrayView3<'_, u8>, into: ArrayViewMut3<'_, f32>) {
        self(source, from, into);
    }
}

/// The values as they are, 0 to 255: what Keras gives where nothing rescales them.
pub(crate) fn cast(_: Source<'_>, from: ArrayView3<'_, u8>, mut into: ArrayViewMut3<'_, f32>) {
    into.zip_mut_with(&from, |y, &x| *y = f32::from(x));
}
