//! Max pooling on a GPU: a thread for four channels of one pixel, which it computes from all it
//! depends on, so that backward is a gather and nothing is added by two.

#[cfg(test)]
mod tests;

use super::Geometry;
use crate::lanes::lanes;
use crate::pooling::cuda::Windows;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "max_pooling2d/max_pooling2d";
    fn max_pooling2d_forward(
        g: Windows,
        lanes: i32,
        x: In<f32>,
        y: Out<f32>,
        winner: Out<u8>,
    );
    fn max_pooling2d_backward(
        g: Windows,
        lanes: i32,
        dy: In<f32>,
        winner: In<u8>,
        dx: Out<f32>,
    );
}

/// y and argmax from x.
///
/// # Panics
/// If the lengths are not those of the geometry.
pub fn forward(
    gpu: &Gpu,
    g: &Geometry,
    x: GpuView<'_, f32>,
    y: GpuViewMut<'_, f32>,
    argmax: GpuViewMut<'_, u8>,
) {
    assert_eq!(argmax.len(), y.len(), "one winner for each y");
    pool(gpu, g, x, y, argmax);
}

/// y from x.
///
/// # Panics
/// As [`forward`].
pub fn infer(gpu: &Gpu, g: &Geometry, x: GpuView<'_, f32>, y: GpuViewMut<'_, f32>) {
    pool(gpu, g, x, y, GpuViewMut::none());
}

/// y, and argmax if it is not none.
fn pool(
    gpu: &Gpu,
    g: &Geometry,
    x: GpuView<'_, f32>,
    y: GpuViewMut<'_, f32>,
    argmax: GpuViewMut<'_, u8>,
) {
    assert_eq!((x.len(), y.len()), (g.x().len(), g.y().len()), "the geometry's extents");
    let lanes = lanes(g.c, &[x.pointer(), y.pointer(), argmax.pointer()]);
    let grid = Grid::strided(y.len() / lanes);
    // SAFETY: the kernel stays within the extents of the geometry, which are those of x, of y and of
    // argmax, where that is not none; all are aligned as `lanes` says.
    unsafe { max_pooling2d_forward(gpu, grid, g.into(), lanes as i32, x, y, argmax) }
}

/// dx from dy and argmax.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    gpu: &Gpu,
    g: &Geometry,
    dy: GpuView<'_, f32>,
    argmax: GpuView<'_, u8>,
    dx: GpuViewMut<'_, f32>,
) {
    assert_eq!((dx.len(), dy.len()), (g.x().len(), g.y().len()), "the geometry's extents");
    assert_eq!(argmax.len(), dy.len(), "one winner for each y");
    let lanes = lanes(g.c, &[dy.pointer(), argmax.pointer(), dx.pointer()]);
    let grid = Grid::strided(dx.len() / lanes);
    // SAFETY: the kernel stays within the extents of the geometry, which are those of dx, dy and
    // argmax; all are aligned as `lanes` says.
    unsafe { max_pooling2d_backward(gpu, grid, g.into(), lanes as i32, dy, argmax, dx) }
}
