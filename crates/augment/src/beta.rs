//! Random numbers of the beta distribution, which mixing two images needs.
//!
//! ```text
//! Formula      λ = a / (a + b), a and b of Gamma(α): in logarithms, since for a small α both may be
//!              too small for a float. Gamma(α + 1) by rejection from a cube of a normal number;
//!              Gamma(α) = Gamma(α + 1)·u^(1/α)
//! Reference    Marsaglia, Tsang: A simple method for generating gamma variables. ACM TOMS 26, 2000
//! ```

use crate::Error;
use crate::ranges::check_bounds;
use gradus_random::Stream;

/// Below, both logarithms may be too large for a float, so that λ would be no number; and λ is 0 or
/// 1 anyway. Above, it is ½.
const ALPHA: [f64; 2] = [1e-3, 1e6];

/// Refuses an α that no λ can be drawn for.
pub(crate) fn check(alpha: f64) -> Result<(), Error> {
    check_bounds("alpha", alpha, ALPHA)
}

/// λ of Beta(α, α), in [0, 1]: near 0 and 1 for a small α, uniform for 1, near ½ for a great one.
pub(crate) fn symmetric(alpha: f64, rng: &mut Stream<'_>) -> f64 {
    let (a, b) = (log_gamma_variable(alpha, rng), log_gamma_variable(alpha, rng));
    1.0 / (1.0 + (b - a).exp())
}

/// The logarithm of a number of Gamma(α, 1).
fn log_gamma_variable(alpha: f64, rng: &mut Stream<'_>) -> f64 {
    let d = alpha + 1.0 - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - rng.uniform()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln() + (1.0 - rng.uniform()).ln() / alpha;
        }
    }
}

/// Box and Muller, one of the pair.
fn normal(rng: &mut Stream<'_>) -> f64 {
    let radius = (-2.0 * (1.0 - rng.uniform()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.uniform()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_random::Philox;

    #[test]
    fn a_number_comes_of_every_alpha_that_is_allowed() {
        for alpha in ALPHA {
            check(alpha).unwrap();
            let mut rng = Stream::Philox(Philox::new(2, [0; 3]));
            let draws: Vec<f64> = (0..20_000).map(|_| symmetric(alpha, &mut rng)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)), "{alpha}");
        }
        for alpha in [0.0, 1e-300, 9e-4, -1.0, 2e6, f64::INFINITY, f64::NAN] {
            assert!(matches!(check(alpha), Err(Error::Bounds { argument: "alpha", .. })));
        }
    }

    /// Beta(α, α) has mean ½ and variance 1 / (4 (2 α + 1)).
    #[test]
    fn mean_and_variance_are_those_of_the_distribution() {
        for alpha in [0.01, 0.2, 1.0, 8.0] {
            let mut rng = Stream::Philox(Philox::new(1, [0; 3]));
            let draws: Vec<f64> = (0..20_000).map(|_| symmetric(alpha, &mut rng)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)), "{alpha}");
            let mean = draws.iter().sum::<f64>() / 2e4;
            let variance = draws.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>() / 2e4;
            let expected = 0.25 / (2.0 * alpha + 1.0);
            assert!((mean - 0.5).abs() < 5.0 * (expected / 2e4).sqrt(), "{alpha}: mean {mean}");
            assert!((variance / expected - 1.0).abs() < 0.05, "{alpha}: variance {variance}");
        }
    }
}
