//! SGD: every parameter moves against its gradient, if wanted with momentum.
//!
//! ```text
//! Formula      v ← μ v − lr · g
//!              w ← w + v, or with Nesterov's momentum w ← w + μ v − lr · g
//! Shapes       w, g, v: any, equal
//! State        momentum (v) where μ > 0, zeros at first
//! Conventions  v holds the learning rate, as Keras; PyTorch's v ← μ v + g; w ← w − lr · v is the
//!              same until the learning rate changes: then what is under way keeps the old one.
//!              Nesterov's look ahead is taken in w itself: w is where the gradient is asked for
//! Cost         12 bytes of traffic for a parameter, with momentum 20
//! Reference    Robbins, Monro: A Stochastic Approximation Method, 1951; Polyak: Some methods of
//!              speeding up the convergence of iteration methods, 1964 (v); Sutskever et al.: On
//!              the importance of initialization and momentum in deep learning, ICML 2013
//! ```

use crate::formula::cuda::{Kernel, Row, padded};
use crate::formula::setters;
use crate::{Descent, Formula, Update};
use gradus_tensor::Real;
use gradus_tensor::gpu::{In, kernels};

kernels! {
    "formula/sgd";
    fn sgd_step(rows: In<Row>, count: i32, scalars: In<f32>);
}

/// The numbers of the formula.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rule {
    /// μ: what is kept of the last step. 0, which is none, as in Keras and PyTorch.
    pub momentum: f64,
    /// Whether the momentum is Nesterov's. `false` as in Keras and PyTorch.
    pub nesterov: bool,
}

impl Formula<1> for Rule {
    const NAME: &'static str = "SGD";
    const SLOTS: [&'static str; 1] = ["momentum"];
    /// As in Keras; PyTorch has 0.001.
    const LEARNING_RATE: f32 = 1e-2;

    fn used(&self) -> [bool; 1] {
        [self.momentum > 0.0]
    }

    type Numbers<T: Real> = ([T; 2], bool);

    fn numbers<T: Real>(&self, update: Update) -> ([T; 2], bool) {
        let lr = f64::from(update.learning_rate);
        ([lr, self.momentum].map(T::of), self.nesterov)
    }

    const KERNEL: Option<Kernel<Self::Numbers<f32>>> = Some(Kernel {
        launch: sgd_step,
        numbers: |([lr, mu], nesterov)| padded([lr, mu, f32::from(u8::from(nesterov))]),
    });

    #[inline(always)]
    fn step<T: Real>(
        ([lr, mu], nesterov): ([T; 2], bool),
        w: T,
        g: T,
        [momentum]: [T; 1],
    ) -> (T, [T; 1]) {
        let momentum = mu * momentum - lr * g;
        let step = if nesterov { mu * momentum - lr * g } else { momentum };
        (w + step, [momentum])
    }
}

/// Keras's `SGD`. In PyTorch: `optim.SGD`.
pub type SGD = Descent<Rule, 1>;

impl SGD {
    setters! {
        /// With that μ: what is kept of the last step.
        momentum: fraction,
    }

    /// Whether the momentum is Nesterov's.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.rule.nesterov = nesterov;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof;

    /// Plain, with momentum, with Nesterov's.
    fn rules() -> [Rule; 3] {
        [(0.0, false), (0.9, false), (0.9, true)]
            .map(|(momentum, nesterov)| Rule { momentum, nesterov })
    }

    #[test]
    fn three_steps_are_those_of_keras() {
        let keras = [[0.95, 0.97, 0.96], [0.95, 0.925, 0.8925], [0.905, 0.9025, 0.86325]];
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
        proof::finds_the_bottom(&rules(), 0.1, 10.0);
    }

    #[test]
    #[should_panic(expected = "momentum is a fraction, got 1.5")]
    fn momentum_that_grows_is_refused() {
        let _ = SGD::new().momentum(1.5);
    }
}
