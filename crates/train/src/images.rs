//! The images of a batch: as the network takes them, or as bytes with what is to be done to each.

use gradus_augment::input;
use gradus_data::PixelMap;
use ndarray::{ArrayView4, ArrayViewMut4};

/// The images of a batch, N·H·W·C.
#[derive(Clone, Copy, Debug)]
pub enum Images<'a> {
    /// As the network takes them.
    Floats(ArrayView4<'a, f32>),
    /// As they were read: what makes them the network's comes after the upload to a GPU.
    Bytes {
        /// N·H·W·C, of up to 4 channels.
        pixels: ArrayView4<'a, u8>,
        /// N: what is to be done to each.
        maps: &'a [PixelMap],
    },
}

impl<'a> From<ArrayView4<'a, f32>> for Images<'a> {
    fn from(images: ArrayView4<'a, f32>) -> Self {
        Self::Floats(images)
    }
}

impl Images<'_> {
    /// N, H, W and C.
    #[must_use]
    pub fn dim(&self) -> (usize, usize, usize, usize) {
        match self {
            Self::Floats(images) => images.dim(),
            Self::Bytes { pixels, .. } => pixels.dim(),
        }
    }

    /// N.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dim().0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes them as the network takes them, on the CPU.
    ///
    /// # Panics
    /// If `into` is of another shape.
    pub fn write(&self, mut into: ArrayViewMut4<'_, f32>) {
        match self {
            Self::Floats(images) => into.assign(images),
            Self::Bytes { pixels, maps } => {
                assert_eq!(pixels.dim(), into.dim(), "images and where they go");
                let images = pixels.outer_iter().zip(*maps).zip(into.outer_iter_mut());
                images.for_each(|((pixels, map), into)| input::apply(map, pixels, into));
            }
        }
    }
}
