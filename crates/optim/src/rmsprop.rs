//! RMSprop: every parameter moves by its gradient over the gradient's usual size.
//!
//! ```text
//! Formula      v ← ρ v + (1 − ρ) g²                     usual square of the gradient
//!              ḡ ← ρ ḡ + (1 − ρ) g                      only if centered; else ḡ = 0
//!              m ← μ m + lr · g / √(v − ḡ² + ε)
//!              w ← w − m
//! Shapes       w, g, v, ḡ, m: any, equal
//! State        velocity (v), average_gradient (ḡ) if centered, momentum (m) where μ > 0; zeros at
//!              first, with no correction for that: the first step is lr · sign(g) / √(1 − ρ)
//! Conventions  ε inside the root, as Keras; PyTorch has √(…) + ε, which differs where gradients
//!              are small: at v = 0 a gradient of 1 is divided by 3 · 10⁻⁴ here and by 10⁻⁸ there.
//!              Momentum sums steps that hold their learning rate already, as Keras and PyTorch.
//!              v − ḡ² is a variance: where rounding makes it negative, which a constant gradient
//!              does, it counts as 0 (Keras takes the root, and gets NaN once it is below −ε)
//! Cost         20 bytes of traffic for a parameter: w, g and v read, w and v written
//! Reference    Hinton: Neural Networks for Machine Learning, lecture 6e, 2012 (v); Graves:
//!              Generating Sequences With Recurrent Neural Networks, 2013, equations 38 to 41 (ḡ)
//! ```

use crate::formula::cuda::{Kernel, Row, padded};
use crate::formula::setters;
use crate::{Descent, Formula, Update};
use gradus_tensor::Real;
use gradus_tensor::gpu::{In, kernels};

kernels! {
    "formula/rmsprop";
    fn rmsprop_step(rows: In<Row>, count: i32, scalars: In<f32>);
}

/// The numbers of the formula. Held in f64, as Keras holds Python's, so that 1 − 0.9 is 0.1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// ρ: what the averages keep in a step. 0.9 as in Keras and in Hinton's lecture; PyTorch, which
    /// calls it `alpha`, has 0.99.
    pub rho: f64,
    /// μ: what is kept of the last step. 0, which is none, as in Keras and PyTorch.
    pub momentum: f64,
    /// ε: bounds the step where gradients are 0. 1e-7 as in Keras, and inside the root; PyTorch
    /// has 1e-8 outside of it.
    pub epsilon: f64,
    /// Whether to divide by the gradient's standard deviation instead of its root mean square.
    /// `false` as in Keras and PyTorch.
    pub centered: bool,
}

impl Default for Rule {
    /// Keras's.
    fn default() -> Self {
        Self { rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false }
    }
}

impl Formula<3> for Rule {
    const NAME: &'static str = "RMSprop";
    const SLOTS: [&'static str; 3] = ["velocity", "average_gradient", "momentum"];
    /// As in Keras and in Hinton's lecture; PyTorch has 0.01.
    const LEARNING_RATE: f32 = 1e-3;

    fn used(&self) -> [bool; 3] {
        [true, self.centered, self.momentum > 0.0]
    }

    type Numbers<T: Real> = ([T; 5], bool);

    fn numbers<T: Real>(&self, update: Update) -> ([T; 5], bool) {
        let lr = f64::from(update.learning_rate);
        let Self { rho, momentum, epsilon, centered } = *self;
        ([lr, rho, 1.0 - rho, momentum, epsilon].map(T::of), centered)
    }

    const KERNEL: Option<Kernel<Self::Numbers<f32>>> = Some(Kernel {
        launch: rmsprop_step,
        numbers: |([lr, rho, rest, mu, epsilon], centered)| {
            padded([lr, rho, rest, mu, epsilon, f32::from(u8::from(centered))])
        },
    });

    #[inline(always)]
    fn step<T: Real>(
        ([lr, rho, rest, mu, epsilon], centered): ([T; 5], bool),
        w: T,
        g: T,
        [velocity, average_gradient, momentum]: [T; 3],
    ) -> (T, [T; 3]) {
        let velocity = rho * velocity + rest * (g * g);
        let average_gradient = rho * average_gradient + rest * g;
        let mean = if centered { average_gradient } else { T::zero() };
        let spread = velocity - mean * mean;
        // Not `max`, which would hide a NaN.
        let spread = if spread < T::zero() { T::zero() } else { spread };
        let momentum = mu * momentum + lr * g / (spread + epsilon).sqrt();
        (w - momentum, [velocity, average_gradient, momentum])
    }
}

/// Keras's `RMSprop`. In PyTorch: `optim.RMSprop`, with other defaults and another place for ε.
pub type RMSprop = Descent<Rule, 3>;

impl RMSprop {
    setters! {
        /// With that ρ: what the averages keep in a step.
        rho: fraction,
        /// With that μ: what is kept of the last step.
        momentum: fraction,
        /// With that ε inside the root.
        epsilon: not_negative,
    }

    /// Whether to divide by the standard deviation of the gradient.
    #[must_use]
    pub fn centered(mut self, centered: bool) -> Self {
        self.rule.centered = centered;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::{self, Run};

    /// Plain, centered, with momentum, and both.
    fn rules() -> [Rule; 4] {
        let rule = |centered, momentum| Rule { centered, momentum, ..Rule::default() };
        [rule(false, 0.0), rule(true, 0.0), rule(false, 0.9), rule(true, 0.5)]
    }

    #[test]
    fn three_steps_are_those_of_keras() {
        let keras = [
            [0.683_772_9, 0.806_631_7, 0.743_195_7],
            [0.666_667_4, 0.791_001_1, 0.726_172_4],
            [0.683_772_9, 0.522_027_3, 0.313_020_2],
        ];
        for (rule, expected) in rules().into_iter().zip(keras) {
            proof::three_steps(rule, 0.1, expected);
        }
    }

    #[test]
    fn the_proof_holds_with_every_option() {
        proof::holds(&rules());
    }

    #[test]
    fn the_bottom_of_a_bowl_is_found() {
        proof::finds_the_bottom(&rules(), 0.02, 1000.0);
    }

    #[test]
    fn a_constant_gradient_never_takes_the_root_of_a_negative_number() {
        let grad: Vec<f32> = (1..=200u8).map(|i| f32::from(i) * 0.1).collect();
        let mut run = Run::new(Rule { centered: true, ..Rule::default() }, &[0.0; 200]);
        let mut met = false;
        for _ in 0..400 {
            run.define(1e-3, &grad);
            let [v, a, _] = &run.slots;
            met |= v.iter().zip(a).any(|(v, a)| v - a * a < -1e-7);
        }
        assert!(run.value.iter().all(|w| w.is_finite()), "{:?}", run.value);
        assert!(met, "rounding made no variance negative: the case is not tested");
    }

    #[test]
    #[should_panic(expected = "a gradient is as long as its value")]
    fn lengths_that_differ_are_refused() {
        Run::new(Rule::default(), &[1.0f32, 2.0]).define(1e-3, &[1.0]);
    }
}
