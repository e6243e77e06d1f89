//! In which order an epoch visits the rows.
//!
//! ```text
//! Keras 2       the rows are shuffled and cut into ⌈N/B⌉ batches, of which only the last may be
//!               short; then the order of the batches is shuffled. Of these, an epoch runs as many
//!               as it has steps: with ⌊N/B⌋ steps another batch is left out each time, and the
//!               short one is trained in most epochs
//! Randomness    (seed, epoch) decides, not what the epochs before did
//! ```
//!
//! Keras itself draws from one generator that everything shares, so its order cannot be repeated
//! inside `fit`; its rule can.

use gradus_random::{Domain, Key, Mt19937};

const ORDER: Domain = Domain::named("data.order");

/// The order of one epoch, in memory that all epochs share.
#[derive(Debug)]
pub(super) struct Order {
    rows: Vec<u32>,
    batches: Vec<u32>,
    batch_size: usize,
}

impl Order {
    /// The rows 0..n as they come.
    pub(super) fn new(n: u32, batch_size: usize) -> Self {
        let batches = n.div_ceil(u32::try_from(batch_size).unwrap_or(u32::MAX));
        Self { rows: (0..n).collect(), batches: (0..batches).collect(), batch_size }
    }

    /// The order of that epoch.
    pub(super) fn shuffle(&mut self, seed: u64, epoch: u32) {
        let index = 0;
        let mut rng = Key { seed, epoch, index }.stream(ORDER);
        for list in [&mut self.rows, &mut self.batches] {
            list.iter_mut().zip(0..).for_each(|(item, i)| *item = i);
            rng.shuffle(list);
        }
    }

    /// NumPy's permutation of the rows, whose batches come in order.
    pub(super) fn permute(&mut self, rng: &mut Mt19937) {
        self.rows.iter_mut().zip(0..).for_each(|(row, i)| *row = i);
        rng.shuffle(&mut self.rows);
    }

    /// How many rows a batch has, but for the last one.
    pub(super) fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// How many batches there are.
    pub(super) fn batches(&self) -> usize {
        self.batches.len()
    }

    /// The rows of the batch that is visited at that step.
    pub(super) fn rows(&self, step: usize) -> &[u32] {
        let from = self.batches[step] as usize * self.batch_size;
        &self.rows[from..self.rows.len().min(from + self.batch_size)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(order: &Order) -> Vec<Vec<u32>> {
        (0..order.batches()).map(|s| order.rows(s).to_vec()).collect()
    }

    #[test]
    fn an_epoch_visits_every_row_once_with_one_short_batch() {
        let mut order = Order::new(23, 5);
        for number in 0..20 {
            order.shuffle(1, number);
            let batches = epoch(&order);
            let lengths = |n| batches.iter().filter(|b| b.len() == n).count();
            assert_eq!((lengths(5), lengths(3), batches.len()), (4, 1, 5));
            let mut rows = batches.concat();
            rows.sort_unstable();
            assert_eq!(rows, (0..23).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_short_batch_moves_about() {
        let mut order = Order::new(23, 5);
        let mut at = [0; 5];
        for number in 0..500 {
            order.shuffle(1, number);
            at[epoch(&order).iter().position(|b| b.len() == 3).unwrap()] += 1;
        }
        // A hundred expected in each place, and nine the standard deviation.
        assert!(at.iter().all(|n| (60..140).contains(n)), "{at:?}");
    }

    #[test]
    fn the_order_depends_on_seed_and_epoch_and_on_nothing_before() {
        let mut order = Order::new(100, 10);
        let mut at = |seed, number| {
            order.shuffle(seed, number);
            epoch(&order)
        };
        let first = at(1, 0);
        assert_ne!(first, at(1, 1));
        assert_ne!(first, at(2, 0));
        assert_eq!(first, at(1, 0));
    }

    /// A run that is resumed with a later version must go on in the same order.
    #[test]
    fn the_order_never_changes() {
        let mut order = Order::new(7, 3);
        order.shuffle(42, 3);
        assert_eq!(epoch(&order), [vec![5], vec![0, 4, 2], vec![6, 3, 1]]);
    }
}
