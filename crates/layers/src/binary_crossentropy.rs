//! Binary crossentropy: how surprised the predictions are by each yes or no.
//!
//! ```text
//! Formula      targets are smoothed first: t = t'·(1 − s) + s/2
//!              from logits          lₖ = max(zₖ, 0) − zₖ tₖ + log(1 + exp(−|zₖ|))
//!              from probabilities   lₖ = −tₖ log qₖ − (1 − tₖ) log(1 − qₖ), q = clip(p) to
//!                                   [ε, 1 − ε], ε = 10⁻⁷
//!              the loss of a sample is the mean over its K labels, that of a batch the mean over
//!              its samples
//! Shapes       z, p, t: N·K; K = 1 for one question, more for several that have each their answer
//! Backward     from logits          dzₖ = (σ(zₖ) − tₖ) / (K N)
//!              from probabilities   dpₖ = ((1 − tₖ)/(1 − pₖ) − tₖ/pₖ) / (K N), 0 where clipped
//! Conventions  a network that ends in a sigmoid is trained on its logits, as Keras does behind the
//!              scenes. Each label is a hit or not: the probability above 0.5, the logit above 0
//! Reference    Keras 3, `losses.binary_crossentropy`
//! ```

use crate::categorical_crossentropy::definition::{EPSILON, smoothed};
use crate::{Accuracy, Activation, Loss, LossKernel};

/// The formula for one label: the loss, and its derivative by the prediction.
pub mod definition {
    use super::EPSILON;
    use crate::categorical_crossentropy::definition::clipped;
    use gradus_tensor::Real;

    /// From the logit z.
    pub fn from_logit<T: Real>(z: T, t: T) -> (T, T) {
        let (zero, one) = (T::zero(), T::one());
        let loss = z.max(zero) - z * t + (-z.abs()).exp().ln_1p();
        (loss, one / (one + (-z).exp()) - t)
    }

    /// From the probability p.
    pub fn from_probability<T: Real>(p: T, t: T) -> (T, T) {
        let (one, low, high) = (T::one(), T::of(EPSILON), T::of(1.0 - EPSILON));
        let q = clipped(p, low, high);
        let loss = -t * q.ln() - (one - t) * (one - q).ln();
        let slope = (one - t) / (one - q) - t / q;
        (loss, if p == q { slope } else { T::zero() })
    }
}

/// Keras's `BinaryCrossentropy`. In PyTorch: `nn.BCELoss`, and from logits `nn.BCEWithLogitsLoss`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinaryCrossentropy {
    from_logits: bool,
    label_smoothing: f64,
}

impl BinaryCrossentropy {
    /// From probabilities and without smoothing: Keras's defaults. A model that ends in a sigmoid
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

    /// s: how far the targets move towards one half. 0 by default.
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[must_use]
    pub fn label_smoothing(mut self, smoothing: f64) -> Self {
        assert!((0.0..=1.0).contains(&smoothing), "targets cannot move by {smoothing}");
        self.label_smoothing = smoothing;
        self
    }
}

impl Loss for BinaryCrossentropy {
    fn name(&self) -> &'static str {
        "binary_crossentropy"
    }

    fn sample(
        &self,
        prediction: &[f32],
        target: &[f32],
        gradient: &mut dyn FnMut(usize, f64),
    ) -> f64 {
        let (labels, mut sum) = (prediction.len() as f64, 0.0);
        for (k, (&p, &t)) in prediction.iter().zip(target).enumerate() {
            let (p, t) = (f64::from(p), smoothed(f64::from(t), self.label_smoothing, 2));
            let (loss, slope) = match self.from_logits {
                true => definition::from_logit(p, t),
                false => definition::from_probability(p, t),
            };
            sum += loss;
            gradient(k, slope / labels);
        }
        sum / labels
    }

    fn kernel(&self) -> Option<LossKernel> {
        Some(LossKernel::binary(self.from_logits, self.label_smoothing))
    }

    fn take_logits(&mut self, head: Activation) -> bool {
        self.from_logits |= head == Activation::Sigmoid;
        head == Activation::Sigmoid
    }

    fn accuracy(&self) -> Option<Accuracy> {
        Some(Accuracy::Binary { threshold: if self.from_logits { 0.0 } else { 0.5 } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::tests::{batch, mean};
    use gradus_testing::{Cases, gradcheck};

    #[test]
    fn the_gradients_are_the_derivatives() {
        let mut cases = Cases::new("binary crossentropy gradient", 0);
        for (z, t) in cases.normal_f64(20).into_iter().zip([0.0, 1.0, 0.3, 0.95].repeat(5)) {
            let p = 1.0 / (1.0 + (-z).exp());
            let (_, slope) = definition::from_logit(z, t);
            let error = gradcheck(&[z], &[slope], |z| definition::from_logit(z[0], t).0);
            assert!(error < 1e-6, "logit {z}: {error}");
            let (_, slope) = definition::from_probability(p, t);
            let error = gradcheck(&[p], &[slope], |p| definition::from_probability(p[0], t).0);
            assert!(error < 1e-6, "probability {p}: {error}");
        }
    }

    #[test]
    fn logits_and_probabilities_tell_the_same() {
        for z in [-12.0f64, -1.0, 0.0, 0.5, 9.0] {
            let p = 1.0 / (1.0 + (-z).exp());
            let (a, b) = (definition::from_logit(z, 0.2).0, definition::from_probability(p, 0.2).0);
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
    }

    #[test]
    fn a_saturated_wrong_answer_is_not_lost_in_logits() {
        let loss = BinaryCrossentropy::new();
        let (tally, gradient) =
            mean(&loss.from_logits(true), &batch(1, &[100.0]), &batch(1, &[0.0]), None);
        assert_eq!((tally.loss(), gradient), (100.0, vec![1.0]));
        let (tally, gradient) = mean(&loss, &batch(1, &[1.0]), &batch(1, &[0.0]), None);
        assert!((tally.loss() - 16.118_095).abs() < 1e-6, "{tally:?}");
        assert_eq!(gradient, [0.0], "the clip is flat");
    }

    #[test]
    fn every_label_is_judged_at_the_threshold_of_its_kind() {
        let (t, weights) = (batch(2, &[1.0, 0.0, 1.0, 1.0]), [2.0, 0.5]);
        let p = batch(2, &[0.6, 0.4, 0.5, 0.2]);
        let (tally, _) = mean(&BinaryCrossentropy::new(), &p, &t, Some(&weights));
        assert_eq!((tally.correct, tally.judged), (2, 4), "0.5 says no");
        let z = batch(2, &[0.1, -0.1, 0.0, 3.0]);
        let (tally, _) = mean(&BinaryCrossentropy::new().from_logits(true), &z, &t, None);
        assert_eq!((tally.correct, tally.judged), (3, 4));
    }

    #[test]
    fn only_a_sigmoid_is_absorbed() {
        let mut loss = BinaryCrossentropy::new();
        assert!(!loss.take_logits(Activation::Softmax) && !loss.from_logits);
        assert!(loss.take_logits(Activation::Sigmoid));
        assert_eq!(loss.accuracy(), Some(Accuracy::Binary { threshold: 0.0 }));
    }
}
