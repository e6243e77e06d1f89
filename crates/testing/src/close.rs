//! How near is near enough.

/// An absolute and a relative allowance: |actual − expected| ≤ abs + rel · max|expected|.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Allowed whatever the size of the numbers.
    pub abs: f64,
    /// Allowed in proportion to the largest expected magnitude.
    pub rel: f64,
}

impl Tolerance {
    /// For f32 sums of `length` products: rounding errors walk, so they grow with √length.
    #[must_use]
    pub fn for_reduction(length: usize) -> Self {
        let ulps = 4.0 + 2.0 * (length as f64).sqrt();
        Self { abs: 1e-7, rel: ulps * f64::from(f32::EPSILON) }
    }

    /// For a comparison with Keras whose own float32 rounding floor is `noise`
    /// (the rule of the golden vectors' manifest: 4·noise + 10⁻⁶ + 10⁻⁵·max|expected|).
    #[must_use]
    pub fn golden(noise: f64) -> Self {
        Self { abs: 4.0 * noise + 1e-6, rel: 1e-5 }
    }

    /// The same bits.
    #[must_use]
    pub fn exact() -> Self {
        Self { abs: 0.0, rel: 0.0 }
    }
}

/// Holds `actual` against `expected` and names the worst element where they differ too much.
///
/// # Panics
/// If the lengths differ or any element is further off than `tolerance` allows, or is NaN.
#[track_caller]
pub fn assert_close<A, B>(what: &str, actual: &[A], expected: &[B], tolerance: Tolerance)
where
    A: Copy + Into<f64>,
    B: Copy + Into<f64>,
{
    assert_eq!(actual.len(), expected.len(), "{what}: lengths differ");
    let largest = expected.iter().fold(0.0f64, |m, &e| m.max(e.into().abs()));
    let allowed = tolerance.abs + tolerance.rel * largest;
    let mut worst = (0, 0.0f64);
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let (a, e): (f64, f64) = (a.into(), e.into());
        let off = if a == e { 0.0 } else { (a - e).abs() };
        assert!(!off.is_nan(), "{what}: element {i} is {a}, expected {e}");
        if off > worst.1 {
            worst = (i, off);
        }
    }
    let (i, off) = worst;
    assert!(
        off <= allowed,
        "{what}: element {i} of {} is {}, expected {}: off by {off:.3e}, allowed {allowed:.3e}",
        actual.len(),
        actual[i].into(),
        expected[i].into(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "element 1")]
    fn the_worst_element_is_named() {
        assert_close("demo", &[1.0f32, 2.5], &[1.0f32, 2.0], Tolerance::for_reduction(100));
    }

    #[test]
    #[should_panic(expected = "NaN")]
    fn not_a_number_is_never_close() {
        assert_close("demo", &[f32::NAN], &[1.0f32], Tolerance { abs: 1.0, rel: 1.0 });
    }
}
