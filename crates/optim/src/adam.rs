//! Adam and AdamW: RMSprop's step with momentum, both averages corrected for their start at zero.
//!
//! ```text
//! Formula      m ← m + (1 − β₁)(g − m)                  usual gradient
//!              v ← v + (1 − β₂)(g² − v)                 usual square of the gradient
//!              v̂ ← max(v̂, v)                            with AMSGrad; else v̂ = v
//!              w ← w − α m / (√v̂ + ε),  α = lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ)
//!              AdamW: before that, w ← w − wd · lr · w
//! Shapes       w, g, m, v, v̂: any, equal
//! State        momentum (m), velocity (v), velocity_hat (v̂) with AMSGrad; zeros at first. t
//!              counts updates from 1
//! Conventions  as Keras: ε is the paper's "ε̂", added to a root that is not corrected. PyTorch
//!              adds its ε to the corrected root, which in the first steps is 30 times as large.
//!              AMSGrad takes the maximum before the correction (PyTorch too)
//! Cost         28 bytes of traffic for a parameter, with AMSGrad 36
//! Reference    Kingma, Ba: Adam: A Method for Stochastic Optimization, ICLR 2015, section 2;
//!              Reddi, Kale, Kumar: On the Convergence of Adam and Beyond, ICLR 2018 (AMSGrad);
//!              Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019 (AdamW)
//! ```

use crate::formula::cuda::{Kernel, Row, padded};
use crate::formula::setters;
use crate::{Descent, Formula, Update};
use gradus_tensor::Real;
use gradus_tensor::gpu::{In, kernels};

kernels! {
    "formula/adam";
    fn adam_step(rows: In<Row>, count: i32, scalars: In<f32>);
}

/// The numbers of the formula; `DECAYED` for AdamW, whose weight decay is not 0 unless said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule<const DECAYED: bool> {
    /// β₁: what the usual gradient keeps in a step. 0.9 as in Keras, PyTorch and the paper.
    pub beta_1: f64,
    /// β₂: what its square keeps. 0.999 as in Keras, PyTorch and the paper.
    pub beta_2: f64,
    /// ε: bounds the step where gradients are 0. 1e-7 as in Keras; PyTorch has 1e-8.
    pub epsilon: f64,
    /// Whether the divisor never falls. `false` as in Keras and PyTorch.
    pub amsgrad: bool,
}

impl<const DECAYED: bool> Default for Rule<DECAYED> {
    /// Keras's.
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, amsgrad: false }
    }
}

impl<const DECAYED: bool> Formula<3> for Rule<DECAYED> {
    const NAME: &'static str = if DECAYED { "AdamW" } else { "Adam" };
    const SLOTS: [&'static str; 3] = ["momentum", "velocity", "velocity_hat"];
    const LEARNING_RATE: f32 = 1e-3;
    /// As in Keras; PyTorch's AdamW has 0.01.
    const WEIGHT_DECAY: f64 = if DECAYED { 0.004 } else { 0.0 };

    fn used(&self) -> [bool; 3] {
        [true, true, self.amsgrad]
    }

    type Numbers<T: Real> = [T; 4];

    fn numbers<T: Real>(&self, update: Update) -> [T; 4] {
        let Self { beta_1, beta_2, epsilon, .. } = *self;
        let t = update.number as f64;
        let correction = (1.0 - beta_2.powf(t)).sqrt() / (1.0 - beta_1.powf(t));
        let alpha = f64::from(update.learning_rate) * correction;
        [alpha, 1.0 - beta_1, 1.0 - beta_2, epsilon].map(T::of)
    }

    const KERNEL: Option<Kernel<Self::Numbers<f32>>> =
        Some(Kernel { launch: adam_step, numbers: padded });

    #[inline(always)]
    fn step<T: Real>(
        [alpha, rest_1, rest_2, epsilon]: [T; 4],
        w: T,
        g: T,
        [m, v, v_hat]: [T; 3],
    ) -> (T, [T; 3]) {
        let m = m + rest_1 * (g - m);
        let v = v + rest_2 * (g * g - v);
        // Without AMSGrad it is 0 before every step. Not `max`, which would hide a NaN.
        let v_hat = if v_hat > v { v_hat } else { v };
        (w - alpha * m / (v_hat.sqrt() + epsilon), [m, v, v_hat])
    }
}

/// Keras's `Adam`. In PyTorch: `optim.Adam`, with another place for ε.
pub type Adam = Descent<Rule<false>, 3>;

/// Keras's `AdamW`: Adam with a decoupled weight decay of 0.004 unless said. In PyTorch:
/// `optim.AdamW`, with 0.01.
pub type AdamW = Descent<Rule<true>, 3>;

impl<const DECAYED: bool> Descent<Rule<DECAYED>, 3> {
    setters! {
        /// With that β₁: what the usual gradient keeps in a step.
        beta_1: below_one,
        /// With that β₂: what the usual square of the gradient keeps in a step.
        beta_2: below_one,
        /// With that ε beside the root.
        epsilon: not_negative,
    }

    /// Whether the divisor never falls.
    #[must_use]
    pub fn amsgrad(mut self, amsgrad: bool) -> Self {
        self.rule.amsgrad = amsgrad;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Optimizer, proof};

    /// Plain, and with AMSGrad.
    fn rules() -> [Rule<false>; 2] {
        [false, true].map(|amsgrad| Rule { amsgrad, ..Rule::default() })
    }

    #[test]
    fn three_steps_are_those_of_keras() {
        proof::three_steps(rules()[0], 0.1, [0.900_000_631, 0.865_440_249, 0.827_501_289]);
        // With β₂ = 0.999 the square hardly falls in three steps, and AMSGrad does nothing.
        let amsgrad = Rule { beta_2: 0.5, ..rules()[1] };
        proof::three_steps(amsgrad, 0.1, [0.900_000_027, 0.867_769_907, 0.836_040_426]);
    }

    #[test]
    fn the_proof_holds_with_every_option() {
        proof::holds(&rules());
    }

    #[test]
    fn the_bottom_of_a_bowl_is_found() {
        proof::finds_the_bottom(&rules(), 0.1, 1000.0);
    }

    #[test]
    fn they_go_by_their_names() {
        assert_eq!([Adam::new().name(), AdamW::new().name()], ["Adam", "AdamW"]);
    }

    #[test]
    #[should_panic(expected = "beta_1 is at least 0 and below 1, got 1")]
    fn an_average_that_never_moves_is_refused() {
        let _ = Adam::new().beta_1(1.0);
    }
}
