//! Channels in and out on a GPU: a thread for four of one row.

#[cfg(test)]
mod tests;

use crate::lanes::lanes;
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "concatenate/concatenate";
    fn concatenate_forward(g: Columns, lanes: i32, part: In<f32>, y: Out<f32>);
    fn concatenate_backward(g: Columns, lanes: i32, dy: In<f32>, part: Out<f32>);
}

/// Of `rows` rows, `columns` neighbouring numbers: those of y that begin at `offset`, of `all`, and
/// the whole part.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Columns {
    rows: u64,
    columns: i32,
    offset: i32,
    all: i32,
}

// SAFETY: `repr(C)`, with the fields that the kernels declare in their order.
unsafe impl Argument for Columns {}

impl Columns {
    /// # Panics
    /// If the columns do not fit, or the lengths are not so many rows of them.
    fn new([offset, columns, all]: [usize; 3], part: usize, whole: usize) -> Self {
        let rows = part / columns.max(1);
        assert!(offset + columns <= all, "columns {offset} + {columns} of {all}");
        assert_eq!((part, whole), (rows * columns, rows * all), "rows of the branch and of all");
        let [columns, offset, all] = [columns, offset, all].map(|extent| extent as i32);
        Self { rows: rows as u64, columns, offset, all }
    }

    /// How many columns go together, where arrays begin at these addresses.
    fn lanes(&self, pointers: &[u64]) -> usize {
        let extents = [self.columns, self.offset, self.all];
        extents.map(|extent| lanes(extent as usize, pointers)).into_iter().min().unwrap_or(1)
    }
}

/// The columns of y that begin at `offset`, from what one branch gave: `[offset, columns, all]`,
/// where y has `all` columns and the branch `columns`.
///
/// # Panics
/// If the rows differ or the columns do not fit.
pub fn forward(gpu: &Gpu, columns: [usize; 3], part: GpuView<'_, f32>, y: GpuViewMut<'_, f32>) {
    let g = Columns::new(columns, part.len(), y.len());
    let lanes = g.lanes(&[part.pointer(), y.pointer()]);
    let grid = Grid::strided(part.len() / lanes);
    // SAFETY: the kernel stays within rows · columns for the part and rows · all for y, as `new` has
    // seen; both are aligned as `lanes` says.
    unsafe { concatenate_forward(gpu, grid, g, lanes as i32, part, y) }
}

/// What one branch receives, from the columns of dy that begin at `offset`, as in [`forward`].
///
/// # Panics
/// If the rows differ or the columns do not fit.
pub fn backward(gpu: &Gpu, columns: [usize; 3], dy: GpuView<'_, f32>, part: GpuViewMut<'_, f32>) {
    let g = Columns::new(columns, part.len(), dy.len());
    let lanes = g.lanes(&[part.pointer(), dy.pointer()]);
    let grid = Grid::strided(part.len() / lanes);
    // SAFETY: as in `forward`.
    unsafe { concatenate_backward(gpu, grid, g, lanes as i32, dy, part) }
}
