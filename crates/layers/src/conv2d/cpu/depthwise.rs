//! Depthwise convolution: each channel has a filter of its own.
//!
//! A tap of the kernel is a row of C weights that meets a pixel of C channels, so every pass is a
//! sum of products of rows: vectors along the channels, read as they lie. Memory is the limit.

use super::super::Geometry;
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};

/// Chunks that the output rows of a batch are cut into for the gradient of the kernel, at most.
const PIECES: usize = 16;

/// Floats of scratch that [`backward_weight`] takes: two tables for each piece, one for the row at
/// hand and one for all.
pub(super) fn scratch(g: &Geometry) -> usize {
    PIECES * 2 * g.kernel().len()
}

/// y from x.
pub(super) fn forward(
    isa: Isa,
    pool: &Pool,
    g: &Geometry,
    x: &[f32],
    kernel: &[f32],
    (bias, relu): (Option<&[f32]>, bool),
    y: &mut [f32],
) {
    pool.each(Chunks::new(y, g.q * g.c), |row, y| {
        forward_row(isa, g, row, x, kernel, bias.unwrap_or_default(), relu, y);
    });
}

/// dx from dz.
pub(super) fn backward_input(
    isa: Isa,
    pool: &Pool,
    g: &Geometry,
    dz: &[f32],
    kernel: &[f32],
    dx: &mut [f32],
) {
    pool.each(Chunks::new(dx, g.w * g.c), |row, dx| {
        backward_input_row(isa, g, row, dz, kernel, dx);
    });
}

/// dkernel from x and dz. Each chunk of output rows has its own table, and the tables are added in
/// order.
pub(super) fn backward_weight(
    (isa, pool, scratch): (Isa, &Pool, &mut [f32]),
    g: &Geometry,
    x: &[f32],
    dz: &[f32],
    dkernel: &mut [f32],
) {
    let (table, rows) = (dkernel.len(), g.n * g.p);
    let chunk = rows.div_ceil(PIECES).max(1);
    let tables = &mut scratch[..rows.div_ceil(chunk) * 2 * table];
    pool.each(Chunks::new(tables, 2 * table), |i, tables| {
        let (all, one) = tables.split_at_mut(table);
        all.fill(0.0);
        for row in i * chunk..rows.min((i + 1) * chunk) {
            one.fill(0.0);
            backward_weight_row(isa, g, row, x, dz, one);
            all.iter_mut().zip(&*one).for_each(|(all, one)| *all += *one);
        }
    });
    dkernel.fill(0.0);
    for table in tables.chunks_exact(2 * table) {
        dkernel.iter_mut().zip(table).for_each(|(sum, part)| *sum += *part);
    }
}

/// sum += a · b, number by number.
#[inline(always)]
fn add_products<const FMA: bool>(sum: &mut [f32], a: &[f32], b: &[f32]) {
    for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
        *sum = if FMA { a.mul_add(*b, *sum) } else { a * b + *sum };
    }
}

/// One row of y, counted over all images: Q·C.
#[inline(always)]
fn forward_row_body<const L: usize, const FMA: bool>(
    g: &Geometry,
    row: usize,
    x: &[f32],
    kernel: &[f32],
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    let (image, p) = (row / g.p, row % g.p);
    for (q, y) in y.chunks_exact_mut(g.c).enumerate() {
        if bias.is_empty() {
            y.fill(0.0)
        } else {
            y.copy_from_slice(bias)
        }
        for (tap, weights) in kernel.chunks_exact(g.c).enumerate() {
            if let (Some(h), Some(w)) = (g.row(p, tap / g.s), g.column(q, tap % g.s)) {
                let pixel = (image * g.h + h) * g.w + w;
                add_products::<FMA>(y, &x[pixel * g.c..][..g.c], weights);
            }
        }
        if relu {
            y.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
        }
    }
}

/// The window that meets padded position `at` with this tap, if there is one.
#[inline(always)]
fn window(at: usize, tap: usize, stride: usize, output: usize) -> Option<usize> {
    let first = at.checked_sub(tap)?;
    (first % stride == 0 && first / stride < output).then_some(first / stride)
}

/// One row of dx, counted over all images: W·C.
#[inline(always)]
fn backward_input_row_body<const L: usize, const FMA: bool>(
    g: &Geometry,
    row: usize,
    dz: &[f32],
    kernel: &[f32],
    dx: &mut [f32],
) {
    let (image, h) = (row / g.h, row % g.h);
    for (w, dx) in dx.chunks_exact_mut(g.c).enumerate() {
        dx.fill(0.0);
        for (tap, weights) in kernel.chunks_exact(g.c).enumerate() {
            let [r, s] = [tap / g.s * g.dilation[0], tap % g.s * g.dilation[1]];
            let p = window(h + g.before[0], r, g.strides[0], g.p);
            let q = window(w + g.before[1], s, g.strides[1], g.q);
            if let (Some(p), Some(q)) = (p, q) {
                let pixel = (image * g.p + p) * g.q + q;
                add_products::<FMA>(dx, &dz[pixel * g.c..][..g.c], weights);
            }
        }
    }
}

/// What one row of dz, counted over all images, adds to dkernel.
#[inline(always)]
fn backward_weight_row_body<const L: usize, const FMA: bool>(
    g: &Geometry,
    row: usize,
    x: &[f32],
    dz: &[f32],
    dkernel: &mut [f32],
) {
    let (image, p) = (row / g.p, row % g.p);
    for (q, dz) in dz[row * g.q * g.c..][..g.q * g.c].chunks_exact(g.c).enumerate() {
        for (tap, dweights) in dkernel.chunks_exact_mut(g.c).enumerate() {
            if let (Some(h), Some(w)) = (g.row(p, tap / g.s), g.column(q, tap % g.s)) {
                let pixel = (image * g.h + h) * g.w + w;
                add_products::<FMA>(dweights, &x[pixel * g.c..][..g.c], dz);
            }
        }
    }
}

gradus_tensor::vectorize! {
    fn forward_row(
        g: &Geometry, row: usize, x: &[f32], kernel: &[f32], bias: &[f32], relu: bool, y: &mut [f32],
    ) = forward_row_body;
    fn backward_input_row(g: &Geometry, row: usize, dz: &[f32], kernel: &[f32], dx: &mut [f32])
        = backward_input_row_body;
    fn backward_weight_row(g: &Geometry, row: usize, x: &[f32], dz: &[f32], dkernel: &mut [f32])
        = backward_weight_row_body;
}
