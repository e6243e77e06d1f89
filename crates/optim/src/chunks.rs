//! Plain elementwise passes on the CPU, on all threads.
//!
//! No instruction set is asked for: a product or a sum a value is done long before the next one
//! has come from memory.

use gradus_tensor::{Chunks, Pool};

/// As much as a task takes in the optimizers' own pass.
const CHUNK: usize = 16_384;

/// x ← f(x), value by value.
pub(crate) fn each(pool: &Pool, x: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    pool.each(Chunks::new(x, CHUNK), |_, chunk| chunk.iter_mut().for_each(|x| *x = f(*x)));
}

/// x ← f(x, y), value by value.
pub(crate) fn each_with(pool: &Pool, x: &mut [f32], y: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    assert_eq!(x.len(), y.len(), "one value for each");
    pool.each(Chunks::new(x, CHUNK), |i, chunk| {
        let y = &y[i * CHUNK..][..chunk.len()];
        chunk.iter_mut().zip(y).for_each(|(x, &y)| *x = f(*x, y));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_meets_its_own() {
        let y: Vec<f32> = (0..40_000u16).map(f32::from).collect();
        for threads in [1, 3] {
            let (pool, mut x) = (Pool::new(threads), vec![1.0; y.len()]);
            each_with(&pool, &mut x, &y, |x, y| x + 2.0 * y);
            each(&pool, &mut x, |x| x - 1.0);
            assert!(x.iter().zip(&y).all(|(x, y)| *x == 2.0 * y));
        }
    }
}
