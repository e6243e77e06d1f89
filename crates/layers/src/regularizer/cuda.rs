//! Regularizers on a GPU.

#[cfg(test)]
mod tests;

use crate::loss::cuda::{add, grid};
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, In, InOut, kernels};
use gradus_tensor::{Regularizer, Sums};

kernels! {
    "regularizer/regularizer";
    fn regularizer_penalty(price: Price, w: In<f32>, grad: InOut<f32>, sums: InOut<f64>);
}

/// As in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Price {
    l1: f64,
    l2: f64,
    n: u64,
    samples: u64,
}

// SAFETY: numbers in the layout of C, as the source declares them.
unsafe impl Argument for Price {}

/// Threads of a block: the most, because there are few blocks and each has memory to wait for.
const THREADS: u32 = 1024;

/// Adds the penalty of w to `sums`, once for each of `samples`, and its gradient to `grad`.
///
/// # Panics
/// If there is a gradient of another length.
pub(crate) fn penalty(
    gpu: &Gpu,
    regularizer: Regularizer,
    w: GpuView<'_, f32>,
    grad: Option<GpuViewMut<'_, f32>>,
    samples: usize,
    sums: &mut Sums,
) {
    let grad = grad.unwrap_or(GpuViewMut::none());
    assert!(grad.is_empty() || grad.len() == w.len(), "a gradient is as long as its value");
    let Regularizer { l1, l2 } = regularizer;
    let price = Price { l1, l2, n: w.len() as u64, samples: samples as u64 };
    let grid = grid(w.len(), THREADS);
    // SAFETY: the kernel stays below n, the length of both; the blocks are no more than `sums` has
    // room for.
    unsafe { regularizer_penalty(gpu, grid, price, w, grad, sums.gpu_mut()) }
    add(gpu, grid, [0, 0], sums);
}
