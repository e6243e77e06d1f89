//! Convolution with stride 1 on Hopper, in bf16, forward and for the gradient of x: see
//! `conv2d_hopper.cu`; that of the kernel is in [`weight`]. x and the kernel are first rounded into
//! scratch, since TMA copies numbers as they are. It has never run on a GPU.

#[cfg(test)]
pub(super) mod tests;
pub mod weight;

use crate::conv2d::Geometry;
use crate::matmul::cuda::Epilogue;
use crate::matmul::int;
use crate::stored::{Stored, StoredMut};
use gradus_tensor::Precision;
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, Out, TensorMap, kernels};

kernels! {
    "conv2d/conv2d_hopper";
    fn conv2d_hopper_64(
        g: Boxes, x: TensorMap, kernel: TensorMap, bias: In<f32>, relu: i32, y: Out<f32>,
    );
    fn conv2d_hopper_128(
        g: Boxes, x: TensorMap, kernel: TensorMap, bias: In<f32>, relu: i32, y: Out<f32>,
    );
    fn conv2d_hopper_64_y16(
        g: Boxes, x: TensorMap, kernel: TensorMap, bias: In<f32>, relu: i32, y: Out<u16>,
    );
    fn conv2d_hopper_128_y16(
        g: Boxes, x: TensorMap, kernel: TensorMap, bias: In<f32>, relu: i32, y: Out<u16>,
    );
    fn conv2d_hopper_round(from: In<f32>, to: Out<u16>, pieces: i32, quads: u64);
    fn conv2d_hopper_round_kernel(from: In<f32>, to: Out<u16>, channels: i32, filters: i32);
}

/// Pixels of a tile, channels of a step, and threads, as in conv2d_hopper.cu.
const PIXELS: usize = 128;
pub(super) const CHANNELS: usize = 64;
const THREADS: u32 = 288;
/// Tiles from which on the device has enough to do: one for every second processor of an H200, each
/// of which multiplies twice as fast so as by `mma`. With fewer, the sums are better shared.
const ENOUGH: usize = 66;
/// How often a number of x has to be multiplied to pay for rounding it first: on paper, see
/// `docs/engines/matmul.md`.
const OFTEN: usize = 384;

/// As in conv2d_hopper.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Boxes {
    n: i32,
    p: i32,
    q: i32,
    filters: i32,
    channels: i32,
    rows: i32,
    columns: i32,
    before_down: i32,
    before_across: i32,
    down: i32,
    across: i32,
    tiles_down: i32,
    tiles_across: i32,
    tiles_of_filters: i32,
}

// SAFETY: as `Boxes` in conv2d_hopper.cu.
unsafe impl Argument for Boxes {}

/// A convolution of such images, by so many taps, with so many zeros before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Problem {
    /// Images, rows, columns and channels.
    x: [usize; 4],
    /// Rows, columns and channels of what is made.
    y: [usize; 3],
    taps: [usize; 2],
    before: [i32; 2],
    /// Images, rows and columns of the pixels of a tile.
    part: [usize; 3],
}

impl Problem {
    pub(super) fn forward(g: &Geometry) -> Self {
        Self {
            x: [g.n, g.h, g.w, g.c],
            y: [g.p, g.q, g.k],
            taps: [g.r, g.s],
            before: g.before.map(int),
            part: part(PIXELS, [g.n, g.p, g.q]),
        }
    }

    /// With a stride of 1 dx is a convolution of dz with the kernel turned.
    pub(super) fn backward_input(g: &Geometry) -> Self {
        Self {
            x: [g.n, g.p, g.q, g.k],
            y: [g.h, g.w, g.c],
            taps: [g.r, g.s],
            before: [0, 1].map(|i| int(g.reach()[i]) - 1 - int(g.before[i])),
            part: part(PIXELS, [g.n, g.h, g.w]),
        }
    }

    fn kernel_len(&self) -> usize {
        self.taps[0] * self.taps[1] * self.x[3] * self.y[2]
    }

    /// bfloat16 of x and of the kernel.
    fn lens(&self) -> [usize; 2] {
        [self.x.iter().product(), self.kernel_len()]
    }

    /// Floats that have room for both.
    fn scratch(&self) -> usize {
        self.lens().iter().sum::<usize>().div_ceil(2)
    }

    /// What the kernel is told, and how many blocks there are.
    fn boxes(&self) -> (Boxes, usize) {
        let ([n, .., channels], [p, q, filters], [images, rows, columns]) =
            (self.x, self.y, self.part);
        let tiles = [p.div_ceil(rows), q.div_ceil(columns), filters / filters_of_tile(filters)];
        let [tiles_down, tiles_across, tiles_of_filters] = tiles.map(int);
        let blocks = n.div_ceil(images) * tiles.iter().product::<usize>();
        let boxes = Boxes {
            n: int(n),
            p: int(p),
            q: int(q),
            filters: int(filters),
            channels: int(channels),
            rows: int(self.taps[0]),
            columns: int(self.taps[1]),
            before_down: self.before[0],
            before_across: self.before[1],
            down: rows.ilog2() as i32,
            across: columns.ilog2() as i32,
            tiles_down,
            tiles_across,
            tiles_of_filters,
        };
        (boxes, blocks)
    }

    /// Whether the device has enough to do, and saves more than rounding takes.
    fn pays(&self) -> bool {
        self.taps[0] * self.taps[1] * self.y[2] >= OFTEN && self.boxes().1 >= ENOUGH
    }
}

/// Images, rows and columns of so many pixels, a power of two, of images of so many rows and columns:
/// powers of two that waste the fewest, and of these the widest.
fn part(pixels: usize, [n, p, q]: [usize; 3]) -> [usize; 3] {
    let all = (0..=pixels.ilog2()).flat_map(|across| {
        (0..=pixels.ilog2() - across).map(move |down| {
            let (rows, columns) = (1usize << down, 1usize << across);
            [pixels / rows / columns, rows, columns]
        })
    });
    let tiles = |&[images, rows, columns]: &[usize; 3]| {
        n.div_ceil(images) * p.div_ceil(rows) * q.div_ceil(columns)
    };
    all.min_by_key(|part| (tiles(part), part[0], part[1])).expect("the one of one column")
}

/// Filters of a tile, of so many.
fn filters_of_tile(filters: usize) -> usize {
    if filters.is_multiple_of(128) { 128 } else { 64 }
}

/// Whether a convolution can be done so: each tap a step of one pixel, and whole boxes of channels.
#[must_use]
pub fn fits(g: &Geometry) -> bool {
    let whole = [g.c, g.k].iter().all(|n| n.is_multiple_of(CHANNELS));
    whole && (g.groups, g.strides, g.dilation) == (1, [1, 1], [1, 1])
}

/// Whether the device is one that has TMA and wgmma: no older and no newer one has both.
#[must_use]
pub fn is_hopper(gpu: &Gpu) -> bool {
    gpu.compute_capability() == (9, 0)
}

/// Whether it is done so on that device.
pub(super) fn chosen(gpu: &Gpu, precision: Precision, g: &Geometry, problem: &Problem) -> bool {
    is_hopper(gpu) && precision == Precision::Bf16 && fits(g) && problem.pays()
}

/// Floats of scratch for such a batch or a smaller one, whether it would be chosen or not.
#[must_use]
pub fn scratch(g: &Geometry) -> usize {
    let [forward, input] = [Problem::forward(g), Problem::backward_input(g)];
    if fits(g) { forward.scratch().max(input.scratch()).max(weight::scratch(g)) } else { 0 }
}

/// Floats of scratch for such a batch or a smaller one where it would be chosen, if the device is a
/// Hopper and the precision bf16. Neither is known when this is asked.
pub(super) fn planned_scratch(g: &Geometry) -> usize {
    let passes = [Problem::forward(g), Problem::backward_input(g)];
    let chosen = passes.iter().filter(|problem| fits(g) && problem.pays());
    chosen.map(Problem::scratch).max().unwrap_or(0).max(weight::planned_scratch(g))
}

fn expect(g: &Geometry, x: usize, kernel: usize, y: usize) {
    assert!(fits(g), "not for {g:?}");
    super::check(g, x, kernel, y);
}

/// y from x and kernel, however small they are.
///
/// # Panics
/// If [`fits`] says no, a view has another length than `g` says, or the scratch is less than
/// [`scratch`] says.
pub fn forward(
    gpu: &Gpu,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    y: GpuViewMut<'_, f32>,
) {
    forward_to(gpu, g, [x, kernel], epilogue, scratch, y.into());
}

/// The same, where y may be bf16 in memory.
pub(super) fn forward_to(
    gpu: &Gpu,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    y: StoredMut<'_>,
) {
    expect(g, x.len(), kernel.len(), y.len());
    let problem = Problem::forward(g);
    let mut rounded = Rounded::new(&problem, scratch);
    rounded.take(gpu, x);
    rounded.take_kernel(gpu, g, kernel);
    multiply(gpu, &problem, rounded.views(), epilogue, y);
}

/// dx from dz and kernel, however small they are.
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
    backward_input_of(gpu, g, dz.into(), kernel, scratch, dx);
}

/// The same of a dz that may be bf16 in memory.
pub(super) fn backward_input_of(
    gpu: &Gpu,
    g: &Geometry,
    dz: Stored<'_>,
    kernel: GpuView<'_, f32>,
    scratch: GpuViewMut<'_, f32>,
    dx: GpuViewMut<'_, f32>,
) {
    expect(g, dx.len(), kernel.len(), dz.len());
    let problem = Problem::backward_input(g);
    let mut rounded = Rounded::new(&problem, scratch);
    rounded.take_turned(gpu, g, kernel);
    if let Stored::F32(dz) = dz {
        rounded.take(gpu, dz);
    }
    let [of_scratch, kernel] = rounded.views();
    let dz = if let Stored::Bf16(dz) = dz { dz } else { of_scratch };
    multiply(gpu, &problem, [dz, kernel], Epilogue::none(), dx.into());
}

/// x and the kernel as bfloat16, in scratch.
pub(super) struct Rounded<'a> {
    x: GpuViewMut<'a, u16>,
    /// For each tap and filter the weights of all channels.
    kernel: GpuViewMut<'a, u16>,
}

impl<'a> Rounded<'a> {
    /// # Panics
    /// If the scratch is less than [`scratch`] says.
    pub(super) fn new(problem: &Problem, scratch: GpuViewMut<'a, f32>) -> Self {
        if scratch.is_empty() {
            return Self { x: GpuViewMut::none(), kernel: GpuViewMut::none() };
        }
        let [x, kernel] = problem.lens();
        let (of_x, rest) = scratch.into_bf16().split_at(x);
        Self { x: of_x, kernel: rest.split_at(kernel).0 }
    }

    pub(super) fn take(&mut self, gpu: &Gpu, x: GpuView<'_, f32>) {
        round(gpu, x, self.x.reborrow(), 1);
    }

    pub(super) fn take_kernel(&mut self, gpu: &Gpu, g: &Geometry, kernel: GpuView<'_, f32>) {
        let blocks = [g.c / 32, g.k / 32, g.r * g.s].map(|n| int(n) as u32);
        let (grid, to) = (Grid::of(blocks, Grid::THREADS), self.kernel.reborrow());
        // SAFETY: both hold a number for each tap, channel and filter, the latter by 32s.
        unsafe { conv2d_hopper_round_kernel(gpu, grid, kernel, to, int(g.c), int(g.k)) }
    }

    /// For each tap, the last one first, and channel the weights of all filters, as they lie.
    fn take_turned(&mut self, gpu: &Gpu, g: &Geometry, kernel: GpuView<'_, f32>) {
        round(gpu, kernel, self.kernel.reborrow(), g.r * g.s);
    }

    pub(super) fn views(&self) -> [GpuView<'_, u16>; 2] {
        [self.x.as_view(), self.kernel.as_view()]
    }
}

/// x by boxes of so many images, rows and columns, and the kernel by boxes of so many filters.
pub(super) fn maps(
    gpu: &Gpu,
    problem: &Problem,
    [x, kernel]: [GpuView<'_, u16>; 2],
    [images, rows, columns]: [usize; 3],
    filters: usize,
) -> [TensorMap; 2] {
    let lines = [problem.kernel_len() / problem.x[3], problem.x[3]];
    [
        gpu.tensor_map(x, &problem.x, &[images, rows, columns, CHANNELS]),
        gpu.tensor_map(kernel, &lines, &[filters, CHANNELS]),
    ]
}

/// Rounds; so many pieces of equal length come in the opposite order.
fn round(gpu: &Gpu, from: GpuView<'_, f32>, to: GpuViewMut<'_, u16>, pieces: usize) {
    let quads = from.len() / 4 / pieces;
    let [n, room] = [from.len(), to.len()];
    assert!(n == room || n == 0 || room == 0, "{n} numbers rounded to {room}");
    let grid = Grid::strided(pieces * quads);
    // SAFETY: both have as many numbers, and so many pieces of quads.
    unsafe { conv2d_hopper_round(gpu, grid, from, to, int(pieces), quads as u64) }
}

fn multiply(
    gpu: &Gpu,
    problem: &Problem,
    of: [GpuView<'_, u16>; 2],
    Epilogue { bias, relu }: Epilogue<'_>,
    y: StoredMut<'_>,
) {
    let ((boxes, blocks), filters) = (problem.boxes(), filters_of_tile(problem.y[2]));
    let ([x, kernel], relu) = (maps(gpu, problem, of, problem.part, filters), i32::from(relu));
    let stages = if filters == 128 { 3 } else { 4 };
    let grid = Grid::of([int(blocks) as u32, 1, 1], THREADS);
    let grid = grid.with_shared(shared(PIXELS, filters, stages));
    // SAFETY: the maps are of rounded numbers, which stay where they are until the kernel has read
    // them; what is written lies within y, which the geometry was checked against.
    unsafe {
        match (y, filters == 128) {
            (StoredMut::F32(y), true) => {
                conv2d_hopper_128(gpu, grid, boxes, x, kernel, bias, relu, y);
            }
            (StoredMut::F32(y), false) => {
                conv2d_hopper_64(gpu, grid, boxes, x, kernel, bias, relu, y);
            }
            (StoredMut::Bf16(y), true) => {
                conv2d_hopper_128_y16(gpu, grid, boxes, x, kernel, bias, relu, y);
            }
            (StoredMut::Bf16(y), false) => {
                conv2d_hopper_64_y16(gpu, grid, boxes, x, kernel, bias, relu, y);
            }
        }
    }
}

/// Bytes of shared memory for so many stages of boxes of pixels and filters, and two barriers each.
pub(super) fn shared(pixels: usize, filters: usize, stages: usize) -> u32 {
    let (boxes, barriers) =
        ((pixels + filters) * CHANNELS * size_of::<u16>(), 2 * size_of::<u64>());
    (stages * (boxes + barriers)) as u32
}
