//! The mean of what each number's error costs: what losses over numbers share.
//!
//! ```text
//! Formula      l = Σₖ cost(pₖ, tₖ) / K; the loss of a batch is the mean over its samples
//! Shapes       p, t: N·K
//! Backward     dpₖ = cost'(pₖ, tₖ) / (K N)
//! Conventions  there is no accuracy: a number is not right or wrong
//! ```

/// The loss of a sample, and its slopes through `gradient`: see [`Loss::sample`](crate::Loss).
/// `cost` gives the loss of one number and its derivative by the prediction.
pub(crate) fn sample(
    cost: impl Fn(f64, f64) -> (f64, f64),
    prediction: &[f32],
    target: &[f32],
    gradient: &mut dyn FnMut(usize, f64),
) -> f64 {
    let (outputs, mut sum) = (prediction.len() as f64, 0.0);
    for (k, (&p, &t)) in prediction.iter().zip(target).enumerate() {
        let (loss, slope) = cost(f64::from(p), f64::from(t));
        sum += loss;
        gradient(k, slope / outputs);
    }
    sum / outputs
}
