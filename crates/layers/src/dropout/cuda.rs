//! Dropout on a GPU: one pass, a thread for the eight values that one Philox block decides.

#[cfg(test)]
mod tests;

use super::Draw;
use crate::lanes::lanes;
use gradus_tensor::StepScalars;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "dropout/dropout";
    fn dropout_forward(
        now: In<StepScalars>,
        layer: u32,
        threshold: u32,
        scale: f32,
        lanes: i32,
        x: In<f32>,
        y: Out<f32>,
        mask: Out<u8>,
        n: u64,
    );
    fn dropout_backward(
        scale: f32,
        lanes: i32,
        dy: In<f32>,
        mask: In<u8>,
        dx: Out<f32>,
        n: u64,
    );
}

/// y and m from x. Seed and update are those that `now` holds when the kernel runs, not the draw's.
///
/// # Panics
/// If the lengths differ.
pub fn forward(
    gpu: &Gpu,
    draw: &Draw,
    now: GpuView<'_, StepScalars>,
    x: GpuView<'_, f32>,
    y: GpuViewMut<'_, f32>,
    mask: GpuViewMut<'_, u8>,
) {
    let n = x.len();
    assert_eq!((n, n), (y.len(), mask.len()), "x, y and m are of one length");
    let lanes = lanes(8, &[x.pointer(), y.pointer(), mask.pointer()]) as i32;
    let (threshold, scale) = (draw.threshold(), draw.scale());
    // SAFETY: the kernel stays below n, the length of all three, which are aligned as `lanes` says;
    // `now` is one structure.
    unsafe {
        dropout_forward(
            gpu,
            Grid::strided(n.div_ceil(8)),
            now,
            draw.layer,
            threshold,
            scale,
            lanes,
            x,
            y,
            mask,
            n as u64,
        );
    }
}

/// dx from dy and m.
///
/// # Panics
/// If the lengths differ.
pub fn backward(
    gpu: &Gpu,
    draw: &Draw,
    dy: GpuView<'_, f32>,
    mask: GpuView<'_, u8>,
    dx: GpuViewMut<'_, f32>,
) {
    let n = dy.len();
    assert_eq!((n, n), (mask.len(), dx.len()), "dy, m and dx are of one length");
    let lanes = lanes(8, &[dy.pointer(), mask.pointer(), dx.pointer()]) as i32;
    let grid = Grid::strided(n.div_ceil(8));
    // SAFETY: the kernel stays below n, the length of all three, which are aligned as `lanes` says.
    unsafe { dropout_backward(gpu, grid, draw.scale(), lanes, dy, mask, dx, n as u64) }
}
