//! Convolution on a GPU: products of matrices that are looked up in the images as they lie, in
//! tiles (`matmul.cuh`), exact in f32. Groups with few channels go one by one (`depthwise.cu`).
//!
//! Backward with strides, the pixels of dx fall into phases that meet different taps of the kernel;
//! each phase is a convolution with stride 1, and no product with a zero between strides is made.

mod depthwise;
#[cfg(test)]
mod tests;

use super::Geometry;
pub use crate::matmul::Epilogue;
use crate::matmul::{Divisor, Tile, add_columns, columns_scratch, in_parts, int};
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "conv2d/conv2d";
    fn conv2d_forward(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64,
    );
    fn conv2d_forward_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64,
    );
    fn conv2d_forward_narrow(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64,
    );
    fn conv2d_forward_narrow_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64,
    );
    fn conv2d_backward_input(
        g: Windows, phase: Phase, dz: In<f32>, kernel: In<f32>, dx: Out<f32>, apart: u64,
    );
    fn conv2d_backward_input_quads(
        g: Windows, phase: Phase, dz: In<f32>, kernel: In<f32>, dx: Out<f32>, apart: u64,
    );
    fn conv2d_backward_input_narrow(
        g: Windows, phase: Phase, dz: In<f32>, kernel: In<f32>, dx: Out<f32>, apart: u64,
    );
    fn conv2d_backward_input_narrow_quads(
        g: Windows, phase: Phase, dz: In<f32>, kernel: In<f32>, dx: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_small(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_small_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>, apart: u64,
    );
}

/// As in conv2d.cu.
const WIDE: Tile = Tile { rows: 128, columns: 64, depth: 16, threads: 256 };
const SQUARE: Tile = Tile { rows: 64, columns: 64, depth: 16, threads: 256 };
const NARROW: Tile = Tile { rows: 128, columns: 32, depth: 16, threads: 256 };
const SLIM: Tile = Tile { rows: 64, columns: 32, depth: 16, threads: 128 };
const SMALL: Tile = Tile { rows: 32, columns: 32, depth: 16, threads: 64 };

/// Floats of scratch that the functions here take for such a batch or a smaller one.
#[must_use]
pub fn scratch(g: &Geometry) -> usize {
    let sums = columns_scratch(g.n * g.p * g.q, g.k);
    if depthwise::fits(g) {
        return sums.max(depthwise::scratch(g));
    }
    let [forward, backward, weight] = [Pass::forward(g), Pass::backward_input(g), Pass::weight(g)];
    sums.max(forward.scratch()).max(backward.scratch()).max(weight.scratch())
}

/// y from x and kernel.
///
/// # Panics
/// If a view has another length than `g` says, or the scratch is less than [`scratch`] says.
pub fn forward(
    gpu: &Gpu,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    y: GpuViewMut<'_, f32>,
) {
    check(g, x.len(), kernel.len(), y.len());
    assert!(epilogue.bias.is_empty() || epilogue.bias.len() == g.k, "a bias for each filter");
    if y.is_empty() {
        return;
    }
    if depthwise::fits(g) {
        return depthwise::forward(gpu, g, [x, kernel], epilogue, y);
    }
    let pass = Pass::forward(g);
    let launch = match (pass.narrow, pass.quads) {
        (false, false) => conv2d_forward,
        (false, true) => conv2d_forward_quads,
        (true, false) => conv2d_forward_narrow,
        (true, true) => conv2d_forward_narrow_quads,
    };
    let (windows, filters, groups) = (Windows::forward(g), int(g.k), int(g.groups));
    let apart = pass.len as u64;
    in_parts(gpu, pass.parts, epilogue, scratch, y, |y, Epilogue { bias, relu }| {
        let (grid, relu) = (pass.grid(pass.rows), i32::from(relu));
        // SAFETY: the kernel reads x, kernel and bias and writes y within the geometry that their
        // lengths were checked against, and parts within the scratch.
        unsafe { launch(gpu, grid, windows, filters, groups, x, kernel, bias, relu, y, apart) }
    });
}

/// dx from dz and kernel.
///
/// # Panics
/// As [`forward`].
pub fn backward_input(
    gpu: &Gpu,
    g: &Geometry,
    [dz, kernel]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dx: GpuViewMut<'_, f32>,
) {
    check(g, dx.len(), kernel.len(), dz.len());
    if dx.is_empty() {
        return;
    }
    if depthwise::fits(g) {
        return depthwise::backward_input(gpu, g, [dz, kernel], dx);
    }
    let pass = Pass::backward_input(g);
    let launch = match (pass.narrow, pass.quads) {
        (false, false) => conv2d_backward_input,
        (false, true) => conv2d_backward_input_quads,
        (true, false) => conv2d_backward_input_narrow,
        (true, true) => conv2d_backward_input_narrow_quads,
    };
    let apart = pass.len as u64;
    in_parts(gpu, pass.parts, Epilogue::none(), scratch, dx, |mut dx, _| {
        for (windows, phase) in phases(g) {
            let (grid, dx) = (pass.grid(windows.positions as usize), dx.reborrow());
            // SAFETY: as in `forward`; the phases of dx are apart.
            unsafe { launch(gpu, grid, windows, phase, dz, kernel, dx, apart) }
        }
    });
}

/// dkernel from x and dz.
///
/// # Panics
/// As [`forward`].
pub fn backward_weight(
    gpu: &Gpu,
    g: &Geometry,
    [x, dz]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    check(g, x.len(), dkernel.len(), dz.len());
    if dkernel.is_empty() {
        return;
    }
    if depthwise::fits(g) {
        return depthwise::backward_weight(gpu, g, [x, dz], scratch, dkernel);
    }
    let pass = Pass::weight(g);
    let launch = match (pass.narrow, pass.quads) {
        (false, false) => conv2d_backward_weight,
        (false, true) => conv2d_backward_weight_quads,
        (true, false) => conv2d_backward_weight_small,
        (true, true) => conv2d_backward_weight_small_quads,
    };
    let (windows, filters, groups) = (Windows::forward(g), int(g.k), int(g.groups));
    in_parts(gpu, pass.parts, Epilogue::none(), scratch, dkernel, |dkernel, _| {
        let (grid, apart) = (pass.grid(pass.rows), pass.len as u64);
        // SAFETY: as in `forward`.
        unsafe { launch(gpu, grid, windows, filters, groups, x, dz, dkernel, apart) }
    });
}

/// dbias from dz.
///
/// # Panics
/// As [`forward`].
pub fn backward_bias(
    gpu: &Gpu,
    g: &Geometry,
    dz: GpuView<'_, f32>,
    scratch: GpuViewMut<'_, f32>,
    dbias: GpuViewMut<'_, f32>,
) {
    let (rows, columns) = (g.n * g.p * g.q, g.k);
    add_columns(gpu, [rows, columns], dz, scratch, dbias);
}

/// Empty views are those of a device without memory, on which nothing is launched any more.
fn check(g: &Geometry, x: usize, kernel: usize, y: usize) {
    for (name, len, shape) in [("x", x, g.x()), ("kernel", kernel, g.kernel()), ("y", y, g.y())] {
        assert!(len == shape.len() || len == 0, "{name} has {len} numbers, expected {shape}");
    }
}

/// One product of matrices, and how it is cut.
#[derive(Clone, Copy, Debug)]
struct Pass {
    tile: Tile,
    /// Whether it is the tile for few columns (or rows and columns).
    narrow: bool,
    /// Whether channels and filters go by fours.
    quads: bool,
    groups: usize,
    rows: usize,
    columns: usize,
    /// Products in a sum.
    depth: usize,
    /// Parts that the sums fall into.
    parts: usize,
    /// Numbers that it makes.
    len: usize,
}

impl Pass {
    fn forward(g: &Geometry) -> Self {
        Self::new(g, g.n * g.p * g.q, g.k / g.groups, g.taps(), g.y().len())
    }

    fn backward_input(g: &Geometry) -> Self {
        let [channels, filters] = [g.c / g.groups, g.k / g.groups];
        Self::new(g, g.n * g.h * g.w, channels, g.r * g.s * filters, g.x().len())
    }

    fn new(g: &Geometry, rows: usize, columns: usize, depth: usize, len: usize) -> Self {
        let (quads, narrow) = (by_quads(g), columns <= NARROW.columns);
        let tile = match (narrow, quads) {
            (false, false) => SQUARE,
            (false, true) => WIDE,
            (true, false) => SLIM,
            (true, true) => NARROW,
        };
        let parts = tile.parts(g.groups * tile.count(rows, columns), depth);
        Self { tile, narrow, quads, groups: g.groups, rows, columns, depth, parts, len }
    }

    fn weight(g: &Geometry) -> Self {
        let (rows, columns, depth) = (g.taps(), g.k / g.groups, g.n * g.p * g.q);
        let quads = by_quads(g);
        let narrow = rows.min(columns) <= SMALL.rows;
        let tile = match (narrow, quads) {
            (true, _) => SMALL,
            (false, true) => WIDE,
            (false, false) => SQUARE,
        };
        let (groups, len) = (g.groups, g.kernel().len());
        let parts = tile.parts(groups * tile.count(rows, columns), depth);
        Self { tile, narrow, quads, groups, rows, columns, depth, parts, len }
    }

    fn scratch(&self) -> usize {
        self.tile.scratch(self.len, self.depth)
    }

    /// The blocks for so many of the rows.
    fn grid(&self, rows: usize) -> Grid {
        self.tile.grid(self.groups * self.tile.count(rows, self.columns), self.parts)
    }
}

fn by_quads(g: &Geometry) -> bool {
    (g.c / g.groups).is_multiple_of(4) && (g.k / g.groups).is_multiple_of(4)
}

/// As in windows.cuh.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Windows {
    positions: i32,
    taps: i32,
    rows: i32,
    columns: i32,
    channels: i32,
    step_down: i32,
    step_across: i32,
    apart_down: i32,
    apart_across: i32,
    first_down: i32,
    first_across: i32,
    of_image: Divisor,
    of_line: Divisor,
    depth: Divisor,
    of_row: Divisor,
}

// SAFETY: as `Windows` in windows.cuh.
unsafe impl Argument for Windows {}

impl Windows {
    /// The windows of y on x.
    fn forward(g: &Geometry) -> Self {
        Self {
            positions: int(g.n * g.p * g.q),
            taps: int(g.taps()),
            rows: int(g.h),
            columns: int(g.w),
            channels: int(g.c),
            step_down: int(g.strides[0]),
            step_across: int(g.strides[1]),
            apart_down: int(g.dilation[0]),
            apart_across: int(g.dilation[1]),
            first_down: -int(g.before[0]),
            first_across: -int(g.before[1]),
            of_image: Divisor::new((g.p * g.q).max(1)),
            of_line: Divisor::new(g.q.max(1)),
            depth: Divisor::new(g.c / g.groups),
            of_row: Divisor::new(g.s),
        }
    }
}

/// As in windows.cuh.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Phase {
    rows: i32,
    columns: i32,
    channels: i32,
    step_down: i32,
    step_across: i32,
    first_down: i32,
    first_across: i32,
    apart_down: i32,
    apart_across: i32,
    tap_down: i32,
    tap_across: i32,
    taps_across: i32,
    filters: i32,
    depth: i32,
}

// SAFETY: as `Phase` in windows.cuh.
unsafe impl Argument for Phase {}

/// One phase of one axis of dx: pixels first, first + stride, …, and the taps that they meet.
#[derive(Clone, Copy, Debug)]
struct Axis {
    first: usize,
    pixels: usize,
    tap: usize,
    taps: usize,
    /// From one of the taps to the next.
    apart: usize,
    /// The window whose tap `tap` meets the first pixel, and windows from one tap to the next.
    window: i32,
    windows_apart: i32,
}

impl Axis {
    fn new(first: usize, extent: usize, taps: usize, stride: usize, dilation: usize, before: usize) -> Self {
        let apart = stride / gcd(stride, dilation);
        let meets = |tap: &usize| (first + before) as i64 - (tap * dilation) as i64;
        let found = (0..taps.min(apart)).find(|tap| meets(tap) % stride as i64 == 0);
        let tap = found.unwrap_or(0);
        Self {
            first,
            pixels: (extent - first).div_ceil(stride),
            tap,
            taps: found.map_or(0, |tap| (taps - tap).div_ceil(apart)),
            apart,
            window: (meets(&tap).div_euclid(stride as i64)) as i32,
            windows_apart: -int(apart * dilation / stride),
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The phases of dx: its pixels of the same remainder by the strides.
fn phases(g: &Geometry) -> impl Iterator<Item = (Windows, Phase)> {
    let g = *g;
    let axis = |i: usize, extent: usize, taps: usize| {
        let (stride, dilation, before) = (g.strides[i], g.dilation[i], g.before[i]);
        (0..stride.min(extent)).map(move |first| Axis::new(first, extent, taps, stride, dilation, before))
    };
    let across = axis(1, g.w, g.s);
    axis(0, g.h, g.r).flat_map(move |down| across.clone().map(move |across| phase(&g, down, across)))
}

fn phase(g: &Geometry, down: Axis, across: Axis) -> (Windows, Phase) {
    let filters = g.k / g.groups;
    let windows = Windows {
        positions: int(g.n * down.pixels * across.pixels),
        taps: int(down.taps * across.taps * filters),
        rows: int(g.p),
        columns: int(g.q),
        channels: int(g.k),
        step_down: 1,
        step_across: 1,
        apart_down: down.windows_apart,
        apart_across: across.windows_apart,
        first_down: down.window,
        first_across: across.window,
        of_image: Divisor::new(down.pixels * across.pixels),
        of_line: Divisor::new(across.pixels),
        depth: Divisor::new(filters),
        of_row: Divisor::new(across.taps.max(1)),
    };
    let phase = Phase {
        rows: int(g.h),
        columns: int(g.w),
        channels: int(g.c),
        step_down: int(g.strides[0]),
        step_across: int(g.strides[1]),
        first_down: int(down.first),
        first_across: int(across.first),
        apart_down: int(down.apart),
        apart_across: int(across.apart),
        tap_down: int(down.tap),
        tap_across: int(across.tap),
        taps_across: int(g.s),
        filters: int(g.k),
        depth: int(g.c / g.groups),
    };
    (windows, phase)
}
