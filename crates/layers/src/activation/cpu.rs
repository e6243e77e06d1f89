//! Activations on the CPU: in place, a block of numbers for each task.

mod functions;

use super::{Activation, SELU_ALPHA, SELU_SCALE, definition};
use functions as f;
use gradus_tensor::ndarray::{ArrayView2, ArrayViewMut2};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};

/// Elements that make a task worth handing out.
const CHUNK: usize = 16_384;

/// y from z, in place. Rows are contiguous.
///
/// # Panics
/// If `y` is not contiguous.
pub fn forward(pool: &Pool, activation: Activation, y: ArrayViewMut2<'_, f32>) {
    forward_on(Isa::detect(), pool, activation, y);
}

/// dz from y (or from z, where it is needed) and dy, in place of dy.
///
/// # Panics
/// If the extents differ or a view is not contiguous.
pub fn backward(
    pool: &Pool,
    activation: Activation,
    kept: ArrayView2<'_, f32>,
    dy: ArrayViewMut2<'_, f32>,
) {
    backward_on(Isa::detect(), pool, activation, kept, dy);
}

pub(super) fn forward_on(
    isa: Isa,
    pool: &Pool,
    activation: Activation,
    mut y: ArrayViewMut2<'_, f32>,
) {
    match activation {
        Activation::Linear => {}
        // A row of softmax has as many columns as there are classes: too few to be worth more.
        Activation::Softmax => definition::forward(activation, y),
        _ => {
            let y = y.as_slice_mut().expect("contiguous rows");
            pool.each(Chunks::new(y, CHUNK), |_, y| values(isa, activation, y));
        }
    }
}

pub(super) fn backward_on(
    isa: Isa,
    pool: &Pool,
    activation: Activation,
    kept: ArrayView2<'_, f32>,
    mut dy: ArrayViewMut2<'_, f32>,
) {
    assert_eq!(kept.dim(), dy.dim(), "what is kept and dy are of one shape");
    match activation {
        Activation::Linear => {}
        Activation::Softmax => definition::backward(activation, kept, dy),
        _ => {
            let kept = kept.as_slice().expect("contiguous rows");
            let dy = dy.as_slice_mut().expect("contiguous rows");
            pool.each(Chunks::new(dy, CHUNK), |i, dy| {
                gradients(isa, activation, &kept[i * CHUNK..][..dy.len()], dy);
            });
        }
    }
}

/// Each number by itself.
#[inline(always)]
fn map(y: &mut [f32], f: impl Fn(f32) -> f32) {
    y.iter_mut().for_each(|y| *y = f(*y));
}

#[inline(always)]
fn values_body<const L: usize, const FMA: bool>(activation: Activation, y: &mut [f32]) {
    match activation {
        Activation::Linear | Activation::Softmax => {}
        Activation::Relu => map(y, |z| if z < 0.0 { 0.0 } else { z }),
        Activation::Relu6 => map(y, f::relu6),
        Activation::LeakyRelu { negative_slope } => {
            map(y, |z| if z < 0.0 { z * negative_slope as f32 } else { z });
        }
        Activation::Elu { alpha } => map(y, |z| f::elu::<FMA>(z, alpha as f32)),
        Activation::Selu => map(y, f::selu::<FMA>),
        Activation::Gelu => map(y, f::gelu::<FMA>),
        Activation::GeluTanh => map(y, f::gelu_tanh::<FMA>),
        Activation::Silu => map(y, f::silu::<FMA>),
        Activation::Mish => map(y, f::mish::<FMA>),
        Activation::Sigmoid => map(y, f::sigmoid::<FMA>),
        Activation::HardSigmoid => map(y, |z| f::relu6(z + 3.0) / 6.0),
        Activation::Tanh => map(y, f::tanh::<FMA>),
        Activation::Softplus => map(y, f::softplus::<FMA>),
        Activation::Softsign => map(y, |z| z / (1.0 + z.abs())),
        Activation::Exponential => map(y, f::exp::<FMA>),
    }
}

/// Each dy times the slope at what was kept.
#[inline(always)]
fn scale(kept: &[f32], dy: &mut [f32], slope: impl Fn(f32) -> f32) {
    dy.iter_mut().zip(kept).for_each(|(dy, kept)| *dy *= slope(*kept));
}

/// Each dy, or 0 where the unit was quiet.
#[inline(always)]
fn gate(kept: &[f32], dy: &mut [f32], quiet: impl Fn(f32) -> bool) {
    dy.iter_mut().zip(kept).for_each(|(dy, kept)| *dy = if quiet(*kept) { 0.0 } else { *dy });
}

#[inline(always)]
fn gradients_body<const L: usize, const FMA: bool>(
    activation: Activation,
    kept: &[f32],
    dy: &mut [f32],
) {
    match activation {
        Activation::Linear | Activation::Softmax => {}
        Activation::Relu => gate(kept, dy, |y| y == 0.0),
        Activation::Relu6 => gate(kept, dy, |y| (y == 0.0) | (y == 6.0)),
        Activation::LeakyRelu { negative_slope } => {
            scale(kept, dy, |y| if y <= 0.0 { negative_slope as f32 } else { 1.0 });
        }
        Activation::Elu { alpha } => {
            scale(kept, dy, |y| if y < 0.0 { y + alpha as f32 } else { 1.0 });
        }
        Activation::Selu => {
            let [below, above] = [SELU_SCALE * SELU_ALPHA, SELU_SCALE].map(|s| s as f32);
            scale(kept, dy, |y| if y < 0.0 { y + below } else { above });
        }
        Activation::Gelu => scale(kept, dy, f::gelu_slope::<FMA>),
        Activation::GeluTanh => scale(kept, dy, f::gelu_tanh_slope::<FMA>),
        Activation::Silu => scale(kept, dy, f::silu_slope::<FMA>),
        Activation::Mish => scale(kept, dy, f::mish_slope::<FMA>),
        Activation::Sigmoid => scale(kept, dy, |y| y * (1.0 - y)),
        Activation::HardSigmoid => {
            scale(kept, dy, |y| if (y == 0.0) | (y == 1.0) { 0.0 } else { 1.0 / 6.0 });
        }
        Activation::Tanh => scale(kept, dy, |y| 1.0 - y * y),
        Activation::Softplus => scale(kept, dy, f::softplus_slope::<FMA>),
        Activation::Softsign => scale(kept, dy, |y| (1.0 - y.abs()) * (1.0 - y.abs())),
        Activation::Exponential => scale(kept, dy, |y| y),
    }
}

gradus_tensor::vectorize! {
    fn values(activation: Activation, y: &mut [f32]) = values_body;
    fn gradients(activation: Activation, kept: &[f32], dy: &mut [f32]) = gradients_body;
}
