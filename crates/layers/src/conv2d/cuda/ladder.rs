//! A ladder of kernels that teaches how a convolution becomes fast on a GPU: five that do the same,
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
//!
//! Each is to be read by itself: no templates, and what is shared is a page, `ladder.cuh`. They are
//! for the forward pass in one group, with any strides, dilation and padding, and no bias.

use crate::conv2d::Geometry;
use crate::matmul::cuda::supported;
use crate::matmul::int;
use gradus_tensor::Precision;
use gradus_tensor::gpu::{Argument, CudaError, Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

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
}

impl Rung {
    /// From the first to the last.
    pub const ALL: [Self; 5] =
        [Self::Naive, Self::Tiled, Self::ImplicitGemm, Self::TensorCores, Self::Pipelined];

    /// To what it rounds operands.
    #[must_use]
    pub fn precision(self) -> Precision {
        match self {
            Self::Naive | Self::Tiled | Self::ImplicitGemm => Precision::F32,
            Self::TensorCores | Self::Pipelined => Precision::Tf32,
        }
    }

    /// Whether the device can climb it.
    ///
    /// # Errors
    /// If its compute capability is too low.
    pub fn check(self, gpu: &Gpu) -> Result<(), CudaError> {
        if supported(gpu, self.precision()) == self.precision() {
            return Ok(());
        }
        Err(CudaError::OldDeviceFor {
            kernel: format!("the rung {self:?} of the ladder of convolutions"),
            name: gpu.name().to_owned(),
            found: gpu.info().capability(),
            needed: "8.0",
        })
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

/// y from x and kernel, by that rung. On a device that is too old for it nothing is launched, and
/// `Gpu::check` tells.
///
/// # Panics
/// If there are several groups, or a view has another length than `g` says.
pub fn forward(
    gpu: &Gpu,
    rung: Rung,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    y: GpuViewMut<'_, f32>,
) {
    assert_eq!(g.groups, 1, "the ladder is for one group");
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
    };
    // SAFETY: the kernels stay within the geometry, which the views' lengths were checked against.
    unsafe { launch(gpu, grid, Ladder::new(g), x, kernel, y) }
}

type Launch = unsafe fn(&Gpu, Grid, Ladder, In<'_, f32>, In<'_, f32>, Out<'_, f32>);
