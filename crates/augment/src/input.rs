//! From the bytes of a batch to what the network sees, by what was drawn beforehand for each image.
//!
//! ```text
//! Formula      that of `gradus_random::PixelMap`: affine → flips → brightness → rescale → featurewise
//!              center and std, in one pass
//! Shapes       from: h·w·C, bytes   into: h·w·C, f32   C up to 4
//! Engines      on the CPU the passes of this crate, one after the other; on a GPU one kernel. The
//!              loader's workers then only decode and resize, and a quarter of the bytes crosses the
//!              bus
//! Conventions  the picture is that of [`ImageDataGenerator::apply`](crate::ImageDataGenerator) to the
//!              last bit. What needs a whole image first is not for a map: channel shift, samplewise
//!              statistics, whitening, functions of the user's
//! ```

#[allow(unsafe_code, reason = "an engine: it launches kernels")]
pub mod cuda;

use crate::affine::{self, Affine};
use crate::brightness;
use gradus_random::PixelMap;
use ndarray::{ArrayView3, ArrayViewMut3, Zip};

/// `into` = the image `from`, by `map`.
///
/// # Panics
/// If `from` and `into` differ in shape, or have more channels than a map.
pub fn apply(map: &PixelMap, from: ArrayView3<'_, u8>, mut into: ArrayViewMut3<'_, f32>) {
    let channels = from.dim().2;
    let (mean, std) = (&map.mean[..channels], &map.std[..channels]);
    let (affine, sampling) = Affine::of(map);
    affine::apply(&affine, sampling, 1.0, from, into.view_mut());
    if map.brightens != 0 {
        brightness::apply(map.brightness.into(), into.view_mut());
    }
    Zip::from(into.rows_mut()).for_each(|mut pixel| {
        for ((x, mean), std) in pixel.iter_mut().zip(mean).zip(std) {
            *x = (*x * map.rescale - mean) / std;
        }
    });
}
