//! How products of matrices are cut into tiles on a GPU: what convolution and dense layers share.
//! The tiles are made in `crates/gpu/src/include/matmul.cuh`.
//!
//! A product with few tiles leaves most of a GPU idle, so blocks then share its sums: each leaves a
//! part in scratch, and the parts are added in order. How many there are depends on the extents
//! alone, and so do the bits.

use gradus_tensor::gpu::{Argument, Grid};

/// Division by a number that is known before the kernel, as a multiplication (Granlund, Montgomery:
/// Division by Invariant Integers using Multiplication. PLDI 1994). For numbers below 2³¹.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Divisor {
    by: u32,
    factor: u32,
    shift: u32,
}

// SAFETY: as `Divisor` in matmul.cuh.
unsafe impl Argument for Divisor {}

impl Divisor {
    /// # Panics
    /// If `by` is 0, or beyond an i32.
    pub(crate) fn new(by: usize) -> Self {
        let by = int(by) as u32;
        assert!(by > 0, "a division by 0");
        let shift = 32 - (by - 1).leading_zeros();
        let factor = ((1u64 << 32) * ((1u64 << shift) - u64::from(by)) / u64::from(by) + 1) as u32;
        Self { by, factor, shift }
    }
}

/// A size as kernels take it.
///
/// # Panics
/// If it is beyond an i32.
pub(crate) fn int(size: usize) -> i32 {
    i32::try_from(size).expect("a size below 2³¹")
}

/// A tile of a product: what one block makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Products of a sum for each step.
    pub(crate) depth: usize,
    pub(crate) threads: u32,
}

/// Two blocks for each of the 132 processors of an H200, from which on more are of no use.
const BLOCKS: usize = 264;
/// The fewest steps that are worth a part of their own.
const STEPS: usize = 8;

impl Tile {
    /// How many tiles a product of so many rows and columns has.
    pub(crate) fn count(&self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(self.rows) * columns.div_ceil(self.columns)
    }

    /// A block for each of `tiles` tiles and each part of its sums.
    pub(crate) fn grid(&self, tiles: usize, parts: usize) -> Grid {
        let shared = 2 * self.depth * (self.rows + self.columns) * size_of::<f32>();
        Grid::of([int(tiles) as u32, 1, parts as u32], self.threads).with_shared(shared as u32)
    }

    /// How many parts the sums of `tiles` tiles over `depth` products fall into.
    pub(crate) fn parts(&self, tiles: usize, depth: usize) -> usize {
        (BLOCKS / tiles.max(1)).clamp(1, self.most_parts(depth))
    }

    fn most_parts(&self, depth: usize) -> usize {
        (depth / (self.depth * STEPS)).max(1)
    }

    /// Floats that the parts of up to `len` sums over up to `depth` products take.
    pub(crate) fn scratch(&self, len: usize, depth: usize) -> usize {
        match self.most_parts(depth) {
            1 => 0,
            // With several parts there are no more than `BLOCKS` blocks.
            most => (most * len).min(BLOCKS * self.rows * self.columns),
        }
    }
}

/// Chunks of rows whose columns are summed apart, and the grid of that.
pub(crate) fn column_chunks(rows: usize, columns: usize) -> (usize, Grid) {
    let across = columns.div_ceil(LANES);
    let chunks = rows.div_ceil(64).clamp(1, (2 * BLOCKS / across.max(1)).max(1));
    let grid = Grid::of([across as u32, chunks as u32, 1], Grid::THREADS);
    (chunks, grid.with_shared(Grid::THREADS * size_of::<f32>() as u32))
}

/// Threads of a warp.
const LANES: usize = 32;

/// Threads that share a sum of so many parts, and the grid for `n` such sums.
pub(crate) fn adding(n: usize, parts: usize) -> (usize, Grid) {
    let lanes = if parts < 16 { 1 } else { 8 };
    let blocks = (n * lanes).div_ceil(Grid::THREADS as usize).max(1);
    let grid = Grid::of([int(blocks) as u32, 1, 1], Grid::THREADS);
    (lanes, grid.with_shared(Grid::THREADS * size_of::<f32>() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotient(d: Divisor, n: u32) -> u32 {
        let high = (u64::from(n) * u64::from(d.factor) >> 32) as u32;
        (high + n) >> d.shift
    }

    #[test]
    fn a_multiplication_divides() {
        let most = i32::MAX as u32;
        for by in (1..3000).chain([1 << 16, (1 << 16) + 1, 1 << 30, (1 << 30) + 1, most - 1, most]) {
            let d = Divisor::new(by as usize);
            for n in [0, 1, 2, 77, by - 1, by, by + 1, 2 * (by / 2), most / 2, most - 1, most] {
                let n = n.min(most);
                assert_eq!(quotient(d, n), n / by, "{n} / {by}");
            }
        }
    }

    #[test]
    fn scratch_for_the_largest_batch_does_for_smaller_ones() {
        let tile = Tile { rows: 128, columns: 64, depth: 16, threads: 256 };
        for (columns, depth) in [(512, 4608), (64, 130), (7, 27), (2048, 512)] {
            let promised = tile.scratch(3000 * columns, depth);
            for rows in 1..=3000 {
                let parts = tile.parts(tile.count(rows, columns), depth);
                let taken = if parts == 1 { 0 } else { parts * rows * columns };
                assert!(taken <= promised, "{rows} rows take {taken} of {promised}");
            }
        }
    }
}
