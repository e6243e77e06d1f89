//! Adamax: Adam with the largest gradient of late in place of the usual square.
//!
//! ```text
//! Formula      m ← m + (1 − β₁)(g − m)
//!              u ← max(β₂ u, |g|)
//!              w ← w − lr / (1 − β₁ᵗ) · m / (u + ε)
//! Shapes       w, g, m, u: any, equal
//! State        momentum (m), norm (u); zeros at first. t counts updates from 1
//! Conventions  as Keras; PyTorch has u ← max(β₂ u, |g| + ε)
//! Cost         28 bytes of traffic for a parameter
//! Reference    Kingma, Ba: Adam: A Method for Stochastic Optimization, ICLR 2015, section 7.1
//! ```

use crate::formula::cuda::{Kernel, Row, padded};
use crate::formula::setters;
use crate::{Descent, Formula, Update};
use gradus_tensor::Real;
use gradus_tensor::gpu::{In, kernels};

kernels! {
    "formula/adamax";
    fn adamax_step(rows: In<Row>, count: i32, scalars: In<f32>);
}

/// The numbers of the formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// β₁: what the usual gradient keeps in a step. 0.9 as in Keras and PyTorch.
    pub beta_1: f64,
    /// β₂: what the largest gradient keeps. 0.999 as in Keras and PyTorch.
    pub beta_2: f64,
    /// ε: bounds the step where gradients are 0. 1e-7 as in Keras; PyTorch has 1e-8.
    pub epsilon: f64,
}

impl Default for Rule {
    /// Keras's.
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }
}

impl Formula<2> for Rule {
    const NAME: &'static str = "Adamax";
    const SLOTS: [&'static str; 2] = ["momentum", "norm"];
    /// As in Keras; PyTorch has 0.002.
    const LEARNING_RATE: f32 = 1e-3;

    type Numbers<T: Real> = [T; 4];

    fn numbers<T: Real>(&self, update: Update) -> [T; 4] {
        let Self { beta_1, beta_2, epsilon } = *self;
        let correction = 1.0 - beta_1.powf(update.number as f64);
        let alpha = f64::from(update.learning_rate) / correction;
        [alpha, 1.0 - beta_1, beta_2, epsilon].map(T::of)
    }

    const KERNEL: Option<Kernel<Self::Numbers<f32>>> =
        Some(Kernel { launch: adamax_step, numbers: padded });

    #[inline(always)]
    fn step<T: Real>(
        [alpha, rest, beta_2, epsilon]: [T; 4],
        w: T,
        g: T,
        [m, u]: [T; 2],
    ) -> (T, [T; 2]) {
        let m = m + rest * (g - m);
        let (faded, size) = (beta_2 * u, g.abs());
        // Not `max`, which would hide a NaN.
        let u = if faded > size { faded } else { size };
        (w - alpha * m / (u + epsilon), [m, u])
    }
}

/// Keras's `Adamax`. In PyTorch: `optim.Adamax`.
pub type Adamax = Descent<Rule, 2>;

impl Adamax {
    setters! {
        /// With that β₁: what the usual gradient keeps in a step.
        beta_1: below_one,
        /// With that β₂: what the largest gradient keeps in a step.
        beta_2: below_one,
        /// With that ε beside the largest gradient.
        epsilon: not_negative,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof;

    #[test]
    fn three_steps_are_those_of_keras() {
        proof::three_steps(Rule::default(), 0.1, [0.900_000_019, 0.873_657_892, 0.849_624_614]);
    }

    #[test]
    fn the_proof_holds_with_every_option() {
        proof::holds(&[Rule::default()]);
    }

    #[test]
    fn the_bottom_of_a_bowl_is_found() {
        proof::finds_the_bottom(&[Rule::default()], 0.1, 1000.0);
    }
}
