//! What one task does: a block of each of the three products, tile by tile.

use super::tile::{ROWS, outer_products, put};
use super::{Cut, DEPTH, LANES, SAMPLES};
use gradus_tensor::simd::V;
use std::ops::Range;

/// Columns of the widest tile.
const WIDEST: usize = 2 * LANES;

/// A block of x as the aₖ of its tiles, strip after strip of [`ROWS`] samples or inputs: 4 KB.
type Panel = [[f32; ROWS]; SAMPLES * DEPTH / ROWS];

gradus_tensor::vectorize! {
    /// Partial sums of y over one span, for one block of samples.
    pub(super) fn forward(
        cut: &Cut,
        span: usize,
        samples: Range<usize>,
        x: &[f32],
        kernel: &[f32],
        sums: &mut [f32],
    ) = forward_widest;

    /// dx of the inputs from `first` on, for all samples: a row of [`DEPTH`] for each.
    pub(super) fn backward_input(
        cut: &Cut,
        first: usize,
        kernel: &[f32],
        turned: &[f32],
        dx: &mut [f32],
    ) = backward_input_body;

    /// dW of the inputs from `first` on.
    pub(super) fn backward_weight(
        cut: &Cut,
        first: usize,
        x: &[f32],
        padded: &[f32],
        dkernel: &mut [f32],
    ) = backward_weight_widest;
}

/// [`forward_body`] with tiles of two vectors where there are 32 registers.
#[inline(always)]
fn forward_widest<const L: usize, const FMA: bool>(
    cut: &Cut,
    span: usize,
    samples: Range<usize>,
    x: &[f32],
    kernel: &[f32],
    sums: &mut [f32],
) {
    match L {
        16 => forward_body::<L, FMA, 2>(cut, span, samples, x, kernel, sums),
        _ => forward_body::<L, FMA, 1>(cut, span, samples, x, kernel, sums),
    }
}

#[inline(always)]
fn forward_body<const L: usize, const FMA: bool, const NV: usize>(
    cut: &Cut,
    span: usize,
    samples: Range<usize>,
    x: &[f32],
    kernel: &[f32],
    sums: &mut [f32],
) {
    let sums = &mut sums[..samples.len().next_multiple_of(ROWS) * cut.pitch];
    sums.fill(0.0);
    let mut panel: Panel = [[0.0; ROWS]; _];
    let mut ends = [[0.0; WIDEST]; DEPTH];
    let end = cut.inputs.min((span + 1) * cut.span);
    for first in (span * cut.span..end).step_by(DEPTH) {
        let depth = DEPTH.min(end - first);
        for (i, sample) in samples.clone().enumerate() {
            let x = &x[sample * cut.inputs + first..][..depth];
            let strip = &mut panel[i / ROWS * DEPTH..][..depth];
            strip.iter_mut().zip(x).for_each(|(column, x)| column[i % ROWS] = *x);
        }
        let rows = &kernel[first * cut.units..(first + depth) * cut.units];
        for j in (0..cut.units).step_by(NV * L) {
            // The last columns may not fill their vectors: they are copied to where they do.
            let (rows, pitch) = if cut.units - j >= NV * L {
                (&rows[j..], cut.units)
            } else {
                for (end, row) in ends.iter_mut().zip(rows.chunks_exact(cut.units)) {
                    end.iter_mut().zip(&row[j..]).for_each(|(end, w)| *end = *w);
                }
                (ends.as_flattened(), WIDEST)
            };
            let strips = panel.chunks_exact(DEPTH).zip(sums.chunks_exact_mut(ROWS * cut.pitch));
            for (strip, sums) in strips {
                let strip = &strip[..depth];
                let b = |k, v| V::load(&rows[k * pitch + v * L..]);
                let c = outer_products::<L, FMA, NV>(depth, |k, r| strip[k][r], b);
                put(c, true, &mut sums[j..], cut.pitch);
            }
        }
    }
}

#[inline(always)]
fn backward_input_body<const L: usize, const FMA: bool>(
    cut: &Cut,
    first: usize,
    kernel: &[f32],
    turned: &[f32],
    dx: &mut [f32],
) {
    for i in (first..cut.inputs.min(first + DEPTH)).step_by(ROWS) {
        // Beyond the last input the last is taken again, and what comes of it is never read.
        let rows: [&[f32]; ROWS] = std::array::from_fn(|r| {
            &kernel[(i + r).min(cut.inputs - 1) * cut.units..][..cut.units]
        });
        for sample in (0..cut.batch).step_by(L) {
            // SAFETY: `outer_products` asks for j < units, the length of each row. (Eight checks
            // for eight operations would cost a fifth of the time.)
            let a = |j: usize, r: usize| unsafe { *rows[r].get_unchecked(j) };
            let b = |j: usize, _| V::load(&turned[j * cut.padded_batch + sample..]);
            let c = outer_products::<L, FMA, 1>(cut.units, a, b);
            let mut lanes = [[0.0; L]; ROWS];
            put(c, false, lanes.as_flattened_mut(), L);
            for (lane, dx) in dx.chunks_exact_mut(DEPTH).skip(sample).take(L).enumerate() {
                for r in 0..ROWS {
                    dx[i - first + r] = lanes[r][lane];
                }
            }
        }
    }
}

/// [`backward_weight_body`] with tiles of two vectors where there are 32 registers.
#[inline(always)]
fn backward_weight_widest<const L: usize, const FMA: bool>(
    cut: &Cut,
    first: usize,
    x: &[f32],
    padded: &[f32],
    dkernel: &mut [f32],
) {
    match L {
        16 => backward_weight_body::<L, FMA, 2>(cut, first, x, padded, dkernel),
        _ => backward_weight_body::<L, FMA, 1>(cut, first, x, padded, dkernel),
    }
}

#[inline(always)]
fn backward_weight_body<const L: usize, const FMA: bool, const NV: usize>(
    cut: &Cut,
    first: usize,
    x: &[f32],
    padded: &[f32],
    dkernel: &mut [f32],
) {
    let depth = dkernel.len() / cut.units;
    let mut panel: Panel = [[0.0; ROWS]; _];
    for block in 0..cut.blocks() {
        let (samples, add) = (cut.block(block), block > 0);
        for (i, sample) in samples.clone().enumerate() {
            let x = &x[sample * cut.inputs + first..][..depth];
            for (strip, x) in x.chunks(ROWS).enumerate() {
                panel[strip * SAMPLES + i][..x.len()].copy_from_slice(x);
            }
        }
        let rows = &padded[samples.start * cut.pitch..samples.end * cut.pitch];
        let strips = panel.chunks_exact(SAMPLES).zip(dkernel.chunks_mut(ROWS * cut.units));
        for (strip, dkernel) in strips {
            let strip = &strip[..samples.len()];
            for j in (0..cut.units).step_by(NV * L) {
                let b = |k, v| V::load(&rows[k * cut.pitch + j + v * L..]);
                let c = outer_products::<L, FMA, NV>(samples.len(), |k, r| strip[k][r], b);
                if dkernel.len() == ROWS * cut.units && cut.units - j >= NV * L {
                    put(c, add, &mut dkernel[j..], cut.units);
                } else {
                    // The last rows and columns do not fill a tile: it is put where it has room.
                    let mut tile = [[0.0; WIDEST]; ROWS];
                    put(c, false, tile.as_flattened_mut(), WIDEST);
                    put_part(&tile, add, dkernel, cut.units, j);
                }
            }
        }
    }
}

/// As [`put`] at column `j`, for a tile that reaches beyond the matrix.
fn put_part(tile: &[[f32; WIDEST]; ROWS], add: bool, to: &mut [f32], pitch: usize, j: usize) {
    for (to, row) in to.chunks_mut(pitch).zip(tile) {
        for (to, c) in to[j..].iter_mut().zip(row) {
            *to = if add { *to + c } else { *c };
        }
    }
}
