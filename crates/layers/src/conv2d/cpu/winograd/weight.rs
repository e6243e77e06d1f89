//! The gradient of the kernel by Winograd: Gᵀ[Σ (A dz Aᵀ) ⊙ (Bᵀ d B)]G, summed over tiles.
//!
//! The tiles of the batch are cut into at most [`CHUNKS`] chunks. A chunk sums at the 36 points, on
//! the desk of its thread, and goes back to the nine taps once, at its end; what the chunks give is
//! added in order. The cuts are made by geometry alone, so threads change no bit.

use super::super::super::Geometry;
use super::super::microkernel::{Block, Gradient, Taps, outer, part};
use super::block::{Tiles, transform_gradient, transform_input};
use super::transform::{FilterGradient, Grid, INPUTS, PRODUCTS, TAPS, Transform};
use super::{GROUP, LINE, most_tiles, pitch};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};
use std::ops::Range;

/// The most chunks.
const CHUNKS: usize = 8;
/// Floats that one task adds up.
const SUMS: usize = 4096;

/// How the sum is cut.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Gradients {
    tiles: Tiles,
    filters: usize,
    /// Tiles of a chunk.
    chunk: usize,
    /// Tiles that are transformed at once.
    block: usize,
}

impl Gradients {
    pub(in super::super) fn new(g: &Geometry) -> Self {
        let tiles = Tiles::forward(g);
        let chunk = tiles.count().div_ceil(CHUNKS).max(1);
        let block = chunk.div_ceil(chunk.div_ceil(most_tiles(g.c)));
        Self { tiles, filters: g.k, chunk, block }
    }

    fn groups(&self) -> usize {
        self.filters.div_ceil(GROUP)
    }

    /// R·S·C·K.
    fn kernel(&self) -> usize {
        TAPS * TAPS * self.tiles.channels * self.filters
    }

    /// Floats of the sums at the 36 points.
    fn table(&self) -> usize {
        PRODUCTS * self.groups() * self.tiles.channels * GROUP
    }

    /// Floats of scratch, with this or a smaller batch: a kernel for each chunk.
    pub(in super::super) fn scratch(&self) -> usize {
        self.tiles.count().min(CHUNKS) * self.kernel()
    }

    /// Floats of desk, with this or a smaller batch, whose blocks may be larger: sums, inputs and
    /// gradients at the 36 points.
    pub(in super::super) fn desk(&self) -> usize {
        let c = self.tiles.channels;
        let block = self.chunk.min(most_tiles(c));
        self.table() + PRODUCTS * (pitch(block, c) + pitch(block, GROUP))
    }

    /// dkernel from x and dz.
    pub(in super::super) fn run(
        &self,
        (isa, pool, scratch, desks): (Isa, &Pool, &mut [f32], &mut [f32]),
        x: &[f32],
        dz: &[f32],
        dkernel: &mut [f32],
    ) {
        let (count, kernel) = (self.tiles.count(), self.kernel());
        let partial = &mut scratch[..count.div_ceil(self.chunk) * kernel];
        pool.each_at_desk(Chunks::new(partial, kernel), desks, |i, partial, desk| {
            let tiles = i * self.chunk..count.min((i + 1) * self.chunk);
            let table = self.sum(isa, tiles, x, dz, desk);
            for group in 0..self.groups() {
                let shape = [self.tiles.channels, self.filters];
                let of_group = PRODUCTS * self.tiles.channels * GROUP;
                let table = &table[group * of_group..][..of_group];
                back_to_taps(isa, table, shape, group * GROUP, partial);
            }
        });
        let partial = &*partial;
        pool.each(Chunks::new(dkernel, SUMS), |i, dkernel| {
            dkernel.fill(0.0);
            for partial in partial.chunks_exact(kernel) {
                let partial = &partial[i * SUMS..];
                dkernel.iter_mut().zip(partial).for_each(|(sum, part)| *sum += part);
            }
        });
    }

    /// The sums of some tiles at the 36 points, on the desk: for each group of filters 36 tables of
    /// channels · [`GROUP`].
    fn sum<'a>(
        &self,
        isa: Isa,
        tiles: Range<usize>,
        x: &[f32],
        dz: &[f32],
        desk: &'a mut [f32],
    ) -> &'a [f32] {
        let channels = self.tiles.channels;
        let (table, rest) = desk.split_at_mut(self.table());
        table.fill(0.0);
        for first in tiles.clone().step_by(self.block) {
            let block = first..tiles.end.min(first + self.block);
            let next = block.end..tiles.end.min(block.end + self.block);
            let ahead = self.ahead(next, x, dz);
            let (of_x, of_dz) = (pitch(block.len(), channels), pitch(block.len(), GROUP));
            let (inputs, rest) = rest.split_at_mut(PRODUCTS * of_x);
            let gradients = &mut rest[..PRODUCTS * of_dz];
            transform_input(isa, &self.tiles, block.clone(), x, inputs);
            let tables = table.chunks_exact_mut(PRODUCTS * channels * GROUP);
            for (group, table) in tables.enumerate() {
                let at = [group * GROUP, (self.filters - group * GROUP).min(GROUP)];
                let (of, tiles) = (&self.tiles, block.clone());
                transform_gradient(isa, of, tiles, dz, self.filters, at, gradients);
                let ahead = ahead.map(|ahead| part(ahead, (group, self.groups())));
                self.add_products(isa, block.len(), [inputs, gradients], at[1], ahead, table);
            }
        }
        table
    }

    /// Adds, at each of the 36 points, the products of a block's inputs and gradients to the sums of
    /// one group of filters.
    fn add_products(
        &self,
        isa: Isa,
        tiles: usize,
        [inputs, gradients]: [&[f32]; 2],
        filters: usize,
        ahead: [&[f32]; 2],
        table: &mut [f32],
    ) {
        let c = self.tiles.channels;
        let taps = Taps { rows: 1, row: 0, runs: 1, gap: 0, run: c };
        let points = inputs
            .chunks_exact(pitch(tiles, c))
            .zip(gradients.chunks_exact(pitch(tiles, GROUP)))
            .zip(table.chunks_exact_mut(c * GROUP));
        for (i, ((x, dz), sums)) in points.enumerate() {
            let block = Block { taps, x, pixel: c, line: 0, rows: 1, columns: tiles };
            let ahead = ahead.map(|ahead| part(ahead, (i, PRODUCTS)));
            let dz = Gradient { dz, pixel: GROUP, line: 0, filters, ahead };
            outer(isa, &block, &dz, sums);
        }
    }

    /// What the block of these tiles will read.
    fn ahead<'a>(&self, next: Range<usize>, x: &'a [f32], dz: &'a [f32]) -> [&'a [f32]; 2] {
        if next.is_empty() {
            return [&[]; 2];
        }
        [
            self.tiles.rows_of_inputs(next.clone(), x),
            self.tiles.rows_of_outputs(next, self.filters, dz),
        ]
    }
}

/// Gᵀ u G for one group of filters, from `first` on.
#[inline(always)]
fn back_to_taps_body<const L: usize, const FMA: bool>(
    table: &[f32],
    [channels, filters]: [usize; 2],
    first: usize,
    dkernel: &mut [f32],
) {
    let (point, tap) = (channels * GROUP, channels * filters);
    for c in 0..channels {
        for at in (0..(filters - first).min(GROUP)).step_by(LINE) {
            let (table, to) = (&table[c * GROUP + at..], &mut dkernel[c * filters + first + at..]);
            assert!(table.len() >= (PRODUCTS - 1) * point + LINE, "36 tables");
            assert!(to.len() >= (TAPS * TAPS - 1) * tap + LINE, "nine taps");
            // SAFETY: the asserts.
            unsafe {
                let from = Grid { at: table.as_ptr(), down: INPUTS * point, across: point };
                let to = Grid { at: to.as_mut_ptr(), down: TAPS * tap, across: tap };
                FilterGradient::both::<LINE, FMA>(from, to);
            }
        }
    }
}

gradus_tensor::vectorize! {
    fn back_to_taps(table: &[f32], shape: [usize; 2], first: usize, dkernel: &mut [f32])
        = back_to_taps_body;
}
