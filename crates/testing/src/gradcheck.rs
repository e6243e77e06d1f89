//! The gradient check.
//!
//! ```text
//! Formula      ∂L/∂xᵢ ≈ (L(x + h eᵢ) − L(x − h eᵢ)) / 2h, h = 10⁻⁵ max(1, |xᵢ|), in f64
//! Error        |numeric − analytic| / max(|numeric|, |analytic|, ‖analytic‖∞ / 10)
//! ```
//!
//! The truncation error is of order h² = 10⁻¹⁰ and the rounding error of order 10⁻¹⁶/h = 10⁻¹¹
//! times L: a right derivation stays far below the 10⁻⁶ that gradus demands, a wrong one far above.

/// The worst relative error of `analytic` = ∂`loss`/∂x at `x`. Keep `x` away from kinks and ties.
///
/// ```
/// let x = [0.3, -1.2];
/// let error = gradus_testing::gradcheck(&x, &[0.6, -2.4], |x| x[0] * x[0] + x[1] * x[1]);
/// assert!(error < 1e-6);
/// ```
///
/// # Panics
/// If `x` and `analytic` differ in length, or a value is not finite.
#[must_use]
pub fn gradcheck(x: &[f64], analytic: &[f64], mut loss: impl FnMut(&[f64]) -> f64) -> f64 {
    assert_eq!(x.len(), analytic.len(), "one derivative for each input");
    let floor = analytic.iter().fold(0.0f64, |m, g| m.max(g.abs())) / 10.0;
    let mut at = x.to_vec();
    let mut worst = 0.0f64;
    for i in 0..x.len() {
        let h = 1e-5 * x[i].abs().max(1.0);
        at[i] = x[i] + h;
        let above = loss(&at);
        at[i] = x[i] - h;
        let below = loss(&at);
        at[i] = x[i];
        let numeric = (above - below) / (2.0 * h);
        assert!(numeric.is_finite() && analytic[i].is_finite(), "element {i} is not finite");
        let scale = numeric.abs().max(analytic[i].abs()).max(floor).max(1e-12);
        worst = worst.max((numeric - analytic[i]).abs() / scale);
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_gradient_is_seen() {
        let x = [0.5, 2.0, -1.0];
        let cube = |x: &[f64]| x.iter().map(|v| v * v * v).sum::<f64>();
        let right: Vec<f64> = x.iter().map(|v| 3.0 * v * v).collect();
        let mut wrong = right.clone();
        wrong[1] *= 1.0 + 1e-4;
        assert!(gradcheck(&x, &right, cube) < 1e-8);
        assert!(gradcheck(&x, &wrong, cube) > 1e-5);
    }
}
