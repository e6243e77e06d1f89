//! What happens to an image between the data set and the batch where nobody says: nothing.
//!
//! The interface is [`Transform`], which stands in `gradus-random`: so whatever augments needs no
//! loader, and the loader no augmentation.

use gradus_random::{MOST_CHANNELS, OnDevice, OnFloats, PixelMap, Source, Transform};
use ndarray::{ArrayView3, ArrayViewMut3};

/// The values as they are, 0 to 255: what Keras gives where nothing rescales them.
pub(crate) struct AsTheyAre;

impl Transform for AsTheyAre {
    fn apply(&self, _: Source<'_>, from: ArrayView3<'_, u8>, mut into: ArrayViewMut3<'_, f32>) {
        into.zip_mut_with(&from, |y, &x| *y = f32::from(x));
    }

    fn on_floats(&self) -> Option<&dyn OnFloats> {
        Some(self)
    }

    fn on_device(&self, [_, _, channels]: [usize; 3]) -> Option<&dyn OnDevice> {
        (channels <= MOST_CHANNELS).then_some(self as &dyn OnDevice)
    }

    fn description(&self) -> String {
        "none".to_owned()
    }
}

impl OnDevice for AsTheyAre {
    fn pixel_map(&self, _: Source<'_>, _: [usize; 2]) -> PixelMap {
        PixelMap::default()
    }
}

impl OnFloats for AsTheyAre {
    fn apply(&self, _: Source<'_>, from: ArrayView3<'_, f32>, mut into: ArrayViewMut3<'_, f32>) {
        into.assign(&from);
    }
}
