//! What one task of y = x W does: the partial sums of one span of inputs for one block of samples.

use super::tile::{ROWS, VECTORS, outer_products};
use super::{Cut, DEPTH, LANES, SAMPLES};
use gradus_tensor::simd::{V, prefetch};
use std::ops::Range;

/// Columns of the widest tile.
const WIDEST: usize = VECTORS * LANES;

/// A block of x as the aₖ of its tiles, strip after strip of [`ROWS`] samples: 16 KB.
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
    ) = body;
}

#[inline(always)]
fn body<const L: usize, const FMA: bool>(
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
    for first in (span * cut.span..end).step_by(cut.depth) {
        let depth = cut.depth.min(end - first);
        for (i, sample) in samples.clone().enumerate() {
            let x = &x[sample * cut.inputs + first..][..depth];
            let strip = &mut panel[i / ROWS * DEPTH..][..depth];
            strip.iter_mut().zip(x).for_each(|(column, x)| column[i % ROWS] = *x);
        }
        let rows = &kernel[first * cut.units..(first + depth) * cut.units];
        // While a block is worked on, the next one is fetched, as much of it with each step.
        let mut ahead = rows.as_ptr_range().end;
        for j in (0..cut.units).step_by(VECTORS * L) {
            // The last columns may not fill their vectors: they are copied to where they do.
            let (rows, pitch) = if cut.units - j >= VECTORS * L {
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
                let b = |k, v| {
                    prefetch(ahead.wrapping_add(k * VECTORS * L + v * L));
                    V::load(&rows[k * pitch + v * L..])
                };
                let (a, to) = (|k: usize, r: usize| strip[k][r], &mut sums[j..]);
                outer_products::<L, FMA, VECTORS>(depth, a, b, true, to, cut.pitch);
            }
            ahead = ahead.wrapping_add(depth * VECTORS * L);
        }
    }
}
