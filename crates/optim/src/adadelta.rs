//! Adadelta: every parameter moves by its gradient, in units of its own usual step.
//!
//! ```text
//! Formula      a ← ρ a + (1 − ρ) g²                     usual square of the gradient
//!              δ = g · √(d + ε) / √(a + ε)
//!              d ← ρ d + (1 − ρ) δ²                     usual square of the step
//!              w ← w − lr · δ
//! Shapes       w, g, a, d: any, equal
//! State        accumulated_grad (a), accumulated_delta_var (d); zeros at first
//! Conventions  as Keras, whose learning rate of 0.001 is far below the paper's 1: d does not see
//!              it. PyTorch, with 1.0 and ε = 1e-6, is the same formula
//! Cost         28 bytes of traffic for a parameter
//! Reference    Zeiler: ADADELTA: An Adaptive Learning Rate Method, 2012
//! ```

use crate::formula::cuda::{Kernel, Row, padded};
use crate::formula::setters;
use crate::{Descent, Formula, Update};
use gradus_tensor::Real;
use gradus_tensor::gpu::{In, kernels};

kernels! {
    "formula/adadelta";
    fn adadelta_step(rows: In<Row>, count: i32, scalars: In<f32>);
}

/// The numbers of the formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// ρ: what the averages keep in a step. 0.95 as in Keras and the paper; PyTorch has 0.9.
    pub rho: f64,
    /// ε: how long the first steps are. 1e-7 as in Keras; the paper and PyTorch have 1e-6.
    pub epsilon: f64,
}

impl Default for Rule {
    /// Keras's.
    fn default() -> Self {
        Self { rho: 0.95, epsilon: 1e-7 }
    }
}

impl Formula<2> for Rule {
    const NAME: &'static str = "Adadelta";
    const SLOTS: [&'static str; 2] = ["accumulated_grad", "accumulated_delta_var"];
    /// As in Keras; the paper and PyTorch have 1.
    const LEARNING_RATE: f32 = 1e-3;

    type Numbers<T: Real> = [T; 4];

    fn numbers<T: Real>(&self, update: Update) -> [T; 4] {
        [f64::from(update.learning_rate), self.rho, 1.0 - self.rho, self.epsilon].map(T::of)
    }

    const KERNEL: Option<Kernel<Self::Numbers<f32>>> =
        Some(Kernel { launch: adadelta_step, numbers: padded });

    #[inline(always)]
    fn step<T: Real>(
        [lr, rho, rest, epsilon]: [T; 4],
        w: T,
        g: T,
        [grads, steps]: [T; 2],
    ) -> (T, [T; 2]) {
        let grads = rho * grads + rest * (g * g);
        let step = g * (steps + epsilon).sqrt() / (grads + epsilon).sqrt();
        (w - lr * step, [grads, rho * steps + rest * (step * step)])
    }
}

/// Keras's `Adadelta`. In PyTorch: `optim.Adadelta`, with other defaults.
pub type Adadelta = Descent<Rule, 2>;

impl Adadelta {
    setters! {
        /// With that ρ: what the averages keep in a step.
        rho: fraction,
        /// With that ε inside the roots.
        epsilon: not_negative,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof;

    #[test]
    fn three_steps_are_those_of_keras() {
        proof::three_steps(Rule::default(), 1.0, [0.998_585_792, 0.999_345_114, 0.998_940_638]);
    }

    #[test]
    fn the_proof_holds_with_every_option() {
        proof::holds(&[Rule::default()]);
    }

    #[test]
    fn the_bottom_of_a_bowl_is_found() {
        proof::finds_the_bottom(&[Rule::default()], 10.0, 1000.0);
    }
}
