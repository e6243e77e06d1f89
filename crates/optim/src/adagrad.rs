//! Adagrad: every parameter moves by its gradient over the size of all its gradients so far.
//!
//! ```text
//! Formula      a ← a + g²
//!              w ← w − lr · g / √(a + ε)
//! Shapes       w, g, a: any, equal
//! State        accumulator (a), at first 0.1
//! Conventions  as Keras: ε inside the root, and a does not begin at 0. PyTorch begins at 0, has
//!              √a + ε and a learning rate of 0.01. a only grows: steps become ever shorter
//! Cost         20 bytes of traffic for a parameter
//! Reference    Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and
//!              Stochastic Optimization, JMLR 12, 2011
//! ```

use crate::formula::cuda::{Kernel, Row, padded};
use crate::formula::setters;
use crate::{Descent, Formula, Update};
use gradus_tensor::Real;
use gradus_tensor::gpu::{In, kernels};

kernels! {
    "formula/adagrad";
    fn adagrad_step(rows: In<Row>, count: i32, scalars: In<f32>);
}

/// The numbers of the formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// What a is at first: 0.1 as in Keras; PyTorch has 0.
    pub initial_accumulator_value: f64,
    /// ε: bounds the step where gradients are 0. 1e-7 as in Keras, and inside the root; PyTorch
    /// has 1e-10 outside of it.
    pub epsilon: f64,
}

impl Default for Rule {
    /// Keras's.
    fn default() -> Self {
        Self { initial_accumulator_value: 0.1, epsilon: 1e-7 }
    }
}

impl Formula<1> for Rule {
    const NAME: &'static str = "Adagrad";
    const SLOTS: [&'static str; 1] = ["accumulator"];
    const LEARNING_RATE: f32 = 1e-3;

    fn initial(&self) -> f32 {
        self.initial_accumulator_value as f32
    }

    type Numbers<T: Real> = [T; 2];

    fn numbers<T: Real>(&self, update: Update) -> [T; 2] {
        [f64::from(update.learning_rate), self.epsilon].map(T::of)
    }

    const KERNEL: Option<Kernel<Self::Numbers<f32>>> =
        Some(Kernel { launch: adagrad_step, numbers: padded });

    #[inline(always)]
    fn step<T: Real>([lr, epsilon]: [T; 2], w: T, g: T, [accumulator]: [T; 1]) -> (T, [T; 1]) {
        let accumulator = accumulator + g * g;
        (w - lr * g / (accumulator + epsilon).sqrt(), [accumulator])
    }
}

/// Keras's `Adagrad`. In PyTorch: `optim.Adagrad`, with other defaults and another place for ε.
pub type Adagrad = Descent<Rule, 1>;

impl Adagrad {
    setters! {
        /// With that a at first.
        initial_accumulator_value: not_negative,
        /// With that ε inside the root.
        epsilon: not_negative,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof;

    #[test]
    fn three_steps_are_those_of_keras() {
        proof::three_steps(Rule::default(), 0.1, [0.915_484_585, 0.947_510_212, 0.931_698_826]);
    }

    #[test]
    fn the_proof_holds_with_every_option() {
        proof::holds(&[Rule::default()]);
    }

    #[test]
    fn the_bottom_of_a_bowl_is_found() {
        proof::finds_the_bottom(&[Rule::default()], 1.0, 1000.0);
    }
}
