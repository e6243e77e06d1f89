//! Nadam: Adam with Nesterov's look ahead, and a momentum that warms up.
//!
//! ```text
//! Formula      uₜ = β₁ (1 − ½ · 0.96ᵗ),  Uₜ = u₁ · u₂ · … · uₜ
//!              m ← m + (1 − β₁)(g − m),  v ← v + (1 − β₂)(g² − v)
//!              m̂ = uₜ₊₁ m / (1 − Uₜ₊₁) + (1 − uₜ) g / (1 − Uₜ),  v̂ = v / (1 − β₂ᵗ)
//!              w ← w − lr · m̂ / (√v̂ + ε)
//! Shapes       w, g, m, v: any, equal
//! State        momentum (m), velocity (v); zeros at first. t counts updates from 1. Keras keeps U
//!              as a variable; here it follows from t
//! Conventions  as Keras: m itself averages with β₁, and only m̂ with u (PyTorch too)
//! Cost         28 bytes of traffic for a parameter
//! Reference    Dozat: Incorporating Nesterov Momentum into Adam, ICLR workshop 2016
//! ```

use crate::formula::cuda::{Kernel, Row, padded};
use crate::formula::setters;
use crate::{Descent, Formula, Update};
use gradus_tensor::Real;
use gradus_tensor::gpu::{In, kernels};

kernels! {
    "formula/nadam";
    fn nadam_step(rows: In<Row>, count: i32, scalars: In<f32>);
}

/// The numbers of the formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// β₁: what the usual gradient keeps in a step. 0.9 as in Keras and PyTorch.
    pub beta_1: f64,
    /// β₂: what its square keeps. 0.999 as in Keras and PyTorch.
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

impl Rule {
    /// uₜ, uₜ₊₁ and Uₜ. The product is cut off where 1 − U is 1 in f64: after some 400 factors.
    fn momentums(&self, t: u64) -> [f64; 3] {
        let u = |power: f64| self.beta_1 * (1.0 - 0.5 * power);
        let (mut product, mut power, mut i) = (1.0, 1.0, 0);
        while i < t && product > f64::EPSILON / 4.0 {
            power *= 0.96;
            product *= u(power);
            i += 1;
        }
        [u(0.96f64.powf(t as f64)), u(0.96f64.powf(t as f64 + 1.0)), product]
    }
}

impl Formula<2> for Rule {
    const NAME: &'static str = "Nadam";
    const SLOTS: [&'static str; 2] = ["momentum", "velocity"];
    /// As in Keras; PyTorch has 0.002.
    const LEARNING_RATE: f32 = 1e-3;

    type Numbers<T: Real> = [T; 6];

    fn numbers<T: Real>(&self, update: Update) -> [T; 6] {
        let Self { beta_1, beta_2, epsilon } = *self;
        let lr = f64::from(update.learning_rate);
        let [u, next, product] = self.momentums(update.number);
        let ahead = lr * next / (1.0 - product * next);
        let now = lr * (1.0 - u) / (1.0 - product);
        let correction = 1.0 / (1.0 - beta_2.powf(update.number as f64));
        [ahead, now, correction, 1.0 - beta_1, 1.0 - beta_2, epsilon].map(T::of)
    }

    const KERNEL: Option<Kernel<Self::Numbers<f32>>> =
        Some(Kernel { launch: nadam_step, numbers: padded });

    #[inline(always)]
    fn step<T: Real>(
        [ahead, now, correction, rest_1, rest_2, epsilon]: [T; 6],
        w: T,
        g: T,
        [m, v]: [T; 2],
    ) -> (T, [T; 2]) {
        let m = m + rest_1 * (g - m);
        let v = v + rest_2 * (g * g - v);
        (w - (ahead * m + now * g) / ((correction * v).sqrt() + epsilon), [m, v])
    }
}

/// Keras's `Nadam`. In PyTorch: `optim.NAdam`.
pub type Nadam = Descent<Rule, 2>;

impl Nadam {
    setters! {
        /// With that β₁: what the usual gradient keeps in a step.
        beta_1: below_one,
        /// With that β₂: what the usual square of the gradient keeps in a step.
        beta_2: below_one,
        /// With that ε beside the root.
        epsilon: not_negative,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof;

    #[test]
    fn three_steps_are_those_of_keras() {
        proof::three_steps(Rule::default(), 0.1, [0.893_721_239, 0.924_986_496, 0.901_543_067]);
    }

    #[test]
    fn the_proof_holds_with_every_option() {
        proof::holds(&[Rule::default()]);
    }

    #[test]
    fn the_bottom_of_a_bowl_is_found() {
        proof::finds_the_bottom(&[Rule::default()], 0.1, 1000.0);
    }

    #[test]
    fn the_product_is_cut_off_where_it_no_longer_counts() {
        let [u, next, product] = Rule::default().momentums(2);
        let factors = [0.9 * (1.0 - 0.5 * 0.96), 0.9 * (1.0 - 0.5 * 0.96 * 0.96)];
        assert_eq!((u, product), (factors[1], factors[0] * factors[1]));
        assert!(next > u);
        let [.., late] = Rule::default().momentums(u64::MAX);
        assert_eq!(1.0 - late, 1.0);
    }
}
