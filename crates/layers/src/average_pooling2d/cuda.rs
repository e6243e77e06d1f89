//! Average pooling on a GPU: a thread for four channels of one pixel, which it computes from all it
//! depends on, in the order of the definition and with its bits.

#[cfg(test)]
mod tests;

use super::Geometry;
use crate::lanes::lanes;
use crate::pooling::cuda::Windows;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "average_pooling2d/average_pooling2d";
    fn average_pooling2d_forward(g: Windows, lanes: i32, x: In<f32>, y: Out<f32>);
    fn average_pooling2d_backward(g: Windows, lanes: i32, dy: In<f32>, dx: Out<f32>);
}

/// y from x.
///
/// # Panics
/// If the lengths are not those of the geometry.
pub fn forward(gpu: &Gpu, g: &Geometry, x: GpuView<'_, f32>, y: GpuViewMut<'_, f32>) {
    assert_eq!((x.len(), y.len()), (g.x().len(), g.y().len()), "the geometry's extents");
    let lanes = lanes(g.c, &[x.pointer(), y.pointer()]);
    let grid = Grid::strided(y.len() / lanes);
    // SAFETY: the kernel stays within the extents of the geometry, which are those of x and y; both
    // are aligned as `lanes` says.
    unsafe { average_pooling2d_forward(gpu, grid, g.into(), lanes as i32, x, y) }
}

/// dx from dy.
///
/// # Panics
/// As [`forward`].
pub fn backward(gpu: &Gpu, g: &Geometry, dy: GpuView<'_, f32>, dx: GpuViewMut<'_, f32>) {
    assert_eq!((dx.len(), dy.len()), (g.x().len(), g.y().len()), "the geometry's extents");
    let lanes = lanes(g.c, &[dy.pointer(), dx.pointer()]);
    let grid = Grid::strided(dx.len() / lanes);
    // SAFETY: as in `forward`.
    unsafe { average_pooling2d_backward(gpu, grid, g.into(), lanes as i32, dy, dx) }
}
