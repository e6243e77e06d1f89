//! RMSprop: every parameter moves by its gradient over the gradient's usual size.
//!
//! ```text
//! Formula      v ← ρ v + (1 − ρ) g²                     usual square of the gradient
//!              ḡ ← ρ ḡ + (1 − ρ) g                      only if centered; else ḡ = 0
//!              Δ = lr · g / √(v − ḡ² + ε)
//!              m ← μ m + Δ,  w ← w − m                  where μ > 0; else w ← w − Δ
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

pub mod cpu;

use crate::{Optimizer, State};
use gradus_tensor::{Context, Device, Field, FieldMut, Fields, Path};

/// The numbers of the formula. Held in f64, as Keras holds Python's, so that 1 − 0.9 is 0.1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// lr: how far. 0.001 as in Keras and in Hinton's lecture; PyTorch has 0.01.
    pub learning_rate: f32,
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
        Self { learning_rate: 1e-3, rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false }
    }
}

/// One parameter and all that belongs to it, of equal lengths.
#[derive(Debug)]
pub struct Variables<'a, T> {
    /// w.
    pub value: &'a mut [T],
    /// g.
    pub grad: &'a [T],
    /// v.
    pub velocity: &'a mut [T],
    /// ḡ; empty unless centered.
    pub average_gradient: &'a mut [T],
    /// m; empty without momentum.
    pub momentum: &'a mut [T],
}

impl<T> Variables<'_, T> {
    /// # Panics
    /// If something has another length than the rule demands.
    fn check(&self, rule: &Rule) {
        let n = self.value.len();
        let lengths = [self.grad.len(), self.velocity.len()];
        assert_eq!(lengths, [n; 2], "gradient and velocity are as long as the value");
        let lengths = [self.average_gradient.len(), self.momentum.len()];
        let expected = [rule.centered, rule.momentum > 0.0].map(|used| if used { n } else { 0 });
        assert_eq!(lengths, expected, "average gradient and momentum are there where used");
    }
}

/// The formula as a loop.
pub mod definition {
    use super::{Rule, Variables};
    use gradus_tensor::Real;

    /// One step.
    pub fn step<T: Real>(rule: &Rule, x: Variables<'_, T>) {
        x.check(rule);
        let learning_rate = T::of(f64::from(rule.learning_rate));
        let [rho, rest] = [rule.rho, 1.0 - rule.rho].map(T::of);
        let [mu, epsilon] = [rule.momentum, rule.epsilon].map(T::of);
        for i in 0..x.value.len() {
            let g = x.grad[i];
            x.velocity[i] = rho * x.velocity[i] + rest * (g * g);
            let mut spread = x.velocity[i];
            if rule.centered {
                x.average_gradient[i] = rho * x.average_gradient[i] + rest * g;
                spread -= x.average_gradient[i] * x.average_gradient[i];
                // Not `max`, which would hide a NaN.
                spread = if spread < T::zero() { T::zero() } else { spread };
            }
            let mut step = learning_rate * g / (spread + epsilon).sqrt();
            if rule.momentum > 0.0 {
                x.momentum[i] = mu * x.momentum[i] + step;
                step = x.momentum[i];
            }
            x.value[i] -= step;
        }
    }
}

/// Keras's `RMSprop`. In PyTorch: `optim.RMSprop`, with other defaults and another place for ε.
#[derive(Debug)]
pub struct RMSprop {
    rule: Rule,
    state: State<3>,
}

impl Default for RMSprop {
    fn default() -> Self {
        Self::new()
    }
}

impl RMSprop {
    /// With Keras's defaults: see [`Rule`].
    #[must_use]
    pub fn new() -> Self {
        let state = State::new(["velocity", "average_gradient", "momentum"]);
        Self { rule: Rule::default(), state }
    }

    /// With that learning rate where no schedule sets another.
    #[must_use]
    pub fn learning_rate(mut self, learning_rate: f32) -> Self {
        self.rule.learning_rate = learning_rate;
        self
    }

    /// With that ρ: what the averages keep in a step.
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[must_use]
    pub fn rho(mut self, rho: f64) -> Self {
        assert!((0.0..=1.0).contains(&rho), "rho is a fraction, got {rho}");
        self.rule.rho = rho;
        self
    }

    /// With that μ: what is kept of the last step.
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        assert!((0.0..=1.0).contains(&momentum), "momentum is a fraction, got {momentum}");
        self.rule.momentum = momentum;
        self
    }

    /// With that ε inside the root.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        assert!(epsilon >= 0.0 && epsilon.is_finite(), "epsilon is not negative, got {epsilon}");
        self.rule.epsilon = epsilon;
        self
    }

    /// Whether to divide by the standard deviation of the gradient.
    #[must_use]
    pub fn centered(mut self, centered: bool) -> Self {
        self.rule.centered = centered;
        self
    }

    /// The numbers of the formula.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }
}

impl Fields for RMSprop {
    fn visit(&self, path: &mut Path, f: &mut dyn FnMut(&Path, Field<'_>)) {
        self.state.visit(path, f);
    }

    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, FieldMut<'_>)) {
        self.state.visit_mut(path, f);
    }
}

impl Optimizer for RMSprop {
    fn name(&self) -> &'static str {
        "RMSprop"
    }

    fn default_learning_rate(&self) -> f32 {
        self.rule.learning_rate
    }

    fn build(&mut self, model: &dyn Fields, device: &Device) {
        self.state.build(model, device, [true, self.rule.centered, self.rule.momentum > 0.0]);
    }

    fn step(&mut self, cx: &mut Context, model: &mut dyn Fields) {
        let rule = Rule { learning_rate: cx.step.learning_rate, ..self.rule };
        self.state.each(model, |param, [velocity, average_gradient, momentum]| match &cx.device {
            Device::Cpu => {
                let variables = Variables {
                    value: param.value.slice_mut(),
                    grad: param.grad.slice(),
                    velocity: velocity.slice_mut(),
                    average_gradient: average_gradient.slice_mut(),
                    momentum: momentum.slice_mut(),
                };
                cpu::step(&cx.workspace.pool, &rule, variables);
            }
            Device::Cuda(gpu) => match *gpu {},
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::simd::Isa;
    use gradus_tensor::{Pool, Real};
    use gradus_testing::{Cases, Tolerance, assert_close};

    /// Values and state, in a form that can be stepped through with either engine.
    #[derive(Clone, Debug, PartialEq)]
    struct Run<T> {
        rule: Rule,
        state: [Vec<T>; 4],
    }

    impl<T: Real> Run<T> {
        fn new(rule: Rule, value: &[T]) -> Self {
            let zeros = |used| vec![T::zero(); if used { value.len() } else { 0 }];
            let (average, momentum) = (zeros(rule.centered), zeros(rule.momentum > 0.0));
            Self { rule, state: [value.to_vec(), zeros(true), average, momentum] }
        }

        fn variables<'a>(&'a mut self, grad: &'a [T]) -> (Rule, Variables<'a, T>) {
            let [value, velocity, average_gradient, momentum] = &mut self.state;
            (self.rule, Variables { value, grad, velocity, average_gradient, momentum })
        }

        fn define(&mut self, grad: &[T]) -> T {
            let (rule, variables) = self.variables(grad);
            definition::step(&rule, variables);
            self.state[0][0]
        }
    }

    /// Plain, centered, with momentum, and both.
    fn rules() -> [Rule; 4] {
        let rule = |centered, momentum| Rule { centered, momentum, ..Rule::default() };
        [rule(false, 0.0), rule(true, 0.0), rule(false, 0.9), rule(true, 0.5)]
    }

    #[test]
    fn three_steps_are_those_of_keras() {
        // w = 1, lr = 0.1, run in Keras 3.15.1.
        let keras = [
            (0.0, false, [0.683_772_9, 0.806_631_7, 0.743_195_7]),
            (0.9, false, [0.683_772_9, 0.522_027_3, 0.313_020_2]),
            (0.0, true, [0.666_667_4, 0.791_001_1, 0.726_172_4]),
        ];
        for (momentum, centered, expected) in keras {
            let rule = Rule { learning_rate: 0.1, momentum, centered, ..Rule::default() };
            let mut run = Run::new(rule, &[1.0f32]);
            let actual = [0.5, -0.2, 0.1].map(|g| run.define(&[g]));
            // Seven digits are printed.
            assert_close("w", &actual, &expected, Tolerance { abs: 1e-7, rel: 0.0 });
        }
    }

    #[test]
    fn the_engine_is_the_definition_bit_for_bit_on_every_instruction_set() {
        for (case, rule) in (0..).zip(rules().into_iter().cycle().take(40)) {
            let mut cases = Cases::new("rmsprop engine", case);
            let n = cases.one_of(&[1, 2, 15, 16, 17, 33, 1000, 16_384, 16_385, 50_001]);
            let start = Run::new(rule, &cases.normal(n));
            let grads = [cases.normal(n), cases.normal(n), vec![0.0; n]];
            let mut expected = start.clone();
            for grad in &grads {
                expected.define(grad);
            }
            for isa in Isa::available() {
                for threads in [1, 3] {
                    let (pool, mut run) = (Pool::new(threads), start.clone());
                    for grad in &grads {
                        let (rule, variables) = run.variables(grad);
                        cpu::step_on(isa, &pool, &rule, variables);
                    }
                    let same = run == expected;
                    assert!(same, "{rule:?}, {n} values, {isa:?}, {threads} threads");
                }
            }
        }
    }

    #[test]
    fn single_precision_stays_near_double() {
        for (case, rule) in (0..).zip(rules()) {
            let mut cases = Cases::new("rmsprop precision", case);
            let value = cases.normal(100);
            let mut single = Run::new(rule, &value);
            let mut double =
                Run::new(rule, &value.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
            for _ in 0..20 {
                let grad = cases.normal(100);
                single.define(&grad);
                double.define(&grad.iter().map(|&g| f64::from(g)).collect::<Vec<_>>());
            }
            // Each step rounds the value once, to half a unit in the last place.
            let tolerance = Tolerance { abs: 0.0, rel: 10.0 * f64::from(f32::EPSILON) };
            assert_close(&format!("{rule:?}"), &single.state[0], &double.state[0], tolerance);
        }
    }

    #[test]
    fn the_bottom_of_a_bowl_is_found() {
        // Curvatures from 1 to 1000: what RMSprop divides by takes them away.
        for rule in rules() {
            let mut run = Run::new(rule, &[1.0f64, -2.0, 3.0, -0.5]);
            for step in 0..3000 {
                run.rule.learning_rate = 0.02 * 0.997f32.powi(step);
                let slope = |(i, w): (usize, &f64)| 10f64.powi(i as i32) * w;
                let grad: Vec<f64> = run.state[0].iter().enumerate().map(slope).collect();
                run.define(&grad);
            }
            assert!(run.state[0].iter().all(|w| w.abs() < 1e-3), "{rule:?}: {:?}", run.state[0]);
        }
    }

    #[test]
    fn a_constant_gradient_never_takes_the_root_of_a_negative_number() {
        let grad: Vec<f32> = (1..=200u8).map(|i| f32::from(i) * 0.1).collect();
        let mut run = Run::new(Rule { centered: true, ..Rule::default() }, &[0.0; 200]);
        let mut met = false;
        for _ in 0..400 {
            run.define(&grad);
            let [_, v, a, _] = &run.state;
            met |= v.iter().zip(a).any(|(v, a)| v - a * a < -1e-7);
        }
        assert!(run.state[0].iter().all(|w| w.is_finite()), "{:?}", run.state[0]);
        assert!(met, "rounding made no variance negative: the case is not tested");
    }

    #[test]
    fn a_gradient_that_is_not_a_number_shows() {
        for rule in rules() {
            let mut run = Run::new(rule, &[1.0f32]);
            let (rule, variables) = run.variables(&[f32::NAN]);
            cpu::step(&Pool::new(1), &rule, variables);
            assert!(run.state[0][0].is_nan(), "{rule:?}");
        }
    }

    #[test]
    #[should_panic(expected = "gradient and velocity are as long as the value")]
    fn lengths_that_differ_are_refused() {
        Run::new(Rule::default(), &[1.0f32, 2.0]).define(&[1.0]);
    }
}
