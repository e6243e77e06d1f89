//! A ladder of kernels that teaches how a convolution becomes fast on a GPU: six that do the same,
//! each by one idea more than the one before. The engine begins where the ladder ends. What bounds
//! a rung is arithmetic on paper: it was not measured.
//!
//! | rung | idea | what bounds it |
//! | --- | --- | --- |
//! | `1_naive.cu` | a thread for each number of y | two loads for each product |
//! | `2_tiled.cu` | tiles in shared memory, patches looked up and never stored | two loads from there |
//! | `3_implicit_gemm.cu` | 4·4 sums in a thread's registers | arithmetic, and waiting for tiles |
//! | `4_tensor_cores.cu` | products of tf32 on tensor cores | waiting for tiles |
//! | `5_pipelined.cu` | three stages: tiles come while others are multiplied | memory and the caches |
//! | `6_hopper.cu` | TMA fetches boxes of images, wgmma multiplies them by itself | the second-level cache |
//!
//! Each is to be read by itself: no templates, and what is shared is a page, `ladder.cuh`. They are
//! for the forward pass in one group, with any strides, dilation and padding, and no bias; the last
//! one for strides and dilations of 1, and channels and filters that are multiples of 64.

use super::hopper::{self as engine, Problem, Rounded, maps};
use crate::conv2d::Geometry;
use crate::matmul::cuda::supported;
use crate::matmul::int;
use gradus_tensor::Precision;
use gradus_tensor::gpu::{
    Argument, CudaError, Gpu, GpuView, GpuViewMut, Grid, In, Out, TensorMap, kernels,
};

mod naive {
    use super::{In, Ladder, Launch, Out, kernels};

    kernels! {
        "conv2d/cuda/ladder/1_naive";
        fn ladder_naive(g: Ladder, x: In<f32>, kernel: In<f32>, y: Out<f32>);
    }

    pub(super) const LAUNCH: Launch = ladder_naive;
}

mod tiled {
    use super::{In, Ladder, Launch, Out, kernels};

    kernels! {
        "conv2d/cuda/ladder/2_tiled";
        fn ladder_tiled(g: Ladder, x: In<f32>, kernel: In<f32>, y: Out<f32>);
    }

    pub(super) const LAUNCH: Launch = ladder_tiled;
}

mod implicit_gemm {
    use super::{In, Ladder, Launch, Out, kernels};

    kernels! {
        "conv2d/cuda/ladder/3_implicit_gemm";
        fn ladder_implicit_gemm(g: Ladder, x: In<f32>, kernel: In<f32>, y: Out<f32>);
    }

    pub(super) const LAUNCH: Launch = ladder_implicit_gemm;
}

mod tensor_cores {
    use super::{In, Ladder, Launch, Out, kernels};

    kernels! {
        "conv2d/cuda/ladder/4_tensor_cores";
        fn ladder_tensor_cores(g: Ladder, x: In<f32>, kernel: In<f32>, y: Out<f32>);
    }

    pub(super) const LAUNCH: Launch = ladder_tensor_cores;
}

mod pipelined {
    use super::{In, Ladder, Launch, Out, kernels};

    kernels! {
        "conv2d/cuda/ladder/5_pipelined";
        fn ladder_pipelined(g: Ladder, x: In<f32>, kernel: In<f32>, y: Out<f32>);
    }

    pub(super) const LAUNCH: Launch = ladder_pipelined;
}

mod hopper {
    use super::{Ladder, Out, TensorMap, kernels};

    kernels! {
        "conv2d/cuda/ladder/6_hopper";
        fn ladder_hopper(g: Ladder, x: TensorMap, kernel: TensorMap, y: Out<f32>);
    }

    pub(super) const LAUNCH: super::LaunchMapped = ladder_hopper;
}

/// A step of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// A thread for each number of y.
    Naive,
    /// Tiles in shared memory.
    Tiled,
    /// Sums in registers.
    ImplicitGemm,
    /// Products of tf32 on tensor cores. Needs compute capability 8.0.
    TensorCores,
    /// Tiles come while others are multiplied. Needs compute capability 8.0.
    Pipelined,
    /// Boxes by TMA, products of bf16 by wgmma. Needs compute capability 9.0 and no other.
    Hopper,
}

impl Rung {
    /// From the first to the last.
    pub const ALL: [Self; 6] = [
        Self::Naive,
        Self::Tiled,
        Self::ImplicitGemm,
        Self::TensorCores,
        Self::Pipelined,
        Self::Hopper,
    ];

    /// To what it rounds operands.
    #[must_use]
    pub fn precision(self) -> Precision {
        match self {
            Self::Naive | Self::Tiled | Self::ImplicitGemm => Precision::F32,
            Self::TensorCores | Self::Pipelined => Precision::Tf32,
            Self::Hopper => Precision::Bf16,
        }
    }

    /// Whether it is for such a convolution.
    #[must_use]
    pub fn fits(self, g: &Geometry) -> bool {
        if self == Self::Hopper { engine::fits(g) } else { g.groups == 1 }
    }

    /// Floats of scratch that it takes for one.
    #[must_use]
    pub fn scratch(self, g: &Geometry) -> usize {
        if self == Self::Hopper { engine::scratch(g) } else { 0 }
    }

    /// Whether the device can climb it.
    ///
    /// # Errors
    /// If its compute capability is too low, or another than that of Hopper.
    pub fn check(self, gpu: &Gpu) -> Result<(), CudaError> {
        let kernel = format!("the rung {self:?} of the ladder of convolutions");
        let (name, found) = (gpu.name().to_owned(), gpu.info().capability());
        if self == Self::Hopper && !engine::is_hopper(gpu) {
            return Err(CudaError::OtherDeviceFor { kernel, name, found, needed: "9.0" });
        }
        if supported(gpu, self.precision()) != self.precision() {
            return Err(CudaError::OldDeviceFor { kernel, name, found, needed: "8.0" });
        }
        Ok(())
    }
}

/// As in ladder.cuh.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Ladder {
    n: i32,
    h: i32,
    w: i32,
    c: i32,
    r: i32,
    s: i32,
    k: i32,
    p: i32,
    q: i32,
    stride_down: i32,
    stride_across: i32,
    dilation_down: i32,
    dilation_across: i32,
    before_down: i32,
    before_across: i32,
}

// SAFETY: as `Ladder` in ladder.cuh.
unsafe impl Argument for Ladder {}

impl Ladder {
    fn new(g: &Geometry) -> Self {
        let [stride_down, stride_across] = g.strides.map(int);
        let [dilation_down, dilation_across] = g.dilation.map(int);
        let [before_down, before_across] = g.before.map(int);
        let [n, h, w, c, r, s] = [g.n, g.h, g.w, g.c, g.r, g.s].map(int);
        let [k, p, q] = [g.k, g.p, g.q].map(int);
        Self {
            n,
            h,
            w,
            c,
            r,
            s,
            k,
            p,
            q,
            stride_down,
            stride_across,
            dilation_down,
            dilation_across,
            before_down,
            before_across,
        }
    }
}

/// y from x and kernel, by that rung. On a device that is not for it nothing is launched, and
/// `Gpu::check` tells.
///
/// # Panics
/// If [`Rung::fits`] says no, a view has another length than `g` says, or the scratch is less than
/// [`Rung::scratch`] says.
pub fn forward(
    gpu: &Gpu,
    rung: Rung,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    y: GpuViewMut<'_, f32>,
) {
    assert!(rung.fits(g), "{rung:?} is not for {g:?}");
    super::check(g, x.len(), kernel.len(), y.len());
    if let Err(error) = rung.check(gpu) {
        return gpu.report(error);
    }
    let pixels = g.n * g.p * g.q;
    let tiles = |tile: usize, threads| {
        let [down, across] = [pixels.div_ceil(tile), g.k.div_ceil(tile)].map(|n| int(n) as u32);
        Grid::of([down, across, 1], threads)
    };
    let (grid, launch) = match rung {
        Rung::Naive => {
            let blocks = (pixels * g.k).div_ceil(Grid::THREADS as usize);
            (Grid::of([int(blocks) as u32, 1, 1], Grid::THREADS), naive::LAUNCH)
        }
        Rung::Tiled => (tiles(16, 256), tiled::LAUNCH),
        Rung::ImplicitGemm => (tiles(64, 256), implicit_gemm::LAUNCH),
        Rung::TensorCores => (tiles(64, 128), tensor_cores::LAUNCH),
        Rung::Pipelined => (tiles(64, 128), pipelined::LAUNCH),
        Rung::Hopper => return mapped(gpu, g, [x, kernel], scratch, y),
    };
    // SAFETY: the kernels stay within the geometry, which the views' lengths were checked against.
    unsafe { launch(gpu, grid, Ladder::new(g), x, kernel, y) }
}

type Launch = unsafe fn(&Gpu, Grid, Ladder, In<'_, f32>, In<'_, f32>, Out<'_, f32>);
type LaunchMapped = unsafe fn(&Gpu, Grid, Ladder, TensorMap, TensorMap, Out<'_, f32>);

/// Side of a tile in pixels, filters of a tile and stages, as in 6_hopper.cu.
const SIDE: usize = 8;
const FILTERS: usize = 64;
const STAGES: usize = 4;

/// y by the last rung: x and the kernel are rounded, and TMA is told where they lie.
fn mapped(
    gpu: &Gpu,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    y: GpuViewMut<'_, f32>,
) {
    let problem = Problem::forward(g);
    let mut rounded = Rounded::new(&problem, scratch);
    rounded.take(gpu, x);
    rounded.take_kernel(gpu, g, kernel);
    let [x, kernel] = maps(gpu, &problem, rounded.views(), [1, SIDE, SIDE], FILTERS);
    let tiles = [g.n * g.p.div_ceil(SIDE) * g.q.div_ceil(SIDE), g.k / FILTERS, 1];
    let grid = Grid::of(tiles.map(|n| int(n) as u32), 160);
    let grid = grid.with_shared(engine::shared(SIDE * SIDE, FILTERS, STAGES));
    // SAFETY: the maps are of the rounded numbers, which stay in scratch until the kernel has read
    // them; it writes within the geometry, which y's length was checked against.
    unsafe { hopper::LAUNCH(gpu, grid, Ladder::new(g), x, kernel, y) }
}
