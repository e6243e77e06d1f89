//! NumPy's legacy generator, for those who need Keras's own numbers.
//!
//! ```text
//! State        624 words; a twist makes 624 new ones, each tempered as it is handed out
//! Seeding      `np.random.seed(n)`: one linear recurrence from n
//! Uniform      53 bits from two words: (a >> 5 · 2²⁶ + b >> 6) / 2⁵³
//! Below n      the smallest mask that holds n − 1; words outside are thrown away
//! Conventions  what is drawn depends on what was drawn before: use it where order and numbers
//!              must be those of Keras, and [`Key`](crate::Key) everywhere else
//! Reference    Matsumoto, Nishimura: Mersenne Twister. ACM TOMACS 8, 1998; `np.random.RandomState`
//! ```

const N: usize = 624;
const M: usize = 397;

/// `np.random.RandomState`, as far as Keras draws from it.
///
/// ```
/// let mut rng = gradus_random::Mt19937::new(7);
/// assert_eq!(rng.uniform(), 0.076_308_289_373_957_17);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mt19937 {
    words: Box<[u32; N]>,
    used: usize,
}

impl Mt19937 {
    /// `np.random.seed(seed)`.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        let mut rng = Self { words: Box::new([0; N]), used: N };
        rng.seed(seed);
        rng
    }

    /// Begins again from `seed`.
    pub fn seed(&mut self, seed: u32) {
        let mut word = seed;
        for (i, into) in (0..).zip(self.words.iter_mut()) {
            if i > 0 {
                word = (word ^ word >> 30).wrapping_mul(1_812_433_253).wrapping_add(i);
            }
            *into = word;
        }
        self.used = N;
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == N {
            self.twist();
        }
        let mut y = self.words[self.used];
        self.used += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9D2C_5680;
        y ^= y << 15 & 0xEFC6_0000;
        y ^ y >> 18
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = self.words[i] & 0x8000_0000 | self.words[(i + 1) % N] & 0x7FFF_FFFF;
            let odd = if y & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.words[i] = self.words[(i + M) % N] ^ y >> 1 ^ odd;
        }
        self.used = 0;
    }

    /// `random()`: uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        let (high, low) = (self.next_u32() >> 5, self.next_u32() >> 6);
        (f64::from(high) * f64::from(1u32 << 26) + f64::from(low)) / (1u64 << 53) as f64
    }

    /// `randint(n)`, and the index that `choice` takes: uniform in 0..n. One number to choose from
    /// draws nothing.
    ///
    /// # Panics
    /// If `n` is 0: there is nothing to choose from.
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "below(0): there is no number below zero to draw");
        if n == 1 {
            return 0;
        }
        let mask = u32::MAX >> (n - 1).leading_zeros();
        loop {
            let value = self.next_u32() & mask;
            if value < n {
                return value;
            }
        }
    }

    /// `shuffle(items)`; of 0, 1, … n − 1 it is `permutation(n)`.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn permutation(rng: &mut Mt19937, n: u32) -> Vec<u32> {
        let mut items: Vec<u32> = (0..n).collect();
        rng.shuffle(&mut items);
        items
    }

    /// Run in NumPy 2.4.6.
    #[test]
    fn it_draws_numpy_s_numbers_in_numpy_s_order() {
        let mut rng = Mt19937::new(7);
        let first = [0.076_308_289_373_957_17, 0.779_918_792_240_114_6, 0.438_409_231_440_893_5];
        assert_eq!([(); 3].map(|()| rng.uniform()), first);
        assert_eq!(-15.0 + 30.0 * rng.uniform(), 6.703_955_334_928_235);
        assert_eq!(permutation(&mut rng, 10), [6, 3, 4, 8, 5, 2, 1, 0, 7, 9]);
        assert_eq!([5, 2, 10_000_000].map(|n| rng.below(n)), [0, 1, 8_739_756]);
    }

    #[test]
    fn it_goes_on_after_a_twist_and_begins_again_when_seeded() {
        let mut rng = Mt19937::new(0);
        for _ in 0..2 {
            assert_eq!(permutation(&mut rng, 700)[..5], [306, 604, 40, 493, 14]);
            assert_eq!(rng.uniform(), 0.539_073_546_766_915_4);
            rng.seed(0);
        }
    }
}
