//! The five transforms of F(4×4, 3×3), each along one dimension.
//!
//! A polynomial product is fixed by its values at enough points. Here the points are 0, 1, −1, 2,
//! −2 and ∞, and three matrices say it all, in the letters of Lavin and Gray (2016, equation 10
//! and section 4.3):
//!
//! ```text
//!      ⎡4  0 −5  0 1 0⎤        ⎡ 1/4    0     0 ⎤
//!      ⎢0 −4 −4  1 1 0⎥        ⎢−1/6  −1/6  −1/6⎥        ⎡1 1  1 1  1 0⎤
//! Bᵀ = ⎢0  4 −4 −1 1 0⎥    G = ⎢−1/6   1/6  −1/6⎥   Aᵀ = ⎢0 1 −1 2 −2 0⎥
//!      ⎢0 −2 −1  2 1 0⎥        ⎢ 1/24  1/12  1/6⎥        ⎢0 1  1 4  4 0⎥
//!      ⎢0  2 −1 −2 1 0⎥        ⎢ 1/24 −1/12  1/6⎥        ⎣0 1 −1 8 −8 1⎦
//!      ⎣0  4  0 −5 0 1⎦        ⎣  0     0     1 ⎦
//! ```
//!
//! Four outputs of a filter of three taps are Aᵀ[(G g) ⊙ (Bᵀ d)], six products in place of twelve;
//! in two dimensions 36 in place of 144. The gradient of the filter is the same form read from the
//! other end: Gᵀ[(A dy) ⊙ (Bᵀ d)].

use std::mem::MaybeUninit;

/// Inputs of a tile, along one dimension.
pub(in crate::conv2d) const INPUTS: usize = 6;
/// Outputs of a tile.
pub(in crate::conv2d) const OUTPUTS: usize = 4;
/// Taps of a filter.
pub(in crate::conv2d) const TAPS: usize = 3;
/// Products of a tile, in both dimensions.
pub(in crate::conv2d) const PRODUCTS: usize = INPUTS * INPUTS;

/// What is transformed: f32, or f64 in the proof.
pub(in crate::conv2d) trait Value: Copy {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, factor: f32) -> Self;
    /// self · factor + other.
    fn times_plus(self, factor: f32, other: Self) -> Self;
}

/// One channel. `FMA`: multiply and add round once.
#[derive(Clone, Copy)]
struct Lane<const FMA: bool>(f32);

impl<const FMA: bool> Value for Lane<FMA> {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }

    #[inline(always)]
    fn times(self, factor: f32) -> Self {
        Self(self.0 * factor)
    }

    #[inline(always)]
    fn times_plus(self, factor: f32, other: Self) -> Self {
        Self(if FMA { self.0.mul_add(factor, other.0) } else { self.0 * factor + other.0 })
    }
}

/// From `FROM` numbers to `INTO`. A type and not a function, because a function that is passed on
/// is not inlined, and so compiled without the vectors of its caller (a factor of 10).
pub(in crate::conv2d) trait Transform<const FROM: usize, const INTO: usize> {
    /// In one dimension.
    fn of<T: Value>(from: [T; FROM]) -> [T; INTO];

    /// In both dimensions, for `W` channels: of the columns, then of the rows of what that gives.
    ///
    /// # Safety
    /// Vectors are readable at the `FROM`·`FROM` places of `from`, and writable at the
    /// `INTO`·`INTO` places of `to`.
    #[inline(always)]
    unsafe fn both<const W: usize, const FMA: bool>(from: Grid<*const f32>, to: Grid<*mut f32>) {
        let mut between = MaybeUninit::<Line<[[[f32; W]; INPUTS]; INPUTS]>>::uninit();
        let between = between.as_mut_ptr().cast::<f32>();
        let [down, across] = [INPUTS * W, W];
        // SAFETY: `between` has room for 6·6 vectors, and neither FROM nor INTO is more than 6;
        // what the second pass reads the first has written. The rest is the caller's promise.
        unsafe {
            let columns = Grid { at: from.at, down: from.across, across: from.down };
            Self::lines::<W, FMA>(FROM, columns, Grid { at: between, down: across, across: down });
            let rows = Grid { at: between.cast_const(), down, across };
            Self::lines::<W, FMA>(INTO, rows, to);
        }
    }

    /// Each of `count` lines of `FROM` vectors, into as many of `INTO`.
    ///
    /// # Safety
    /// As [`Transform::both`], for these numbers of lines and vectors.
    #[inline(always)]
    unsafe fn lines<const W: usize, const FMA: bool>(
        count: usize,
        from: Grid<*const f32>,
        to: Grid<*mut f32>,
    ) {
        // PERF: lane by lane within a line, and the lines hidden from the compiler. Vector by
        // vector it would undo both loops, and then find only some of the vectors again (a factor
        // of 2 to 5).
        for line in 0..std::hint::black_box(count) {
            let mut numbers = [[0.0; W]; FROM];
            for (i, numbers) in numbers.iter_mut().enumerate() {
                // SAFETY: the caller's promise; f32 arrays need no more than f32's alignment.
                *numbers = unsafe { *from.at.add(line * from.down + i * from.across).cast() };
            }
            let mut into = [[0.0; W]; INTO];
            for lane in 0..W {
                let mut column = [Lane::<FMA>(0.0); FROM];
                for (number, numbers) in column.iter_mut().zip(&numbers) {
                    number.0 = numbers[lane];
                }
                for (into, number) in into.iter_mut().zip(Self::of(column)) {
                    into[lane] = number.0;
                }
            }
            for (i, into) in into.iter().enumerate() {
                // SAFETY: as above.
                unsafe { *to.at.add(line * to.down + i * to.across).cast() = *into };
            }
        }
    }
}

/// Something that begins with a cache line: else every vector of it would lie in two.
#[repr(align(64))]
pub(super) struct Line<T>(pub(super) T);

/// Vectors in rows and columns, distances in floats.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv2d) struct Grid<P> {
    /// The first vector.
    pub(super) at: P,
    /// From one row to the next.
    pub(super) down: usize,
    /// From one column to the next.
    pub(super) across: usize,
}

/// Bᵀ d: the inputs at the six points.
pub(in crate::conv2d) struct Input;

impl Transform<INPUTS, INPUTS> for Input {
    #[inline(always)]
    fn of<T: Value>([d0, d1, d2, d3, d4, d5]: [T; INPUTS]) -> [T; INPUTS] {
        let (even, odd) = (d2.times_plus(-4.0, d4), d1.times_plus(-4.0, d3));
        let (far_even, far_odd) = (d4.minus(d2), d3.minus(d1));
        [
            d0.times_plus(4.0, d2.times_plus(-5.0, d4)),
            even.plus(odd),
            even.minus(odd),
            far_odd.times_plus(2.0, far_even),
            far_odd.times_plus(-2.0, far_even),
            d1.times_plus(4.0, d3.times_plus(-5.0, d5)),
        ]
    }
}

/// Aᵀ m: outputs from products.
pub(in crate::conv2d) struct Output;

impl Transform<INPUTS, OUTPUTS> for Output {
    #[inline(always)]
    fn of<T: Value>([m0, m1, m2, m3, m4, m5]: [T; INPUTS]) -> [T; OUTPUTS] {
        let (even, odd) = (m1.plus(m2), m1.minus(m2));
        let (far_even, far_odd) = (m3.plus(m4), m3.minus(m4));
        [
            m0.plus(even).plus(far_even),
            far_odd.times_plus(2.0, odd),
            far_even.times_plus(4.0, even),
            far_odd.times_plus(8.0, odd).plus(m5),
        ]
    }
}

/// G g: a filter at the six points.
pub(in crate::conv2d) struct Filter;

impl Transform<TAPS, INPUTS> for Filter {
    #[inline(always)]
    fn of<T: Value>([g0, g1, g2]: [T; TAPS]) -> [T; INPUTS] {
        let near = g0.plus(g2).times(-1.0 / 6.0);
        let far = g2.times_plus(1.0 / 6.0, g0.times(1.0 / 24.0));
        [
            g0.times(0.25),
            g1.times_plus(-1.0 / 6.0, near),
            g1.times_plus(1.0 / 6.0, near),
            g1.times_plus(1.0 / 12.0, far),
            g1.times_plus(-1.0 / 12.0, far),
            g2,
        ]
    }
}

/// A dy: [`Output`] read from the other end.
pub(in crate::conv2d) struct OutputGradient;

impl Transform<OUTPUTS, INPUTS> for OutputGradient {
    #[inline(always)]
    fn of<T: Value>([y0, y1, y2, y3]: [T; OUTPUTS]) -> [T; INPUTS] {
        let (even, odd) = (y0.plus(y2), y1.plus(y3));
        let far_even = y2.times_plus(4.0, y0);
        let far_odd = y3.times_plus(4.0, y1);
        [
            y0,
            even.plus(odd),
            even.minus(odd),
            far_odd.times_plus(2.0, far_even),
            far_odd.times_plus(-2.0, far_even),
            y3,
        ]
    }
}

/// Gᵀ u: [`Filter`] read from the other end.
pub(in crate::conv2d) struct FilterGradient;

impl Transform<INPUTS, TAPS> for FilterGradient {
    #[inline(always)]
    fn of<T: Value>([u0, u1, u2, u3, u4, u5]: [T; INPUTS]) -> [T; TAPS] {
        let (even, odd) = (u1.plus(u2), u2.minus(u1));
        let (far_even, far_odd) = (u3.plus(u4), u3.minus(u4));
        [
            even.times_plus(-1.0 / 6.0, far_even.times_plus(1.0 / 24.0, u0.times(0.25))),
            odd.times_plus(1.0 / 6.0, far_odd.times(1.0 / 12.0)),
            far_even.minus(even).times_plus(1.0 / 6.0, u5),
        ]
    }
}

#[cfg(test)]
pub(in crate::conv2d) mod tests {
    use super::*;
    use gradus_testing::Cases;
    use std::array::from_fn as array;

    impl Value for f64 {
        fn plus(self, other: Self) -> Self {
            self + other
        }

        fn minus(self, other: Self) -> Self {
            self - other
        }

        fn times(self, factor: f32) -> Self {
            // The fractions of G, exactly.
            self * (f64::from(factor) * 24.0).round() / 24.0
        }

        fn times_plus(self, factor: f32, other: Self) -> Self {
            self.times(factor) + other
        }
    }

    /// [`Transform::both`] for numbers.
    pub(in crate::conv2d) fn both<T: Transform<F, I>, const F: usize, const I: usize>(
        at: impl Fn(usize, usize) -> f64,
    ) -> [[f64; I]; I] {
        let columns: [[f64; I]; F] = array(|j| T::of(array(|i| at(i, j))));
        array(|i| T::of(array(|j| columns[j][i])))
    }

    /// One tile of a convolution, and its gradient, by the sums themselves.
    #[test]
    fn thirty_six_products_do_the_work_of_a_hundred_and_forty_four() {
        let mut cases = Cases::new("winograd", 0);
        let numbers = cases.normal_f64(36 + 9 + 16);
        let x = |i: usize, j: usize| numbers[i * 6 + j];
        let w = |r: usize, s: usize| numbers[36 + r * 3 + s];
        let dy = |i: usize, j: usize| numbers[45 + i * 4 + j];
        let (d, u) = (both::<Input, _, _>(x), both::<Filter, _, _>(w));
        let y = both::<Output, _, _>(|i, j| d[i][j] * u[i][j]);
        for (i, j) in (0..16).map(|k| (k / 4, k % 4)) {
            let sum: f64 = (0..9).map(|t| x(i + t / 3, j + t % 3) * w(t / 3, t % 3)).sum();
            assert!((y[i][j] - sum).abs() < 1e-12, "y[{i}][{j}] is {}, not {sum}", y[i][j]);
        }
        let e = both::<OutputGradient, _, _>(dy);
        let dw = both::<FilterGradient, _, _>(|i, j| d[i][j] * e[i][j]);
        for (r, s) in (0..9).map(|k| (k / 3, k % 3)) {
            let sum: f64 = (0..16).map(|t| x(r + t / 4, s + t % 4) * dy(t / 4, t % 4)).sum();
            assert!((dw[r][s] - sum).abs() < 1e-12, "dw[{r}][{s}] is {}, not {sum}", dw[r][s]);
        }
    }

    /// The last two transforms are the second and third, transposed: ⟨Aᵀm, y⟩ = ⟨m, A y⟩.
    #[test]
    fn the_gradients_are_the_transposes() {
        let mut cases = Cases::new("winograd transposes", 0);
        let numbers = cases.normal_f64(19);
        let m: [f64; 6] = array(|i| numbers[i]);
        let y: [f64; 4] = array(|i| numbers[6 + i]);
        let g: [f64; 3] = array(|i| numbers[10 + i]);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (left, right) = (dot(&Output::of(m), &y), dot(&m, &OutputGradient::of(y)));
        assert!((left - right).abs() < 1e-12, "{left} {right}");
        let (left, right) = (dot(&Filter::of(g), &m), dot(&g, &FilterGradient::of(m)));
        assert!((left - right).abs() < 1e-12, "{left} {right}");
    }
}
