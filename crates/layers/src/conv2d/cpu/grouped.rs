//! Convolutions in groups: the channels of one group are set side by side, convolved by the direct
//! engine, and put back among those of the other groups.
//!
//! What is copied is one read and one write of x and of y for each pass, little beside the
//! arithmetic as long as a group has some channels.

use super::super::Geometry;
use super::{Engine, Moments};
use gradus_tensor::{Chunks, Pool};

/// Floats of scratch that the passes take: x, y and kernel of one group, and what the direct engine
/// takes for it.
pub(super) fn scratch(g: &Geometry) -> usize {
    let one = g.of_group();
    one.x().len() + one.y().len() + one.kernel().len() + super::scratch(&one)
}

/// y from x.
pub(super) fn forward(
    mut engine: Engine<'_>,
    x: &[f32],
    kernel: &[f32],
    (bias, relu): (Option<&[f32]>, bool),
    y: &mut [f32],
) {
    let g = engine.g;
    each_group(&mut engine, |i, inner, [of_x, of_y, of_kernel]| {
        let [c, k] = [inner.g.c, inner.g.k];
        take(inner.pool, x, g.c, i * c, of_x, c);
        take(inner.pool, kernel, g.k, i * k, of_kernel, k);
        let bias = bias.map(|bias| &bias[i * k..][..k]);
        let pool = inner.pool;
        inner.forward_slices(of_x, of_kernel, (bias, relu, Moments::Unwanted), of_y);
        put(pool, of_y, k, y, g.k, i * k);
    });
}

/// dx from dz.
pub(super) fn backward_input(engine: &mut Engine<'_>, dz: &[f32], kernel: &[f32], dx: &mut [f32]) {
    let g = engine.g;
    each_group(engine, |i, mut inner, [of_dx, of_dz, of_kernel]| {
        let [c, k] = [inner.g.c, inner.g.k];
        take(inner.pool, dz, g.k, i * k, of_dz, k);
        take(inner.pool, kernel, g.k, i * k, of_kernel, k);
        inner.backward_input_slices(of_dz, of_kernel, of_dx);
        put(inner.pool, of_dx, c, dx, g.c, i * c);
    });
}

/// dkernel from x and dz.
pub(super) fn backward_weight(engine: &mut Engine<'_>, x: &[f32], dz: &[f32], dkernel: &mut [f32]) {
    let g = engine.g;
    each_group(engine, |i, mut inner, [of_x, of_dz, of_dkernel]| {
        let [c, k] = [inner.g.c, inner.g.k];
        take(inner.pool, x, g.c, i * c, of_x, c);
        take(inner.pool, dz, g.k, i * k, of_dz, k);
        inner.backward_weight_slices(of_x, of_dz, of_dkernel);
        put(inner.pool, of_dkernel, k, dkernel, g.k, i * k);
    });
}

/// Calls `pass(group, the engine of one group, [x, y, kernel] of one group)`.
fn each_group(engine: &mut Engine<'_>, mut pass: impl FnMut(usize, Engine<'_>, [&mut [f32]; 3])) {
    let (isa, pool, exact, one) = (engine.isa, engine.pool, engine.exact, engine.g.of_group());
    let (x, rest) = engine.scratch.split_at_mut(one.x().len());
    let (y, rest) = rest.split_at_mut(one.y().len());
    let (kernel, scratch) = rest.split_at_mut(one.kernel().len());
    for i in 0..engine.g.groups {
        let (scratch, desks) = (&mut *scratch, &mut *engine.desks);
        let inner = Engine { isa, pool, scratch, desks, exact, g: &one };
        pass(i, inner, [&mut *x, &mut *y, &mut *kernel]);
    }
}

/// Rows that a task copies.
const ROWS: usize = 1024;

/// The `width` columns from `first` on of rows of `columns`.
fn take(pool: &Pool, from: &[f32], columns: usize, first: usize, into: &mut [f32], width: usize) {
    pool.each(Chunks::new(into, ROWS * width), |i, into| {
        let from = from[i * ROWS * columns..].chunks_exact(columns);
        for (into, from) in into.chunks_exact_mut(width).zip(from) {
            into.copy_from_slice(&from[first..][..width]);
        }
    });
}

/// Rows of `width` as the columns from `first` on of rows of `columns`.
fn put(pool: &Pool, from: &[f32], width: usize, into: &mut [f32], columns: usize, first: usize) {
    pool.each(Chunks::new(into, ROWS * columns), |i, into| {
        let from = from[i * ROWS * width..].chunks_exact(width);
        for (into, from) in into.chunks_exact_mut(columns).zip(from) {
            into[first..][..width].copy_from_slice(from);
        }
    });
}
