//! Average pooling on the CPU: vectors along the channels, a block of rows for each task.
//!
//! Both passes compute each number they write from all it depends on, in one place and in the
//! order of the definition, so tasks share nothing and results have the definition's bits.

use super::Geometry;
use crate::pooling::{Cover, rows_of_task};
use gradus_tensor::ndarray::{ArrayView4, ArrayViewMut4};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};
use std::array::from_fn as array;

/// y from x.
///
/// # Panics
/// If the extents are not those of the geometry, or a view is not contiguous.
pub fn forward(
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
            forward_row(isa, g, i * rows + k, x, y);
        }
    });
}

/// dx from dy.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    isa: Isa,
    pool: &Pool,
    g: &Geometry,
    dy: ArrayView4<'_, f32>,
    mut dx: ArrayViewMut4<'_, f32>,
) {
    assert_eq!((dx.shape(), dy.shape()), (g.x().dims(), g.y().dims()), "the geometry's extents");
    let (dy, dx) = (dy.as_slice().expect("contiguous"), dx.as_slice_mut().expect("contiguous"));
    let (row, rows) = (g.w * g.c, rows_of_task(g.w * g.c));
    pool.each(Chunks::new(dx, rows * row), |i, dx| {
        for (k, dx) in dx.chunks_exact_mut(row).enumerate() {
            backward_row(isa, g, i * rows + k, dy, dx);
        }
    });
}

/// Calls `$f::<lanes, vectors>(first channel)` until all channels are done.
macro_rules! for_channels {
    ($c:expr, $L:ident, |$at:ident| $f:ident($($arg:expr),*)) => {{
        let mut $at = 0;
        while $at + 2 * $L <= $c {
            $f::<$L, 2>($($arg),*);
            $at += 2 * $L;
        }
        while $at + $L <= $c {
            $f::<$L, 1>($($arg),*);
            $at += $L;
        }
        while $at < $c {
            $f::<1, 1>($($arg),*);
            $at += 1;
        }
    }};
}

/// One row of y, counted over all images: Q·C.
#[inline(always)]
fn forward_row_body<const L: usize, const FMA: bool>(
    g: &Geometry,
    row: usize,
    x: &[f32],
    y: &mut [f32],
) {
    let (image, p) = (row / g.p, row % g.p);
    let x = &x[image * g.h * g.w * g.c..][..g.h * g.w * g.c];
    let rows = g.rows_met(p);
    let top = p * g.strides[0] + rows.start - g.before[0];
    for (q, y) in y.chunks_exact_mut(g.c).enumerate() {
        let columns = g.columns_met(q);
        let left = q * g.strides[1] + columns.start - g.before[1];
        let met = [rows.len(), columns.len()];
        for_channels!(g.c, L, |at| mean(g, met, &x[(top * g.w + left) * g.c + at..], &mut y[at..]));
    }
}

/// The first channels of one pixel of y, from the pixels of x that its window meets.
#[inline(always)]
fn mean<const L: usize, const NV: usize>(
    g: &Geometry,
    [rows, columns]: [usize; 2],
    x: &[f32],
    y: &mut [f32],
) {
    let mut sum = [[0.0f32; L]; NV];
    for r in 0..rows {
        for s in 0..columns {
            let x = x[(r * g.w + s) * g.c..][..NV * L].as_chunks::<L>().0;
            for (sum, x) in sum.iter_mut().zip(x) {
                *sum = array(|l| sum[l] + x[l]);
            }
        }
    }
    let count = (rows * columns) as f32;
    let mean = sum.map(|sum| sum.map(|sum| sum / count));
    y[..NV * L].copy_from_slice(mean.as_flattened());
}

/// One row of dx, counted over all images: W·C.
#[inline(always)]
fn backward_row_body<const L: usize, const FMA: bool>(
    g: &Geometry,
    row: usize,
    dy: &[f32],
    dx: &mut [f32],
) {
    let (image, size) = (row / g.h, g.p * g.q * g.c);
    let dy = &dy[image * size..][..size];
    let rows = Cover::of(row % g.h + g.before[0], g.strides[0], g.r, g.p);
    for (w, dx) in dx.chunks_exact_mut(g.c).enumerate() {
        let columns = Cover::of(w + g.before[1], g.strides[1], g.s, g.q);
        for_channels!(g.c, L, |at| gather(g, [rows, columns], &dy[at..], &mut dx[at..]));
    }
}

/// The first channels of one pixel of dx, from the windows that it lies in.
#[inline(always)]
fn gather<const L: usize, const NV: usize>(
    g: &Geometry,
    [rows, columns]: [Cover; 2],
    dy: &[f32],
    dx: &mut [f32],
) {
    let mut sum = [[0.0f32; L]; NV];
    for p in rows.windows() {
        for q in columns.windows() {
            let count = (g.rows_met(p).len() * g.columns_met(q).len()) as f32;
            let dy = dy[(p * g.q + q) * g.c..][..NV * L].as_chunks::<L>().0;
            for (sum, dy) in sum.iter_mut().zip(dy) {
                *sum = array(|l| sum[l] + dy[l] / count);
            }
        }
    }
    dx[..NV * L].copy_from_slice(sum.as_flattened());
}

gradus_tensor::vectorize! {
    fn forward_row(g: &Geometry, row: usize, x: &[f32], y: &mut [f32]) = forward_row_body;
    fn backward_row(g: &Geometry, row: usize, dy: &[f32], dx: &mut [f32]) = backward_row_body;
}
