//! Activations on the CPU: in place, a block of rows for each task.

use super::{Activation, definition};
use gradus_tensor::ndarray::{ArrayView2, ArrayViewMut2};
use gradus_tensor::simd::{Isa, V};
use gradus_tensor::{Chunks, Pool};

/// Elements that make a task worth handing out.
const CHUNK: usize = 16_384;

/// y from z, in place. Rows are contiguous.
///
/// # Panics
/// If `y` is not contiguous.
pub fn forward(pool: &Pool, activation: Activation, mut y: ArrayViewMut2<'_, f32>) {
    let (rows, columns) = y.dim();
    let y = y.as_slice_mut().expect("contiguous rows");
    let isa = Isa::detect();
    match activation {
        Activation::Linear => {}
        Activation::Relu => pool.each(Chunks::new(y, CHUNK), |_, y| relu(isa, y)),
        // A row of softmax has as many columns as there are classes: too few to be worth more.
        Activation::Softmax | Activation::Sigmoid => {
            let rows = ArrayViewMut2::from_shape((rows, columns), y).expect("the same extents");
            definition::forward(activation, rows);
        }
    }
}

/// dz from y and dy, in place of dy.
///
/// # Panics
/// If the extents differ or a view is not contiguous.
pub fn backward(
    pool: &Pool,
    activation: Activation,
    y: ArrayView2<'_, f32>,
    mut dy: ArrayViewMut2<'_, f32>,
) {
    assert_eq!(y.dim(), dy.dim(), "y and dy are of one shape");
    let isa = Isa::detect();
    match activation {
        Activation::Linear => {}
        Activation::Relu => {
            let y = y.as_slice().expect("contiguous rows");
            let dy = dy.as_slice_mut().expect("contiguous rows");
            pool.each(Chunks::new(dy, CHUNK), |i, dy| {
                relu_gradient(isa, &y[i * CHUNK..][..dy.len()], dy);
            });
        }
        Activation::Softmax | Activation::Sigmoid => definition::backward(activation, y, dy),
    }
}

#[inline(always)]
fn relu_body<const L: usize, const FMA: bool>(y: &mut [f32]) {
    let mut chunks = y.chunks_exact_mut(L);
    for chunk in &mut chunks {
        // The second operand of `max` wins against a NaN.
        V::<L, FMA>::splat(0.0).max(V::load(chunk)).store(chunk);
    }
    for y in chunks.into_remainder() {
        *y = if *y < 0.0 { 0.0 } else { *y };
    }
}

#[inline(always)]
fn relu_gradient_body<const L: usize, const FMA: bool>(y: &[f32], dy: &mut [f32]) {
    for (dy, y) in dy.iter_mut().zip(y) {
        *dy = if *y == 0.0 { 0.0 } else { *dy };
    }
}

gradus_tensor::vectorize! {
    fn relu(y: &mut [f32]) = relu_body;
    fn relu_gradient(y: &[f32], dy: &mut [f32]) = relu_gradient_body;
}
