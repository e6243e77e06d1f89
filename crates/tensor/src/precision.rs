//! How exact products are.

use std::fmt;
use std::str::FromStr;

/// To what the operands of convolutions and dense layers are rounded on a GPU. Sums, parameters,
/// activations, statistics and optimizers are f32 whatever this is (but for a convolution's y and dz
/// that layers which are done together keep to themselves in bf16); so is everything on the CPU. What
/// tensor cores are not for stays exact in f32 too: depthwise convolutions, the dx of a convolution
/// whose channels or filters are not multiples of 4, unless its dz is kept so, and dense layers with up
/// to 16 samples or odd extents (`docs/engines/matmul.md`, "On tensor cores").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Not at all: 23 bits of mantissa. The default.
    #[default]
    F32,
    /// 10 bits of mantissa and the range of f32, multiplied on tensor cores. What PyTorch calls
    /// `allow_tf32`.
    Tf32,
    /// 7 bits of mantissa and the range of f32, multiplied on tensor cores. PyTorch's
    /// `autocast(dtype=torch.bfloat16)` and Keras's `mixed_bfloat16` round activations too.
    Bf16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
        })
    }
}

/// A word that names no [`Precision`].
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{found:?} is not a precision: say f32, tf32 or bf16")]
pub struct UnknownPrecision {
    /// What was said.
    pub found: String,
}

/// Reads `f32`, `tf32` or `bf16`.
impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Self, UnknownPrecision> {
        let all = [Self::F32, Self::Tf32, Self::Bf16];
        let named = all.into_iter().find(|precision| precision.to_string() == text);
        named.ok_or_else(|| UnknownPrecision { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_is_named_as_on_the_command_line() {
        for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        let error = "half".parse::<Precision>().unwrap_err();
        assert!(error.to_string().ends_with("say f32, tf32 or bf16"));
    }
}
