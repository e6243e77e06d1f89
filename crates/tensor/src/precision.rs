//! How exact products are.

/// To what the operands of convolutions and dense layers are rounded on a GPU. Sums, parameters,
/// activations, statistics and optimizers are f32 whatever this is; so is everything on the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Not at all: 23 bits of mantissa. The default.
    #[default]
    F32,
    /// 10 bits of mantissa and the range of f32: on tensor cores several times as fast. What
    /// PyTorch calls `allow_tf32`.
    Tf32,
    /// 7 bits of mantissa and the range of f32: twice as fast again. PyTorch's
    /// `autocast(dtype=torch.bfloat16)` and Keras's `mixed_bfloat16`, which round activations too.
    Bf16,
}
