//! Philox4x32-10.
//!
//! ```text
//! Formula      ten rounds of (c₀,c₁,c₂,c₃) ← (hi(M₁c₂)⊕c₁⊕k₀, lo(M₁c₂), hi(M₀c₀)⊕c₃⊕k₁, lo(M₀c₀)),
//!              the key growing by (W₀, W₁) between rounds
//! Reference    Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3. SC 2011,
//!              <https://doi.org/10.1145/2063384.2063405>. Constants and known answers from its
//!              companion library Random123
//! ```

use std::convert::Infallible;

const M: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const W: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Four random words for one counter under one key.
#[inline(always)]
#[must_use]
pub const fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [a, b, c, d] = counter;
    let [a, b, c, d] = philox4x32_beside([[a as u64], [b as u64], [c as u64], [d as u64]], key);
    [a[0] as u32, b[0] as u32, c[0] as u32, d[0] as u32]
}

/// The same for `N` counters side by side: the first words of all of them, the second words, and so
/// on. A word is the low half of its 64 bits, in what is given and in what comes; the high half
/// means nothing. In vectors that is where a product of two words wants to be and where it lies, so
/// that no word is moved.
#[inline(always)]
#[must_use]
pub const fn philox4x32_beside<const N: usize>(
    counters: [[u64; N]; 4],
    key: [u32; 2],
) -> [[u64; N]; 4] {
    const WORD: u64 = 0xFFFF_FFFF;
    let [mut c0, mut c1, mut c2, mut c3] = counters;
    let [mut k0, mut k1] = key;
    let mut round = 0;
    while round < 10 {
        let mut i = 0;
        while i < N {
            let p0 = M[0] as u64 * (c0[i] & WORD);
            let p1 = M[1] as u64 * (c2[i] & WORD);
            c0[i] = (p1 >> 32) ^ c1[i] ^ k0 as u64;
            c2[i] = (p0 >> 32) ^ c3[i] ^ k1 as u64;
            (c1[i], c3[i]) = (p1, p0);
            i += 1;
        }
        k0 = k0.wrapping_add(W[0]);
        k1 = k1.wrapping_add(W[1]);
        round += 1;
    }
    [c0, c1, c2, c3]
}

/// A generator that walks the first word of a Philox counter: 2³² blocks of four words for each
/// (seed, stream).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Philox {
    /// The generator of `seed` on one of 2⁹⁶ independent streams.
    #[must_use]
    pub fn new(seed: u64, stream: [u32; 3]) -> Self {
        let key = [seed as u32, (seed >> 32) as u32];
        let counter = [0, stream[0], stream[1], stream[2]];
        Self { key, counter, block: [0; 4], used: 4 }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// The next 64 random bits: the earlier word is the low half.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high). `low` itself when both are equal.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Standard normal (Box and Muller, 1958), one of the pair.
    pub fn normal(&mut self) -> f64 {
        // 1 − u is in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Uniform in 0..n, without bias (Lemire, 2019).
    ///
    /// # Panics
    /// If `n` is 0: there is nothing to choose from.
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "below(0): there is no number below zero to draw");
        let reject = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.next_u32()) * u64::from(n);
            if product as u32 >= reject {
                return (product >> 32) as u32;
            }
        }
    }

    /// Puts `items` in random order (Fisher and Yates, from the end).
    ///
    /// # Panics
    /// If there are 2³² items or more.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let n = u32::try_from(i + 1).expect("at most 2³² − 1 items can be shuffled");
            items.swap(i, self.below(n) as usize);
        }
    }
}

impl rand::TryRng for Philox {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            chunk.copy_from_slice(&self.next_u32().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that Random123 publishes for philox4x32 with ten rounds.
    #[test]
    fn philox_gives_the_published_known_answers() {
        assert_eq!(
            philox4x32([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn side_by_side_every_counter_gets_the_words_that_it_gets_alone() {
        let (key, noise) = ([0xa409_3822, 0x299f_31d0], 0xdead_beef_u64 << 32);
        let counter = |i: u32| [i, 0x85a3_08d3 ^ i, 0x1319_8a2e, u32::MAX - i];
        let mut counters = [[0; 5]; 4];
        for i in 0..5 {
            for (k, word) in counter(i).into_iter().enumerate() {
                counters[k][i as usize] = u64::from(word) | noise;
            }
        }
        let words = philox4x32_beside(counters, key);
        for i in 0..5 {
            assert_eq!(words.map(|words| words[i as usize] as u32), philox4x32(counter(i), key));
        }
    }

    #[test]
    fn uniform_fills_the_unit_interval_evenly() {
        let mut rng = Philox::new(1, [0; 3]);
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[(rng.uniform() * 10.0) as usize] += 1;
        }
        // Nine degrees of freedom: chi² stays below 33.7 but for one seed in ten thousand.
        let chi2: f64 = counts.iter().map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4).sum();
        assert!(chi2 < 33.7, "chi² {chi2}");
    }

    #[test]
    fn normal_has_mean_zero_and_variance_one() {
        let mut rng = Philox::new(2, [0; 3]);
        let draws: Vec<f64> = (0..100_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.015 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn below_reaches_every_number_and_none_beyond() {
        let mut rng = Philox::new(3, [0; 3]);
        let mut seen = [false; 7];
        for _ in 0..1000 {
            seen[rng.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
    }

    #[test]
    fn shuffle_keeps_every_item_and_depends_on_the_stream() {
        let shuffled = |stream| {
            let mut items: Vec<u32> = (0..100).collect();
            Philox::new(4, [stream, 0, 0]).shuffle(&mut items);
            items
        };
        assert_eq!(shuffled(0), shuffled(0));
        assert_ne!(shuffled(0), shuffled(1));
        let mut sorted = shuffled(0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn it_is_a_generator_of_the_rand_ecosystem() {
        use rand::RngExt;
        let value: f64 = Philox::new(5, [0; 3]).random_range(2.0..3.0);
        assert!((2.0..3.0).contains(&value));
    }
}
