//! Sums of two tensors on a GPU, with the activation in the same pass.

#[cfg(test)]
mod tests;

use crate::lanes::lanes;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut, Grid, In, InOut, Out, kernels};

kernels! {
    "residual/residual";
    fn residual_forward(
        relu: i32,
        lanes: i32,
        body: In<f32>,
        shortcut: In<f32>,
        y: Out<f32>,
        n: u64,
    );
    fn residual_add(relu: i32, lanes: i32, x: In<f32>, y: InOut<f32>, n: u64);
    fn residual_backward(
        lanes: i32,
        y: In<f32>,
        dy: InOut<f32>,
        dz: Out<f32>,
        n: u64,
    );
}

/// y = f(body + shortcut), f relu or nothing.
///
/// # Panics
/// If the lengths differ.
pub fn forward(
    gpu: &Gpu,
    relu: bool,
    body: GpuView<'_, f32>,
    shortcut: GpuView<'_, f32>,
    y: GpuViewMut<'_, f32>,
) {
    let n = y.len();
    assert!(body.len() == n && shortcut.len() == n, "three of one length");
    let lanes = lanes(n, &[body.pointer(), shortcut.pointer(), y.pointer()]);
    let (grid, relu) = (Grid::strided(n / lanes), i32::from(relu));
    // SAFETY: the kernel stays below n, the length of all three, which are aligned as `lanes` says.
    unsafe { residual_forward(gpu, grid, relu, lanes as i32, body, shortcut, y, n as u64) }
}

/// f(y + x) in the place of y, f relu or nothing.
///
/// # Panics
/// If the lengths differ.
pub fn add(gpu: &Gpu, relu: bool, x: GpuView<'_, f32>, y: GpuViewMut<'_, f32>) {
    let n = y.len();
    assert_eq!(x.len(), n, "two of one length");
    let lanes = lanes(n, &[x.pointer(), y.pointer()]);
    let (grid, relu) = (Grid::strided(n / lanes), i32::from(relu));
    // SAFETY: as in `forward`.
    unsafe { residual_add(gpu, grid, relu, lanes as i32, x, y, n as u64) }
}

/// dz of a relu from y and dy, in the place of dy and once more in dz.
///
/// # Panics
/// If the lengths differ.
pub fn backward(gpu: &Gpu, y: GpuView<'_, f32>, dy: GpuViewMut<'_, f32>, dz: GpuViewMut<'_, f32>) {
    let n = y.len();
    assert!(dy.len() == n && dz.len() == n, "three of one length");
    let lanes = lanes(n, &[y.pointer(), dy.pointer(), dz.pointer()]);
    let grid = Grid::strided(n / lanes);
    // SAFETY: as in `forward`.
    unsafe { residual_backward(gpu, grid, lanes as i32, y, dy, dz, n as u64) }
}
