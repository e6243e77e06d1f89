//! Global average pooling on a GPU: a block sums down the pixels of some channels of an image.

#[cfg(test)]
mod tests;

use crate::lanes::{COLUMN_THREADS, columns_of_block, lanes};
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "global_average_pooling2d/global_average_pooling2d";
    fn global_average_pooling2d_forward(
        x: In<f32>,
        images: i32,
        pixels: i32,
        channels: i32,
        lanes: i32,
        y: Out<f32>,
    );
    fn global_average_pooling2d_backward(
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
/// If the lengths do not fit.
pub fn forward(gpu: &Gpu, extents: [usize; 3], x: GpuView<'_, f32>, y: GpuViewMut<'_, f32>) {
    let [n, pixels, c] = extents;
    assert_eq!((x.len(), y.len()), (n * pixels * c, n * c), "x and y fit");
    let lanes = columns_of_block(c);
    let grid = grid(extents, lanes);
    let [n, pixels, c, lanes] = [n, pixels, c, lanes].map(|extent| extent as i32);
    // SAFETY: the kernel stays within n·pixels·c for x and n·c for y, which are their lengths.
    unsafe { global_average_pooling2d_forward(gpu, grid, x, n, pixels, c, lanes, y) }
}

/// dx from dy.
///
/// # Panics
/// If the lengths do not fit.
pub fn backward(gpu: &Gpu, extents: [usize; 3], dy: GpuView<'_, f32>, dx: GpuViewMut<'_, f32>) {
    let [n, pixels, c] = extents;
    assert_eq!((dx.len(), dy.len()), (n * pixels * c, n * c), "dx and dy fit");
    let lanes = lanes(c, &[dy.pointer(), dx.pointer()]);
    let grid = Grid::strided(dx.len() / lanes);
    let [n, pixels, c, lanes] = [n, pixels, c, lanes].map(|extent| extent as i32);
    // SAFETY: as in `forward`; both are aligned as `lanes` says.
    unsafe { global_average_pooling2d_backward(gpu, grid, dy, n, pixels, c, lanes, dx) }
}

/// A block for each group of channels of each image.
pub(crate) fn grid([n, _, c]: [usize; 3], lanes: usize) -> Grid {
    Grid::of([c.div_ceil(lanes) as u32, n.min(65_535) as u32, 1], COLUMN_THREADS as u32)
}
