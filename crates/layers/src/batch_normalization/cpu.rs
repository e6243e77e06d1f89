//! Batch normalization on the CPU: as fast as memory, and as exact as f32 can say.
//!
//! Every function walks its arrays once, in chunks of whole rows that are shared among the threads.
//! Sums are taken in f64, which costs nothing while memory is the limit. A chunk hands on each of
//! its two sums as a pair of floats, the nearest one and what that leaves (48 bits), and the pairs
//! are added in f64 in the order of the chunks.
//!
//! The variance needs only one pass: with dᵢ = xᵢ − x₀ (the first row), it is
//! (Σ d²)/N − ((Σ d)/N)². What cancels there is (x₀ − mean)², which never exceeds N · variance, x₀
//! being one of the rows: log₂ N bits are lost at most, of the 24 that f64 has to spare.

use super::Normalization;
use gradus_tensor::ndarray::{ArrayView2, ArrayViewMut2};
use gradus_tensor::simd::{Isa, V};
use gradus_tensor::{Chunks, Workspace};
use std::array::from_fn as array;

/// Floats that a task takes, in whole rows: 256 KB, a part of the second cache.
const CHUNK: usize = 65_536;
/// Floats of a sum that is handed on: the nearest one, and what that leaves.
pub(crate) const PAIR: usize = 2;
/// Floats that a chunk hands on for each channel: two sums.
pub(crate) const SUMS: usize = 2 * PAIR;

/// Rows of a chunk.
fn chunk_rows(channels: usize) -> usize {
    (CHUNK / channels).max(1)
}

/// Floats of scratch that every function here can do with, for up to that many rows.
#[must_use]
pub fn scratch(rows: usize, channels: usize) -> usize {
    (rows.div_ceil(chunk_rows(channels.max(1))) * SUMS).max(5) * channels
}

/// Mean, the rest of the mean and biased variance of each column of x: C each.
///
/// # Panics
/// If x has no rows or is not contiguous, the lengths differ or the scratch is not there.
pub fn statistics(
    isa: Isa,
    ws: &mut Workspace,
    x: ArrayView2<'_, f32>,
    [mean, rest, variance]: [&mut [f32]; 3],
) {
    let (rows, channels) = x.dim();
    assert!(rows > 0, "statistics of no rows");
    assert_eq!([channels; 3], [mean.len(), rest.len(), variance.len()], "one for each channel");
    let x = x.as_slice().expect("contiguous rows");
    let first = &x[..channels];
    let sums = sums_of_chunks(ws, x, channels, |_, x, sums| moments(isa, x, first, sums));
    statistics_of_moments(sums, first, rows, [mean, rest, variance]);
}

/// Mean, the rest of the mean and biased variance from the [`moments`] of all chunks of `rows`
/// rows. The nearer the shift is to the mean, the less cancels in the variance.
pub(crate) fn statistics_of_moments(
    sums: &[f32],
    shift: &[f32],
    rows: usize,
    [mean, rest, variance]: [&mut [f32]; 3],
) {
    let channels = shift.len();
    for c in 0..channels {
        let [offset, square] = merged(sums, channels, c).map(|sum| sum / rows as f64);
        let exact = f64::from(shift[c]) + offset;
        mean[c] = exact as f32;
        rest[c] = (exact - f64::from(mean[c])) as f32;
        let difference = square - offset * offset;
        // Not `max`, which would hide a NaN.
        variance[c] = if difference < 0.0 { 0.0 } else { difference as f32 };
    }
}

/// y = (x − mean) · gamma · rstd + beta.
///
/// # Panics
/// If the extents differ, a view is not contiguous or the scratch is not there.
pub fn forward(
    isa: Isa,
    ws: &mut Workspace,
    x: ArrayView2<'_, f32>,
    n: &Normalization<'_, f32>,
    mut y: ArrayViewMut2<'_, f32>,
) {
    let channels = n.channels();
    assert_eq!((x.dim(), x.ncols()), (y.dim(), channels), "x, y and the statistics fit");
    let constants = ws.scratch.take(2 * channels);
    constants_of_output(n, constants);
    let (scale, offset) = constants.split_at(channels);
    let (x, y) = (x.as_slice().expect("contiguous"), y.as_slice_mut().expect("contiguous"));
    let chunk = chunk_rows(channels) * channels;
    ws.pool.each(Chunks::new(y, chunk), |i, y| {
        normalize(isa, &x[i * chunk..][..y.len()], [n.mean, scale, offset], y);
    });
}

/// dgamma and dbeta: C each.
///
/// # Panics
/// As [`forward`].
pub fn backward_parameters(
    isa: Isa,
    ws: &mut Workspace,
    x: ArrayView2<'_, f32>,
    n: &Normalization<'_, f32>,
    dy: ArrayView2<'_, f32>,
    [dgamma, dbeta]: [&mut [f32]; 2],
) {
    let channels = n.channels();
    assert_eq!((x.dim(), x.ncols()), (dy.dim(), channels), "x, dy and the statistics fit");
    assert_eq!([channels; 2], [dgamma.len(), dbeta.len()], "one for each channel");
    let (x, dy) = (x.as_slice().expect("contiguous"), dy.as_slice().expect("contiguous"));
    let chunk = chunk_rows(channels) * channels;
    let sums = sums_of_chunks(ws, x, channels, |i, x, sums| {
        products(isa, x, &dy[i * chunk..][..x.len()], n.mean, sums);
    });
    for c in 0..channels {
        let [sum, product] = merged(sums, channels, c);
        dbeta[c] = sum as f32;
        dgamma[c] = (rstd(n, c) * (product - f64::from(n.rest(c)) * sum)) as f32;
    }
}

/// dx = gamma · rstd · (dy − dbeta/N − x̂ · dgamma/N), from the sums dgamma and dbeta.
///
/// # Panics
/// As [`forward`].
pub fn backward_input(
    isa: Isa,
    ws: &mut Workspace,
    x: ArrayView2<'_, f32>,
    n: &Normalization<'_, f32>,
    dy: ArrayView2<'_, f32>,
    [dgamma, dbeta]: [&[f32]; 2],
    mut dx: ArrayViewMut2<'_, f32>,
) {
    let channels = n.channels();
    assert_eq!((x.dim(), x.dim(), x.ncols()), (dy.dim(), dx.dim(), channels), "extents fit");
    assert_eq!([channels; 2], [dgamma.len(), dbeta.len()], "one for each channel");
    let constants = ws.scratch.take(5 * channels);
    constants_of_input(n, x.nrows(), [dgamma, dbeta], constants);
    let constants = array(|k| &constants[k * channels..][..channels]);
    let (x, dy) = (x.as_slice().expect("contiguous"), dy.as_slice().expect("contiguous"));
    let dx = dx.as_slice_mut().expect("contiguous rows");
    let chunk = chunk_rows(channels) * channels;
    ws.pool.each(Chunks::new(dx, chunk), |i, dx| {
        let part = i * chunk..i * chunk + dx.len();
        input_gradient(isa, &x[part.clone()], &dy[part], constants, dx);
    });
}

/// y = (x − mean)·scale + offset: scale and offset, C each.
pub(crate) fn constants_of_output(n: &Normalization<'_, f32>, into: &mut [f32]) {
    let (scale, offset) = into.split_at_mut(n.channels());
    for c in 0..n.channels() {
        let slope = slope(n, c);
        scale[c] = slope as f32;
        offset[c] = (f64::from(n.beta(c)) - slope * f64::from(n.rest(c))) as f32;
    }
}

/// dx = (dy − mean_dy)·scale + ((x − mean)·pull + offset): mean, scale, mean_dy, pull and offset, C
/// each.
pub(crate) fn constants_of_input(
    n: &Normalization<'_, f32>,
    rows: usize,
    [dgamma, dbeta]: [&[f32]; 2],
    into: &mut [f32],
) {
    let channels = n.channels();
    let (mean, others) = into.split_at_mut(channels);
    let (scale, others) = others.split_at_mut(channels);
    let (mean_dy, others) = others.split_at_mut(channels);
    let (pull, offset) = others.split_at_mut(channels);
    mean.copy_from_slice(n.mean);
    for c in 0..channels {
        let (slope, rows) = (slope(n, c), rows as f64);
        let against = -slope * rstd(n, c) * f64::from(dgamma[c]) / rows;
        scale[c] = slope as f32;
        mean_dy[c] = (f64::from(dbeta[c]) / rows) as f32;
        pull[c] = against as f32;
        offset[c] = (-against * f64::from(n.rest(c))) as f32;
    }
}

/// 1/√(variance + epsilon), in f64.
pub(crate) fn rstd(n: &Normalization<'_, f32>, c: usize) -> f64 {
    1.0 / (f64::from(n.variance[c]) + f64::from(n.epsilon)).sqrt()
}

/// ∂y/∂x with the statistics held: gamma · rstd, in f64.
fn slope(n: &Normalization<'_, f32>, c: usize) -> f64 {
    f64::from(n.gamma(c)) * rstd(n, c)
}

/// Calls `sum(chunk, x, sums)` for every chunk of x; gives the sums of all chunks, in order.
fn sums_of_chunks<'a>(
    ws: &'a mut Workspace,
    x: &[f32],
    channels: usize,
    sum: impl Fn(usize, &[f32], &mut [f32]) + Sync,
) -> &'a [f32] {
    let chunk = chunk_rows(channels) * channels;
    let sums = ws.scratch.take(x.len().div_ceil(chunk) * SUMS * channels);
    ws.pool.each(Chunks::new(sums, SUMS * channels), |i, sums| {
        sum(i, &x[i * chunk..x.len().min((i + 1) * chunk)], sums);
    });
    sums
}

/// Adds to a sum that is kept as a pair of floats.
#[inline(always)]
pub(crate) fn add_pair(nearest: &mut f32, rest: &mut f32, more: f64) {
    let total = f64::from(*nearest) + f64::from(*rest) + more;
    *nearest = total as f32;
    *rest = (total - f64::from(*nearest)) as f32;
}

/// The two sums of channel `c` over all chunks.
pub(crate) fn merged(sums: &[f32], channels: usize, c: usize) -> [f64; 2] {
    let mut total = [0.0; 2];
    for chunk in sums.chunks_exact(SUMS * channels) {
        let part = |k: usize| f64::from(chunk[k * channels + c]);
        total[0] += part(0) + part(1);
        total[1] += part(2) + part(3);
    }
    total
}

/// Σ d and Σ d², d = x − shift, over the rows of a chunk.
#[inline(always)]
fn moments_body<const L: usize, const FMA: bool>(x: &[f32], shift: &[f32], sums: &mut [f32]) {
    sums_body::<L, FMA, true>(x, x, shift, sums);
}

/// Σ dy and Σ dy · d, d = x − mean, over the rows of a chunk.
#[inline(always)]
fn products_body<const L: usize, const FMA: bool>(
    x: &[f32],
    dy: &[f32],
    mean: &[f32],
    sums: &mut [f32],
) {
    sums_body::<L, FMA, false>(x, dy, mean, sums);
}

/// Σ a and Σ a · d over the rows, where d = x − shift, and a is d itself for `MOMENTS`, else dy.
#[inline(always)]
fn sums_body<const L: usize, const FMA: bool, const MOMENTS: bool>(
    x: &[f32],
    dy: &[f32],
    shift: &[f32],
    sums: &mut [f32],
) {
    let (mut at, channels) = (0, shift.len());
    while at + 2 * L <= channels {
        columns::<L, 2, FMA, MOMENTS>(at, x, dy, shift, sums);
        at += 2 * L;
    }
    while at + L <= channels {
        columns::<L, 1, FMA, MOMENTS>(at, x, dy, shift, sums);
        at += L;
    }
    while at < channels {
        columns::<1, 1, FMA, MOMENTS>(at, x, dy, shift, sums);
        at += 1;
    }
}

/// The sums of the `NV · L` channels from `at` on.
#[inline(always)]
fn columns<const L: usize, const NV: usize, const FMA: bool, const MOMENTS: bool>(
    at: usize,
    x: &[f32],
    dy: &[f32],
    shift: &[f32],
    sums: &mut [f32],
) {
    let channels = shift.len();
    let (mut sum, mut product) = ([[0.0f64; L]; NV], [[0.0f64; L]; NV]);
    let shift: [[f64; L]; NV] = array(|v| array(|l| f64::from(shift[at + v * L + l])));
    for (x, dy) in x.chunks_exact(channels).zip(dy.chunks_exact(channels)) {
        let (x, dy) = (&x[at..at + NV * L], &dy[at..at + NV * L]);
        for v in 0..NV {
            let d: [f64; L] = array(|l| f64::from(x[v * L + l]) - shift[v][l]);
            let a = if MOMENTS { d } else { array(|l| f64::from(dy[v * L + l])) };
            sum[v] = array(|l| sum[v][l] + a[l]);
            let p = product[v];
            product[v] = array(|l| if FMA { a[l].mul_add(d[l], p[l]) } else { a[l] * d[l] + p[l] });
        }
    }
    for (k, total) in [sum, product].iter().enumerate() {
        for (i, total) in total.as_flattened().iter().enumerate() {
            let nearest = *total as f32;
            sums[2 * k * channels + at + i] = nearest;
            sums[(2 * k + 1) * channels + at + i] = (total - f64::from(nearest)) as f32;
        }
    }
}

/// y = (x − mean) · scale + offset; in this order, so that a large mean cancels exactly.
#[inline(always)]
fn normalize_body<const L: usize, const FMA: bool>(
    x: &[f32],
    constants: [&[f32]; 3],
    y: &mut [f32],
) {
    let channels = constants[0].len();
    for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
        let mut at = 0;
        while at + L <= channels {
            normalize_at::<L, FMA>(at, x, constants, y);
            at += L;
        }
        while at < channels {
            normalize_at::<1, FMA>(at, x, constants, y);
            at += 1;
        }
    }
}

#[inline(always)]
fn normalize_at<const L: usize, const FMA: bool>(
    at: usize,
    x: &[f32],
    [mean, scale, offset]: [&[f32]; 3],
    y: &mut [f32],
) {
    let v = |from: &[f32]| V::<L, FMA>::load(&from[at..]);
    (v(x) - v(mean)).mul_add(v(scale), v(offset)).store(&mut y[at..]);
}

/// dx = (dy − mean_dy)·scale + ((x − mean)·pull + offset). The first difference is exact for a
/// single row, whose dx is 0.
#[inline(always)]
fn input_gradient_body<const L: usize, const FMA: bool>(
    x: &[f32],
    dy: &[f32],
    constants: [&[f32]; 5],
    dx: &mut [f32],
) {
    let channels = constants[0].len();
    let rows = x.chunks_exact(channels).zip(dy.chunks_exact(channels));
    for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(channels)) {
        let mut at = 0;
        while at + L <= channels {
            input_gradient_at::<L, FMA>(at, [x, dy], constants, dx);
            at += L;
        }
        while at < channels {
            input_gradient_at::<1, FMA>(at, [x, dy], constants, dx);
            at += 1;
        }
    }
}

#[inline(always)]
fn input_gradient_at<const L: usize, const FMA: bool>(
    at: usize,
    [x, dy]: [&[f32]; 2],
    [mean, scale, mean_dy, pull, offset]: [&[f32]; 5],
    dx: &mut [f32],
) {
    let v = |from: &[f32]| V::<L, FMA>::load(&from[at..]);
    let through_statistics = (v(x) - v(mean)).mul_add(v(pull), v(offset));
    (v(dy) - v(mean_dy)).mul_add(v(scale), through_statistics).store(&mut dx[at..]);
}

gradus_tensor::vectorize! {
    /// Σ d and Σ d², d = x − shift, over whole rows: [`SUMS`]·C.
    pub(crate) fn moments(x: &[f32], shift: &[f32], sums: &mut [f32]) = moments_body;
    fn products(x: &[f32], dy: &[f32], mean: &[f32], sums: &mut [f32]) = products_body;
    fn normalize(x: &[f32], constants: [&[f32]; 3], y: &mut [f32]) = normalize_body;
    fn input_gradient(x: &[f32], dy: &[f32], constants: [&[f32]; 5], dx: &mut [f32])
        = input_gradient_body;
}
