//! The images of a batch: floats that the network takes, or bytes of which a device makes them.

use crate::PixelMap;
use ndarray::Array4;

/// (B, H, W, C).
#[derive(Debug)]
pub(super) enum Pictures {
    /// As the network takes them.
    Floats(Array4<f32>),
    /// As they were read.
    Bytes {
        pixels: Array4<u8>,
        /// (B): what is to be done to each.
        maps: Vec<PixelMap>,
    },
}

impl Pictures {
    /// Floats, for as many images of that size.
    pub(super) fn new(room: usize, [h, w, c]: [usize; 3]) -> Self {
        Self::Floats(Array4::zeros((room, h, w, c)))
    }

    /// Makes them bytes, or floats. Memory is made anew where they are the other now.
    pub(super) fn be_bytes(&mut self, bytes: bool) {
        match self {
            Self::Floats(images) if bytes => {
                let (pixels, maps) =
                    (Array4::zeros(images.dim()), vec![PixelMap::default(); images.dim().0]);
                *self = Self::Bytes { pixels, maps };
            }
            Self::Bytes { pixels, .. } if !bytes => {
                *self = Self::Floats(Array4::zeros(pixels.dim()));
            }
            _ => {}
        }
    }
}
