//! Convolution on a GPU: products of matrices that are looked up in the images as they lie, in
//! tiles (`matmul.cuh`), exact in f32, or on tensor cores (`matmul_tensorcore.cuh`) where the
//! context's precision says so. Images of few channels (`direct.cu`), groups of few
//! (`depthwise.cu`), bf16 with stride 1 on Hopper (`conv2d_hopper.cu`) and three by three taps in f32
//! where a quarter of the products pays (`winograd.cu`) go in ways of their own.
//!
//! Backward with strides, the pixels of dx fall into phases that meet different taps of the kernel;
//! each phase is a convolution with stride 1, and no product with a zero between strides is made.

pub(crate) mod bf16;
mod depthwise;
mod direct;
pub mod hopper;
pub mod ladder;
mod pass;
mod tensorcore;
#[cfg(test)]
pub(super) mod tests;
mod way;
mod windows;
pub mod winograd;

use super::Geometry;
use crate::conv2d::cpu::winograd::Winograd;
pub use crate::matmul::cuda::Epilogue;
use crate::matmul::cuda::{add_columns, columns_scratch, in_parts, supported};
use crate::matmul::int;
use crate::stored::{Stored, StoredMut};
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};
use gradus_tensor::{Context, Precision};
use pass::Pass;
use way::Way;
pub(crate) use way::{forward_with_moments, moments_scratch};
use windows::{Phase, Windows, phases};

kernels! {
    "conv2d/conv2d";
    fn conv2d_forward(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_forward_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_forward_narrow(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_forward_narrow_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64, moments: Out<f32>,
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

/// The kernels of a pass take the same, whatever y or dz is in memory.
type Forward<Y = f32> = unsafe fn(
    &Gpu,
    Grid,
    Windows,
    i32,
    i32,
    In<'_, f32>,
    In<'_, f32>,
    In<'_, f32>,
    i32,
    Out<'_, Y>,
    u64,
    Out<'_, f32>,
);
type BackwardInput<Dz = f32> =
    unsafe fn(&Gpu, Grid, Windows, Phase, In<'_, Dz>, In<'_, f32>, Out<'_, f32>, u64);
type BackwardWeight<Dz = f32> =
    unsafe fn(&Gpu, Grid, Windows, i32, i32, In<'_, f32>, In<'_, Dz>, Out<'_, f32>, u64);

/// How products are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    /// To what operands are rounded.
    pub precision: Precision,
    /// Whether only plain sums will do, as for [`Workspace::exact`](gradus_tensor::Workspace::exact).
    pub exact: bool,
}

impl Arithmetic {
    /// What the context asks for.
    #[must_use]
    pub fn of(cx: &Context) -> Self {
        Self { precision: cx.precision, exact: cx.workspace.exact }
    }

    /// Whether a pass that Winograd's algorithm is for is done by it.
    fn takes_winograd(self, gpu: &Gpu, g: &Geometry, pass: fn(&Geometry) -> Winograd) -> bool {
        let plain = self.exact || supported(gpu, self.precision) != Precision::F32;
        !plain && winograd::fits(g) && winograd::pays(&pass(g))
    }
}

impl From<Precision> for Arithmetic {
    /// Of whatever is fastest.
    fn from(precision: Precision) -> Self {
        Self { precision, exact: false }
    }
}

/// To what forward, dx and dkernel round their operands on that device, if they are to round to
/// `precision`: where tensor cores are not for them, not at all.
#[must_use]
pub fn rounds_to(gpu: &Gpu, precision: Precision, g: &Geometry) -> [Precision; 3] {
    let precision = supported(gpu, precision);
    match depthwise::fits(g) {
        true => [Precision::F32; 3],
        false => [precision, Pass::backward_input(g, precision).precision, precision],
    }
}

/// Floats of scratch that the functions here take for such a batch or a smaller one.
#[must_use]
pub fn scratch(g: &Geometry) -> usize {
    let sums = columns_scratch(g.n * g.p * g.q, g.k);
    if depthwise::fits(g) {
        return sums.max(depthwise::scratch(g));
    }
    // The precision may be another at any time.
    let of = |precision| {
        let [forward, input, weight] = [Pass::forward, Pass::backward_input, Pass::weight];
        let scratch = |pass: fn(&Geometry, Precision) -> Pass| pass(g, precision).scratch();
        scratch(forward).max(scratch(input)).max(scratch(weight))
    };
    let of_parts = of(Precision::F32).max(of(Precision::Tf32)).max(of(Precision::Bf16));
    let of_parts = of_parts.max(Pass::backward_input_of_bf16(g).scratch());
    sums.max(of_parts).max(hopper::planned_scratch(g)).max(winograd::planned_scratch(g))
}

/// y from x and kernel.
///
/// # Panics
/// If a view has another length than `g` says, or the scratch is less than [`scratch`] says.
pub fn forward(
    gpu: &Gpu,
    arithmetic: Arithmetic,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    y: GpuViewMut<'_, f32>,
) {
    forward_to(gpu, arithmetic, g, [x, kernel], epilogue, scratch, y.into());
}

/// The same, where y may be bf16 in memory, if [`bf16::keeps`] says so.
pub(crate) fn forward_to(
    gpu: &Gpu,
    arithmetic: Arithmetic,
    g: &Geometry,
    of: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    y: StoredMut<'_>,
) {
    let way = Way::of(gpu, arithmetic, g);
    way.forward(gpu, g, of, epilogue, scratch, (y, GpuViewMut::none()));
}

/// The same in the tiles that every device has, whatever would be chosen.
///
/// # Panics
/// As [`forward`].
pub fn forward_in_tiles(
    gpu: &Gpu,
    precision: Precision,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    y: GpuViewMut<'_, f32>,
) {
    let way = Way::Tiles(Pass::forward(g, supported(gpu, precision)));
    way.forward(gpu, g, [x, kernel], epilogue, scratch, (y.into(), GpuViewMut::none()));
}

/// The tiles of [`forward`], and the moments of y unless that is none.
fn tiles(
    gpu: &Gpu,
    pass: &Pass,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    [y, to]: [GpuViewMut<'_, f32>; 2],
) {
    let launch = forward_kernel(pass);
    let (w, filters, groups) = (Windows::forward(g), int(g.k), int(g.groups));
    let apart = pass.len() as u64;
    in_parts(gpu, pass.parts, epilogue, scratch, y, |y, Epilogue { bias, relu }| {
        let (grid, relu) = (pass.grid(), i32::from(relu));
        // SAFETY: the kernel reads x, kernel and bias and writes y within the geometry that their
        // lengths were checked against, parts within the scratch, and moments for each filter and
        // piece, for which there is room, or none.
        unsafe { launch(gpu, grid, w, filters, groups, x, kernel, bias, relu, y, apart, to) }
    });
}

/// dx from dz and kernel.
///
/// # Panics
/// As [`forward`].
pub fn backward_input(
    gpu: &Gpu,
    arithmetic: Arithmetic,
    g: &Geometry,
    [dz, kernel]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dx: GpuViewMut<'_, f32>,
) {
    backward_input_of(gpu, arithmetic, g, dz.into(), kernel, scratch, dx);
}

/// The same of a dz that may be bf16 in memory.
pub(crate) fn backward_input_of(
    gpu: &Gpu,
    arithmetic: Arithmetic,
    g: &Geometry,
    dz: Stored<'_>,
    kernel: GpuView<'_, f32>,
    scratch: GpuViewMut<'_, f32>,
    dx: GpuViewMut<'_, f32>,
) {
    check(g, dx.len(), kernel.len(), dz.len());
    if dx.is_empty() {
        return;
    }
    if depthwise::fits(g) {
        return depthwise::backward_input(gpu, g, [dz.f32(), kernel], dx);
    }
    if arithmetic.takes_winograd(gpu, g, Winograd::backward) {
        return winograd::backward_input(gpu, g, [dz.f32(), kernel], scratch, dx);
    }
    let precision = arithmetic.precision;
    if hopper::chosen(gpu, precision, g, &hopper::Problem::backward_input(g)) {
        return hopper::backward_input_of(gpu, g, dz, kernel, scratch, dx);
    }
    match dz {
        Stored::F32(dz) => backward_input_in_tiles(gpu, precision, g, [dz, kernel], scratch, dx),
        Stored::Bf16(dz) => bf16::backward_input(gpu, g, dz, kernel, scratch, dx),
    }
}

/// The same in the tiles that every device has, whatever would be chosen.
///
/// # Panics
/// As [`forward`].
pub fn backward_input_in_tiles(
    gpu: &Gpu,
    precision: Precision,
    g: &Geometry,
    [dz, kernel]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dx: GpuViewMut<'_, f32>,
) {
    check(g, dx.len(), kernel.len(), dz.len());
    let pass = Pass::backward_input(g, supported(gpu, precision));
    let launch = backward_input_kernel(&pass);
    let apart = pass.len() as u64;
    in_parts(gpu, pass.parts, Epilogue::none(), scratch, dx, |mut dx, _| {
        for (windows, phase) in phases(g) {
            let (grid, dx) = (pass.grid_of(windows.positions as usize), dx.reborrow());
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
    arithmetic: Arithmetic,
    g: &Geometry,
    [x, dz]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    backward_weight_of(gpu, arithmetic, g, x, dz.into(), scratch, dkernel);
}

/// The same of a dz that may be bf16 in memory.
pub(crate) fn backward_weight_of(
    gpu: &Gpu,
    arithmetic: Arithmetic,
    g: &Geometry,
    x: GpuView<'_, f32>,
    dz: Stored<'_>,
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    check(g, x.len(), dkernel.len(), dz.len());
    if dkernel.is_empty() {
        return;
    }
    if depthwise::fits(g) {
        return depthwise::backward_weight(gpu, g, [x, dz.f32()], scratch, dkernel);
    }
    if arithmetic.takes_winograd(gpu, g, Winograd::forward) {
        return winograd::backward_weight(gpu, g, [x, dz.f32()], scratch, dkernel);
    }
    if hopper::weight::chosen(gpu, arithmetic.precision, g) {
        return hopper::weight::backward_weight_of(gpu, g, x, dz, scratch, dkernel);
    }
    let precision = arithmetic.precision;
    match dz {
        Stored::F32(dz) => backward_weight_in_tiles(gpu, precision, g, [x, dz], scratch, dkernel),
        Stored::Bf16(dz) => bf16::backward_weight(gpu, g, x, dz, scratch, dkernel),
    }
}

/// The same in the tiles that every device has, whatever would be chosen.
///
/// # Panics
/// As [`forward`].
pub fn backward_weight_in_tiles(
    gpu: &Gpu,
    precision: Precision,
    g: &Geometry,
    [x, dz]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    check(g, x.len(), dkernel.len(), dz.len());
    let pass = Pass::weight(g, supported(gpu, precision));
    let launch = backward_weight_kernel(&pass);
    let (windows, filters, groups) = (Windows::forward(g), int(g.k), int(g.groups));
    in_parts(gpu, pass.parts, Epilogue::none(), scratch, dkernel, |dkernel, _| {
        let (grid, apart) = (pass.grid(), pass.len() as u64);
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

fn forward_kernel(pass: &Pass) -> Forward {
    match (pass.precision, pass.narrow, pass.quads) {
        (Precision::F32, false, false) => conv2d_forward,
        (Precision::F32, false, true) => conv2d_forward_quads,
        (Precision::F32, true, false) => conv2d_forward_narrow,
        (Precision::F32, true, true) => conv2d_forward_narrow_quads,
        _ => tensorcore::forward_kernel(pass),
    }
}

fn backward_input_kernel(pass: &Pass) -> BackwardInput {
    match (pass.precision, pass.narrow, pass.quads) {
        (Precision::F32, false, false) => conv2d_backward_input,
        (Precision::F32, false, true) => conv2d_backward_input_quads,
        (Precision::F32, true, false) => conv2d_backward_input_narrow,
        (Precision::F32, true, true) => conv2d_backward_input_narrow_quads,
        _ => tensorcore::backward_input_kernel(pass),
    }
}

fn backward_weight_kernel(pass: &Pass) -> BackwardWeight {
    match (pass.precision, pass.narrow, pass.quads) {
        (Precision::F32, false, false) => conv2d_backward_weight,
        (Precision::F32, false, true) => conv2d_backward_weight_quads,
        (Precision::F32, true, false) => conv2d_backward_weight_small,
        (Precision::F32, true, true) => conv2d_backward_weight_small_quads,
        _ => tensorcore::backward_weight_kernel(pass),
    }
}
