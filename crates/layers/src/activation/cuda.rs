//! Activations on a GPU.

#[cfg(test)]
mod tests;

use super::Activation;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut, Grid, In, InOut, kernels};

kernels! {
    "activation/activation";
    fn activation_forward(kind: i32, a: f32, y: InOut<f32>, n: u64);
    fn activation_backward(kind: i32, a: f32, kept: In<f32>, dy: InOut<f32>, n: u64);
    fn softmax_forward(y: InOut<f32>, rows: i32, columns: i32);
    fn softmax_backward(y: In<f32>, dy: InOut<f32>, rows: i32, columns: i32);
}

/// y from z, in place, in rows of `columns`.
pub fn forward(gpu: &Gpu, activation: Activation, columns: usize, y: GpuViewMut<'_, f32>) {
    let n = y.len();
    match number(activation) {
        Some((0, _)) => {}
        // SAFETY: the kernel stays below n, which is y's length.
        Some((kind, a)) => unsafe {
            activation_forward(gpu, Grid::strided(n), kind, a, y, n as u64);
        },
        None => {
            let rows = rows(n, columns);
            // SAFETY: rows · columns is y's length.
            unsafe { softmax_forward(gpu, warps(rows), y, rows as i32, columns as i32) }
        }
    }
}

/// dz from what was kept and dy, in place of dy, in rows of `columns`.
///
/// # Panics
/// If the lengths differ.
pub fn backward(
    gpu: &Gpu,
    activation: Activation,
    columns: usize,
    kept: GpuView<'_, f32>,
    dy: GpuViewMut<'_, f32>,
) {
    let n = dy.len();
    assert_eq!(kept.len(), n, "as many gradients as values");
    match number(activation) {
        Some((0, _)) => {}
        // SAFETY: the kernel stays below n, which is the length of both.
        Some((kind, a)) => unsafe {
            activation_backward(gpu, Grid::strided(n), kind, a, kept, dy, n as u64);
        },
        None => {
            let rows = rows(n, columns);
            // SAFETY: rows · columns is the length of both.
            unsafe { softmax_backward(gpu, warps(rows), kept, dy, rows as i32, columns as i32) }
        }
    }
}

/// What the kernels call it, and its number; none for softmax, which works on rows.
fn number(activation: Activation) -> Option<(i32, f32)> {
    Some(match activation {
        Activation::Linear => (0, 0.0),
        Activation::Relu => (1, 0.0),
        Activation::Relu6 => (2, 0.0),
        Activation::LeakyRelu { negative_slope } => (3, negative_slope as f32),
        Activation::Elu { alpha } => (4, alpha as f32),
        Activation::Selu => (5, 0.0),
        Activation::Gelu => (6, 0.0),
        Activation::GeluTanh => (7, 0.0),
        Activation::Silu => (8, 0.0),
        Activation::Mish => (9, 0.0),
        Activation::Sigmoid => (10, 0.0),
        Activation::HardSigmoid => (11, 0.0),
        Activation::Tanh => (12, 0.0),
        Activation::Softplus => (13, 0.0),
        Activation::Softsign => (14, 0.0),
        Activation::Exponential => (15, 0.0),
        Activation::Softmax => return None,
    })
}

/// # Panics
/// If the rows are not whole.
fn rows(n: usize, columns: usize) -> usize {
    let rows = n / columns.max(1);
    assert_eq!(rows * columns, n, "whole rows");
    rows
}

/// A warp for each row.
fn warps(rows: usize) -> Grid {
    Grid::strided(32 * rows)
}
