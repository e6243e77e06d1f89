//! The forward pass over images of few channels: the first layer of a network.

use crate::conv2d::Geometry;
use crate::matmul::cuda::{Divisor, Epilogue};
use crate::matmul::int;
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "conv2d/direct";
    fn conv2d_direct_forward(
        g: Direct, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32, y: Out<f32>,
        moments: Out<f32>,
    );
}

/// The most channels of an image that goes this way.
const MOST: usize = 4;
/// Pixels of a tile, down and across, and filters, as in direct.cu.
const TILE: [usize; 2] = [8, 16];
const FILTERS: usize = 32;
/// The most bytes of shared memory, so that two blocks or more share a processor.
const SHARED: usize = 48 << 10;

/// As in direct.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Direct {
    h: i32,
    line: i32,
    r: i32,
    run: i32,
    k: i32,
    p: i32,
    q: i32,
    tiles_across: i32,
    stride_down: i32,
    stride_across: i32,
    apart_down: i32,
    before_down: i32,
    before_across: i32,
    rows: i32,
    numbers: Divisor,
    tiles: Divisor,
}

// SAFETY: as `Direct` in direct.cu.
unsafe impl Argument for Direct {}

/// Rows of x that a tile meets, and numbers of each.
fn part(g: &Geometry) -> [usize; 2] {
    let [down, across] = [0, 1].map(|i| (TILE[i] - 1) * g.strides[i] + g.reach()[i]);
    [down, across * g.c]
}

/// Bytes of shared memory for that part of x and the kernel of a tile.
fn shared(g: &Geometry) -> usize {
    let [rows, numbers] = part(g);
    (rows * numbers + g.taps() * FILTERS) * size_of::<f32>()
}

/// Bytes of shared memory in which the moments of a tile are taken, as `Judged` in moments.cuh: of 32
/// strands.
const JUDGED: usize = (FILTERS + 32 + 2 * 32 * (FILTERS + 8)) * size_of::<f32>();

/// Tiles of all images, for each 32 filters.
pub(super) fn tiles(g: &Geometry) -> usize {
    g.n * g.p.div_ceil(TILE[0]) * g.q.div_ceil(TILE[1])
}

/// Whether it can be done so: taps of a row lie side by side.
pub(super) fn fits(g: &Geometry) -> bool {
    g.groups == 1 && g.c <= MOST && (g.dilation[1] == 1 || g.s == 1) && shared(g) <= SHARED
}

pub(super) fn forward(
    gpu: &Gpu,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    Epilogue { bias, relu }: Epilogue<'_>,
    [y, moments]: [GpuViewMut<'_, f32>; 2],
) {
    let [down, across] = [g.p.div_ceil(TILE[0]), g.q.div_ceil(TILE[1])];
    let [rows, numbers] = part(g);
    let sizes = Direct {
        h: int(g.h),
        line: int(g.w * g.c),
        r: int(g.r),
        run: int(g.s * g.c),
        k: int(g.k),
        p: int(g.p),
        q: int(g.q),
        tiles_across: int(across),
        stride_down: int(g.strides[0]),
        stride_across: int(g.strides[1] * g.c),
        apart_down: int(g.dilation[0]),
        before_down: int(g.before[0]),
        before_across: int(g.before[1] * g.c),
        rows: int(rows),
        numbers: Divisor::new(numbers),
        tiles: Divisor::new(down * across),
    };
    let blocks = [int(tiles(g)) as u32, int(g.k.div_ceil(FILTERS)) as u32, 1];
    let shared = shared(g).max(if moments.is_empty() { 0 } else { JUDGED });
    let (grid, relu) = (Grid::of(blocks, Grid::THREADS), i32::from(relu));
    let grid = grid.with_shared(shared as u32);
    // SAFETY: the kernel stays within the geometry, which the views' lengths were checked against;
    // there are moments for each tile and filter, or none.
    unsafe { conv2d_direct_forward(gpu, grid, sizes, x, kernel, bias, relu, y, moments) }
}
