//! What every optimizer's room has to prove, once.

use crate::formula::{self, Formula, Update, Variables, definition};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Pool, Real};
use gradus_testing::{Cases, Tolerance, assert_close};

/// Values and slots, in a form that can be stepped through by definition and by engine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run<T, F, const N: usize> {
    formula: F,
    updates: u64,
    pub(crate) value: Vec<T>,
    pub(crate) slots: [Vec<T>; N],
}

impl<T: Real, F: Formula<N>, const N: usize> Run<T, F, N> {
    pub(crate) fn new(formula: F, value: &[T]) -> Self {
        let initial = T::of(f64::from(formula.initial()));
        let slots = formula.used().map(|used| vec![initial; if used { value.len() } else { 0 }]);
        Self { formula, updates: 0, value: value.to_vec(), slots }
    }

    fn next<'a>(&'a mut self, lr: f32, grad: &'a [T]) -> (&'a F, Update, Variables<'a, T, N>) {
        self.updates += 1;
        let update = Update { number: self.updates, learning_rate: lr };
        let slots = self.slots.each_mut().map(Vec::as_mut_slice);
        (&self.formula, update, Variables { value: &mut self.value, grad, slots })
    }

    pub(crate) fn define(&mut self, lr: f32, grad: &[T]) {
        let (formula, update, variables) = self.next(lr, grad);
        definition::step(formula, update, variables);
    }
}

/// w = 1, three gradients, against what Keras 3.15.1 computed in float64.
pub(crate) fn three_steps<F: Formula<N>, const N: usize>(rule: F, lr: f32, expected: [f64; 3]) {
    let mut run = Run::new(rule, &[1.0f32]);
    let actual = [0.5, -0.2, 0.1].map(|g| {
        run.define(lr, &[g]);
        run.value[0]
    });
    let tolerance = Tolerance { abs: 2.0 * f64::from(f32::EPSILON), rel: 0.0 };
    assert_close(&format!("{rule:?}"), &actual, &expected, tolerance);
}

/// What holds for every optimizer, with each of these options.
pub(crate) fn holds<F: Formula<N> + PartialEq, const N: usize>(rules: &[F]) {
    for (case, &rule) in (0..).zip(rules.iter().cycle().take(10 * rules.len())) {
        the_engine_is_the_definition_bit_for_bit(rule, case);
    }
    for &rule in rules {
        single_precision_stays_near_double(rule);
        a_gradient_that_is_not_a_number_shows(rule);
    }
}

/// On every instruction set, with one thread and with three.
fn the_engine_is_the_definition_bit_for_bit<F, const N: usize>(rule: F, case: u32)
where
    F: Formula<N> + PartialEq,
{
    let mut cases = Cases::new(F::NAME, case);
    let n = cases.one_of(&[1, 2, 15, 16, 17, 63, 64, 65, 1000, 16_384, 16_385, 50_001]);
    let start = Run::new(rule, &cases.normal(n));
    let grads = [cases.normal(n), cases.normal(n), vec![0.0; n], cases.normal(n)];
    let mut expected = start.clone();
    grads.iter().for_each(|grad| expected.define(0.01, grad));
    for isa in Isa::available() {
        for threads in [1, 3] {
            let (pool, mut run) = (Pool::new(threads), start.clone());
            for grad in &grads {
                let (rule, update, variables) = run.next(0.01, grad);
                formula::cpu::step_on(isa, &pool, rule, update, None, variables);
            }
            assert!(run == expected, "{rule:?}, {n} values, {isa:?}, {threads} threads");
        }
    }
}

fn single_precision_stays_near_double<F: Formula<N>, const N: usize>(rule: F) {
    let mut cases = Cases::new(F::NAME, u32::MAX);
    let value = cases.normal(100);
    let double = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let (mut single, mut exact) = (Run::new(rule, &value), Run::new(rule, &double(&value)));
    for _ in 0..20 {
        let grad = cases.normal(100);
        single.define(1e-3, &grad);
        exact.define(1e-3, &double(&grad));
    }
    // Each step rounds the value once, to half a unit in the last place.
    let tolerance = Tolerance { abs: 0.0, rel: 10.0 * f64::from(f32::EPSILON) };
    assert_close(&format!("{rule:?}"), &single.value, &exact.value, tolerance);
}

fn a_gradient_that_is_not_a_number_shows<F: Formula<N>, const N: usize>(rule: F) {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut run = Run::new(rule, &[1.0f32, 2.0]);
        for grad in [[0.5, 0.5], [bad, 0.5]] {
            let (rule, update, variables) = run.next(1e-3, &grad);
            formula::cpu::step(&Pool::new(1), rule, update, None, variables);
        }
        let [lost, sound] = [run.value[0], run.value[1]];
        assert!(
            lost.is_nan() || bad.is_infinite() && sound.is_finite(),
            "{rule:?}: {bad} became {lost}"
        );
        assert!(sound.is_finite(), "{rule:?}: {bad} spread to a neighbour, {sound}");
    }
}

/// Four curvatures from 1 to `steepest`, and a learning rate that falls to a ten-thousandth.
pub(crate) fn finds_the_bottom<F: Formula<N>, const N: usize>(rules: &[F], lr: f32, steepest: f64) {
    for &rule in rules {
        let mut run = Run::new(rule, &[1.0f64, -2.0, 3.0, -0.5]);
        for step in 0..3000 {
            let slope = |(i, w): (i32, &f64)| steepest.powf(f64::from(i) / 3.0) * w;
            let grad: Vec<f64> = (0..).zip(&run.value).map(slope).collect();
            run.define(lr * 0.997f32.powi(step), &grad);
        }
        assert!(run.value.iter().all(|w| w.abs() < 1e-3), "{rule:?}: {:?}", run.value);
    }
}
