//! One register tile for the three matrix products of a dense layer.
//!
//! Every product is a sum of outer products c = Σₖ aₖ ⊗ bₖ, where aₖ is a column of [`ROWS`]
//! numbers and bₖ a row of `NV` vectors, mostly 2. The tile c, or half of it, stays in registers over
//! all k: a number that is read is used `NV` times, a vector 8 times or 4, and nothing but the finished
//! tile is written.

use gradus_tensor::simd::V;

/// Rows of a tile.
pub(super) const ROWS: usize = 8;
/// Vectors of a tile, where there are columns enough.
pub(super) const VECTORS: usize = 2;

/// Rows of a tile that are summed at once: with 32 registers all 8, which with 2 vectors are 16
/// accumulators; with 16 registers 4. So there are fewer reads than multiply-adds, and enough
/// accumulators to hide the latency of these.
const fn rows_at_once<const L: usize, const FMA: bool>() -> usize {
    if L == 16 || (L == 4 && FMA) { ROWS } else { ROWS / 2 }
}

/// `R` rows · `NV` vectors of L columns.
type Tile<const L: usize, const FMA: bool, const NV: usize, const R: usize> = [[V<L, FMA>; NV]; R];

/// Repeats a block for each row of a tile. A loop would be left to the compiler, which may keep the
/// tile in memory instead (a factor of 20).
macro_rules! for_each_row {
    ($r:ident < $count:ident, $body:block) => {
        for_each_row!(@ $r < $count, $body, 0 1 2 3 4 5 6 7)
    };
    (@ $r:ident < $count:ident, $body:block, $($n:literal)+) => {
        const { assert!([$($n),+].len() == ROWS) };
        $(if $n < $count {
            let $r = $n;
            $body
        })+
    };
}

/// Σₖ aₖ ⊗ bₖ over `steps` values of k, in order, written to rows that are `pitch` numbers apart, or
/// added to what is there. `a(k, r)` is a number, `b(k, v)` a vector.
///
/// There is room for all of it: a second way out, for a part of a tile, would take it out of the
/// registers.
#[inline(always)]
pub(super) fn outer_products<const L: usize, const FMA: bool, const NV: usize>(
    steps: usize,
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> V<L, FMA>,
    add: bool,
    to: &mut [f32],
    pitch: usize,
) {
    if rows_at_once::<L, FMA>() == ROWS {
        put(sums::<L, FMA, NV, ROWS>(steps, &a, &b), add, to, pitch);
    } else {
        const HALF: usize = ROWS / 2;
        put(sums::<L, FMA, NV, HALF>(steps, &a, &b), add, to, pitch);
        let rest = |k: usize, r: usize| a(k, HALF + r);
        put(sums::<L, FMA, NV, HALF>(steps, rest, &b), add, &mut to[HALF * pitch..], pitch);
    }
}

/// The first `R` rows of a tile.
#[inline(always)]
fn sums<const L: usize, const FMA: bool, const NV: usize, const R: usize>(
    steps: usize,
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> V<L, FMA>,
) -> Tile<L, FMA, NV, R> {
    let mut c = [[V::splat(0.0); NV]; R];
    for k in 0..steps {
        let row: [V<L, FMA>; NV] = std::array::from_fn(|v| b(k, v));
        for_each_row!(r < R, {
            let a = V::splat(a(k, r));
            for v in 0..NV {
                c[r][v] = a.mul_add(row[v], c[r][v]);
            }
        });
    }
    c
}

#[inline(always)]
fn put<const L: usize, const FMA: bool, const NV: usize, const R: usize>(
    c: Tile<L, FMA, NV, R>,
    add: bool,
    to: &mut [f32],
    pitch: usize,
) {
    for_each_row!(r < R, {
        for v in 0..NV {
            let to = &mut to[r * pitch + v * L..];
            if add { V::load(to) + c[r][v] } else { c[r][v] }.store(to);
        }
    });
}
