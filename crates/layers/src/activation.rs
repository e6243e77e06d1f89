//! Activations: what stands between linear layers.
//!
//! ```text
//! Formula      linear       z                        relu      max(z, 0)
//!              relu6        min(max(z, 0), 6)        leaky_relu z < 0 ? slope·z : z
//!              elu          z < 0 ? α(eᶻ − 1) : z    selu      1.0507 · elu, α = 1.6733
//!              sigmoid σ    1/(1 + e⁻ᶻ)              hard_sigmoid relu6(z + 3)/6
//!              tanh         tanh z                   softsign  z/(1 + |z|)
//!              softplus     ln(1 + eᶻ)               exponential eᶻ
//!              silu         z·σ(z)                   mish      z·tanh(softplus(z))
//!              gelu         z·Φ(z), Φ the normal distribution
//!              gelu_tanh    z·(1 + tanh u)/2, u = √(2/π)·(z + 0.044715 z³)
//!              softmax yᵢ = exp(zᵢ − max z) / Σⱼ exp(zⱼ − max z), over the last axis
//! Shapes       z, y: any, equal
//! Backward     dz = slope · dy; softmax dzᵢ = yᵢ (dyᵢ − Σⱼ dyⱼ yⱼ)
//! Saved        nothing where y is enough to know the slope: that is all but silu, mish, gelu and
//!              gelu_tanh, which are not monotonic; for those a layer keeps z
//! Conventions  relu'(0) = 0, as Keras and PyTorch; a NaN stays a NaN, so that a lost run shows;
//!              softmax subtracts the maximum and never overflows. `gelu` is the exact one, Keras's
//!              default; its approximation has no name in Keras (`approximate=True`) and PyTorch's
//!              here. `leaky_relu` has slope 0.2, Keras's; PyTorch's is 0.01
//! Reference    Nair, Hinton: Rectified Linear Units Improve Restricted Boltzmann Machines. ICML
//!              2010; Bridle, 1990 (softmax); Clevert, Unterthiner, Hochreiter, arXiv 1511.07289
//!              (elu); Klambauer et al., arXiv 1706.02515 (selu); Hendrycks, Gimpel, arXiv
//!              1606.08415 (gelu, silu); Misra, arXiv 1908.08681 (mish)
//! ```

pub mod cpu;
pub mod cuda;
pub mod layer;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use layer::only_activation;
pub use layer::{ActivationLayer, AsLayer, ELU, LeakyReLU, ReLU, Softmax};

use gradus_tensor::{Context, Device, Tensor};

/// Keras's `activation=` argument: written and read as Keras's string, such as `"leaky_relu"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "words::Words", into = "words::Words")]
#[non_exhaustive]
pub enum Activation {
    /// None. The default, as in Keras.
    #[default]
    Linear,
    /// max(z, 0).
    Relu,
    /// max(z, 0), at most 6.
    Relu6,
    /// z, or a fraction of it where it is negative: [`Activation::LEAKY_RELU`] is Keras's.
    LeakyRelu {
        /// The fraction, at least 0.
        negative_slope: f64,
    },
    /// z, or α(eᶻ − 1) where it is negative: [`Activation::ELU`] is Keras's.
    Elu {
        /// α, more than 0.
        alpha: f64,
    },
    /// A scaled elu that keeps mean and variance.
    Selu,
    /// z·Φ(z).
    Gelu,
    /// gelu by a tanh: Keras's `gelu` with `approximate=True`.
    GeluTanh,
    /// z·σ(z), also called swish.
    Silu,
    /// z·tanh(softplus(z)).
    Mish,
    /// 1/(1 + e⁻ᶻ).
    Sigmoid,
    /// Three straight lines in place of a sigmoid.
    HardSigmoid,
    /// tanh z.
    Tanh,
    /// Probabilities over the last axis.
    Softmax,
    /// ln(1 + eᶻ).
    Softplus,
    /// z/(1 + |z|).
    Softsign,
    /// eᶻ.
    Exponential,
}

const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

/// The formulas as loops over rows of the last axis.
pub mod definition {
    use super::{Activation, SELU_ALPHA, SELU_SCALE};
    use gradus_tensor::Real;
    use gradus_tensor::ndarray::{ArrayView2, ArrayViewMut2, Zip};
    use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};

    /// y from z, in place.
    pub fn forward<T: Real>(activation: Activation, mut y: ArrayViewMut2<'_, T>) {
        if activation != Activation::Softmax {
            return y.mapv_inplace(|z| value(activation, z));
        }
        for mut row in y.rows_mut() {
            let max = row.iter().fold(T::neg_infinity(), |m, &z| m.max(z));
            row.mapv_inplace(|z| (z - max).exp());
            let sum: T = row.iter().copied().sum();
            row.mapv_inplace(|e| e / sum);
        }
    }

    /// dz from y and dy, in place of dy. From z in place of y where the activation
    /// [needs it](Activation::needs_z).
    pub fn backward<T: Real>(
        activation: Activation,
        kept: ArrayView2<'_, T>,
        mut dy: ArrayViewMut2<'_, T>,
    ) {
        if activation != Activation::Softmax {
            return Zip::from(&mut dy).and(kept).for_each(|dy, &kept| {
                *dy = slope(activation, kept) * *dy;
            });
        }
        for (mut dy, y) in dy.rows_mut().into_iter().zip(kept.rows()) {
            let dot: T = dy.iter().zip(y).map(|(&d, &y)| d * y).sum();
            Zip::from(&mut dy).and(y).for_each(|d, &y| *d = y * (*d - dot));
        }
    }

    /// y from one z.
    fn value<T: Real>(activation: Activation, z: T) -> T {
        let (zero, one, of) = (T::zero(), T::one(), T::of);
        match activation {
            Activation::Linear | Activation::Softmax => z,
            Activation::Relu if z < zero => zero,
            Activation::Relu => z,
            Activation::Relu6 => between(z, zero, of(6.0)),
            Activation::LeakyRelu { negative_slope } if z < zero => z * of(negative_slope),
            Activation::Elu { alpha } if z < zero => of(alpha) * z.exp_m1(),
            Activation::LeakyRelu { .. } | Activation::Elu { .. } => z,
            Activation::Selu => of(SELU_SCALE) * value(Activation::Elu { alpha: SELU_ALPHA }, z),
            Activation::Gelu => z * normal(z)[0],
            Activation::GeluTanh => z * (one + gelu_argument(z)[0].tanh()) / of(2.0),
            Activation::Silu => z * value(Activation::Sigmoid, z),
            Activation::Mish => z * value(Activation::Softplus, z).tanh(),
            Activation::Sigmoid => one / (one + (-z).exp()),
            Activation::HardSigmoid => between(z + of(3.0), zero, of(6.0)) / of(6.0),
            Activation::Tanh => z.tanh(),
            Activation::Softplus if z > zero => z + (-z).exp().ln_1p(),
            Activation::Softplus => z.exp().ln_1p(),
            Activation::Softsign => z / (one + z.abs()),
            Activation::Exponential => z.exp(),
        }
    }

    /// dy/dz from y, or from z where that is kept.
    fn slope<T: Real>(activation: Activation, kept: T) -> T {
        let (zero, one, of) = (T::zero(), T::one(), T::of);
        let step = |inside: bool| if inside { one } else { zero };
        match activation {
            Activation::Linear | Activation::Softmax => one,
            // Not `y > 0`: the gradient of a NaN shall not look like a quiet unit's.
            Activation::Relu => step(kept != zero),
            Activation::Relu6 => step(kept != zero && kept != of(6.0)),
            Activation::LeakyRelu { negative_slope } if kept <= zero => of(negative_slope),
            Activation::Elu { alpha } if kept < zero => kept + of(alpha),
            Activation::LeakyRelu { .. } | Activation::Elu { .. } => one,
            Activation::Selu if kept < zero => kept + of(SELU_SCALE * SELU_ALPHA),
            Activation::Selu => of(SELU_SCALE),
            Activation::Gelu => {
                let [distribution, density] = normal(kept);
                distribution + kept * density
            }
            Activation::GeluTanh => {
                let [u, du] = gelu_argument(kept);
                (one + u.tanh() + kept * (one - u.tanh().powi(2)) * du) / of(2.0)
            }
            Activation::Silu => {
                let s = value(Activation::Sigmoid, kept);
                s * (one + kept * (one - s))
            }
            Activation::Mish => {
                let t = value(Activation::Softplus, kept).tanh();
                t + kept * value(Activation::Sigmoid, kept) * (one - t * t)
            }
            Activation::Sigmoid => kept * (one - kept),
            Activation::HardSigmoid => step(kept != zero && kept != one) / of(6.0),
            Activation::Tanh => one - kept * kept,
            Activation::Softplus => -(-kept).exp_m1(),
            Activation::Softsign => (one - kept.abs()).powi(2),
            Activation::Exponential => kept,
        }
    }

    /// z, or the end of the range that it lies beyond.
    fn between<T: Real>(z: T, low: T, high: T) -> T {
        match z {
            z if z < low => low,
            z if z > high => high,
            z => z,
        }
    }

    /// u of gelu's approximation, and du/dz.
    fn gelu_argument<T: Real>(z: T) -> [T; 2] {
        let (root, cubic) = (T::of(FRAC_2_SQRT_PI / SQRT_2), T::of(0.044_715));
        let square = z * z;
        [root * z * (T::one() + cubic * square), root * (T::one() + T::of(3.0) * cubic * square)]
    }

    /// Φ(z) and φ(z). Φ(z) = 1/2 + φ(z) · Σₖ z²ᵏ⁺¹/(1·3·5⋯(2k+1)), whose terms are all of one sign.
    fn normal<T: Real>(z: T) -> [T; 2] {
        let density = (-z * z / T::of(2.0)).exp() * T::of(FRAC_2_SQRT_PI / SQRT_2 / 2.0);
        if z.abs() > T::of(9.0) {
            return [if z > T::zero() { T::one() } else { T::zero() }, density];
        }
        let (mut term, mut sum) = (z, z);
        for k in 1..150 {
            term *= z * z / T::count(2 * k + 1);
            sum += term;
        }
        [T::of(0.5) + density * sum, density]
    }
}

impl Activation {
    /// Keras's `leaky_relu`: slope 0.2.
    pub const LEAKY_RELU: Self = Self::LeakyRelu { negative_slope: 0.2 };
    /// Keras's `elu`: α = 1.
    pub const ELU: Self = Self::Elu { alpha: 1.0 };

    /// Whether the slope does not follow from y, so that a layer has to keep z for `backward`.
    #[must_use]
    pub fn needs_z(self) -> bool {
        matches!(self, Self::Gelu | Self::GeluTanh | Self::Silu | Self::Mish)
    }

    /// y from z, in place.
    pub fn forward(self, cx: &Context, y: &mut Tensor) {
        match &cx.device {
            Device::Cpu => cpu::forward(&cx.workspace.pool, self, y.rows_mut()),
            Device::Cuda(gpu) => cuda::forward(gpu, self, y.shape().last(), y.gpu_mut()),
        }
    }

    /// dz from what was kept and dy, in place of dy: from z where the activation
    /// [needs it](Activation::needs_z), else from y.
    pub fn backward(self, cx: &Context, kept: &Tensor, dy: &mut Tensor) {
        match &cx.device {
            Device::Cpu => cpu::backward(&cx.workspace.pool, self, kept.rows(), dy.rows_mut()),
            Device::Cuda(gpu) => {
                cuda::backward(gpu, self, dy.shape().last(), kept.gpu(), dy.gpu_mut());
            }
        }
    }
}
