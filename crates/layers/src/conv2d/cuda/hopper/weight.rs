//! The kernel's gradient of a convolution with stride 1 on Hopper, in bf16: see
//! `conv2d_hopper_weight.cu`. x and dz are first rounded into scratch, unless they are bf16 already.
//! It has never run on a GPU.

#[cfg(test)]
mod tests;

use super::{CHANNELS, filters_of_tile, is_hopper, part, round, shared};
use crate::conv2d::Geometry;
use crate::matmul::cuda::{Epilogue, in_parts};
use crate::matmul::int;
use crate::stored::Stored;
use gradus_tensor::Precision;
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, Out, TensorMap, kernels};

kernels! {
    "conv2d/conv2d_hopper_weight";
    fn conv2d_hopper_weight_64(
        g: Sums, x: TapMaps, dz: TensorMap, dkernel: Out<f32>, apart: u64,
    );
    fn conv2d_hopper_weight_128(
        g: Sums, x: TapMaps, dz: TensorMap, dkernel: Out<f32>, apart: u64,
    );
}

type Launch = unsafe fn(&Gpu, Grid, Sums, TapMaps, TensorMap, Out<'_, f32>, u64);

/// Pixels of a step, units of a block, the most taps, and threads, as in conv2d_hopper_weight.cu.
const PIXELS: usize = 64;
const UNITS: usize = 3;
const TAPS: usize = 25;
const THREADS: u32 = 416;
/// Processors of an H200, for each of which there is a block at a time.
const PROCESSORS: usize = 132;
/// The fewest steps that are worth a part of their own, and as many as writing a tile's sums and
/// adding them to the others takes: on paper, see `docs/engines/matmul.md`.
const FEWEST: usize = 4;
const OVERHEAD: usize = 6;
/// How often a number of x and dz has to be multiplied to pay for rounding it first, with 128
/// filters a tile and with 64: on paper, see `docs/engines/matmul.md`.
const OFTEN: [usize; 2] = [320, 224];

/// As in conv2d_hopper_weight.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Sums {
    filters: i32,
    chunks: i32,
    units: i32,
    columns: i32,
    before_down: i32,
    before_across: i32,
    down: i32,
    across: i32,
    boxes: i32,
    boxes_down: i32,
    boxes_across: i32,
    boxes_of_part: i32,
    tiles_of_units: i32,
    tiles_of_filters: i32,
}

// SAFETY: as `Sums` in conv2d_hopper_weight.cu.
unsafe impl Argument for Sums {}

/// As in conv2d_hopper_weight.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct TapMaps {
    of: [TensorMap; TAPS],
}

// SAFETY: as `TapMaps` in conv2d_hopper_weight.cu.
unsafe impl Argument for TapMaps {}

/// How the sums are cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Images, rows and columns of a box.
    part: [usize; 3],
    /// Boxes that images, rows and columns fall into.
    boxes: [usize; 3],
    /// Tiles of units, and of filters.
    tiles: [usize; 2],
    /// Boxes of a part; the last one may have fewer.
    of_part: usize,
}

impl Cut {
    fn new(g: &Geometry) -> Self {
        let part = part(PIXELS, [g.n, g.p, g.q]);
        let boxes = [g.n.div_ceil(part[0]), g.p.div_ceil(part[1]), g.q.div_ceil(part[2])];
        let tiles = [units(g).div_ceil(UNITS), g.k / filters_of_tile(g.k)];
        let mut cut = Self { part, boxes, tiles, of_part: 0 };
        cut.of_part = cut.soonest();
        cut
    }

    /// All boxes.
    fn count(&self) -> usize {
        self.boxes.iter().product()
    }

    fn tiles(&self) -> usize {
        self.tiles.iter().product()
    }

    /// The most parts there may be, which no smaller batch exceeds: few tiles fill the device once,
    /// and of many so many that the last ones do not leave it idle.
    fn most_parts(&self) -> usize {
        let rounds = if self.tiles() <= PROCESSORS / 4 { 1 } else { 3 };
        (rounds * PROCESSORS / self.tiles()).min(self.count() / FEWEST).max(1)
    }

    /// Boxes of a part with which the device is through the soonest.
    fn soonest(&self) -> usize {
        let of = |parts: usize| self.count().div_ceil(parts);
        let rounds = |parts: usize| (self.tiles() * parts).div_ceil(PROCESSORS);
        let time = |&parts: &usize| rounds(parts) * (of(parts) + OVERHEAD);
        of((1..=self.most_parts()).min_by_key(time).expect("at least one"))
    }

    fn parts(&self) -> usize {
        self.count().div_ceil(self.of_part)
    }

    /// What the kernel is told.
    fn sums(&self, g: &Geometry) -> Sums {
        let ([_, rows, columns], [_, down, across]) = (self.part, self.boxes);
        let [tiles_of_units, tiles_of_filters] = self.tiles.map(int);
        Sums {
            filters: int(g.k),
            chunks: int(g.c / CHANNELS),
            units: int(units(g)),
            columns: int(g.s),
            before_down: int(g.before[0]),
            before_across: int(g.before[1]),
            down: rows.ilog2() as i32,
            across: columns.ilog2() as i32,
            boxes: int(self.count()),
            boxes_down: int(down),
            boxes_across: int(across),
            boxes_of_part: int(self.of_part),
            tiles_of_units,
            tiles_of_filters,
        }
    }
}

/// Taps by chunks of channels.
fn units(g: &Geometry) -> usize {
    g.r * g.s * (g.c / CHANNELS)
}

/// Whether the gradient can be made so: as [`super::fits`] says, no more than 25 taps, and each of
/// them meets the image.
#[must_use]
pub fn fits(g: &Geometry) -> bool {
    super::fits(g) && g.r * g.s <= TAPS && g.p > g.before[0] && g.q > g.before[1]
}

/// Whether the device has enough to do, and saves more than rounding takes.
fn pays(g: &Geometry) -> bool {
    let (cut, [wide, narrow]) = (Cut::new(g), OFTEN);
    let often = if filters_of_tile(g.k) == 128 { wide } else { narrow };
    let pays_for_rounding = g.r * g.s * g.c * g.k >= often * (g.c + g.k);
    pays_for_rounding && cut.tiles() * cut.most_parts() >= super::ENOUGH
}

/// Whether it is made so on that device.
pub(in crate::conv2d::cuda) fn chosen(gpu: &Gpu, precision: Precision, g: &Geometry) -> bool {
    is_hopper(gpu) && precision == Precision::Bf16 && fits(g) && pays(g)
}

/// bfloat16 of x and of dz.
fn lens(g: &Geometry) -> [usize; 2] {
    [g.x().len(), g.y().len()]
}

/// Floats of scratch for such a batch or a smaller one, of bf16 already.
#[must_use]
pub fn scratch_of_bf16(g: &Geometry) -> usize {
    if !fits(g) {
        return 0;
    }
    match Cut::new(g).most_parts() {
        1 => 0,
        parts => parts * g.kernel().len(),
    }
}

/// Floats of scratch for such a batch or a smaller one, whether it would be chosen or not.
#[must_use]
pub fn scratch(g: &Geometry) -> usize {
    let rounded = lens(g).iter().sum::<usize>() / 2;
    if fits(g) { rounded + scratch_of_bf16(g) } else { 0 }
}

/// The same where it would be chosen, as [`super::planned_scratch`].
pub(super) fn planned_scratch(g: &Geometry) -> usize {
    if fits(g) && pays(g) { scratch(g) } else { 0 }
}

/// dkernel from x and dz, however small they are.
///
/// # Panics
/// If [`fits`] says no, a view has another length than `g` says, or the scratch is less than
/// [`scratch`] says.
pub fn backward_weight(
    gpu: &Gpu,
    g: &Geometry,
    [x, dz]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    backward_weight_of(gpu, g, x, dz.into(), scratch, dkernel);
}

/// The same of a dz that may be bf16 in memory.
pub(in crate::conv2d::cuda) fn backward_weight_of(
    gpu: &Gpu,
    g: &Geometry,
    x: GpuView<'_, f32>,
    dz: Stored<'_>,
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    super::super::check(g, x.len(), dkernel.len(), dz.len());
    // A device without memory has no scratch, and launches nothing.
    if scratch.is_empty() {
        return;
    }
    let [len, len_of_dz] = lens(g);
    let (rounded, scratch) = scratch.split_at((len + len_of_dz) / 2);
    let (mut of_x, mut of_dz) = rounded.into_bf16().split_at(len);
    round(gpu, x, of_x.reborrow(), 1);
    let dz = match dz {
        Stored::Bf16(dz) => dz,
        Stored::F32(dz) => {
            round(gpu, dz, of_dz.reborrow(), 1);
            of_dz.as_view()
        }
    };
    backward_weight_of_bf16(gpu, g, [of_x.as_view(), dz], scratch, dkernel);
}

/// The same of x and dz that are bf16 already, each number by its bits.
///
/// # Panics
/// As [`backward_weight`], and the scratch is as [`scratch_of_bf16`] says.
pub fn backward_weight_of_bf16(
    gpu: &Gpu,
    g: &Geometry,
    [x, dz]: [GpuView<'_, u16>; 2],
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    assert!(fits(g), "not for {g:?}");
    super::super::check(g, x.len(), dkernel.len(), dz.len());
    add_up(gpu, g, &Cut::new(g), [x, dz], scratch, dkernel);
}

fn add_up(
    gpu: &Gpu,
    g: &Geometry,
    cut: &Cut,
    [x, dz]: [GpuView<'_, u16>; 2],
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    let filters = filters_of_tile(g.k);
    let (sums, parts, apart) = (cut.sums(g), cut.parts(), g.kernel().len() as u64);
    let (launch, stages): (Launch, _) =
        if filters == 128 { (conv2d_hopper_weight_128, 5) } else { (conv2d_hopper_weight_64, 6) };
    let grid = Grid::of([int(parts * cut.tiles()) as u32, 1, 1], THREADS);
    let grid = grid.with_shared(shared(UNITS * PIXELS, filters, stages));
    let of_taps = tap_maps(gpu, g, cut, x);
    let [images, rows, columns] = cut.part;
    let dz = gpu.tensor_map(dz, &[g.n, g.p, g.q, g.k], &[images, rows, columns, CHANNELS]);
    in_parts(gpu, parts, Epilogue::none(), scratch, dkernel, |dkernel, _| {
        // SAFETY: the maps are of numbers that stay where they are until the kernel has read them;
        // it writes dkernel, which the geometry was checked against, or as many parts of it, for
        // which there is scratch.
        unsafe { launch(gpu, grid, sums, of_taps, dz, dkernel, apart) }
    });
}

/// x as each tap meets it: up to the row and the column that the last pixel of dz meets. Those behind
/// the last tap's are not used.
fn tap_maps(gpu: &Gpu, g: &Geometry, cut: &Cut, x: GpuView<'_, u16>) -> TapMaps {
    let [images, rows, columns] = cut.part;
    let map = |tap: usize| {
        let (down, across) = (g.p + tap / g.s - g.before[0], g.q + tap % g.s - g.before[1]);
        let seen = [g.n, down.min(g.h), across.min(g.w), g.c];
        let part = [images, rows, columns, CHANNELS];
        gpu.tensor_map_within(x, &[g.n, g.h, g.w, g.c], &seen, &part)
    };
    let mut maps = TapMaps { of: [map(0); TAPS] };
    for tap in 1..g.r * g.s {
        maps.of[tap] = map(tap);
    }
    maps
}
