//! Where the random numbers of a sample come from.

use crate::{Domain, Key, Mt19937, Philox};

/// What a transform draws from: the [`Key`] of the sample, on which alone everything then depends,
/// or NumPy's generator, handed from sample to sample in the order of the batch as Keras does.
#[derive(Debug)]
pub enum Source<'a> {
    /// Seed, epoch and row: the default.
    Key(Key),
    /// Keras's numbers, in Keras's order.
    Mt19937(&'a mut Mt19937),
}

impl<'a> Source<'a> {
    /// The numbers for one purpose. NumPy's generator knows no purposes: its numbers go on.
    #[must_use]
    pub fn stream(self, domain: Domain) -> Stream<'a> {
        match self {
            Source::Key(key) => Stream::Philox(key.stream(domain)),
            Source::Mt19937(rng) => Stream::Mt19937(rng),
        }
    }

    /// The same source once more, for another purpose.
    #[must_use]
    pub fn reborrow(&mut self) -> Source<'_> {
        match self {
            Source::Key(key) => Source::Key(*key),
            Source::Mt19937(rng) => Source::Mt19937(rng),
        }
    }
}

impl From<Key> for Source<'_> {
    fn from(key: Key) -> Self {
        Source::Key(key)
    }
}

/// Random numbers of either kind.
#[derive(Debug)]
pub enum Stream<'a> {
    /// Those of one sample and one purpose.
    Philox(Philox),
    /// The next ones of NumPy's generator.
    Mt19937(&'a mut Mt19937),
}

impl Stream<'_> {
    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        match self {
            Stream::Philox(rng) => rng.uniform(),
            Stream::Mt19937(rng) => rng.uniform(),
        }
    }

    /// Uniform in [low, high). `low` itself when both are equal.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in 0..n, without bias.
    ///
    /// # Panics
    /// If `n` is 0: there is nothing to choose from.
    pub fn below(&mut self, n: u32) -> u32 {
        match self {
            Stream::Philox(rng) => rng.below(n),
            Stream::Mt19937(rng) => rng.below(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_the_same_numbers_again_and_numpy_s_generator_goes_on() {
        let domain = Domain::named("test");
        let key = Key { seed: 1, epoch: 0, index: 2 };
        let mut source = Source::from(key);
        let first = source.reborrow().stream(domain).uniform();
        assert_eq!(first, source.stream(domain).uniform());
        assert_eq!(first, key.stream(domain).uniform());

        let (mut rng, mut same) = (Mt19937::new(5), Mt19937::new(5));
        let mut source = Source::Mt19937(&mut rng);
        let drawn = [source.reborrow().stream(domain).uniform(), source.stream(domain).uniform()];
        assert_eq!(drawn, [same.uniform(), same.uniform()]);
    }
}
