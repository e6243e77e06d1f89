//! The draws that make one picture differ from the next.

use gradus_random::Philox;

/// Random numbers in the precision in which pictures are drawn.
#[derive(Clone, Debug)]
pub(super) struct Chance(Philox);

impl Chance {
    pub(super) fn new(stream: Philox) -> Self {
        Self(stream)
    }

    /// Uniform in [low, high).
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        self.0.between(f64::from(low), f64::from(high)) as f32
    }

    /// Uniform in [−reach, reach).
    pub(super) fn around(&mut self, reach: f32) -> f32 {
        self.between(-reach, reach)
    }

    /// True with that probability.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.0.uniform() < probability
    }

    /// One of the items, each as likely as the next.
    ///
    /// # Panics
    /// If there are none.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u32) as usize]
    }

    /// Uniform in 0..n.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        self.0.below(n)
    }

    /// Four bytes at once, for noise.
    pub(super) fn bytes(&mut self) -> [u8; 4] {
        self.0.next_u32().to_le_bytes()
    }
}
