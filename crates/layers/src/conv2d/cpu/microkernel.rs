//! The two loops in which all the time of a convolution passes, and the only unsafe code of it.
//!
//! Both hold a tile of sums in registers, MR·NV vectors, and add to it the products of MR single
//! floats with NV vectors, so that (MR + NV) loads feed MR·NV multiplications:
//!
//! * [`correlate`]: MR output pixels × NV vectors of filters, over the taps of a pixel;
//! * [`outer`]: MR taps × NV vectors of filters, over the pixels of some rows.
//!
//! Images are N·H·W·C, so the taps of one kernel row and all channels are side by side in memory:
//! neither loop needs x in another order, and no copy of x is made ("im2col").

use gradus_tensor::simd::{V, prefetch_all};

/// Filters that [`outer`] takes at once.
pub(super) const GROUP: usize = 32;

/// Filters in a panel of packed weights: two registers.
pub(super) fn panel(lanes: usize) -> usize {
    2 * lanes
}

/// Rows of the register tile: with 32 registers 14·2 sums, 2 weights and one pixel, with 16
/// registers 6·2.
const fn tile_rows<const L: usize, const FMA: bool>() -> usize {
    if L == 16 || (L == 4 && FMA) { 14 } else { 6 }
}

/// Where the taps of one output pixel lie in memory: `rows` lines, in each `runs` stretches of
/// `run` floats side by side. Distances in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taps {
    pub(super) rows: usize,
    pub(super) row: usize,
    pub(super) runs: usize,
    pub(super) gap: usize,
    pub(super) run: usize,
}

impl Taps {
    /// R·S·C.
    pub(super) fn count(&self) -> usize {
        self.rows * self.runs * self.run
    }

    /// Floats from the first tap to behind the last.
    fn reach(&self) -> usize {
        (self.rows - 1) * self.row + (self.runs - 1) * self.gap + self.run
    }
}

/// Some output rows and the pixels that their taps meet. Distances in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) taps: Taps,
    /// From the first tap of the first output pixel on.
    pub(super) x: &'a [f32],
    /// From the first tap of an output pixel to that of the next.
    pub(super) pixel: usize,
    /// From the first tap of an output row to that of the next.
    pub(super) line: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Block<'_> {
    /// The floats of x that are read.
    fn reach(&self) -> usize {
        assert!(self.rows > 0 && self.columns > 0, "a block of no pixels");
        (self.rows - 1) * self.line + (self.columns - 1) * self.pixel + self.taps.reach()
    }
}

/// Weights and bias as [`correlate`] reads them, zeros behind the last filter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a> {
    /// Filters.
    pub(super) filters: usize,
    /// One float a filter.
    pub(super) bias: &'a [f32],
    /// Panels of [`panel`] filters, tap by tap; the last may be half as wide.
    pub(super) panels: &'a [f32],
    /// Whether negative sums become 0.
    pub(super) relu: bool,
}

/// Pixels of dz beside the rows of a [`Block`]. Distances in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gradient<'a> {
    pub(super) dz: &'a [f32],
    pub(super) pixel: usize,
    pub(super) line: usize,
    /// How many of the [`GROUP`] filters are wanted.
    pub(super) filters: usize,
    /// Memory that will be read next: fetched into the cache meanwhile.
    pub(super) ahead: [&'a [f32]; 2],
}

gradus_tensor::vectorize! {
    /// y = bias + Σ over the taps, for all pixels of a block and all filters.
    pub(super) fn correlate(block: &Block<'_>, packed: &Packed<'_>, y: &mut [f32])
        = correlate_body;
    /// sums[tap][filter] += Σ over the pixels of a block of x · dz, for one group of filters.
    pub(super) fn outer(block: &Block<'_>, gradient: &Gradient<'_>, sums: &mut [f32])
        = outer_body;
}

/// Repeats a statement for the constants 0 to `$count` − 1. A loop would be left to the compiler,
/// which may keep the tile in memory instead (a factor of 30).
macro_rules! unrolled {
    ($i:ident < $count:ident, $body:block) => {
        unrolled!(@ $i $count $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $i:ident $count:ident $body:block $($n:literal)+) => {
        $(if $n < $count {
            let $i = $n;
            $body
        })+
    };
}

/// Calls a tile function with the number of rows as a constant.
macro_rules! with_rows {
    ($rows:expr, $f:ident<$l:ident, $fma:ident, $nv:ident>($($arg:expr),+)) => {
        with_rows!(@ $rows, $f, $l, $fma, $nv, ($($arg),+), 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    (@ $rows:expr, $f:ident, $l:ident, $fma:ident, $nv:ident, $args:tt, $($n:literal)+) => {
        match $rows {
            $($n if $n <= tile_rows::<$l, $fma>() => $f::<$l, $fma, $nv, $n> $args,)+
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
}

#[inline(always)]
fn correlate_body<const L: usize, const FMA: bool>(
    block: &Block<'_>,
    packed: &Packed<'_>,
    y: &mut [f32],
) {
    let (filters, taps) = (packed.filters, block.taps.count());
    let padded = filters.next_multiple_of(L);
    assert!(block.x.len() >= block.reach(), "x ends before the last tap");
    assert!(packed.bias.len() >= padded, "a bias for each lane");
    assert!(packed.panels.len() >= padded * taps, "a weight for each lane and tap");
    assert_eq!(y.len(), block.rows * block.columns * filters, "y is of the block's size");
    for first in (0..filters).step_by(2 * L) {
        for row in 0..block.rows {
            // SAFETY: the asserts above; first < filters and row < block.rows.
            unsafe {
                if filters - first > L {
                    correlate_row::<L, FMA, 2>(block, packed, y, first, row);
                } else {
                    correlate_row::<L, FMA, 1>(block, packed, y, first, row);
                }
            }
        }
    }
}

/// One row of outputs, NV vectors of filters from `first` on.
///
/// # Safety
/// x, panels, bias and y are as long as `correlate_body` asserts, `first` is a multiple of 2·L
/// below the filters, which are more than L · (NV − 1) from there on, and `row` one of the rows.
#[inline(always)]
unsafe fn correlate_row<const L: usize, const FMA: bool, const NV: usize>(
    block: &Block<'_>,
    packed: &Packed<'_>,
    y: &mut [f32],
    first: usize,
    row: usize,
) {
    let tiles = block.columns.div_ceil(tile_rows::<L, FMA>());
    let mut column = 0;
    for tile in 0..tiles {
        // Rows of equal length, give or take one: no tile is left with a few pixels.
        let rows = (block.columns - column).div_ceil(tiles - tile);
        // SAFETY: `column + rows <= block.columns`, so the taps of all rows of the tile lie within
        // the reach of the block, and its outputs within y. Panels before `first` are 2·L wide.
        unsafe {
            let x = block.x.as_ptr().add(row * block.line + column * block.pixel);
            let weights = packed.panels.as_ptr().add(first * block.taps.count());
            let bias = packed.bias.as_ptr().add(first);
            let pixel = row * block.columns + column;
            let y = y.as_mut_ptr().add(pixel * packed.filters + first);
            let filters = packed.filters - first;
            let to = Output { y, pixel: packed.filters, filters, relu: packed.relu };
            with_rows!(rows, correlate_tile < L, FMA, NV > (block, x, weights, bias, &to));
        }
        column += rows;
    }
}

/// Where a tile is written.
struct Output {
    y: *mut f32,
    /// Floats from one pixel to the next.
    pixel: usize,
    /// Filters from `y` on: no more than that are written.
    filters: usize,
    relu: bool,
}

/// # Safety
/// Readable: the taps of MR pixels from `x` on, as many times NV·L weights, NV·L biases. Writable:
/// MR pixels from `to.y` on.
#[inline(always)]
unsafe fn correlate_tile<const L: usize, const FMA: bool, const NV: usize, const MR: usize>(
    block: &Block<'_>,
    x: *const f32,
    mut weights: *const f32,
    bias: *const f32,
    to: &Output,
) {
    let (taps, pixel) = (block.taps, block.pixel);
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [load::<L, FMA, NV>(bias); MR];
        for row in 0..taps.rows {
            for run in 0..taps.runs {
                let mut x = x.add(row * taps.row + run * taps.gap);
                for _ in 0..taps.run {
                    let w = load::<L, FMA, NV>(weights);
                    unrolled!(m < MR, {
                        add_products(&mut sums[m], *x.add(m * pixel), &w);
                    });
                    weights = weights.add(NV * L);
                    x = x.add(1);
                }
            }
        }
        unrolled!(m < MR, {
            store::<L, FMA, NV>(&sums[m], to.y.add(m * to.pixel), to);
        });
    }
}

/// # Safety
/// NV·L floats are readable.
#[inline(always)]
unsafe fn load<const L: usize, const FMA: bool, const NV: usize>(
    from: *const f32,
) -> [V<L, FMA>; NV] {
    // SAFETY: the caller's promise.
    std::array::from_fn(|v| unsafe { V::read(from.add(v * L)) })
}

#[inline(always)]
fn add_products<const L: usize, const FMA: bool, const NV: usize>(
    sums: &mut [V<L, FMA>; NV],
    factor: f32,
    vectors: &[V<L, FMA>; NV],
) {
    let factor = V::splat(factor);
    for (sum, vector) in sums.iter_mut().zip(vectors) {
        *sum = factor.mul_add(*vector, *sum);
    }
}

/// # Safety
/// `to.filters` floats are writable, or NV·L if those are fewer.
#[inline(always)]
unsafe fn store<const L: usize, const FMA: bool, const NV: usize>(
    sums: &[V<L, FMA>; NV],
    y: *mut f32,
    to: &Output,
) {
    for (v, sum) in sums.iter().enumerate() {
        // The second operand of `max` wins against a NaN.
        let sum = if to.relu { V::splat(0.0).max(*sum) } else { *sum };
        // SAFETY: the caller's promise; L·(NV − 1) < to.filters.
        unsafe {
            if to.filters >= (v + 1) * L {
                sum.write(y.add(v * L));
            } else {
                // Hidden from the compiler, which would else keep all sums in memory, to have
                // addresses to copy from.
                let lanes = std::hint::black_box(sum.0);
                let count = to.filters - v * L;
                y.add(v * L).copy_from_nonoverlapping(lanes.as_ptr(), count);
            }
        }
    }
}

#[inline(always)]
fn outer_body<const L: usize, const FMA: bool>(
    block: &Block<'_>,
    gradient: &Gradient<'_>,
    sums: &mut [f32],
) {
    let padded = gradient.filters.next_multiple_of(L);
    assert!(block.x.len() >= block.reach(), "x ends before the last tap");
    let last = (block.rows - 1) * gradient.line + (block.columns - 1) * gradient.pixel;
    assert!(gradient.dz.len() >= last + padded, "dz ends before the last pixel");
    assert!(padded <= GROUP, "one group of filters at a time");
    assert_eq!(sums.len(), block.taps.count() * GROUP, "a group of sums for each tap");
    for first in (0..gradient.filters).step_by(2 * L) {
        // SAFETY: the asserts above; `first` plus one or two vectors stay within `padded`.
        unsafe {
            if gradient.filters - first > L {
                outer_taps::<L, FMA, 2>(block, gradient, sums, first);
            } else {
                outer_taps::<L, FMA, 1>(block, gradient, sums, first);
            }
        }
    }
}

/// All taps, NV vectors of filters from `first` on.
///
/// # Safety
/// x, dz and sums are as long as `outer_body` asserts, and `first` + NV·L is at most the number of
/// filters, rounded up to whole vectors.
#[inline(always)]
unsafe fn outer_taps<const L: usize, const FMA: bool, const NV: usize>(
    block: &Block<'_>,
    gradient: &Gradient<'_>,
    sums: &mut [f32],
    first: usize,
) {
    let taps = block.taps;
    let tiles = taps.run.div_ceil(tile_rows::<L, FMA>());
    for run in 0..taps.rows * taps.runs {
        let start = run / taps.runs * taps.row + run % taps.runs * taps.gap;
        let mut tap = 0;
        for tile in 0..tiles {
            let rows = (taps.run - tap).div_ceil(tiles - tile);
            // A little with each tile: all at once, the machine would wait for memory.
            let share = (run * tiles + tile, taps.rows * taps.runs * tiles);
            for ahead in gradient.ahead {
                let part = part(ahead, share);
                prefetch_all(part.as_ptr(), part.len());
            }
            // SAFETY: `tap + rows <= taps.run`, so for every pixel of the block all rows of the
            // tile lie within its reach, and the sums within their table.
            unsafe {
                let x = block.x.as_ptr().add(start + tap);
                let dz = gradient.dz.as_ptr().add(first);
                let sums = sums.as_mut_ptr().add((run * taps.run + tap) * GROUP + first);
                with_rows!(rows, outer_tile < L, FMA, NV > (block, gradient, x, dz, sums));
            }
            tap += rows;
        }
    }
}

/// Part `i` of `n` parts of about equal length.
pub(super) fn part(floats: &[f32], (i, n): (usize, usize)) -> &[f32] {
    &floats[floats.len() * i / n..floats.len() * (i + 1) / n]
}

/// # Safety
/// Readable for every pixel of the block: MR floats from `x` on, NV·L from `dz` on. Writable: MR
/// rows of NV·L floats, GROUP apart, from `to` on.
#[inline(always)]
unsafe fn outer_tile<const L: usize, const FMA: bool, const NV: usize, const MR: usize>(
    block: &Block<'_>,
    gradient: &Gradient<'_>,
    x: *const f32,
    dz: *const f32,
    to: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::<L, FMA>::splat(0.0); NV]; MR];
        for row in 0..block.rows {
            let mut x = x.add(row * block.line);
            let mut dz = dz.add(row * gradient.line);
            for _ in 0..block.columns {
                let d = load::<L, FMA, NV>(dz);
                unrolled!(m < MR, {
                    add_products(&mut sums[m], *x.add(m), &d);
                });
                // Not `add`: behind the last pixel there may be nothing.
                x = x.wrapping_add(block.pixel);
                dz = dz.wrapping_add(gradient.pixel);
            }
        }
        unrolled!(m < MR, {
            let to = to.add(m * GROUP);
            let before = load::<L, FMA, NV>(to);
            for v in 0..NV {
                (before[v] + sums[m][v]).write(to.add(v * L));
            }
        });
    }
}
