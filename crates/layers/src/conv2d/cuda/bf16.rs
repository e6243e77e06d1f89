//! Convolution whose y and dz are bf16 in memory, as tensor cores take them: for layers that are done
//! together, which keep y and dz to themselves.
//!
//! ```text
//! Rounding     y once, behind the epilogue, and its moments are those of the rounded numbers; dz is
//!              rounded for the tensor cores in any case, so that dx and dkernel have the bits that
//!              they have of the same dz in f32
//! Cost         y and dz go to or from memory five times in a training step, six with dx: two bytes a
//!              number in place of four, and dz goes on to shared memory as it is
//! Fits         filters of a group by fours, and sums that one block makes alone; on Hopper what its
//!              own kernels make, which take dz as it is and leave no moments
//! ```

#[cfg(test)]
mod tests;

use super::pass::Pass;
use super::way::Way;
use super::windows::{Phase, Windows, phases};
use super::{
    Arithmetic, BackwardInput, BackwardWeight, Epilogue, Forward, check, in_parts, supported,
};
use crate::conv2d::Geometry;
use crate::matmul::int;
use gradus_tensor::Precision;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut, In, Out, kernels};

kernels! {
    "conv2d/conv2d_bf16";
    fn conv2d_forward_y16(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<u16>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_forward_y16_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<u16>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_forward_y16_narrow_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<u16>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_backward_input_dz16(
        g: Windows, phase: Phase, dz: In<u16>, kernel: In<f32>, dx: Out<f32>, apart: u64,
    );
    fn conv2d_backward_input_dz16_quads(
        g: Windows, phase: Phase, dz: In<u16>, kernel: In<f32>, dx: Out<f32>, apart: u64,
    );
    fn conv2d_backward_input_dz16_narrow_quads(
        g: Windows, phase: Phase, dz: In<u16>, kernel: In<f32>, dx: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_dz16(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<u16>, dkernel: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_dz16_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<u16>, dkernel: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_dz16_narrow_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<u16>, dkernel: Out<f32>, apart: u64,
    );
}

/// Whether layers that are done together keep y and dz so: wherever operands are rounded to bf16, and
/// the kernels here can do it.
pub(crate) fn keeps(gpu: &Gpu, arithmetic: Arithmetic, g: &Geometry) -> bool {
    let rounded = supported(gpu, arithmetic.precision) == Precision::Bf16;
    let whole = match Way::of(gpu, arithmetic, g) {
        Way::Tiles(pass) => pass.parts == 1,
        way => matches!(way, Way::Hopper),
    };
    rounded && whole && (g.k / g.groups).is_multiple_of(4)
}

/// y from x and kernel, and the moments of y unless they are none.
///
/// # Panics
/// If a view has another length than `g` says, or [`keeps`] says no.
pub(super) fn forward(
    gpu: &Gpu,
    pass: &Pass,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    Epilogue { bias, relu }: Epilogue<'_>,
    y: GpuViewMut<'_, u16>,
    moments: GpuViewMut<'_, f32>,
) {
    expect(g, [x.len(), kernel.len(), y.len()]);
    assert!(pass.parts == 1, "{g:?} has its sums in parts");
    let launch: Forward<u16> = pass.rounded([
        conv2d_forward_y16,
        conv2d_forward_y16_quads,
        conv2d_forward_y16_narrow_quads,
    ]);
    let (w, filters, groups) = (Windows::forward(g), int(g.k), int(g.groups));
    let (apart, relu) = (pass.len() as u64, i32::from(relu));
    // SAFETY: the kernel reads x, kernel and bias and writes y within the geometry that their lengths
    // were checked against, and moments for each filter and piece, for which there is room, or none.
    unsafe {
        launch(gpu, pass.grid(), w, filters, groups, x, kernel, bias, relu, y, apart, moments);
    }
}

/// dx from dz and kernel.
///
/// # Panics
/// As [`forward`], and if the scratch is less than [`super::scratch`] says.
pub(super) fn backward_input(
    gpu: &Gpu,
    g: &Geometry,
    dz: GpuView<'_, u16>,
    kernel: GpuView<'_, f32>,
    scratch: GpuViewMut<'_, f32>,
    dx: GpuViewMut<'_, f32>,
) {
    expect(g, [dx.len(), kernel.len(), dz.len()]);
    let pass = Pass::backward_input_of_bf16(g);
    let launch: BackwardInput<u16> = pass.rounded([
        conv2d_backward_input_dz16,
        conv2d_backward_input_dz16_quads,
        conv2d_backward_input_dz16_narrow_quads,
    ]);
    let apart = pass.len() as u64;
    in_parts(gpu, pass.parts, Epilogue::none(), scratch, dx, |mut dx, _| {
        for (windows, phase) in phases(g) {
            let (grid, dx) = (pass.grid_of(windows.positions as usize), dx.reborrow());
            // SAFETY: as in `forward`, parts lie within the scratch; the phases of dx are apart.
            unsafe { launch(gpu, grid, windows, phase, dz, kernel, dx, apart) }
        }
    });
}

/// dkernel from x and dz.
///
/// # Panics
/// As [`backward_input`].
pub(super) fn backward_weight(
    gpu: &Gpu,
    g: &Geometry,
    x: GpuView<'_, f32>,
    dz: GpuView<'_, u16>,
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    expect(g, [x.len(), dkernel.len(), dz.len()]);
    let pass = Pass::weight(g, Precision::Bf16);
    let launch: BackwardWeight<u16> = pass.rounded([
        conv2d_backward_weight_dz16,
        conv2d_backward_weight_dz16_quads,
        conv2d_backward_weight_dz16_narrow_quads,
    ]);
    let (windows, filters, groups) = (Windows::forward(g), int(g.k), int(g.groups));
    in_parts(gpu, pass.parts, Epilogue::none(), scratch, dkernel, |dkernel, _| {
        let (grid, apart) = (pass.grid(), pass.len() as u64);
        // SAFETY: as in `backward_input`.
        unsafe { launch(gpu, grid, windows, filters, groups, x, dz, dkernel, apart) }
    });
}

fn expect(g: &Geometry, [x, kernel, y]: [usize; 3]) {
    check(g, x, kernel, y);
    assert!((g.k / g.groups).is_multiple_of(4), "filters by fours: {g:?}");
}
