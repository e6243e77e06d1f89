//! Seeded random cases.

use gradus_random::{Domain, Key, Philox};

/// Random numbers for one test: the same ones in every run, others for each case.
#[derive(Debug)]
pub struct Cases(Philox);

impl Cases {
    /// The numbers of case `case` of the test called `test`.
    #[must_use]
    pub fn new(test: &str, case: u32) -> Self {
        Self(Key { seed: 0, epoch: 0, index: case }.stream(Domain::named(test)))
    }

    /// An extent in `low..=high`.
    ///
    /// # Panics
    /// If the range is empty or beyond u32.
    pub fn extent(&mut self, low: usize, high: usize) -> usize {
        low + self.0.below(u32::try_from(high - low + 1).expect("a small range")) as usize
    }

    /// One of the options.
    ///
    /// # Panics
    /// If there is none.
    pub fn one_of<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.extent(0, options.len() - 1)]
    }

    /// `n` standard normal numbers.
    pub fn normal(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.0.normal() as f32).collect()
    }

    /// `n` standard normal numbers in f64, for gradient checks.
    pub fn normal_f64(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.0.normal()).collect()
    }
}
