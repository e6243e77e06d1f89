//! The gradient of the kernel: a sum over every pixel of a batch.
//!
//! The output rows of the batch are cut into at most sixteen chunks. Within a chunk the sums of a
//! few rows at a time are made in registers and added to the chunk's own table; the tables are
//! added in order. Where tables are so large that there are fewer chunks, the filters are cut into
//! bands as well.
//!
//! Three short sums instead of one long one keep the rounding small, and the cuts are made by
//! geometry alone, so that neither threads nor the width of the registers change a bit.
//!
//! dz need not lie in memory ([`Rows`]): who can make its rows from something else that lies there
//! saves writing and reading it.

use super::super::Geometry;
use super::microkernel::{GROUP, Gradient, outer, part};
use super::sweep::Sweep;
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};
use std::ops::Range;

/// Pieces of work, and the most chunks.
const PIECES: usize = 16;
/// Floats that the tables of all chunks may take, if there is more than one.
const TABLES: usize = 1 << 22;
/// Pixels whose products are summed in registers: a row or a few, so that a dz that is made and
/// what it is made from share the first-level cache.
const PIXELS: usize = 128;
/// Taps whose tables are added at once.
const TAPS: usize = 32;

/// dz, row by row of all images: it lies in memory, or is made when it is asked for.
pub(crate) trait Rows: Sync {
    /// What is read to get these rows: memory to be fetched.
    fn source(&self, rows: Range<usize>) -> &[f32];

    /// Floats of room that a row takes.
    fn room(&self) -> usize;

    /// Floats that are summed over the rows.
    fn sums(&self) -> usize;

    /// These rows, which may be made in `room`; their sums are added to `sums`.
    fn get<'a>(&'a self, rows: Range<usize>, room: &'a mut [f32], sums: &mut [f32]) -> &'a [f32];
}

/// A dz that lies there: all of it, and the floats of a row.
pub(super) struct Lying<'a>(pub(super) &'a [f32], pub(super) usize);

impl Rows for Lying<'_> {
    fn source(&self, rows: Range<usize>) -> &[f32] {
        let Self(dz, row) = self;
        &dz[rows.start * row..rows.end * row]
    }

    fn room(&self) -> usize {
        0
    }

    fn sums(&self) -> usize {
        0
    }

    fn get<'a>(&'a self, rows: Range<usize>, _: &'a mut [f32], _: &mut [f32]) -> &'a [f32] {
        self.source(rows)
    }
}

/// How the sum is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    g: Geometry,
    sweep: Sweep,
    /// The most chunks that a batch of any size is cut into.
    limit: usize,
    chunks: usize,
    /// Bands that the filters are cut into, for want of chunks.
    bands: usize,
    /// Groups of filters in a band.
    groups: usize,
    /// Output rows of a chunk.
    rows: usize,
    /// Output rows of a block.
    block: usize,
}

impl Cut {
    pub(super) fn new(g: &Geometry) -> Self {
        let sweep = Sweep::forward(g);
        let all = g.k.div_ceil(GROUP);
        let limit = (TABLES / (all * g.taps() * GROUP)).clamp(1, PIECES);
        let groups = all.div_ceil(PIECES.div_ceil(limit));
        let rows = (g.n * g.p).div_ceil(limit).max(1);
        let at_once = sweep.canvas.rows_at_once(sweep.strides[0], sweep.reach);
        let block = (PIXELS / g.q).clamp(1, at_once);
        let (chunks, bands) = ((g.n * g.p).div_ceil(rows), all.div_ceil(groups));
        Self { g: *g, sweep, limit, chunks, bands, groups, rows, block }
    }

    fn window(&self) -> usize {
        let rows = (self.block - 1) * self.sweep.strides[0] + self.sweep.reach;
        self.sweep.canvas.window(rows)
    }

    /// Floats for the pixels of dz, where groups of filters are no whole vectors.
    fn stage(&self) -> usize {
        if self.g.k.is_multiple_of(GROUP) { 0 } else { self.block * self.g.q * GROUP }
    }

    /// Floats of the table of one piece.
    fn table(&self) -> usize {
        self.groups * self.g.taps() * GROUP
    }

    /// Whether each row of dz is asked for once.
    pub(super) fn asks_once(&self) -> bool {
        self.bands == 1
    }

    /// Floats that a piece works in, with `room` floats for each row of dz that is made.
    fn desk(&self, room: usize) -> usize {
        (self.window() + self.stage() + self.block * room).max(1)
    }

    /// Floats of scratch that [`Cut::run`] takes, with this or a smaller batch: for each piece a
    /// table, a place to work in and its sums. `room` and `sums` are those of the [`Rows`].
    pub(super) fn scratch(&self, room: usize, sums: usize) -> usize {
        self.limit * self.bands * (self.table() + self.desk(room) + sums.max(1))
    }

    /// dkernel from x and dz; and what was summed over the rows of dz, for each piece.
    pub(super) fn run<'s>(
        &self,
        (isa, pool, scratch): (Isa, &Pool, &'s mut [f32]),
        x: &[f32],
        dz: &dyn Rows,
        dkernel: &mut [f32],
    ) -> std::slice::ChunksExact<'s, f32> {
        let g = &self.g;
        let (pieces, table, of_piece) = (self.chunks * self.bands, self.table(), dz.sums().max(1));
        let (tables, scratch) = scratch.split_at_mut(pieces * table);
        let desk = self.desk(dz.room());
        let (desks, scratch) = scratch.split_at_mut(pieces * desk);
        let sums = &mut scratch[..pieces * of_piece];
        let parts = (Chunks::new(&mut *tables, table), Chunks::new(desks, desk));
        pool.each((parts, Chunks::new(&mut *sums, of_piece)), |i, ((table, desk), sums)| {
            sums.fill(0.0);
            self.sum(isa, (i / self.bands, i % self.bands), x, dz, (table, desk, sums));
        });
        pool.each(Chunks::new(dkernel, TAPS * g.k), |i, dkernel| {
            for (tap, dkernel) in dkernel.chunks_exact_mut(g.k).enumerate() {
                for (group, to) in dkernel.chunks_mut(GROUP).enumerate() {
                    to.fill(0.0);
                    for chunk in 0..self.chunks {
                        let group = chunk * self.bands * self.groups + group;
                        let from = &tables[(group * g.taps() + i * TAPS + tap) * GROUP..];
                        to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
                    }
                }
            }
        });
        sums.chunks_exact(of_piece)
    }

    /// The table of one chunk and one band of filters.
    fn sum(
        &self,
        isa: Isa,
        (chunk, band): (usize, usize),
        x: &[f32],
        dz: &dyn Rows,
        (table, desk, sums): (&mut [f32], &mut [f32], &mut [f32]),
    ) {
        let g = &self.g;
        table.fill(0.0);
        let (window, desk) = desk.split_at_mut(self.window());
        let (stage, room) = desk.split_at_mut(self.stage());
        let first_filter = band * self.groups * GROUP;
        let groups = (g.k - first_filter).div_ceil(GROUP).min(self.groups);
        let end = ((chunk + 1) * self.rows).min(g.n * g.p);
        let mut first = chunk * self.rows;
        while first < end {
            let rows = self.block.min(g.p - first % g.p).min(end - first);
            let block = self.sweep.block(x, first, rows, window);
            let ahead = self.ahead(x, dz, first + rows..end);
            let dz = dz.get(first..first + rows, room, sums);
            let tables = table.chunks_exact_mut(g.taps() * GROUP);
            for (group, table) in tables.take(groups).enumerate() {
                let filter = first_filter + group * GROUP;
                let ahead = ahead.map(|floats| part(floats, (group, groups)));
                let gradient = gradient(g, isa, dz, filter, stage);
                outer(isa, &block, &Gradient { ahead, ..gradient }, table);
            }
            first += rows;
        }
    }

    /// What the next block will read, if these are the output rows that are left: rows of x that
    /// the current block has not read, and rows of dz. Only to be fetched, so it need not be exact.
    fn ahead<'a>(&self, x: &'a [f32], dz: &'a dyn Rows, left: Range<usize>) -> [&'a [f32]; 2] {
        let g = &self.g;
        let rows = self.block.min(left.len());
        let row = left.start / g.p * g.h + left.start % g.p * g.strides[0] + g.r - 1;
        let [from, to] = [row, row + rows * g.strides[0]].map(|row| x.len().min(row * g.w * g.c));
        [&x[from..to], dz.source(left.start..left.start + rows)]
    }
}

/// Some rows of dz for the group of filters from `filter` on.
fn gradient<'a>(
    g: &Geometry,
    isa: Isa,
    dz: &'a [f32],
    filter: usize,
    stage: &'a mut [f32],
) -> Gradient<'a> {
    let filters = (g.k - filter).min(GROUP);
    let line = g.q * g.k;
    let (pixels, dz) = (dz.len() / g.k, &dz[filter..]);
    let ahead = [[].as_slice(); 2];
    if filters.is_multiple_of(isa.lanes()) {
        return Gradient { dz, pixel: g.k, line, filters, ahead };
    }
    let stage = &mut stage[..pixels * GROUP];
    for (to, from) in stage.chunks_exact_mut(GROUP).zip(dz.chunks(g.k)) {
        to[..filters].copy_from_slice(&from[..filters]);
        to[filters..].fill(0.0);
    }
    Gradient { dz: stage, pixel: GROUP, line: g.q * GROUP, filters, ahead }
}
