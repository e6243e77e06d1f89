//! Which pixels windows and taps meet, as kernels are told: see `windows.cuh`.

use crate::conv2d::Geometry;
use crate::matmul::cuda::Divisor;
use crate::matmul::int;
use gradus_tensor::gpu::Argument;

/// As in windows.cuh.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub(super) positions: i32,
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
    pub(super) fn forward(g: &Geometry) -> Self {
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
pub(super) struct Phase {
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
pub(super) struct Axis {
    pub(super) first: usize,
    pub(super) pixels: usize,
    pub(super) tap: usize,
    pub(super) taps: usize,
    /// From one of the taps to the next.
    pub(super) apart: usize,
    /// The window whose tap `tap` meets the first pixel, and windows from one tap to the next.
    pub(super) window: i32,
    pub(super) windows_apart: i32,
}

impl Axis {
    pub(super) fn new(
        first: usize,
        extent: usize,
        taps: usize,
        stride: usize,
        dilation: usize,
        before: usize,
    ) -> Self {
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
pub(super) fn phases(g: &Geometry) -> impl Iterator<Item = (Windows, Phase)> {
    let g = *g;
    let axis = |i: usize, extent: usize, taps: usize| {
        let (stride, dilation, before) = (g.strides[i], g.dilation[i], g.before[i]);
        (0..stride.min(extent))
            .map(move |first| Axis::new(first, extent, taps, stride, dilation, before))
    };
    let across = axis(1, g.w, g.s);
    axis(0, g.h, g.r)
        .flat_map(move |down| across.clone().map(move |across| phase(&g, down, across)))
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
