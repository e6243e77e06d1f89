//! What a random number may depend on.

use crate::Philox;

/// The purpose of a draw. Draws for different purposes never share numbers, and no list of
/// purposes is kept anywhere: a domain is the FNV-1a hash of its name.
///
/// ```
/// use gradus_random::{Domain, Key};
/// const ORDER: Domain = Domain::named("my loader's order");
/// let mut rng = Key { seed: 7, epoch: 0, index: 0 }.stream(ORDER);
/// assert!(rng.uniform() < 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain(u32);

impl Domain {
    /// The domain of that name.
    #[must_use]
    pub const fn named(name: &str) -> Self {
        let bytes = name.as_bytes();
        let mut hash = 0x811C_9DC5u32;
        let mut i = 0;
        while i < bytes.len() {
            hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
            i += 1;
        }
        Self(hash)
    }

    /// The hash itself: one word of a Philox counter.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// All that a sample's randomness may depend on: neither the number of workers nor what was drawn
/// before. Resuming in the middle of an epoch is therefore skipping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The seed of the run.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u32,
    /// The row of the data set, in the order of its manifest.
    pub index: u32,
}

impl Key {
    /// The random numbers of this sample for one purpose.
    #[must_use]
    pub fn stream(self, domain: Domain) -> Philox {
        Philox::new(self.seed, [domain.0, self.index, self.epoch])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_key_and_the_domain_changes_the_numbers() {
        let key = Key { seed: 1, epoch: 2, index: 3 };
        let first = |key: Key, name| key.stream(Domain::named(name)).next_u64();
        let draws = [
            first(key, "a"),
            first(key, "b"),
            first(Key { seed: 9, ..key }, "a"),
            first(Key { epoch: 9, ..key }, "a"),
            first(Key { index: 9, ..key }, "a"),
        ];
        for (i, a) in draws.iter().enumerate() {
            assert!(draws[i + 1..].iter().all(|b| a != b));
        }
        assert_eq!(first(key, "a"), draws[0]);
    }
}
