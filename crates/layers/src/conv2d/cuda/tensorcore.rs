//! The kernels for tensor cores, and which one does what.

use super::pass::Pass;
use super::windows::{Phase, Windows};
use super::{BackwardInput, BackwardWeight, Forward};
use gradus_tensor::Precision;
use gradus_tensor::gpu::{In, Out, kernels};

kernels! {
    "conv2d/conv2d_tensorcore";
    fn conv2d_forward_tf32(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_forward_tf32_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_forward_tf32_narrow_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_forward_bf16(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_forward_bf16_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_forward_bf16_narrow_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>, apart: u64, moments: Out<f32>,
    );
    fn conv2d_backward_input_tf32_quads(
        g: Windows, phase: Phase, dz: In<f32>, kernel: In<f32>, dx: Out<f32>, apart: u64,
    );
    fn conv2d_backward_input_tf32_narrow_quads(
        g: Windows, phase: Phase, dz: In<f32>, kernel: In<f32>, dx: Out<f32>, apart: u64,
    );
    fn conv2d_backward_input_bf16_quads(
        g: Windows, phase: Phase, dz: In<f32>, kernel: In<f32>, dx: Out<f32>, apart: u64,
    );
    fn conv2d_backward_input_bf16_narrow_quads(
        g: Windows, phase: Phase, dz: In<f32>, kernel: In<f32>, dx: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_tf32(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_tf32_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_tf32_narrow_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_bf16(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_bf16_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>, apart: u64,
    );
    fn conv2d_backward_weight_bf16_narrow_quads(
        g: Windows, filters: i32, groups: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>, apart: u64,
    );
}

pub(super) fn forward_kernel(pass: &Pass) -> Forward {
    pass.rounded(match pass.precision {
        Precision::Tf32 => {
            [conv2d_forward_tf32, conv2d_forward_tf32_quads, conv2d_forward_tf32_narrow_quads]
        }
        _ => [conv2d_forward_bf16, conv2d_forward_bf16_quads, conv2d_forward_bf16_narrow_quads],
    })
}

pub(super) fn backward_input_kernel(pass: &Pass) -> BackwardInput {
    match (pass.precision == Precision::Tf32, pass.narrow, pass.quads) {
        (true, false, _) => conv2d_backward_input_tf32_quads,
        (true, true, _) => conv2d_backward_input_tf32_narrow_quads,
        (false, false, _) => conv2d_backward_input_bf16_quads,
        (false, true, _) => conv2d_backward_input_bf16_narrow_quads,
    }
}

pub(super) fn backward_weight_kernel(pass: &Pass) -> BackwardWeight {
    pass.rounded(match pass.precision {
        Precision::Tf32 => [
            conv2d_backward_weight_tf32,
            conv2d_backward_weight_tf32_quads,
            conv2d_backward_weight_tf32_narrow_quads,
        ],
        _ => [
            conv2d_backward_weight_bf16,
            conv2d_backward_weight_bf16_quads,
            conv2d_backward_weight_bf16_narrow_quads,
        ],
    })
}
