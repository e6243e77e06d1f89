//! NumPy's numbers in the order in which Keras's generator draws them.
//!
//! ```text
//! Batch t      begins with `seed(seed + t)`, t counted over all epochs: t = epoch · ⌈N/B⌉ + step,
//!              also where an epoch has fewer steps than that (Keras's `next()` would begin the
//!              next one with the batches that are left)
//! Step 0       draws the permutation of the rows first; the images go on from there
//! Rows         the permutation, cut into batches in order: only the last is short
//! Images       draw one after another, in the order of the batch
//! Reference    Keras 3, `legacy/preprocessing/image.py`, `Iterator._flow_index`; `next()` alone,
//!              since the order inside Keras's own `fit` cannot be repeated
//! ```

use super::order::Order;
use crate::{Error, Mt19937};

/// What all that is random comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Randomness {
    /// Seed, epoch and row of each image: the default. Every image has its own numbers.
    #[default]
    Keyed,
    /// NumPy's generator, as Keras seeds it and draws from it: the order and the augmentation of
    /// `next()` on Keras's generator of the same seed. Set the compatibility of the augmentation,
    /// too.
    Keras,
}

/// The generator at the beginning of each batch of an epoch.
#[derive(Debug)]
pub(super) struct Generator {
    seed: u32,
    /// t of step 0.
    before: u32,
    /// After the permutation.
    first: Mt19937,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Result<Self, Error> {
        let seed = u32::try_from(seed).map_err(|_| Error::Argument {
            argument: "seed",
            found: seed.to_string(),
            remedy: "NumPy's generator takes seeds below 2³²",
        })?;
        Ok(Self { seed, before: 0, first: Mt19937::new(seed) })
    }

    /// Sets the order of that epoch.
    pub(super) fn start(&mut self, epoch: u32, order: &mut Order, shuffle: bool) {
        self.before = epoch.wrapping_mul(order.batches() as u32);
        self.first.seed(self.seed.wrapping_add(self.before));
        if shuffle {
            order.permute(&mut self.first);
        }
    }

    /// Sets `into` to what the images of that step begin with.
    pub(super) fn at(&self, step: usize, into: &mut Mt19937) {
        if step == 0 {
            into.clone_from(&self.first);
        } else {
            into.seed(self.seed.wrapping_add(self.before).wrapping_add(step as u32));
        }
    }
}
