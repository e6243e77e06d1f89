//! Activations and their slopes, number by number: no branch, no call, so that the compiler turns
//! a loop over them into vectors.
//!
//! All rests on one exponential: eᶻ = 2ⁿ (1 + p) with n = round(z/ln 2) and
//! p = e^(z − n ln 2) − 1 by its Taylor series, whose rest is below 2·10⁻⁸ of p. With
//! w = e^(−|z|), which never overflows, the logistic functions are quotients of polynomials in w.

use super::super::{SELU_ALPHA, SELU_SCALE};
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LOG2_E};

/// a·b + c, rounded once where the machine can.
#[inline(always)]
fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Σ coefficients[i] · xⁱ.
#[inline(always)]
fn polynomial<const FMA: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = fma::<FMA>(sum, x, coefficients[i]);
    }
    sum
}

/// Added to a number below 2²², it leaves the nearest integer in the lowest bits.
const MAGIC: f32 = 12_582_912.0;
/// The first bits of ln 2: n · `LN_2_HIGH` is exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;

/// p and 2ⁿ, the latter as two factors, of which neither overflows, with eᶻ = (1 + p) · 2ⁿ.
#[inline(always)]
fn split<const FMA: bool>(z: f32) -> (f32, [f32; 2]) {
    // Beyond these e^z is 0 and ∞. A NaN passes both comparisons.
    let z = if z < -104.0 { -104.0 } else { z };
    let z = if z > 89.0 { 89.0 } else { z };
    let shifted = fma::<FMA>(z, LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let bits = (shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32);
    let low = (f64::from(LN_2_HIGH) - std::f64::consts::LN_2) as f32;
    let r = fma::<FMA>(n, low, fma::<FMA>(-n, LN_2_HIGH, z));
    let series = [1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0];
    let p = fma::<FMA>(r * r, polynomial::<FMA, 6>(r, series), r);
    let power = |n: i32| f32::from_bits(((n.wrapping_add(127)) << 23) as u32);
    let half = bits >> 1;
    (p, [power(half), power(bits.wrapping_sub(half))])
}

/// eᶻ.
#[inline(always)]
pub(super) fn exp<const FMA: bool>(z: f32) -> f32 {
    let (p, [a, b]) = split::<FMA>(z);
    (1.0 + p) * a * b
}

/// eᶻ − 1 for z ≤ 0, exact also near 0.
#[inline(always)]
fn exp_m1<const FMA: bool>(z: f32) -> f32 {
    let (p, [a, b]) = split::<FMA>(z);
    fma::<FMA>(p, a * b, a * b - 1.0)
}

/// ln(1 + w) for 0 ≤ w ≤ 1: 2 artanh(w/(2 + w)).
#[inline(always)]
fn ln_1p<const FMA: bool>(w: f32) -> f32 {
    let s = w / (2.0 + w);
    let series =
        [1.0, 1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0];
    2.0 * s * polynomial::<FMA, 8>(s * s, series)
}

#[inline(always)]
fn larger(z: f32, low: f32) -> f32 {
    if z < low { low } else { z }
}

#[inline(always)]
pub(super) fn relu6(z: f32) -> f32 {
    let z = larger(z, 0.0);
    if z > 6.0 { 6.0 } else { z }
}

#[inline(always)]
pub(super) fn elu<const FMA: bool>(z: f32, alpha: f32) -> f32 {
    let below = alpha * exp_m1::<FMA>(if z > 0.0 { 0.0 } else { z });
    if z < 0.0 { below } else { z }
}

#[inline(always)]
pub(super) fn selu<const FMA: bool>(z: f32) -> f32 {
    SELU_SCALE as f32 * elu::<FMA>(z, SELU_ALPHA as f32)
}

#[inline(always)]
pub(super) fn sigmoid<const FMA: bool>(z: f32) -> f32 {
    let w = exp::<FMA>(-z.abs());
    (if z < 0.0 { w } else { 1.0 }) / (1.0 + w)
}

#[inline(always)]
pub(super) fn tanh<const FMA: bool>(z: f32) -> f32 {
    let m = exp_m1::<FMA>(-2.0 * z.abs());
    (-m / (m + 2.0)).copysign(z)
}

#[inline(always)]
pub(super) fn softplus<const FMA: bool>(z: f32) -> f32 {
    larger(z, 0.0) + ln_1p::<FMA>(exp::<FMA>(-z.abs()))
}

/// 1 − e^(−y) from y = ln(1 + eᶻ).
#[inline(always)]
pub(super) fn softplus_slope<const FMA: bool>(y: f32) -> f32 {
    -exp_m1::<FMA>(-y)
}

/// tanh(softplus(z)), and the sigmoid.
#[inline(always)]
fn mish_parts<const FMA: bool>(z: f32) -> [f32; 2] {
    let w = exp::<FMA>(-z.abs());
    let above = fma::<FMA>(2.0, w, 1.0);
    let below = w * (w + 2.0);
    let (top, rest) = if z < 0.0 { (below, 2.0) } else { (above, 2.0 * w * w) };
    [top / (top + rest), (if z < 0.0 { w } else { 1.0 }) / (1.0 + w)]
}

#[inline(always)]
pub(super) fn mish<const FMA: bool>(z: f32) -> f32 {
    z * mish_parts::<FMA>(z)[0]
}

#[inline(always)]
pub(super) fn mish_slope<const FMA: bool>(z: f32) -> f32 {
    let [t, s] = mish_parts::<FMA>(z);
    fma::<FMA>(z * s, 1.0 - t * t, t)
}

#[inline(always)]
pub(super) fn silu<const FMA: bool>(z: f32) -> f32 {
    z * sigmoid::<FMA>(z)
}

#[inline(always)]
pub(super) fn silu_slope<const FMA: bool>(z: f32) -> f32 {
    let s = sigmoid::<FMA>(z);
    s * fma::<FMA>(z, 1.0 - s, 1.0)
}

/// Φ(z) and φ(z), the normal distribution and its density.
///
/// Φ(−x) = e^(−x²/2) · t · P(t) with t = 1/(1 + 0.4·x) for x ≥ 0: P was fitted to the double
/// precision erfc by least squares of the relative error on 400 Chebyshev nodes, which leaves
/// 3·10⁻⁷.
#[inline(always)]
fn normal<const FMA: bool>(z: f32) -> [f32; 2] {
    const P: [f32; 10] = [
        0.159_575_34,
        0.159_641_19,
        0.133_000_24,
        0.092_106_75,
        -0.029_412_856,
        0.124_874_4,
        -0.381_159_2,
        0.388_086_2,
        -0.179_435_45,
        0.032_723_367,
    ];
    let (x, bell) = (z.abs(), exp::<FMA>(-0.5 * z * z));
    let t = 1.0 / fma::<FMA>(0.4, x, 1.0);
    let tail = bell * t * polynomial::<FMA, 10>(t, P);
    let density = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * bell;
    [if z < 0.0 { tail } else { 1.0 - tail }, density]
}

#[inline(always)]
pub(super) fn gelu<const FMA: bool>(z: f32) -> f32 {
    z * normal::<FMA>(z)[0]
}

#[inline(always)]
pub(super) fn gelu_slope<const FMA: bool>(z: f32) -> f32 {
    let [distribution, density] = normal::<FMA>(z);
    fma::<FMA>(z, density, distribution)
}

/// 2·√(2/π): (1 + tanh u)/2 is the sigmoid of 2u.
const TWICE: f32 = 2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;

#[inline(always)]
pub(super) fn gelu_tanh<const FMA: bool>(z: f32) -> f32 {
    z * sigmoid::<FMA>(TWICE * z * fma::<FMA>(0.044_715 * z, z, 1.0))
}

#[inline(always)]
pub(super) fn gelu_tanh_slope<const FMA: bool>(z: f32) -> f32 {
    let s = sigmoid::<FMA>(TWICE * z * fma::<FMA>(0.044_715 * z, z, 1.0));
    let slope = TWICE * fma::<FMA>(3.0 * 0.044_715 * z, z, 1.0);
    s * fma::<FMA>(z * slope, 1.0 - s, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of `f` in units of the last place of the exact value, over `from..to`.
    fn worst(from: f32, to: f32, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let steps = 200_000u32;
        let mut worst = 0.0f64;
        for i in 0..=steps {
            let z = from + (to - from) * (i as f32 / steps as f32);
            let expected = exact(f64::from(z));
            let last_place =
                expected.abs().max(f64::from(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
            worst = worst.max((f64::from(f(z)) - expected).abs() / last_place);
        }
        worst
    }

    /// On both kinds of machine.
    macro_rules! both {
        ($f:ident, $from:expr, $to:expr, $exact:expr) => {
            worst($from, $to, $f::<true>, $exact).max(worst($from, $to, $f::<false>, $exact))
        };
    }

    #[test]
    fn each_function_is_right_to_a_few_units_of_the_last_place() {
        let logistic = |z: f64| 1.0 / (1.0 + (-z).exp());
        let errors = [
            ("exp", both!(exp, -87.0, 88.7, f64::exp)),
            ("exp_m1", both!(exp_m1, -90.0, 0.0, f64::exp_m1)),
            ("exp_m1 near 0", both!(exp_m1, -0.01, 0.0, f64::exp_m1)),
            ("ln_1p", both!(ln_1p, 0.0, 1.0, f64::ln_1p)),
            ("sigmoid", both!(sigmoid, -86.0, 86.0, logistic)),
            ("tanh", both!(tanh, -12.0, 12.0, f64::tanh)),
            ("tanh near 0", both!(tanh, -0.01, 0.01, f64::tanh)),
            (
                "softplus",
                both!(softplus, -86.0, 86.0, |z: f64| z.max(0.0) + (-z.abs()).exp().ln_1p()),
            ),
            ("silu", both!(silu, -86.0, 86.0, |z| z * logistic(z))),
            ("mish", both!(mish, -43.0, 43.0, |z| z * z.exp().ln_1p().tanh())),
        ];
        for (name, error) in errors {
            assert!(error < 4.0, "{name}: {error} units of the last place");
        }
    }

    #[test]
    fn the_ends_of_the_range_are_zero_infinity_and_one() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        assert_eq!((exp::<true>(-inf), exp::<true>(inf), exp::<true>(0.0)), (0.0, inf, 1.0));
        assert_eq!((exp::<false>(-104.0), exp::<false>(88.8)), (0.0, inf));
        assert_eq!((sigmoid::<true>(-inf), sigmoid::<true>(inf)), (0.0, 1.0));
        assert_eq!((tanh::<true>(-inf), tanh::<true>(200.0)), (-1.0, 1.0));
        assert_eq!((gelu::<true>(-50.0), gelu::<true>(1e30)), (0.0, 1e30));
        for f in [exp::<true>, sigmoid::<true>, tanh::<true>, softplus::<true>, gelu::<true>] {
            assert!(f(nan).is_nan());
        }
    }
}
