//! Max pooling on the CPU: vectors along the channels, a block of rows for each task.
//!
//! Both passes compute each number they write from all it depends on, in one place and once, so
//! tasks share nothing. The winner is carried beside the maximum in lanes of the same width, and
//! both are chosen without a branch.

use super::Geometry;
use crate::pooling::{Cover, rows_of_task};
use gradus_tensor::ndarray::{ArrayView4, ArrayViewMut4};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};
use std::array::from_fn as array;

/// y and argmax from x.
///
/// # Panics
/// If the extents are not those of the geometry, or a view is not contiguous.
pub fn forward(
    isa: Isa,
    pool: &Pool,
    g: &Geometry,
    x: ArrayView4<'_, f32>,
    mut y: ArrayViewMut4<'_, f32>,
    mut argmax: ArrayViewMut4<'_, u8>,
) {
    assert_eq!((x.shape(), y.shape()), (g.x().dims(), g.y().dims()), "the geometry's extents");
    assert_eq!(argmax.shape(), y.shape(), "one winner for each y");
    let (x, y) = (x.as_slice().expect("contiguous"), y.as_slice_mut().expect("contiguous"));
    let argmax = argmax.as_slice_mut().expect("contiguous rows");
    let (row, rows) = (g.q * g.c, rows_of_task(g.q * g.c));
    let parts = (Chunks::new(y, rows * row), Chunks::new(argmax, rows * row));
    pool.each(parts, |i, (y, argmax)| {
        for (k, (y, argmax)) in
            y.chunks_exact_mut(row).zip(argmax.chunks_exact_mut(row)).enumerate()
        {
            forward_row(isa, g, i * rows + k, x, y, argmax);
        }
    });
}

/// y from x.
///
/// # Panics
/// As [`forward`].
pub fn infer(
    isa: Isa,
    pool: &Pool,
    g: &Geometry,
    x: ArrayView4<'_, f32>,
    mut y: ArrayViewMut4<'_, f32>,
) {
    assert_eq!((x.shape(), y.shape()), (g.x().dims(), g.y().dims()), "the geometry's extents");
    let (x, y) = (x.as_slice().expect("contiguous"), y.as_slice_mut().expect("contiguous"));
    let (row, rows) = (g.q * g.c, rows_of_task(g.q * g.c));
    pool.each(Chunks::new(y, rows * row), |i, y| {
        for (k, y) in y.chunks_exact_mut(row).enumerate() {
            forward_row(isa, g, i * rows + k, x, y, &mut []);
        }
    });
}

/// dx from dy and argmax.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    isa: Isa,
    pool: &Pool,
    g: &Geometry,
    dy: ArrayView4<'_, f32>,
    argmax: ArrayView4<'_, u8>,
    mut dx: ArrayViewMut4<'_, f32>,
) {
    assert_eq!((dx.shape(), dy.shape()), (g.x().dims(), g.y().dims()), "the geometry's extents");
    assert_eq!(argmax.shape(), dy.shape(), "one winner for each y");
    let (dy, dx) = (dy.as_slice().expect("contiguous"), dx.as_slice_mut().expect("contiguous"));
    let argmax = argmax.as_slice().expect("contiguous rows");
    let (row, rows) = (g.w * g.c, rows_of_task(g.w * g.c));
    pool.each(Chunks::new(dx, rows * row), |i, dx| {
        for (k, dx) in dx.chunks_exact_mut(row).enumerate() {
            backward_row(isa, g, i * rows + k, dy, argmax, dx);
        }
    });
}

/// One row of y, counted over all images: Q·C. An empty argmax is not written.
#[inline(always)]
fn forward_row_body<const L: usize, const FMA: bool>(
    g: &Geometry,
    row: usize,
    x: &[f32],
    y: &mut [f32],
    argmax: &mut [u8],
) {
    let (image, top) = (row / g.p, row % g.p * g.strides[0]);
    let x = &x[image * g.h * g.w * g.c..][..g.h * g.w * g.c];
    let rows = g.rows_met(row % g.p);
    for q in 0..g.q {
        let left = q * g.strides[1];
        let columns = g.columns_met(q);
        // Of the first tap that meets the image: its pixel in x, and its number in the window.
        let pixel = (top + rows.start - g.before[0]) * g.w + left + columns.start - g.before[1];
        let window = Window {
            start: pixel * g.c,
            tap: rows.start * g.s + columns.start,
            rows: rows.len(),
            columns: columns.len(),
        };
        let y = &mut y[q * g.c..][..g.c];
        let argmax = if argmax.is_empty() { &mut [] } else { &mut argmax[q * g.c..][..g.c] };
        let mut at = 0;
        while at + 2 * L <= g.c {
            window.maximum::<L, 2>(g, at, x, y, argmax);
            at += 2 * L;
        }
        while at + L <= g.c {
            window.maximum::<L, 1>(g, at, x, y, argmax);
            at += L;
        }
        while at < g.c {
            window.maximum::<1, 1>(g, at, x, y, argmax);
            at += 1;
        }
    }
}

/// The part of a window that meets the image.
#[derive(Clone, Copy)]
struct Window {
    /// Where its first pixel begins in the image.
    start: usize,
    /// The number of its first tap.
    tap: usize,
    rows: usize,
    columns: usize,
}

impl Window {
    /// y and argmax for the `L` channels from `at` on.
    #[inline(always)]
    fn maximum<const L: usize, const NV: usize>(
        self,
        g: &Geometry,
        at: usize,
        x: &[f32],
        y: &mut [f32],
        argmax: &mut [u8],
    ) {
        let load = |from: usize| -> &[[f32; L]] { x[from..][..NV * L].as_chunks().0 };
        let first = load(self.start + at);
        let (mut best, mut winner): ([[f32; L]; NV], _) =
            (array(|v| first[v]), [[self.tap as u32; L]; NV]);
        for r in 0..self.rows {
            for s in 0..self.columns {
                let x = load(self.start + (r * g.w + s) * g.c + at);
                let tap = (self.tap + r * g.s + s) as u32;
                for v in 0..NV {
                    let (x, b, w) = (&x[v], best[v], winner[v]);
                    // A NaN is not at most b, so it wins; and once it is b itself, it stays.
                    // PERF: each choice hangs on one comparison. Where it hangs on two, the compiler
                    // chooses lane by lane on AVX2, and takes four times as long.
                    let larger: [f32; L] = array(|l| if x[l] <= b[l] { b[l] } else { x[l] });
                    best[v] = array(|l| if b[l].is_nan() { b[l] } else { larger[l] });
                    let last: [u32; L] = array(|l| if x[l] <= b[l] { w[l] } else { tap });
                    winner[v] = array(|l| if b[l].is_nan() { w[l] } else { last[l] });
                }
            }
        }
        y[at..][..NV * L].copy_from_slice(best.as_flattened());
        if !argmax.is_empty() {
            let argmax = &mut argmax[at..][..NV * L];
            for (v, winner) in winner.iter().enumerate() {
                argmax[v * L..][..L].copy_from_slice(&winner.map(|w| w as u8));
            }
        }
    }
}

/// One row of dx, counted over all images: W·C.
#[inline(always)]
fn backward_row_body<const L: usize, const FMA: bool>(
    g: &Geometry,
    row: usize,
    dy: &[f32],
    argmax: &[u8],
    dx: &mut [f32],
) {
    let (image, size) = (row / g.h, g.p * g.q * g.c);
    let (dy, argmax) = (&dy[image * size..][..size], &argmax[image * size..][..size]);
    let padded = row % g.h + g.before[0];
    let stride = g.strides[0];
    let rows = Cover::new(padded / stride, padded % stride, stride, g.r, g.p);
    let (mut window, mut tap) = (g.before[1] / g.strides[1], g.before[1] % g.strides[1]);
    for dx in dx.chunks_exact_mut(g.c) {
        let columns = Cover::new(window, tap, g.strides[1], g.s, g.q);
        let mut at = 0;
        while at + 2 * L <= g.c {
            gather::<L, 2>(g, [rows, columns], at, dy, argmax, dx);
            at += 2 * L;
        }
        while at + L <= g.c {
            gather::<L, 1>(g, [rows, columns], at, dy, argmax, dx);
            at += L;
        }
        while at < g.c {
            gather::<1, 1>(g, [rows, columns], at, dy, argmax, dx);
            at += 1;
        }
        tap += 1;
        if tap == g.strides[1] {
            (window, tap) = (window + 1, 0);
        }
    }
}

/// The `L` channels from `at` on of one pixel of dx, in the order in which the definition adds.
#[inline(always)]
fn gather<const L: usize, const NV: usize>(
    g: &Geometry,
    [rows, columns]: [Cover; 2],
    at: usize,
    dy: &[f32],
    argmax: &[u8],
    dx: &mut [f32],
) {
    let mut sum = [[0.0f32; L]; NV];
    for i in 0..rows.count {
        let (p, r) = (rows.first + i, rows.tap - i * g.strides[0]);
        for j in 0..columns.count {
            let (q, s) = (columns.first + j, columns.tap - j * g.strides[1]);
            let (from, tap) = ((p * g.q + q) * g.c + at, (r * g.s + s) as u32);
            let (dy, argmax) = (&dy[from..][..NV * L], &argmax[from..][..NV * L]);
            let vectors = dy.as_chunks::<L>().0.iter().zip(argmax.as_chunks::<L>().0);
            for (sum, (dy, winner)) in sum.iter_mut().zip(vectors) {
                // PERF: as a mask of bits, which the compiler keeps in one register: 30 times as fast
                // as a choice by `if`.
                let won: [u32; L] =
                    array(|l| u32::from(u32::from(winner[l]) == tap).wrapping_neg());
                *sum = array(|l| sum[l] + f32::from_bits(dy[l].to_bits() & won[l]));
            }
        }
    }
    dx[at..][..NV * L].copy_from_slice(sum.as_flattened());
}

gradus_tensor::vectorize! {
    fn forward_row(g: &Geometry, row: usize, x: &[f32], y: &mut [f32], argmax: &mut [u8])
        = forward_row_body;
    fn backward_row(g: &Geometry, row: usize, dy: &[f32], argmax: &[u8], dx: &mut [f32])
        = backward_row_body;
}
