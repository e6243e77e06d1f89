//! Sums of what several blocks leave, and words that the rooms of products share.

use super::{BLOCKS, int};
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

    #[cfg(test)]
    pub(super) fn parts(self) -> [u32; 3] {
        [self.by, self.factor, self.shift]
    }
}

/// The precision that the device has: before 8.0 there are no tensor cores that would round so.
pub(crate) fn supported(gpu: &Gpu, precision: Precision) -> Precision {
    if gpu.compute_capability() < (8, 0) { Precision::F32 } else { precision }
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
    pub fn none() -> Epilogue<'static> {
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
