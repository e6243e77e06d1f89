//! Lion: every parameter moves by the learning rate, along the sign of its momentum.
//!
//! ```text
//! Formula      w ← w − lr · sign(β₁ m + (1 − β₁) g)
//!              m ← β₂ m + (1 − β₂) g
//! Shapes       w, g, m: any, equal
//! State        momentum (m), zeros at first
//! Conventions  as Keras: sign(0) = 0. All steps are equally long, so the learning rate is 3 to 10
//!              times smaller than Adam's, and a weight decay as much larger
//! Cost         20 bytes of traffic for a parameter
//! Reference    Chen et al.: Symbolic Discovery of Optimization Algorithms, NeurIPS 2023
//! ```

use crate::formula::cuda::{Kernel, Row, padded};
use crate::formula::setters;
use crate::{Descent, Formula, Update};
use gradus_tensor::Real;
use gradus_tensor::gpu::{In, kernels};

kernels! {
    "formula/lion";
    fn lion_step(rows: In<Row>, count: i32, scalars: In<f32>);
}

/// The numbers of the formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// β₁: how much of the momentum the step follows. 0.9 as in Keras and the paper.
    pub beta_1: f64,
    /// β₂: what the momentum keeps in a step. 0.99 as in Keras and the paper.
    pub beta_2: f64,
}

impl Default for Rule {
    /// Keras's.
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.99 }
    }
}

impl Formula<1> for Rule {
    const NAME: &'static str = "Lion";
    const SLOTS: [&'static str; 1] = ["momentum"];
    /// As in Keras 3; Keras 2 and the paper have 0.0001.
    const LEARNING_RATE: f32 = 1e-3;

    type Numbers<T: Real> = [T; 5];

    fn numbers<T: Real>(&self, update: Update) -> [T; 5] {
        let Self { beta_1, beta_2 } = *self;
        let lr = f64::from(update.learning_rate);
        [lr, beta_1, 1.0 - beta_1, beta_2, 1.0 - beta_2].map(T::of)
    }

    const KERNEL: Option<Kernel<Self::Numbers<f32>>> =
        Some(Kernel { launch: lion_step, numbers: padded });

    #[inline(always)]
    fn step<T: Real>(
        [lr, beta_1, rest_1, beta_2, rest_2]: [T; 5],
        w: T,
        g: T,
        [m]: [T; 1],
    ) -> (T, [T; 1]) {
        let along = beta_1 * m + rest_1 * g;
        // What is neither is 0 or NaN, and stays it.
        let beyond = if along < T::zero() { -T::one() } else { along };
        let sign = if along > T::zero() { T::one() } else { beyond };
        (w - lr * sign, [beta_2 * m + rest_2 * g])
    }
}

/// Keras's `Lion`. PyTorch has none of its own.
pub type Lion = Descent<Rule, 1>;

impl Lion {
    setters! {
        /// With that β₁: how much of the momentum the step follows.
        beta_1: fraction,
        /// With that β₂: what the momentum keeps in a step.
        beta_2: fraction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof;

    #[test]
    fn three_steps_are_those_of_keras() {
        proof::three_steps(Rule::default(), 0.1, [0.9, 1.0, 0.9]);
    }

    #[test]
    fn the_proof_holds_with_every_option() {
        proof::holds(&[Rule::default()]);
    }

    #[test]
    fn the_bottom_of_a_bowl_is_found() {
        proof::finds_the_bottom(&[Rule::default()], 0.02, 1000.0);
    }
}
