//! Windows that sweep over images: forward, and backward to the input.
//!
//! dx is a convolution too: of dz, with the pixels a stride apart and zeros around them, with the
//! kernel turned by 180° and its channels and filters swapped, at stride 1. So both passes are one
//! sweep, over another canvas and with other weights.

use super::super::Geometry;
use super::Moments;
use super::canvas::Canvas;
use super::microkernel::{Block, Packed, Taps, correlate, panel};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};

/// Pieces that the output rows of a batch are cut into, at most.
const PIECES: usize = 64;
/// The most lanes of any instruction set.
const LANES: usize = 16;

/// One of the two sweeps of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    images: usize,
    pub(super) canvas: Canvas,
    kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    dilation: [usize; 2],
    pub(super) reach: usize,
    /// Rows and columns of an output image.
    output: [usize; 2],
    filters: usize,
}

impl Sweep {
    /// z from x.
    pub(super) fn forward(g: &Geometry) -> Self {
        let reach = g.reach();
        let extent = [(g.p - 1) * g.strides[0] + reach[0], (g.q - 1) * g.strides[1] + reach[1]];
        let (image, before) = ([g.h, g.w], g.before);
        Self {
            images: g.n,
            canvas: Canvas { image, channels: g.c, before, spread: [1, 1], extent },
            kernel: [g.r, g.s],
            strides: g.strides,
            dilation: g.dilation,
            reach: reach[0],
            output: [g.p, g.q],
            filters: g.k,
        }
    }

    /// dx from dz.
    pub(super) fn backward(g: &Geometry) -> Self {
        let reach = g.reach();
        // Padding never exceeds reach − 1, nor the last window the image by more.
        let before = [reach[0] - 1 - g.before[0], reach[1] - 1 - g.before[1]];
        let extent = [g.h + reach[0] - 1, g.w + reach[1] - 1];
        let image = [g.p, g.q];
        Self {
            images: g.n,
            canvas: Canvas { image, channels: g.k, before, spread: g.strides, extent },
            kernel: [g.r, g.s],
            strides: [1, 1],
            dilation: g.dilation,
            reach: reach[0],
            output: [g.h, g.w],
            filters: g.c,
        }
    }

    /// Output rows of a piece.
    fn rows(&self) -> usize {
        (self.images * self.output[0]).div_ceil(PIECES).max(1)
    }

    fn rows_at_once(&self) -> usize {
        self.canvas.rows_at_once(self.strides[0], self.reach).min(self.rows())
    }

    /// Floats of window for each piece.
    fn window(&self) -> usize {
        self.canvas.window((self.rows_at_once() - 1) * self.strides[0] + self.reach)
    }

    /// Where the taps of an output pixel lie on the canvas.
    pub(super) fn taps(&self) -> Taps {
        let (line, channels) = (self.canvas.line(), self.canvas.channels);
        let [rows, columns] = self.kernel;
        let (row, gap) = (self.dilation[0] * line, self.dilation[1] * channels);
        if self.dilation[1] == 1 {
            // Neighbouring taps are neighbours in memory.
            Taps { rows, row, runs: 1, gap: 0, run: columns * channels }
        } else {
            Taps { rows, row, runs: columns, gap, run: channels }
        }
    }

    /// Floats of scratch that [`Sweep::run`] takes: moments, bias, weights and windows.
    pub(super) fn scratch(&self) -> usize {
        let padded = self.filters.next_multiple_of(LANES);
        let piece = Moments::len(self.filters) + self.window().max(1);
        padded * (1 + self.taps().count()) + PIECES * piece
    }

    /// Lets `pack(panel, its first filter)` write the weights, tap by tap, and sweeps. Returns the
    /// moments, if any are wanted.
    pub(super) fn run<'a>(
        &self,
        (isa, pool, scratch): (Isa, &Pool, &'a mut [f32]),
        source: &[f32],
        (bias, relu, moments): (Option<&[f32]>, bool, Moments<'_>),
        pack: impl Fn(&mut [f32], usize) + Sync,
        out: &mut [f32],
    ) -> &'a [f32] {
        let count = (self.images * self.output[0]).div_ceil(self.rows());
        let of_piece = Moments::len(self.filters);
        let (sums, scratch) = scratch.split_at_mut(count * of_piece);
        let (lanes, filters, taps) = (isa.lanes(), self.filters, self.taps().count());
        let padded = filters.next_multiple_of(lanes);
        let (packed_bias, scratch) = scratch.split_at_mut(padded);
        packed_bias.fill(0.0);
        if let Some(bias) = bias {
            packed_bias[..filters].copy_from_slice(bias);
        }
        let (panels, windows) = scratch.split_at_mut(padded * taps);
        pool.each(Chunks::new(panels, panel(lanes) * taps), |i, weights| {
            pack(weights, i * panel(lanes));
        });
        let packed = Packed { filters, bias: packed_bias, panels, relu };
        let row = self.output[1] * filters;
        let pieces = Chunks::new(out, self.rows() * row);
        let window = self.window().max(1);
        let windows = Chunks::new(&mut windows[..count * window], window);
        let parts = (pieces, windows, Chunks::new(&mut *sums, of_piece));
        pool.each(parts, |i, (all, window, sums)| {
            let mut first = i * self.rows();
            let mut out = &mut *all;
            while !out.is_empty() {
                let left_in_image = self.output[0] - first % self.output[0];
                let rows = self.rows_at_once().min(left_in_image).min(out.len() / row);
                let (now, later) = out.split_at_mut(rows * row);
                correlate(isa, &self.block(source, first, rows, window), &packed, now);
                (first, out) = (first + rows, later);
            }
            moments.take(isa, all, sums);
        });
        sums
    }

    /// `rows` output rows from row `first` of all images on. All belong to one image.
    pub(super) fn block<'a>(
        &self,
        source: &'a [f32],
        first: usize,
        rows: usize,
        window: &'a mut [f32],
    ) -> Block<'a> {
        let Canvas { image: [h, w], channels, .. } = self.canvas;
        let (image, row) = (first / self.output[0], first % self.output[0]);
        let image = &source[image * h * w * channels..][..h * w * channels];
        let canvas_rows = (rows - 1) * self.strides[0] + self.reach;
        Block {
            taps: self.taps(),
            x: self.canvas.rows(image, row * self.strides[0], canvas_rows, window),
            pixel: self.strides[1] * channels,
            line: self.strides[0] * self.canvas.line(),
            rows,
            columns: self.output[1],
        }
    }
}

/// Weights of a forward sweep: taps · filters, a panel of filters at a time.
pub(super) fn pack_forward(g: &Geometry, kernel: &[f32], panel: &mut [f32], first: usize) {
    let width = panel.len() / g.taps();
    let filters = width.min(g.k - first);
    for (to, from) in panel.chunks_exact_mut(width).zip(kernel.chunks_exact(g.k)) {
        to[..filters].copy_from_slice(&from[first..][..filters]);
        to[filters..].fill(0.0);
    }
}

/// Weights of a backward sweep: its taps are (R−1−r, S−1−s, k), its filters the channels c.
pub(super) fn pack_backward(g: &Geometry, kernel: &[f32], panel: &mut [f32], first: usize) {
    let width = panel.len() / (g.r * g.s * g.k);
    let filters = width.min(g.c - first);
    let turned = kernel.chunks_exact(g.c * g.k).rev();
    for (to, from) in panel.chunks_exact_mut(width * g.k).zip(turned) {
        for (k, to) in to.chunks_exact_mut(width).enumerate() {
            for (c, to) in to[..filters].iter_mut().enumerate() {
                *to = from[(first + c) * g.k + k];
            }
            to[filters..].fill(0.0);
        }
    }
}
