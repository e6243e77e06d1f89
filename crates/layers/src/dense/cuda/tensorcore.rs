//! The kernels for tensor cores: of each pair, the first rounds to tf32, the other to bf16.

use gradus_tensor::gpu::{Gpu, Grid, In, Out, kernels};

kernels! {
    "dense/dense_tensorcore";
    fn dense_forward_tf32(
        samples: i32, inputs: i32, units: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>,
    );
    fn dense_forward_bf16(
        samples: i32, inputs: i32, units: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>,
    );
    fn dense_backward_input_tf32(
        samples: i32, inputs: i32, units: i32, dz: In<f32>, kernel: In<f32>, dx: Out<f32>,
    );
    fn dense_backward_input_bf16(
        samples: i32, inputs: i32, units: i32, dz: In<f32>, kernel: In<f32>, dx: Out<f32>,
    );
    fn dense_backward_weight_tf32(
        samples: i32, inputs: i32, units: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>,
    );
    fn dense_backward_weight_bf16(
        samples: i32, inputs: i32, units: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>,
    );
}

type Forward =
    unsafe fn(&Gpu, Grid, i32, i32, i32, In<'_, f32>, In<'_, f32>, In<'_, f32>, i32, Out<'_, f32>);
type Backward = unsafe fn(&Gpu, Grid, i32, i32, i32, In<'_, f32>, In<'_, f32>, Out<'_, f32>);

pub(super) const FORWARD: [Forward; 2] = [dense_forward_tf32, dense_forward_bf16];
pub(super) const BACKWARD_INPUT: [Backward; 2] =
    [dense_backward_input_tf32, dense_backward_input_bf16];
pub(super) const BACKWARD_WEIGHT: [Backward; 2] =
    [dense_backward_weight_tf32, dense_backward_weight_bf16];
