//! How products of matrices are cut into tiles on a GPU: what convolution and dense layers share.
//! The tiles are made in `crates/gpu/src/include/matmul.cuh`.
//!
//! A product with few tiles leaves most of a GPU idle, so blocks then share its sums: each leaves a
//! part in scratch, and the parts are added in order. How many there are depends on the extents
//! alone, and so do the bits.

pub(crate) mod cuda;
#[cfg(test)]
mod tests;

use gradus_tensor::Precision;
use gradus_tensor::gpu::Grid;

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
    /// Bytes of shared memory for each row and column of the tile, for one step.
    line: usize,
}

/// Two blocks for each of the 132 processors of an H200, from which on more are of no use.
const BLOCKS: usize = 264;
/// The fewest steps that are worth a part of their own.
const STEPS: usize = 8;

impl Tile {
    /// As `Tile` in matmul.cuh.
    pub(crate) const fn exact(rows: usize, columns: usize, depth: usize, threads: u32) -> Self {
        Self { rows, columns, depth, threads, line: 4 * depth }
    }

    /// As `WarpTile` in matmul_tensorcore.cuh, where a line of an operand that lies along the depth
    /// is padded by 16 bytes; one that lies across it takes less.
    pub(crate) const fn rounded(rows: usize, columns: usize, precision: Precision) -> Self {
        let line = if matches!(precision, Precision::Bf16) { 2 * 32 + 16 } else { 4 * 32 + 16 };
        Self { rows, columns, depth: 32, threads: 256, line }
    }

    /// How many tiles a product of so many rows and columns has.
    pub(crate) fn count(&self, rows: usize, columns: usize) -> usize {
        rows.div_ceil(self.rows) * columns.div_ceil(self.columns)
    }

    /// A block for each of `tiles` tiles and each part of its sums.
    pub(crate) fn grid(&self, tiles: usize, parts: usize) -> Grid {
        let shared = 2 * self.line * (self.rows + self.columns);
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
