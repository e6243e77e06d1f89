//! Convolutions in groups of few channels and filters, depthwise ones above all.

use crate::conv2d::Geometry;
use crate::matmul::cuda::{Divisor, Epilogue, in_parts};
use crate::matmul::int;
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "conv2d/depthwise";
    fn conv2d_depthwise_forward(
        g: Depthwise, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32, y: Out<f32>,
    );
    fn conv2d_depthwise_backward_input(
        g: Depthwise, dz: In<f32>, kernel: In<f32>, dx: Out<f32>,
    );
    fn conv2d_depthwise_backward_weight(
        g: Depthwise, x: In<f32>, dz: In<f32>, parts: Out<f32>,
    );
}

/// The most channels, and the most filters, of a group that goes this way.
const MOST: usize = 4;
/// Pixels of y or dx for each block, as in depthwise.cu.
const PIXELS: usize = 16;
/// Blocks from which on more are of no use.
const BLOCKS: usize = 1056;

/// As in depthwise.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Depthwise {
    n: i32,
    h: i32,
    w: i32,
    c: i32,
    r: i32,
    s: i32,
    k: i32,
    groups: i32,
    p: i32,
    q: i32,
    stride_down: i32,
    stride_across: i32,
    dilation_down: i32,
    dilation_across: i32,
    before_down: i32,
    before_across: i32,
    filters: Divisor,
    channels: Divisor,
    of_image: Divisor,
    of_line: Divisor,
}

// SAFETY: as `Depthwise` in depthwise.cu.
unsafe impl Argument for Depthwise {}

impl Depthwise {
    /// For a pass over images of so many rows and columns.
    fn new(g: &Geometry, [rows, columns]: [usize; 2]) -> Self {
        let _pixels_are_counted = int(g.n * rows * columns);
        Self {
            n: int(g.n),
            h: int(g.h),
            w: int(g.w),
            c: int(g.c),
            r: int(g.r),
            s: int(g.s),
            k: int(g.k),
            groups: int(g.groups),
            p: int(g.p),
            q: int(g.q),
            stride_down: int(g.strides[0]),
            stride_across: int(g.strides[1]),
            dilation_down: int(g.dilation[0]),
            dilation_across: int(g.dilation[1]),
            before_down: int(g.before[0]),
            before_across: int(g.before[1]),
            filters: Divisor::new(g.k),
            channels: Divisor::new(g.c),
            of_image: Divisor::new((rows * columns).max(1)),
            of_line: Divisor::new(columns.max(1)),
        }
    }
}

/// Whether groups are so small that a tile of a product would be mostly empty.
pub(super) fn fits(g: &Geometry) -> bool {
    g.groups > 1 && g.c / g.groups <= MOST && g.k / g.groups <= MOST
}

/// Chunks of dz's pixels that are summed apart.
fn chunks(g: &Geometry) -> usize {
    let blocks = g.taps() * g.k.div_ceil(32);
    (g.n * g.p * g.q).div_ceil(64).clamp(1, (BLOCKS / blocks).max(1))
}

pub(super) fn scratch(g: &Geometry) -> usize {
    chunks(g) * g.kernel().len()
}

pub(super) fn forward(
    gpu: &Gpu,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    Epilogue { bias, relu }: Epilogue<'_>,
    y: GpuViewMut<'_, f32>,
) {
    let (sizes, grid) = (Depthwise::new(g, [g.p, g.q]), blocks(g.n * g.p * g.q));
    // SAFETY: the kernel stays within the geometry, which the views' lengths were checked against.
    unsafe { conv2d_depthwise_forward(gpu, grid, sizes, x, kernel, bias, i32::from(relu), y) }
}

pub(super) fn backward_input(
    gpu: &Gpu,
    g: &Geometry,
    [dz, kernel]: [GpuView<'_, f32>; 2],
    dx: GpuViewMut<'_, f32>,
) {
    let (sizes, grid) = (Depthwise::new(g, [g.h, g.w]), blocks(g.n * g.h * g.w));
    // SAFETY: as in `forward`.
    unsafe { conv2d_depthwise_backward_input(gpu, grid, sizes, dz, kernel, dx) }
}

pub(super) fn backward_weight(
    gpu: &Gpu,
    g: &Geometry,
    [x, dz]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    let (sizes, chunks) = (Depthwise::new(g, [g.p, g.q]), chunks(g));
    let blocks = [g.k.div_ceil(32), g.taps(), chunks].map(|n| int(n) as u32);
    let grid = Grid::of(blocks, Grid::THREADS).with_shared(Grid::THREADS * 4);
    in_parts(gpu, chunks, Epilogue::none(), scratch, dkernel, |parts, _| {
        // SAFETY: as in `forward`; there is an array as large as dkernel for each chunk.
        unsafe { conv2d_depthwise_backward_weight(gpu, grid, sizes, x, dz, parts) }
    });
}

fn blocks(pixels: usize) -> Grid {
    Grid::of([int(pixels.div_ceil(PIXELS)) as u32, 1, 1], Grid::THREADS)
}
