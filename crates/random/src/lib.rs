//! Counter-based random numbers.
//!
//! Everything random in gradus (the order of the rows, the augmentation of an image, the first
//! weights, dropout) is a pure function of a seed and of *what* is being drawn, never of how many
//! threads draw or of what was drawn before. Two small ideas carry that:
//!
//! * [`philox4x32`]: a block function from (counter, key) to four words (Salmon et al., 2011),
//!   the same on the CPU and in a CUDA kernel;
//! * [`Key`]: seed, epoch and row, all that a sample's randomness may depend on.
//!
//! [`Mt19937`] is NumPy's legacy generator, for those who need Keras's own numbers; a [`Source`]
//! is either. What changes images by numbers drawn from one is a [`Transform`], or for a whole
//! batch a [`BatchTransform`]; a [`PixelMap`] is such a change that is still to be made.
//!
//! [`Philox`] walks the counter for those who want a plain generator. It implements
//! [`rand::Rng`], so every distribution of the `rand` ecosystem works on it; what gradus itself
//! draws uses the inherent methods, whose numbers never change with a version of `rand`.
#![doc = include_str!("../README.md")]

mod key;
mod mt19937;
mod philox;
mod pixel_map;
mod source;
mod transform;

pub use key::{Domain, Key};
pub use mt19937::Mt19937;
pub use philox::{Philox, philox4x32, philox4x32_beside};
pub use pixel_map::{MOST_CHANNELS, OnDevice, PixelMap};
pub use source::{Source, Stream};
pub use transform::{BatchTransform, Fitted, OnFloats, Transform};
