//! Global max pooling on a GPU: a block goes down the pixels of some channels of an image, twice in
//! backward, to count those that share and to let them.

#[cfg(test)]
mod tests;

use crate::global_average_pooling2d::cuda::grid;
use crate::lanes::columns_of_block;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut, In, Out, kernels};

kernels! {
    "global_max_pooling2d/global_max_pooling2d";
    fn global_max_pooling2d_forward(
        x: In<f32>,
        images: i32,
        pixels: i32,
        channels: i32,
        lanes: i32,
        y: Out<f32>,
    );
    fn global_max_pooling2d_backward(
        x: In<f32>,
        y: In<f32>,
        dy: In<f32>,
        images: i32,
        pixels: i32,
        channels: i32,
        lanes: i32,
        dx: Out<f32>,
    );
}

/// y from x: N images of so many pixels of C channels.
///
/// # Panics
/// If the lengths do not fit, or x is empty.
pub fn forward(gpu: &Gpu, extents: [usize; 3], x: GpuView<'_, f32>, y: GpuViewMut<'_, f32>) {
    let [n, pixels, c] = extents;
    assert_eq!((x.len(), y.len()), (n * pixels * c, n * c), "x and y fit");
    assert!(!x.is_empty(), "x holds something");
    let lanes = columns_of_block(c);
    let grid = grid(extents, lanes);
    let [n, pixels, c, lanes] = [n, pixels, c, lanes].map(|extent| extent as i32);
    // SAFETY: the kernel stays within n·pixels·c for x and n·c for y, which are their lengths.
    unsafe { global_max_pooling2d_forward(gpu, grid, x, n, pixels, c, lanes, y) }
}

/// dx from x, y and dy.
///
/// # Panics
/// If the lengths do not fit.
pub fn backward(
    gpu: &Gpu,
    extents: [usize; 3],
    x: GpuView<'_, f32>,
    y: GpuView<'_, f32>,
    dy: GpuView<'_, f32>,
    dx: GpuViewMut<'_, f32>,
) {
    let [n, pixels, c] = extents;
    assert_eq!((x.len(), dx.len()), (n * pixels * c, n * pixels * c), "x and dx fit");
    assert_eq!((y.len(), dy.len()), (n * c, n * c), "y and dy fit");
    let lanes = columns_of_block(c);
    let grid = grid(extents, lanes);
    let [n, pixels, c, lanes] = [n, pixels, c, lanes].map(|extent| extent as i32);
    // SAFETY: as in `forward`, for all four.
    unsafe { global_max_pooling2d_backward(gpu, grid, x, y, dy, n, pixels, c, lanes, dx) }
}
