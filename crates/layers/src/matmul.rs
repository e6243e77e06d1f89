//! How products of matrices are cut into tiles on a GPU: what convolution and dense layers share.
//! The tiles are made in `crates/gpu/src/include/matmul.cuh`.
//!
//! A product with few tiles leaves most of a GPU idle, so blocks then share its sums: each leaves a
//! part in scratch, and the parts are added in order. How many there are depends on the extents
//! alone, and so do the bits.

use gradus_tensor::Precision;
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "matmul/matmul";
    fn matmul_add_parts(
        parts: In<f32>, count: i32, y: Out<f32>, n: u64, columns: i32, lanes: i32, bias: In<f32>,
        relu: i32,
    );
    fn matmul_add_columns(matrix: In<f32>, rows: i32, columns: i32, parts: Out<f32>);
}

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

/// The precision that the device has: before 8.0 there are no tensor cores that would round so.
pub(crate) fn supported(gpu: &Gpu, precision: Precision) -> Precision {
    if gpu.compute_capability() < (8, 0) { Precision::F32 } else { precision }
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

/// What happens to a sum before it is written.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// Added to each column's sums; empty for nothing.
    pub bias: GpuView<'a, f32>,
    /// Whether y = max(z, 0), else y = z.
    pub relu: bool,
}

impl Epilogue<'_> {
    /// The sums as they are.
    pub(crate) fn none() -> Epilogue<'static> {
        Epilogue { bias: GpuView::none(), relu: false }
    }
}

/// Has `launch` write y with the epilogue; or else `count` parts of it to scratch, one behind the
/// other, which are then added in order.
pub(crate) fn in_parts(
    gpu: &Gpu,
    count: usize,
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    y: GpuViewMut<'_, f32>,
    launch: impl FnOnce(GpuViewMut<'_, f32>, Epilogue<'_>),
) {
    // A device without memory has empty views, and launches nothing.
    if count == 1 || scratch.is_empty() {
        return launch(y, epilogue);
    }
    let mut parts = scratch.split_at(count * y.len()).0;
    launch(parts.reborrow(), Epilogue::none());
    let Epilogue { bias, relu } = epilogue;
    let (n, columns, relu) = (y.len(), int(bias.len().max(1)), i32::from(relu));
    let lanes = if count < 16 { 1 } else { 8 };
    let blocks = int((n * lanes).div_ceil(Grid::THREADS as usize)) as u32;
    let grid = Grid::of([blocks, 1, 1], Grid::THREADS).with_shared(A_FLOAT_EACH);
    let (parts, count, n, lanes) = (parts.as_view(), int(count), n as u64, lanes as i32);
    // SAFETY: parts holds `count` times as many numbers as y; the bias has one for each column.
    unsafe { matmul_add_parts(gpu, grid, parts, count, y, n, columns, lanes, bias, relu) }
}

/// Bytes of a float for each thread of a block.
pub(crate) const A_FLOAT_EACH: u32 = Grid::THREADS * size_of::<f32>() as u32;

/// Columns of a matrix that a block sums.
const LANES: usize = 32;

/// The sums of the columns of a matrix of so many rows and columns.
///
/// # Panics
/// If a view has another length, or there is less scratch than [`columns_scratch`] says.
pub(crate) fn add_columns(
    gpu: &Gpu,
    [rows, columns]: [usize; 2],
    matrix: GpuView<'_, f32>,
    scratch: GpuViewMut<'_, f32>,
    sums: GpuViewMut<'_, f32>,
) {
    assert!(matrix.len() == rows * columns || matrix.is_empty(), "{rows} rows of {columns}");
    assert!(sums.len() == columns || sums.is_empty(), "a sum for each of {columns} columns");
    let chunks = column_chunks(rows, columns);
    let grid = Grid::of([columns.div_ceil(LANES) as u32, chunks as u32, 1], Grid::THREADS);
    in_parts(gpu, chunks, Epilogue::none(), scratch, sums, |sums, _| {
        let (grid, rows, columns) = (grid.with_shared(A_FLOAT_EACH), int(rows), int(columns));
        // SAFETY: the matrix has so many rows and columns, and there is a row of sums for each chunk.
        unsafe { matmul_add_columns(gpu, grid, matrix, rows, columns, sums) }
    });
}

/// Chunks of rows that are summed apart.
fn column_chunks(rows: usize, columns: usize) -> usize {
    rows.div_ceil(64).clamp(1, (2 * BLOCKS / columns.div_ceil(LANES).max(1)).max(1))
}

/// Floats of scratch that [`add_columns`] takes for so many rows or fewer.
pub(crate) fn columns_scratch(rows: usize, columns: usize) -> usize {
    match column_chunks(rows, columns) {
        1 => 0,
        chunks => chunks * columns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotient(d: Divisor, n: u32) -> u32 {
        let high = ((u64::from(n) * u64::from(d.factor)) >> 32) as u32;
        (high + n) >> d.shift
    }

    #[test]
    fn a_multiplication_divides() {
        let most = i32::MAX as u32;
        for by in (1..3000).chain([1 << 16, (1 << 16) + 1, 1 << 30, (1 << 30) + 1, most - 1, most])
        {
            let d = Divisor::new(by as usize);
            for n in [0, 1, 2, 77, by - 1, by, by + 1, 2 * (by / 2), most / 2, most - 1, most] {
                let n = n.min(most);
                assert_eq!(quotient(d, n), n / by, "{n} / {by}");
            }
        }
    }

    #[test]
    fn scratch_for_the_largest_batch_does_for_smaller_ones() {
        let tile = Tile::exact(128, 64, 16, 256);
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
