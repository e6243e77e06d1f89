//! Zero padding on a GPU: a thread for four channels of one pixel of what is written.

#[cfg(test)]
mod tests;

use super::Borders;
use crate::lanes::lanes;
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "zero_padding2d/zero_padding2d";
    fn zero_padding2d_forward(g: Padded, lanes: i32, x: In<f32>, y: Out<f32>);
    fn zero_padding2d_backward(g: Padded, lanes: i32, dy: In<f32>, dx: Out<f32>);
}

/// The extents of x, N·H·W·C, those of y, P and Q, and where x begins within it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Padded {
    n: i32,
    h: i32,
    w: i32,
    c: i32,
    p: i32,
    q: i32,
    top: i32,
    left: i32,
}

// SAFETY: `repr(C)`, with the fields that the kernels declare in their order.
unsafe impl Argument for Padded {}

impl Padded {
    /// Of an x of such extents, and how many numbers x and y have.
    fn new(Borders([[top, bottom], [left, right]]): Borders, x: [usize; 4]) -> (Self, [usize; 2]) {
        let [n, h, w, c] = x;
        let (p, q) = (top + h + bottom, left + w + right);
        let lengths = [n * h * w * c, n * p * q * c];
        let [n, h, w, c, p, q, top, left] =
            [n, h, w, c, p, q, top, left].map(|extent| extent as i32);
        (Self { n, h, w, c, p, q, top, left }, lengths)
    }
}

/// y from x of such extents.
///
/// # Panics
/// If the lengths do not differ by the borders.
pub fn forward(
    gpu: &Gpu,
    borders: Borders,
    extents: [usize; 4],
    x: GpuView<'_, f32>,
    y: GpuViewMut<'_, f32>,
) {
    let (g, lengths) = Padded::new(borders, extents);
    assert_eq!([x.len(), y.len()], lengths, "y is x with borders");
    let lanes = lanes(extents[3], &[x.pointer(), y.pointer()]);
    let grid = Grid::strided(y.len() / lanes);
    // SAFETY: the kernel stays within the extents, which are those of x and y; both are aligned as
    // `lanes` says.
    unsafe { zero_padding2d_forward(gpu, grid, g, lanes as i32, x, y) }
}

/// dx of such extents from dy.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    gpu: &Gpu,
    borders: Borders,
    extents: [usize; 4],
    dy: GpuView<'_, f32>,
    dx: GpuViewMut<'_, f32>,
) {
    let (g, lengths) = Padded::new(borders, extents);
    assert_eq!([dx.len(), dy.len()], lengths, "dy is dx with borders");
    let lanes = lanes(extents[3], &[dy.pointer(), dx.pointer()]);
    let grid = Grid::strided(dx.len() / lanes);
    // SAFETY: as in `forward`.
    unsafe { zero_padding2d_backward(gpu, grid, g, lanes as i32, dy, dx) }
}
