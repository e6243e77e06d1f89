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
    Arithmetic, BackwardInput, BackwardWeight, Epilogue, Forward, check, hopper, in_parts,
    supported,
};
use crate::batch_normalization::cuda::{MOMENTS, Pieces};
use crate::conv2d::Geometry;
use crate::matmul::int;
use crate::stored::{Stored, StoredMut};
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

/// y from x and kernel.
///
/// # Panics
/// If a view has another length than `g` says, the scratch is less than [`super::scratch`] says, or
/// [`keeps`] says no.
pub(crate) fn forward(
    gpu: &Gpu,
    g: &Geometry,
    of: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    y: GpuViewMut<'_, u16>,
) {
    if on_hopper(gpu, g) {
        return hopper::forward_to(gpu, g, of, epilogue, scratch, StoredMut::Bf16(y));
    }
    tiles(gpu, g, of, epilogue, y, GpuViewMut::none());
}

/// Whether y is made by Hopper's own kernel.
fn on_hopper(gpu: &Gpu, g: &Geometry) -> bool {
    hopper::chosen(gpu, Precision::Bf16, g, &hopper::Problem::forward(g))
}

/// The same, and the moments of y where the kernel takes them.
///
/// # Panics
/// As [`forward`], and if there is less scratch than [`super::moments_scratch`] says.
pub(crate) fn forward_with_moments<'a>(
    gpu: &Gpu,
    g: &Geometry,
    of: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'a, f32>,
    y: GpuViewMut<'_, u16>,
) -> Option<Pieces<'a>> {
    let count = Pass::forward(g, Precision::Bf16).pieces().filter(|_| !on_hopper(gpu, g));
    // A device without memory has no scratch, and launches nothing.
    let Some(count) = count.filter(|_| !scratch.is_empty()) else {
        forward(gpu, g, of, epilogue, scratch, y);
        return None;
    };
    let mut moments = scratch.split_at(count * MOMENTS * g.k).0;
    tiles(gpu, g, of, epilogue, y, moments.reborrow());
    Some(Pieces { count, moments })
}

fn tiles(
    gpu: &Gpu,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    Epilogue { bias, relu }: Epilogue<'_>,
    y: GpuViewMut<'_, u16>,
    moments: GpuViewMut<'_, f32>,
) {
    let pass = Pass::forward(g, Precision::Bf16);
    expect(g, [x.len(), kernel.len(), y.len()]);
    assert!(pass.parts == 1, "{g:?} has its sums in parts");
    assert!(bias.is_empty() || bias.len() == g.k, "a bias for each filter");
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
pub(crate) fn backward_input(
    gpu: &Gpu,
    g: &Geometry,
    dz: GpuView<'_, u16>,
    kernel: GpuView<'_, f32>,
    scratch: GpuViewMut<'_, f32>,
    dx: GpuViewMut<'_, f32>,
) {
    expect(g, [dx.len(), kernel.len(), dz.len()]);
    if hopper::chosen(gpu, Precision::Bf16, g, &hopper::Problem::backward_input(g)) {
        return hopper::backward_input_of(gpu, g, Stored::Bf16(dz), kernel, scratch, dx);
    }
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
            // SAFETY: as in `tiles`, parts lie within the scratch; the phases of dx are apart.
            unsafe { launch(gpu, grid, windows, phase, dz, kernel, dx, apart) }
        }
    });
}

/// dkernel from x and dz.
///
/// # Panics
/// As [`backward_input`].
pub(crate) fn backward_weight(
    gpu: &Gpu,
    g: &Geometry,
    x: GpuView<'_, f32>,
    dz: GpuView<'_, u16>,
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    expect(g, [x.len(), dkernel.len(), dz.len()]);
    if hopper::weight::chosen(gpu, Precision::Bf16, g) {
        return hopper::weight::backward_weight_of(gpu, g, x, Stored::Bf16(dz), scratch, dkernel);
    }
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
