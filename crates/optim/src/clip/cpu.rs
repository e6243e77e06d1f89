//! The sum of squares on the CPU.

use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};

/// Values a task takes.
const CHUNK: usize = 16_384;

/// Partial sums that are carried along, whatever the instruction set: the order of the additions is
/// part of the result.
const LANES: usize = 16;

/// How many pieces a gradient of that length is cut into.
#[must_use]
pub fn pieces(len: usize) -> usize {
    len.div_ceil(CHUNK)
}

/// Σ x², in f64.
///
/// # Panics
/// If `partial` is shorter than there are [`pieces`].
pub fn sum_of_squares(pool: &Pool, x: &[f32], partial: &mut [f64]) -> f64 {
    sum_of_squares_on(Isa::detect(), pool, x, partial)
}

/// Σ x² on that instruction set.
///
/// # Panics
/// If `partial` is shorter than there are [`pieces`], or the machine lacks the instructions.
pub fn sum_of_squares_on(isa: Isa, pool: &Pool, x: &[f32], partial: &mut [f64]) -> f64 {
    let partial = &mut partial[..pieces(x.len())];
    pool.each(Chunks::new(partial, 1), |i, sum| {
        let begin = i * CHUNK;
        sum[0] = chunk(isa, &x[begin..x.len().min(begin + CHUNK)]);
    });
    partial.iter().sum()
}

gradus_tensor::vectorize! {
    fn chunk(x: &[f32]) -> f64 = chunk_body;
}

#[inline(always)]
fn chunk_body<const L: usize, const FMA: bool>(x: &[f32]) -> f64 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0f64; LANES];
    for block in blocks {
        for (sum, &x) in sums.iter_mut().zip(block) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    let rest: f64 = rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_testing::Cases;

    #[test]
    fn the_bits_are_the_same_on_every_instruction_set_and_for_any_number_of_threads() {
        for n in [0, 1, 15, 16, 17, 16_384, 16_385, 50_001] {
            let x = Cases::new("sum of squares", n as u32).normal(n);
            let mut partial = vec![0.0; pieces(n)];
            let expected = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
            let bits = sum_of_squares_on(Isa::Baseline, &Pool::new(1), &x, &mut partial);
            assert!((bits - expected).abs() <= 1e-12 * expected, "{n}: {bits}, not {expected}");
            for isa in Isa::available() {
                for threads in [1, 3] {
                    let sum = sum_of_squares_on(isa, &Pool::new(threads), &x, &mut partial);
                    assert_eq!(sum.to_bits(), bits.to_bits(), "{n}, {isa:?}, {threads} threads");
                }
            }
        }
    }
}
