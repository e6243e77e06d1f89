//! The three products on the CPU.
//!
//! A large dense layer is as fast as memory: 25088 · 512 weights are 51 MB, and a batch of fifteen
//! gives each weight only thirty operations. So every product walks the kernel (or its gradient)
//! once for up to `SAMPLES` samples, from its first byte to its last, in blocks or strips of whole
//! rows, and does all the work on one while it is in cache and the next one is fetched:
//!
//! | product | aₖ: 8 numbers | bₖ: a row of vectors | c: the tile |
//! | --- | --- | --- | --- |
//! | y = x W | x of 8 samples at input k | W of input k, along units | adds to partial sums of y |
//! | dx = dz Wᵀ | W of 8 inputs at unit k | dz of unit k, along samples | dx, turned over |
//! | dW = xᵀ dz | x of sample k at 8 inputs | dz of sample k, along units | dW |
//!
//! Where an optimizer lends its update, dx, dW and the update are one pass: a strip's dx comes from
//! the old weights, then its dW is handed over panel by panel, and is never stored whole.
//!
//! The sum over inputs in y is cut into at most `SPANS` spans, summed apart and added in order.
//! Where blocks and spans end depends on the extents alone, so the number of threads changes no
//! bit.

mod backward;
mod forward;
#[cfg(test)]
mod tests;
mod tile;

use backward::Batch;
use gradus_tensor::ndarray::{ArrayView1, ArrayView2, ArrayViewMut2};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool, TileUpdate, Workspace};
use std::ops::Range;
use tile::ROWS;

/// The most rows of the kernel in a block of the forward pass.
const DEPTH: usize = 64;
/// The most floats in a block: 128 KB, so that it and the next one share the second-level cache.
const BLOCK: usize = 32_768;
/// The most samples in a block, so that a block of x fits a buffer on the stack.
const SAMPLES: usize = 64;
/// The most spans that the sum over inputs is cut into.
const SPANS: usize = 16;
/// The fewest inputs that make a span worth its partial sums.
const SPAN: usize = 512;
/// The widest vector: what rows in scratch are padded to.
const LANES: usize = 16;
/// Inputs whose dx lie together in scratch: a cache line.
const GROUP: usize = 16;
/// The most tasks of the backward pass: long ones, so that what is fetched ahead is of use.
const TASKS: usize = 128;

/// The extents, and how they are cut.
#[derive(Clone, Copy)]
struct Cut {
    batch: usize,
    inputs: usize,
    units: usize,
    /// Samples in a block, a multiple of [`ROWS`]; the last block may have fewer.
    samples: usize,
    /// Inputs in a block, a multiple of [`ROWS`].
    depth: usize,
    /// Inputs in a span, a multiple of the depth; the last span may have fewer.
    span: usize,
    /// Inputs of a task of the backward pass, a multiple of [`GROUP`]; the last may have fewer.
    task: usize,
    /// Floats from row to row in scratch, where a row has a column for each unit.
    pitch: usize,
    /// The batch, rounded up to whole vectors.
    padded_batch: usize,
}

impl Cut {
    fn new(batch: usize, inputs: usize, units: usize) -> Self {
        let samples = batch.next_multiple_of(ROWS).min(SAMPLES);
        let depth = (BLOCK / units).clamp(ROWS, DEPTH) / ROWS * ROWS;
        // Many blocks are work enough to share, and need fewer spans.
        let spans = SPANS.div_ceil(batch.div_ceil(samples)).min(inputs.div_ceil(SPAN));
        let span = inputs.div_ceil(spans).next_multiple_of(depth);
        let task = inputs.div_ceil(TASKS).next_multiple_of(GROUP);
        // One vector more than needed: rows a power of two apart share a few lines of the cache.
        let pitch = units.next_multiple_of(LANES) + LANES;
        let padded_batch = batch.next_multiple_of(LANES);
        Self { batch, inputs, units, samples, depth, span, task, pitch, padded_batch }
    }

    fn spans(&self) -> usize {
        self.inputs.div_ceil(self.span)
    }

    fn blocks(&self) -> usize {
        self.batch.div_ceil(self.samples)
    }

    /// The samples of a block.
    fn block(&self, block: usize) -> Range<usize> {
        let first = block * self.samples;
        first..self.batch.min(first + self.samples)
    }

    /// Floats of dz turned over.
    fn turned(&self) -> usize {
        self.units * self.padded_batch
    }

    /// Floats of dz with zeros behind its rows.
    fn padded(&self) -> usize {
        self.batch * self.pitch
    }

    /// Floats of dx in groups.
    fn groups(&self) -> usize {
        self.inputs.next_multiple_of(GROUP) * self.batch
    }
}

/// Floats of scratch that every function here can do with, for batches of up to `batch`.
#[must_use]
pub fn scratch(batch: usize, inputs: usize, units: usize) -> usize {
    if batch * inputs * units == 0 {
        return 0;
    }
    let cut = Cut::new(batch, inputs, units);
    // As `Cut::new` counts them, but never fewer for a smaller batch.
    let pieces = (SPANS + cut.blocks()).min(inputs.div_ceil(SPAN) * cut.blocks());
    let forward = pieces * cut.samples * cut.pitch;
    forward.max(cut.turned() + cut.padded() + cut.groups())
}

/// z = x W + b.
///
/// # Panics
/// If the extents differ, a view is not contiguous or the scratch is not there.
pub fn forward(
    isa: Isa,
    ws: &mut Workspace,
    x: ArrayView2<'_, f32>,
    kernel: ArrayView2<'_, f32>,
    bias: Option<ArrayView1<'_, f32>>,
    mut z: ArrayViewMut2<'_, f32>,
) {
    let cut = extents(x.dim(), kernel.dim(), z.dim());
    assert!(bias.is_none_or(|b| b.len() == cut.units), "one bias for each unit");
    let (x, kernel) = (contiguous(&x), contiguous(&kernel));
    let (spans, blocks, sums) = (cut.spans(), cut.blocks(), cut.samples * cut.pitch);
    let partial = ws.scratch.take(spans * blocks * sums);
    ws.pool.each(Chunks::new(partial, sums), |piece, sums| {
        forward::forward(isa, &cut, piece / blocks, cut.block(piece % blocks), x, kernel, sums);
    });
    let partial = &*partial;
    let z = z.as_slice_mut().expect("contiguous rows");
    ws.pool.each(Chunks::new(z, cut.units), |sample, z| {
        z.fill(0.0);
        for span in 0..spans {
            let row = (span * blocks * cut.samples + sample) * cut.pitch;
            add(z, &partial[row..]);
        }
        if let Some(bias) = bias {
            z.iter_mut().zip(bias).for_each(|(z, b)| *z += b);
        }
    });
}

/// dx = dz Wᵀ.
///
/// # Panics
/// As [`forward`].
pub fn backward_input(
    isa: Isa,
    ws: &mut Workspace,
    kernel: ArrayView2<'_, f32>,
    dz: ArrayView2<'_, f32>,
    mut dx: ArrayViewMut2<'_, f32>,
) {
    let cut = extents(dx.dim(), kernel.dim(), dz.dim());
    let (kernel, dz) = (contiguous(&kernel), contiguous(&dz));
    let taken = ws.scratch.take(cut.turned() + cut.groups());
    let (turned, groups) = taken.split_at_mut(cut.turned());
    turn(&cut, dz, turned);
    let turned = &*turned;
    ws.pool.each(Chunks::new(groups, cut.task * cut.batch), |task, dx| {
        backward::input(isa, &cut, task * cut.task, kernel, turned, dx);
    });
    gather(&ws.pool, &cut, groups, dx.as_slice_mut().expect("contiguous rows"));
}

/// dW = xᵀ dz.
///
/// # Panics
/// As [`forward`].
pub fn backward_weight(
    isa: Isa,
    ws: &mut Workspace,
    x: ArrayView2<'_, f32>,
    dz: ArrayView2<'_, f32>,
    mut dkernel: ArrayViewMut2<'_, f32>,
) {
    let cut = extents(x.dim(), dkernel.dim(), dz.dim());
    let (x, dz) = (contiguous(&x), contiguous(&dz));
    let padded = ws.scratch.take(cut.padded());
    pad(&cut, dz, padded);
    let batch = Batch { x, padded, turned: &[] };
    let dkernel = dkernel.as_slice_mut().expect("contiguous rows");
    ws.pool.each(Chunks::new(dkernel, cut.task * cut.units), |task, dkernel| {
        backward::weight(isa, &cut, task * cut.task, batch, dkernel);
    });
}

/// dx = dz Wᵀ where it is asked for, then W updated by dW = xᵀ dz, all in one pass over W. The bits
/// are those of [`backward_input`], [`backward_weight`] and the update one after the other.
///
/// # Panics
/// As [`forward`].
pub fn backward_and_update(
    isa: Isa,
    ws: &mut Workspace,
    x: ArrayView2<'_, f32>,
    dz: ArrayView2<'_, f32>,
    mut kernel: ArrayViewMut2<'_, f32>,
    dx: Option<ArrayViewMut2<'_, f32>>,
    update: &dyn TileUpdate,
) {
    let cut = extents(x.dim(), kernel.dim(), dz.dim());
    let (x, dz) = (contiguous(&x), contiguous(&dz));
    let taken = ws.scratch.take(cut.turned() + cut.padded() + cut.groups());
    let (turned, others) = taken.split_at_mut(cut.turned());
    let (padded, groups) = others.split_at_mut(cut.padded());
    turn(&cut, dz, turned);
    pad(&cut, dz, padded);
    let batch = Batch { x, padded, turned };
    let kernel = Chunks::new(kernel.as_slice_mut().expect("contiguous rows"), cut.task * cut.units);
    let Some(mut dx) = dx else {
        return ws.pool.each(kernel, |task, kernel| {
            backward::update(isa, &cut, task * cut.task, batch, kernel, &mut [], update);
        });
    };
    assert_eq!(dx.dim(), (cut.batch, cut.inputs), "dx is like x");
    let tasks = (kernel, Chunks::new(&mut *groups, cut.task * cut.batch));
    ws.pool.each(tasks, |task, (kernel, dx)| {
        backward::update(isa, &cut, task * cut.task, batch, kernel, dx, update);
    });
    gather(&ws.pool, &cut, groups, dx.as_slice_mut().expect("contiguous rows"));
}

/// db = Σₙ dz.
///
/// # Panics
/// As [`forward`].
pub fn backward_bias(dz: ArrayView2<'_, f32>, dbias: &mut [f32]) {
    assert_eq!(dz.ncols(), dbias.len(), "one bias for each unit");
    dbias.fill(0.0);
    for row in contiguous(&dz).chunks_exact(dbias.len()) {
        add(dbias, row);
    }
}

/// dz with a row for each unit, and zeros behind it.
fn turn(cut: &Cut, dz: &[f32], turned: &mut [f32]) {
    turned.fill(0.0);
    for (sample, dz) in dz.chunks_exact(cut.units).enumerate() {
        for (row, &dz) in turned.chunks_exact_mut(cut.padded_batch).zip(dz) {
            row[sample] = dz;
        }
    }
}

/// dz with zeros behind each row.
fn pad(cut: &Cut, dz: &[f32], padded: &mut [f32]) {
    for (padded, dz) in padded.chunks_exact_mut(cut.pitch).zip(dz.chunks_exact(cut.units)) {
        let (values, end) = padded.split_at_mut(cut.units);
        values.copy_from_slice(dz);
        end.fill(0.0);
    }
}

/// dx from its groups.
fn gather(pool: &Pool, cut: &Cut, groups: &[f32], dx: &mut [f32]) {
    pool.each(Chunks::new(dx, cut.inputs), |sample, dx| {
        for (group, dx) in dx.chunks_mut(GROUP).enumerate() {
            let from = (group * cut.batch + sample) * GROUP;
            dx.copy_from_slice(&groups[from..from + dx.len()]);
        }
    });
}

fn extents(x: (usize, usize), kernel: (usize, usize), z: (usize, usize)) -> Cut {
    let (batch, inputs, units) = (x.0, kernel.0, kernel.1);
    assert_eq!((x, z), ((batch, inputs), (batch, units)), "x · W = z with W {kernel:?}");
    assert!(batch * inputs * units > 0, "an empty product: {batch} · {inputs} · {units}");
    Cut::new(batch, inputs, units)
}

fn contiguous<'a>(view: &'a ArrayView2<'_, f32>) -> &'a [f32] {
    view.as_slice().expect("contiguous rows")
}

/// to += from, as far as `to` goes.
#[inline(always)]
fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}
