//! Categorical crossentropy: how surprised the predictions are by the classes.
//!
//! ```text
//! Formula      targets are smoothed first: t = t'·(1 − s) + s/K
//!              from logits          l = Σₖ tₖ (log Σⱼ exp zⱼ − zₖ)
//!              from probabilities   l = −Σₖ tₖ log clip(pₖ / Σⱼ pⱼ), clip to [ε, 1 − ε], ε = 10⁻⁷
//!              the loss of a batch is the mean over its samples
//! Shapes       z, p, t: N·K
//! Backward     from logits          dzₖ = (softmax(z)ₖ Σⱼ tⱼ − tₖ) / N
//!              from probabilities   with q = p / Σp and gₖ = −tₖ/qₖ, or 0 where qₖ was clipped:
//!                                   dpₖ = (gₖ − Σⱼ gⱼ qⱼ) / (Σp · N)
//! Conventions  a network that ends in a softmax is trained on its logits, as Keras does behind the
//!              scenes: a saturated wrong answer costs 49.5 there and stops at 16.1 with
//!              probabilities, where its gradient is 0. Accuracy counts the largest logit, ties to
//!              the lowest index
//! Reference    Keras 3, `losses.categorical_crossentropy`; Szegedy et al.: Rethinking the
//!              Inception Architecture. CVPR 2016, section 7 (label smoothing)
//! ```

use crate::{Accuracy, Activation, Loss, LossKernel};

/// The formula as loops over the classes of one sample. Predictions and targets are asked for by
/// class and the gradient is handed out by class, so that f32 tensors are worked out in f64 with
/// nothing copied.
pub mod definition {
    use gradus_tensor::Real;

    /// Keras's `epsilon`: how near to 0 and 1 a probability may come.
    pub const EPSILON: f64 = 1e-7;

    /// t from t'.
    pub fn smoothed<T: Real>(target: T, smoothing: f64, classes: usize) -> T {
        target * T::of(1.0 - smoothing) + T::of(smoothing / classes as f64)
    }

    /// The loss from logits z; every dz goes to `gradient`.
    pub fn from_logits<T: Real>(
        classes: usize,
        z: impl Fn(usize) -> T,
        t: impl Fn(usize) -> T,
        mut gradient: impl FnMut(usize, T),
    ) -> T {
        let max = (0..classes).map(&z).fold(T::neg_infinity(), T::max);
        let sum: T = (0..classes).map(|k| (z(k) - max).exp()).sum();
        let log_sum = max + sum.ln();
        let mass: T = (0..classes).map(&t).sum();
        for k in 0..classes {
            gradient(k, (z(k) - log_sum).exp() * mass - t(k));
        }
        // A class without weight counts nothing, even where its logit is −∞.
        let weighty = (0..classes).filter(|&k| t(k) != T::zero());
        weighty.map(|k| t(k) * (log_sum - z(k))).sum()
    }

    /// q within its bounds. Not `max` and `min`, which would hide a NaN.
    pub(crate) fn clipped<T: Real>(q: T, low: T, high: T) -> T {
        if q < low {
            low
        } else if q > high {
            high
        } else {
            q
        }
    }

    /// The loss from probabilities p; every dp goes to `gradient`.
    pub fn from_probabilities<T: Real>(
        classes: usize,
        p: impl Fn(usize) -> T,
        t: impl Fn(usize) -> T,
        mut gradient: impl FnMut(usize, T),
    ) -> T {
        let (low, high) = (T::of(EPSILON), T::of(1.0 - EPSILON));
        let sum: T = (0..classes).map(&p).sum();
        let q = |k| p(k) / sum;
        // gₖ, 0 where the clip flattens the loss.
        let g = |k| if q(k) < low || q(k) > high { T::zero() } else { -t(k) / q(k) };
        let mean: T = (0..classes).map(|k| g(k) * q(k)).sum();
        for k in 0..classes {
            gradient(k, (g(k) - mean) / sum);
        }
        (0..classes).map(|k| -t(k) * clipped(q(k), low, high).ln()).sum()
    }
}

/// Keras's `CategoricalCrossentropy`. In PyTorch: `nn.CrossEntropyLoss`, always from logits.
#[derive(Clone, Copy, Debug, Default)]
pub struct CategoricalCrossentropy {
    from_logits: bool,
    label_smoothing: f64,
}

impl CategoricalCrossentropy {
    /// From probabilities and without smoothing: Keras's defaults. A model that ends in a softmax
    /// hands over its logits all the same: see [`Loss::take_logits`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the predictions are logits. `false` by default.
    #[must_use]
    pub fn from_logits(mut self, from_logits: bool) -> Self {
        self.from_logits = from_logits;
        self
    }

    /// s: the share of the target that is spread over all classes. 0 by default.
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[must_use]
    pub fn label_smoothing(mut self, smoothing: f64) -> Self {
        assert!((0.0..=1.0).contains(&smoothing), "a share of {smoothing} cannot be spread");
        self.label_smoothing = smoothing;
        self
    }
}

impl Loss for CategoricalCrossentropy {
    fn name(&self) -> &'static str {
        "categorical_crossentropy"
    }

    fn sample(
        &self,
        prediction: &[f32],
        target: &[f32],
        gradient: &mut dyn FnMut(usize, f64),
    ) -> f64 {
        let classes = prediction.len();
        let p = |k: usize| f64::from(prediction[k]);
        let t =
            |k: usize| definition::smoothed(f64::from(target[k]), self.label_smoothing, classes);
        match self.from_logits {
            true => definition::from_logits(classes, p, t, gradient),
            false => definition::from_probabilities(classes, p, t, gradient),
        }
    }

    fn kernel(&self) -> Option<LossKernel> {
        Some(LossKernel::classes(self.from_logits, self.label_smoothing))
    }

    fn take_logits(&mut self, head: Activation) -> bool {
        self.from_logits |= head == Activation::Softmax;
        head == Activation::Softmax
    }

    fn accuracy(&self) -> Option<Accuracy> {
        Some(Accuracy::Categorical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::tests::{batch, mean};
    use gradus_testing::{Cases, gradcheck};
    use std::f64::consts::LN_2;

    #[test]
    fn the_gradients_are_the_derivatives() {
        let mut cases = Cases::new("crossentropy gradient", 0);
        for classes in [2, 3, 10] {
            let z = cases.normal_f64(classes);
            let p: Vec<f64> = z.iter().map(|z| z.exp()).collect(); // positive, not of sum 1
            let t: Vec<f64> = cases.normal_f64(classes).iter().map(|t| t.abs()).collect();
            let t = |k: usize| t[k];
            let mut gradient = vec![0.0; classes];
            definition::from_logits(classes, |k| z[k], t, |k, d| gradient[k] = d);
            let error = gradcheck(&z, &gradient, |z| {
                definition::from_logits(classes, |k| z[k], t, |_, _| {})
            });
            assert!(error < 1e-6, "logits: {error}");
            definition::from_probabilities(classes, |k| p[k], t, |k, d| gradient[k] = d);
            let error = gradcheck(&p, &gradient, |p| {
                definition::from_probabilities(classes, |k| p[k], t, |_, _| {})
            });
            assert!(error < 1e-6, "probabilities: {error}");
        }
    }

    #[test]
    fn it_gives_keras_s_values_for_probabilities() {
        let (p, t) = ([0.2, 0.8, 0.0, 1.0, 2.0, 2.0], [0.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
        for (smoothing, expected) in
            [(0.0, [0.223_143_53, 16.118_095, LN_2]), (0.1, [0.292_458_24, 15.312_19, LN_2])]
        {
            let loss = CategoricalCrossentropy::new().label_smoothing(smoothing);
            for (i, expected) in expected.into_iter().enumerate() {
                let row = 2 * i..2 * i + 2;
                let (tally, _) = mean(&loss, &batch(2, &p[row.clone()]), &batch(2, &t[row]), None);
                assert!((tally.loss() / expected - 1.0).abs() < 1e-6, "{tally:?} {expected}");
            }
        }
    }

    #[test]
    fn logits_never_overflow_and_never_lose_the_loss() {
        let loss = CategoricalCrossentropy::new().from_logits(true);
        let (z, t) = (batch(2, &[1000.0, -1000.0]), batch(2, &[0.0, 1.0]));
        let (tally, gradient) = mean(&loss, &z, &t, None);
        assert_eq!((tally.loss(), tally.correct), (2000.0, 0));
        assert_eq!(gradient, [1.0, -1.0]);
    }

    #[test]
    fn the_tally_grows_by_samples() {
        let loss = CategoricalCrossentropy::new().from_logits(true);
        let (z, t) = (batch(2, &[0.0, 0.0, 3.0, 1.0]), batch(2, &[1.0, 0.0, 0.0, 1.0]));
        let (tally, gradient) = mean(&loss, &z, &t, None);
        assert_eq!((tally.correct, tally.judged, tally.samples), (1, 2, 2));
        assert!((tally.loss() - (2f64.ln() + (1.0 + 2f64.exp()).ln()) / 2.0).abs() < 1e-6);
        assert!((gradient[0] + 0.25).abs() < 1e-7, "divided by the batch: {gradient:?}");
    }

    #[test]
    fn only_a_softmax_is_absorbed() {
        let mut loss = CategoricalCrossentropy::new();
        assert!(!loss.take_logits(Activation::Sigmoid) && !loss.from_logits);
        assert!(loss.take_logits(Activation::Softmax) && loss.from_logits);
    }
}
