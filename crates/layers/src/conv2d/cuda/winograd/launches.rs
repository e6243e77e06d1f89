//! The kernels of `winograd.cu`, each with its grid.

use crate::conv2d::cpu::winograd::Winograd;
use crate::conv2d::cpu::winograd::transform::PRODUCTS;
use crate::matmul::cuda::{Divisor, Epilogue, in_parts};
use crate::matmul::{Tile, int};
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};
use std::ops::Range;

kernels! {
    "conv2d/winograd";
    fn conv2d_winograd_kernel(
        channels: i32, filters: i32, pieces: Divisor, turned: i32, kernel: In<f32>, into: Out<f32>,
    );
    fn conv2d_winograd_input(g: WinogradTiles, pieces: Divisor, x: In<f32>, into: Out<f32>);
    fn conv2d_winograd_input_quads(g: WinogradTiles, pieces: Divisor, x: In<f32>, into: Out<f32>);
    fn conv2d_winograd_products(
        tiles: i32, channels: i32, filters: i32, inputs: In<f32>, kernel: In<f32>, products: Out<f32>,
    );
    fn conv2d_winograd_products_quads(
        tiles: i32, channels: i32, filters: i32, inputs: In<f32>, kernel: In<f32>, products: Out<f32>,
    );
    fn conv2d_winograd_output(
        g: WinogradTiles, pieces: Divisor, products: In<f32>, bias: In<f32>, relu: i32, y: Out<f32>,
    );
    fn conv2d_winograd_output_quads(
        g: WinogradTiles, pieces: Divisor, products: In<f32>, bias: In<f32>, relu: i32, y: Out<f32>,
    );
    fn conv2d_winograd_gradient(g: WinogradTiles, pieces: Divisor, dz: In<f32>, into: Out<f32>);
    fn conv2d_winograd_gradient_quads(
        g: WinogradTiles, pieces: Divisor, dz: In<f32>, into: Out<f32>,
    );
    fn conv2d_winograd_weight_products(
        tiles: i32, channels: i32, filters: i32, inputs: In<f32>, gradients: In<f32>, sums: Out<f32>,
    );
    fn conv2d_winograd_weight_products_quads(
        tiles: i32, channels: i32, filters: i32, inputs: In<f32>, gradients: In<f32>, sums: Out<f32>,
    );
    fn conv2d_winograd_kernel_gradient(
        channels: i32, filters: i32, pieces: Divisor, sums: In<f32>, more: i32, dkernel: Out<f32>,
    );
}

type Multiply = unsafe fn(&Gpu, Grid, i32, i32, i32, In<'_, f32>, In<'_, f32>, Out<'_, f32>);

/// As in winograd.cu.
pub(super) const WIDE: Tile = Tile::exact(128, 64, 16, 256);
pub(super) const SQUARE: Tile = Tile::exact(64, 64, 16, 128);
pub(super) const ODD: Tile = Tile::exact(64, 64, 16, 256);
/// Threads of a block that transforms.
const THREADS: u32 = 128;

/// As in winograd.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct WinogradTiles {
    first: i32,
    count: i32,
    rows: i32,
    columns: i32,
    channels: i32,
    before_down: i32,
    before_across: i32,
    p: i32,
    q: i32,
    filters: i32,
    of_image: Divisor,
    of_line: Divisor,
}

// SAFETY: as `WinogradTiles` in winograd.cu.
unsafe impl Argument for WinogradTiles {}

/// The kernels for one pass. Operands have the lengths that its sizes say: views of the network were
/// checked, those of scratch were cut so.
pub(super) struct Launches<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) of: &'a Winograd,
    pub(super) quads: bool,
}

impl Launches<'_> {
    /// A thread for each of so many rows, and for each piece of so many columns.
    fn threads(&self, rows: usize, columns: usize, quads: bool) -> (Grid, Divisor) {
        let pieces = if quads { columns / 4 } else { columns };
        let blocks = int((rows * pieces).div_ceil(THREADS as usize)) as u32;
        (Grid::of([blocks, 1, 1], THREADS), Divisor::new(pieces))
    }

    fn tiles(&self, turn: &Range<usize>) -> WinogradTiles {
        let Winograd { tiles, filters, .. } = *self.of;
        let [down, across] = tiles.grid();
        let ([rows, columns], [p, q], before) =
            (tiles.image.map(int), tiles.output.map(int), tiles.before.map(int));
        WinogradTiles {
            first: int(turn.start),
            count: int(turn.len()),
            rows,
            columns,
            channels: int(tiles.channels),
            before_down: before[0],
            before_across: before[1],
            p,
            q,
            filters: int(filters),
            of_image: Divisor::new(down * across),
            of_line: Divisor::new(across),
        }
    }

    /// The kernel at the 36 points.
    pub(super) fn kernel(&self, kernel: GpuView<'_, f32>, into: GpuViewMut<'_, f32>) {
        let (channels, filters) = (self.of.tiles.channels, self.of.filters);
        let (grid, pieces) = self.threads(channels, filters, false);
        let (channels, filters, turned) = (int(channels), int(filters), i32::from(self.of.turned));
        // SAFETY: 9 and 36 numbers for each channel and filter.
        unsafe {
            conv2d_winograd_kernel(self.gpu, grid, channels, filters, pieces, turned, kernel, into)
        }
    }

    /// The inputs of these tiles there.
    pub(super) fn input(
        &self,
        turn: &Range<usize>,
        x: GpuView<'_, f32>,
        into: GpuViewMut<'_, f32>,
    ) {
        let (grid, pieces) = self.threads(turn.len(), self.of.tiles.channels, self.quads);
        let launch = if self.quads { conv2d_winograd_input_quads } else { conv2d_winograd_input };
        // SAFETY: x is as large as the tiles say, `into` has 36 numbers for each of them and channel.
        unsafe { launch(self.gpu, grid, self.tiles(turn), pieces, x, into) }
    }

    pub(super) fn products(
        &self,
        tiles: usize,
        [inputs, kernel]: [GpuView<'_, f32>; 2],
        products: GpuViewMut<'_, f32>,
    ) {
        let (channels, filters) = (int(self.of.tiles.channels), int(self.of.filters));
        let (tile, launch): (_, Multiply) = match self.quads {
            true => (WIDE, conv2d_winograd_products_quads),
            false => (ODD, conv2d_winograd_products),
        };
        let grid = tile.grid(PRODUCTS * tile.count(tiles, self.of.filters), 1);
        // SAFETY: 36 matrices each, of so many tiles, channels and filters.
        unsafe { launch(self.gpu, grid, int(tiles), channels, filters, inputs, kernel, products) }
    }

    /// The pixels of these tiles.
    pub(super) fn output(
        &self,
        turn: &Range<usize>,
        products: GpuView<'_, f32>,
        Epilogue { bias, relu }: Epilogue<'_>,
        y: GpuViewMut<'_, f32>,
    ) {
        let (grid, pieces) = self.threads(turn.len(), self.of.filters, self.quads);
        let launch = if self.quads { conv2d_winograd_output_quads } else { conv2d_winograd_output };
        let (tiles, relu) = (self.tiles(turn), i32::from(relu));
        // SAFETY: as in `input`; the bias has a number for each filter, or none at all.
        unsafe { launch(self.gpu, grid, tiles, pieces, products, bias, relu, y) }
    }

    /// The gradients of these tiles at the 36 points.
    pub(super) fn gradient(
        &self,
        turn: &Range<usize>,
        dz: GpuView<'_, f32>,
        into: GpuViewMut<'_, f32>,
    ) {
        let (grid, pieces) = self.threads(turn.len(), self.of.filters, self.quads);
        let launch =
            if self.quads { conv2d_winograd_gradient_quads } else { conv2d_winograd_gradient };
        // SAFETY: as in `input`.
        unsafe { launch(self.gpu, grid, self.tiles(turn), pieces, dz, into) }
    }

    pub(super) fn weight_products(
        &self,
        tile: Tile,
        tiles: usize,
        [inputs, gradients]: [GpuView<'_, f32>; 2],
        scratch: GpuViewMut<'_, f32>,
        sums: GpuViewMut<'_, f32>,
    ) {
        let (channels, filters) = (self.of.tiles.channels, self.of.filters);
        let blocks = PRODUCTS * tile.count(channels, filters);
        let parts = tile.parts(blocks, tiles);
        let launch: Multiply = match self.quads {
            true => conv2d_winograd_weight_products_quads,
            false => conv2d_winograd_weight_products,
        };
        let (channels, filters, grid) = (int(channels), int(filters), tile.grid(blocks, parts));
        in_parts(self.gpu, parts, Epilogue::none(), scratch, sums, |sums, _| {
            // SAFETY: as in `products`, and so many parts of the sums.
            unsafe {
                launch(self.gpu, grid, int(tiles), channels, filters, inputs, gradients, sums);
            }
        });
    }

    pub(super) fn kernel_gradient(
        &self,
        sums: GpuView<'_, f32>,
        more: bool,
        dkernel: GpuViewMut<'_, f32>,
    ) {
        let (channels, filters) = (self.of.tiles.channels, self.of.filters);
        let (grid, pieces) = self.threads(channels, filters, false);
        let (channels, filters, more) = (int(channels), int(filters), i32::from(more));
        // SAFETY: 36 and 9 numbers for each channel and filter.
        unsafe {
            conv2d_winograd_kernel_gradient(
                self.gpu, grid, channels, filters, pieces, sums, more, dkernel,
            );
        }
    }
}
