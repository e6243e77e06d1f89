//! What one task of the backward pass does: the rows of the kernel that are its own, strip by strip.

use super::tile::{ROWS, VECTORS, outer_products};
use super::{Cut, GROUP, SAMPLES};
use gradus_tensor::TileUpdate;
use gradus_tensor::simd::{V, prefetch};
use std::ops::Range;

/// Columns of a panel, of which a strip's gradient is 8 KB.
const COLUMNS: usize = 256;

/// A strip's gradient for some columns.
type Panel = [[f32; COLUMNS]; ROWS];
/// x of some samples at the inputs of a strip: the aₖ of its tiles.
type Columns = [[f32; ROWS]; SAMPLES];

/// What a task reads of the batch.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    /// x, a row for each sample.
    pub(super) x: &'a [f32],
    /// dz, a row for each sample, with zeros behind it.
    pub(super) padded: &'a [f32],
    /// dz, a row for each unit, with zeros behind it.
    pub(super) turned: &'a [f32],
}

gradus_tensor::vectorize! {
    /// dx of the inputs from `first` on: for each [`GROUP`] of them a row for each sample.
    pub(super) fn input(
        cut: &Cut,
        first: usize,
        kernel: &[f32],
        turned: &[f32],
        dx: &mut [f32],
    ) = input_body;

    /// dW of the inputs from `first` on.
    pub(super) fn weight(
        cut: &Cut,
        first: usize,
        batch: Batch<'_>,
        dkernel: &mut [f32],
    ) = weight_body;

    /// dx and then the update of the inputs from `first` on, whose rows are `kernel`. No dx where
    /// its place is empty.
    pub(super) fn update(
        cut: &Cut,
        first: usize,
        batch: Batch<'_>,
        kernel: &mut [f32],
        dx: &mut [f32],
        update: &dyn TileUpdate,
    ) = update_body;
}

#[inline(always)]
fn input_body<const L: usize, const FMA: bool>(
    cut: &Cut,
    first: usize,
    kernel: &[f32],
    turned: &[f32],
    dx: &mut [f32],
) {
    let rows = kernel[first * cut.units..].chunks(ROWS * cut.units);
    for (strip, rows) in rows.take(dx.len() / (ROWS * cut.batch)).enumerate() {
        input_strip::<L, FMA>(cut, rows, turned, strip, dx);
    }
}

/// dx of the inputs of a strip, from their rows of the kernel.
#[inline(always)]
fn input_strip<const L: usize, const FMA: bool>(
    cut: &Cut,
    rows: &[f32],
    turned: &[f32],
    strip: usize,
    dx: &mut [f32],
) {
    let per_group = GROUP * cut.batch;
    let (group, at) = (strip * ROWS / GROUP, strip * ROWS % GROUP);
    let dx = &mut dx[group * per_group..][..per_group];
    for sample in (0..cut.batch).step_by(VECTORS * L) {
        match cut.batch - sample > L {
            true => input_tile::<L, FMA, VECTORS>(cut, rows, turned, sample, &mut dx[at..]),
            false => input_tile::<L, FMA, 1>(cut, rows, turned, sample, &mut dx[at..]),
        }
    }
}

#[inline(always)]
fn input_tile<const L: usize, const FMA: bool, const NV: usize>(
    cut: &Cut,
    rows: &[f32],
    turned: &[f32],
    sample: usize,
    dx: &mut [f32],
) {
    // Beyond the last input the last is taken again, and what comes of it is never read.
    let last = rows.len() / cut.units - 1;
    let row: [&[f32]; ROWS] =
        std::array::from_fn(|r| &rows[r.min(last) * cut.units..][..cut.units]);
    // As much of the next strip is fetched with each step.
    let ahead = rows.as_ptr_range().end;
    // SAFETY: `outer_products` asks for j < units, the length of each row. (Eight checks for eight
    // operations would cost a fifth of the time.)
    let a = |j: usize, r: usize| unsafe { *row[r].get_unchecked(j) };
    let b = |j: usize, v: usize| {
        if v == 0 {
            prefetch(ahead.wrapping_add(j * ROWS));
        }
        V::load(&turned[j * cut.padded_batch + sample + v * L..])
    };
    let mut lanes = [[[0.0; L]; NV]; ROWS];
    let to = lanes.as_flattened_mut().as_flattened_mut();
    outer_products::<L, FMA, NV>(cut.units, a, b, false, to, NV * L);
    let samples = dx.chunks_mut(GROUP).skip(sample).take(NV * L);
    for (lane, dx) in samples.enumerate() {
        for (dx, lanes) in dx[..ROWS].iter_mut().zip(&lanes) {
            *dx = lanes[lane / L][lane % L];
        }
    }
}

#[inline(always)]
fn weight_body<const L: usize, const FMA: bool>(
    cut: &Cut,
    first: usize,
    batch: Batch<'_>,
    dkernel: &mut [f32],
) {
    // PERF: zeros are written once for a task and not for a strip.
    let (mut x, mut panel): (Columns, Panel) = ([[0.0; _]; _], [[0.0; _]; _]);
    for (strip, dkernel) in dkernel.chunks_mut(ROWS * cut.units).enumerate() {
        let first = first + strip * ROWS;
        let rows = dkernel.len() / cut.units;
        // What does not fill a tile goes by way of a panel.
        let whole = if rows == ROWS { cut.units - cut.units % (VECTORS * L) } else { 0 };
        let inputs = first..first + rows;
        weight_strip::<L, FMA>(cut, &inputs, 0..whole, batch, &mut x, dkernel, cut.units);
        let rooms = (&mut x, &mut panel);
        in_panels::<L, FMA>(cut, &inputs, whole, batch, rooms, |r, j, panel| {
            dkernel[r * cut.units + j..][..panel.len()].copy_from_slice(panel);
        });
    }
}

/// dW of up to [`ROWS`] inputs, panel by panel of the columns from `from` on: row, first column and
/// gradients.
#[inline(always)]
fn in_panels<const L: usize, const FMA: bool>(
    cut: &Cut,
    inputs: &Range<usize>,
    from: usize,
    batch: Batch<'_>,
    (x, panel): (&mut Columns, &mut Panel),
    mut each: impl FnMut(usize, usize, &[f32]),
) {
    for j in (from..cut.units).step_by(COLUMNS) {
        let columns = j..cut.units.min(j + COLUMNS);
        let to = panel.as_flattened_mut();
        weight_strip::<L, FMA>(cut, inputs, columns.clone(), batch, x, to, COLUMNS);
        for (r, row) in panel.iter().enumerate().take(inputs.len()) {
            each(r, j, &row[..columns.len()]);
        }
    }
}

/// dW of up to [`ROWS`] inputs and some columns, to rows that are `pitch` apart and have room for
/// whole tiles.
#[inline(always)]
fn weight_strip<const L: usize, const FMA: bool>(
    cut: &Cut,
    inputs: &Range<usize>,
    columns: Range<usize>,
    batch: Batch<'_>,
    x: &mut Columns,
    to: &mut [f32],
    pitch: usize,
) {
    if columns.is_empty() {
        return;
    }
    for block in 0..cut.blocks() {
        let (samples, add) = (cut.block(block), block > 0);
        for (column, sample) in x.iter_mut().zip(samples.clone()) {
            let x = &batch.x[sample * cut.inputs..][inputs.clone()];
            match x.as_array() {
                // PERF: one vector, and no call to copy a few numbers.
                Some(x) => *column = *x,
                None => column[..x.len()].copy_from_slice(x),
            }
        }
        let x = &x[..samples.len()];
        let rows = &batch.padded[samples.start * cut.pitch..samples.end * cut.pitch];
        for j in columns.clone().step_by(VECTORS * L) {
            let b = |k, v| V::load(&rows[k * cut.pitch + j + v * L..]);
            let (a, to) = (|k: usize, r: usize| x[k][r], &mut to[j - columns.start..]);
            outer_products::<L, FMA, VECTORS>(samples.len(), a, b, add, to, pitch);
        }
    }
}

#[inline(always)]
fn update_body<const L: usize, const FMA: bool>(
    cut: &Cut,
    first: usize,
    batch: Batch<'_>,
    kernel: &mut [f32],
    dx: &mut [f32],
    update: &dyn TileUpdate,
) {
    let (mut x, mut panel): (Columns, Panel) = ([[0.0; _]; _], [[0.0; _]; _]);
    for (strip, values) in kernel.chunks_mut(ROWS * cut.units).enumerate() {
        let first = first + strip * ROWS;
        let rows = values.len() / cut.units;
        if !dx.is_empty() {
            input_strip::<L, FMA>(cut, values, batch.turned, strip, dx);
        }
        let rooms = (&mut x, &mut panel);
        in_panels::<L, FMA>(cut, &(first..first + rows), 0, batch, rooms, |r, j, grads| {
            let (at, number) = (r * cut.units + j, (first + r) * cut.units + j);
            update.prefetch(number + ROWS * cut.units, grads.len());
            // SAFETY: tasks have rows apart, and each of them makes one call at a time.
            unsafe { update.update(number, &mut values[at..][..grads.len()], grads) };
        });
    }
}
