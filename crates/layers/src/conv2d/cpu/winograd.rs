//! Convolution in a quarter of the products: Winograd's F(4×4, 3×3).
//!
//! ```text
//! Formula      a tile of 4·4 outputs is Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A, d being the 6·6 inputs that it
//!              sees (`transform`). Over channels the 36 products of a tile become sums, so that
//!              for many tiles they are 36 products of matrices: tiles·C with C·K
//! Passes       forward; dx, which is forward with dz for x and the kernel turned; and dkernel,
//!              Gᵀ[Σ (A dz Aᵀ) ⊙ (Bᵀ d B)]G, where the sums run over the tiles (`weight`)
//! Cost         36 products for 16 outputs, where the sums take 144; and for each 6·6 inputs and
//!              4·4 outputs some hundred additions, which weigh less the more channels there are
//! Error        rounding grows with the fractions of the transforms: ‖a − e‖/‖e‖ is 1.3 to 2.2·10⁻⁶
//!              in each pass on the shapes of the tutorial's network, more than that of plain sums
//! Reference    Winograd: Arithmetic Complexity of Computations. SIAM 1980; Lavin, Gray: Fast
//!              Algorithms for Convolutional Neural Networks. CVPR 2016, arXiv 1509.09308
//! ```
//!
//! A task takes some rows of tiles and keeps all that lies between x and y on its thread's desk,
//! in the second-level cache. The 36 products are done by the micro-kernel of the direct engine,
//! for which they are 1×1 convolutions over a row of tiles.

mod block;
pub(in crate::conv2d) mod transform;
mod weight;

use super::super::Geometry;
use super::Moments;
use super::microkernel::{Block, Packed, Taps, correlate, panel, part};
pub(in crate::conv2d) use block::Tiles;
use block::{Target, transform_input, transform_output};
use gradus_tensor::simd::{Isa, prefetch_all};
use gradus_tensor::{Chunks, Parts, Pool};
use std::ops::Range;
use transform::{Filter, Grid, INPUTS, OUTPUTS, PRODUCTS, TAPS, Transform};
pub(super) use weight::Gradients;

/// Filters that are taken at once.
const GROUP: usize = super::microkernel::GROUP;
/// Floats of a cache line. Between the 36 matrices lies one more than they need: else their rows
/// would share a few sets of the first-level cache, and drive each other out.
const LINE: usize = 16;
/// Channels that are transformed at once, where there are as many; else [`LINE`]. A whole number
/// of vectors of every instruction set.
const WIDE: usize = 2 * LINE;
/// Floats of a desk that hold inputs and products: about a quarter of a second-level cache, in which
/// the filters want room too, and what is read and written next.
const DESK: usize = 64 << 10;
/// Tiles of a task, at least: the rows of one tile of the micro-kernel.
const FEWEST: usize = 14;
/// Tasks of a pass, if there are tiles enough.
const TASKS: usize = 16;

/// Whether a convolution can be done in this way.
#[must_use]
pub fn fits(g: &Geometry) -> bool {
    (g.r, g.s, g.strides, g.dilation, g.groups) == (TAPS, TAPS, [1, 1], [1, 1], 1)
}

/// Whether it is on a CPU: three by three at stride 1, whole vectors of channels
/// and filters, and enough of both, and of pixels, that the products outweigh the transforms.
pub(super) fn suits(g: &Geometry) -> bool {
    let whole = g.c.is_multiple_of(LINE) && g.k.is_multiple_of(LINE);
    let tiles = g.p.div_ceil(OUTPUTS) * g.q.div_ceil(OUTPUTS);
    fits(g) && whole && g.c.min(g.k) >= 2 * LINE && 2 * g.p * g.q > tiles * OUTPUTS * OUTPUTS
}

/// One of the two sweeps of a convolution: z from x, or dx from dz.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv2d) struct Winograd {
    pub(in crate::conv2d) tiles: Tiles,
    pub(in crate::conv2d) filters: usize,
    /// Whether the kernel is turned by 180°, its channels and filters swapped.
    pub(in crate::conv2d) turned: bool,
}

impl Winograd {
    /// z from x.
    pub(in crate::conv2d) fn forward(g: &Geometry) -> Self {
        Self { tiles: Tiles::forward(g), filters: g.k, turned: false }
    }

    /// dx from dz.
    pub(in crate::conv2d) fn backward(g: &Geometry) -> Self {
        let before = [0, 1].map(|i| TAPS - 1 - g.before[i]);
        let tiles =
            Tiles { images: g.n, image: [g.p, g.q], channels: g.k, before, output: [g.h, g.w] };
        Self { tiles, filters: g.c, turned: true }
    }

    /// Tiles of a task that takes rows of tiles of one image, or whole images.
    fn rows_of_task(&self) -> usize {
        let [down, across] = self.tiles.grid();
        let most = (self.tiles.count() / TASKS).clamp(FEWEST, most_tiles(self.tiles.channels));
        match most / (down * across) {
            0 => down.div_ceil((down * across).div_ceil(most)),
            images => images.min(self.tiles.images) * down,
        }
    }

    /// Floats of scratch, with this or a smaller batch: the kernel at the 36 points, and moments.
    pub(super) fn scratch(&self) -> usize {
        // No task has less than a row of tiles, so smaller tasks of a smaller batch fit, too.
        let tasks = self.tiles.images * self.tiles.grid()[0];
        self.kernel() + tasks * Moments::len(self.filters)
    }

    /// Floats of the kernel at the 36 points.
    fn kernel(&self) -> usize {
        self.filters.next_multiple_of(GROUP) * self.tiles.channels * PRODUCTS
    }

    /// Floats of desk: inputs and products at the 36 points.
    pub(super) fn desk(&self) -> usize {
        let tiles = self.rows_of_task() * self.tiles.grid()[1];
        PRODUCTS * (pitch(tiles, self.tiles.channels) + pitch(tiles, GROUP))
    }

    /// Sweeps over all images. Returns the moments, if any are wanted.
    pub(super) fn run<'a>(
        &self,
        (isa, pool, scratch, desks): (Isa, &Pool, &'a mut [f32], &mut [f32]),
        source: &[f32],
        (bias, relu, moments): (Option<&[f32]>, bool, Moments<'_>),
        kernel: &[f32],
        out: &mut [f32],
    ) -> &'a [f32] {
        let Tiles { channels, output: [p, q], .. } = self.tiles;
        let ([down, _], rows) = (self.tiles.grid(), self.rows_of_task());
        let row = q * self.filters;
        // Some rows of tiles of one image, or some whole images.
        let parts = match rows < down {
            true => Chunks::within(out, p * row, rows * OUTPUTS * row),
            false => Chunks::new(out, rows / down * p * row),
        };
        let of_task = Moments::len(self.filters);
        let (sums, scratch) = scratch.split_at_mut(parts.count() * of_task);
        let filters = &mut scratch[..self.kernel()];
        pool.each(Chunks::new(filters, GROUP * channels * PRODUCTS), |group, filters| {
            let (shape, width) = ([channels, self.filters], self.width(group));
            transform_kernel(isa, kernel, self.turned, shape, [group * GROUP, width], filters);
        });
        let filters = &*filters;
        let tasks_of_image = down.div_ceil(rows);
        let parts = (parts, Chunks::new(&mut *sums, of_task));
        pool.each_at_desk(parts, desks, |i, (out, sums), desk| {
            let first = i / tasks_of_image * down.max(rows) + i % tasks_of_image * rows;
            let rows = match rows < down {
                true => (out.len() / row).div_ceil(OUTPUTS),
                false => out.len() / (p * row) * down,
            };
            self.task(isa, first..first + rows, source, (bias, relu), filters, out, desk);
            moments.take(isa, out, sums);
        });
        sums
    }

    /// The filters of a group.
    fn width(&self, group: usize) -> usize {
        (self.filters - group * GROUP).min(GROUP)
    }

    /// Some rows of tiles, counted over all images, and `out`, the pixels that they make.
    #[allow(clippy::too_many_arguments, reason = "all that a task reads and writes")]
    fn task(
        &self,
        isa: Isa,
        rows: Range<usize>,
        source: &[f32],
        (bias, relu): (Option<&[f32]>, bool),
        filters: &[f32],
        out: &mut [f32],
        desk: &mut [f32],
    ) {
        let (channels, [_, across]) = (self.tiles.channels, self.tiles.grid());
        let tiles = rows.start * across..rows.end * across;
        let count = tiles.len();
        let (inputs, rest) = desk.split_at_mut(PRODUCTS * pitch(count, channels));
        let products = &mut rest[..PRODUCTS * pitch(count, GROUP)];
        transform_input(isa, &self.tiles, tiles.clone(), source, inputs);
        let taps = Taps { rows: 1, row: 0, runs: 1, gap: 0, run: channels };
        let of_group = GROUP * channels * PRODUCTS;
        for (group, filters) in filters.chunks_exact(of_group).enumerate() {
            let width = self.width(group);
            let points = inputs
                .chunks_exact(pitch(count, channels))
                .zip(filters.chunks_exact(GROUP * channels));
            let points = points.zip(products.chunks_exact_mut(pitch(count, GROUP)));
            for (i, ((x, panels), y)) in points.enumerate() {
                if group == 0 {
                    // Memory for the outputs comes while there is only arithmetic to do.
                    let part = part(out, (i, PRODUCTS));
                    prefetch_all(part.as_ptr(), part.len());
                }
                let block = Block { taps, x, pixel: channels, line: 0, rows: 1, columns: count };
                let packed = Packed { filters: width, bias: &[0.0; GROUP], panels, relu: false };
                correlate(isa, &block, &packed, &mut y[..count * width]);
            }
            let at = [group * GROUP, width];
            let bias = bias.map(|bias| &bias[at[0]..][..width]);
            let to = Target { filters: self.filters, at, bias, relu };
            transform_output(isa, &self.tiles, tiles.clone(), products, &to, out);
        }
    }
}

/// The most tiles whose inputs and products a desk holds at once; but not fewer than make a task.
fn most_tiles(channels: usize) -> usize {
    (DESK / (PRODUCTS * (channels + GROUP))).max(FEWEST)
}

/// Floats from one of 36 matrices of `rows`·`columns` to the next.
const fn pitch(rows: usize, columns: usize) -> usize {
    rows * columns + LINE
}

/// G w Gᵀ for one group of filters, as [`correlate`] wants each of the 36: panels of two vectors of
/// filters, tap by tap.
#[inline(always)]
fn transform_kernel_body<const L: usize, const FMA: bool>(
    kernel: &[f32],
    turned: bool,
    [channels, filters]: [usize; 2],
    [first, width]: [usize; 2],
    into: &mut [f32],
) {
    let panel = panel(L).min(width);
    for at in (0..width).step_by(LINE) {
        for c in 0..channels {
            let mut taps = [[0.0; LINE]; TAPS * TAPS];
            for (i, tap) in taps.iter_mut().enumerate() {
                let of_tap = if turned { TAPS * TAPS - 1 - i } else { i } * channels * filters;
                for (lane, w) in tap.iter_mut().enumerate() {
                    let f = first + at + lane;
                    let place = if turned { f * channels + c } else { c * filters + f };
                    *w = kernel[of_tap + place];
                }
            }
            let mut points = [[0.0; LINE]; PRODUCTS];
            // SAFETY: there are 3·3 taps and 6·6 points.
            unsafe {
                let from = Grid { at: taps.as_ptr().cast(), down: TAPS * LINE, across: LINE };
                let at = points.as_mut_ptr().cast();
                Filter::both::<LINE, FMA>(from, Grid { at, down: INPUTS * LINE, across: LINE });
            }
            for (i, point) in points.iter().enumerate() {
                for (v, vector) in point.chunks_exact(L).enumerate() {
                    let f = at + v * L;
                    let place = f / panel * panel * channels + c * panel + f % panel;
                    into[i * GROUP * channels + place..][..L].copy_from_slice(vector);
                }
            }
        }
    }
}

gradus_tensor::vectorize! {
    fn transform_kernel(
        kernel: &[f32],
        turned: bool,
        shape: [usize; 2],
        group: [usize; 2],
        into: &mut [f32],
    ) = transform_kernel_body;
}
