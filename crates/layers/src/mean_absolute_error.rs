//! Mean absolute error: how far the predictions are from the numbers, all errors alike.
//!
//! ```text
//! Formula      l = Σₖ |pₖ − tₖ| / K; the loss of a batch is the mean over its samples
//! Shapes       p, t: N·K
//! Backward     dpₖ = sign(pₖ − tₖ) / (K N), 0 where they are equal
//! Conventions  an outlier pulls no harder than any other error. There is no accuracy: a
//!              number is not right or wrong
//! Reference    Keras 3, `losses.mean_absolute_error`
//! ```

use crate::{Loss, LossKernel, mean_error};

/// The formula for one number: the loss, and its derivative by the prediction.
pub mod definition {
    use gradus_tensor::Real;

    /// From the prediction p and the target t.
    pub fn loss<T: Real>(p: T, t: T) -> (T, T) {
        let error = p - t;
        (error.abs(), if error == T::zero() { error } else { error.signum() })
    }
}

/// Keras's `MeanAbsoluteError`. In PyTorch: `nn.L1Loss`, which divides by all N·K numbers just so.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanAbsoluteError;

impl Loss for MeanAbsoluteError {
    fn name(&self) -> &'static str {
        "mean_absolute_error"
    }

    fn sample(
        &self,
        prediction: &[f32],
        target: &[f32],
        gradient: &mut dyn FnMut(usize, f64),
    ) -> f64 {
        mean_error::sample(definition::loss, prediction, target, gradient)
    }

    fn kernel(&self) -> Option<LossKernel> {
        Some(LossKernel::absolute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::tests::{batch, mean};
    use gradus_testing::{Cases, gradcheck};

    #[test]
    fn the_gradient_is_the_derivative() {
        let mut cases = Cases::new("mean absolute error gradient", 0);
        for (p, t) in cases.normal_f64(20).into_iter().zip([0.0, 1.5].repeat(10)) {
            let (_, slope) = definition::loss(p, t);
            let error = gradcheck(&[p], &[slope], |p| definition::loss(p[0], t).0);
            assert!(error < 1e-6, "{p}: {error}");
        }
    }

    #[test]
    fn a_number_costs_but_is_no_hit() {
        let (p, t) = (batch(2, &[1.0, 3.0, 5.0, 5.0]), batch(2, &[1.0, 1.0, 5.0, 6.0]));
        let (tally, gradient) = mean(&MeanAbsoluteError, &p, &t, Some(&[1.0, 2.0]));
        assert_eq!((tally.loss(), gradient), (1.0, vec![0.0, 0.25, 0.0, -0.5]));
        assert!(tally.judged == 0 && tally.accuracy().is_nan());
    }
}
