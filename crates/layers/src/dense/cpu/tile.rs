//! One register tile for the three matrix products of a dense layer.
//!
//! Every product is a sum of outer products c = Σₖ aₖ ⊗ bₖ, where aₖ is a column of [`ROWS`]
//! numbers and bₖ a row of `NV` vectors. The tile c stays in registers over all k: a number that is
//! read is used `NV` times, a vector 8 times, and nothing but the finished tile is written.

use gradus_tensor::simd::V;

/// Rows of a tile. 8 · 2 accumulators suit 32 registers, 8 · 1 suit 16, and either hides the
/// latency of the multiply-adds.
pub(super) const ROWS: usize = 8;

/// Rows · `NV` vectors of L columns.
pub(super) type Tile<const L: usize, const FMA: bool, const NV: usize> = [[V<L, FMA>; NV]; ROWS];

/// Repeats a block for each row of a tile. A loop would be left to the compiler, which may keep the
/// tile in memory instead (a factor of 20).
macro_rules! for_each_row {
    ($r:ident, $body:block) => {
        for_each_row!(@ $r, $body, 0 1 2 3 4 5 6 7)
    };
    (@ $r:ident, $body:block, $($n:literal)+) => {
        const { assert!([$($n),+].len() == ROWS) };
        $({
            let $r = $n;
            $body
        })+
    };
}

/// Σₖ aₖ ⊗ bₖ over `steps` values of k, in order. `a(k, r)` is a number, `b(k, v)` a vector.
#[inline(always)]
pub(super) fn outer_products<const L: usize, const FMA: bool, const NV: usize>(
    steps: usize,
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> V<L, FMA>,
) -> Tile<L, FMA, NV> {
    let mut c = [[V::splat(0.0); NV]; ROWS];
    for k in 0..steps {
        let row: [V<L, FMA>; NV] = std::array::from_fn(|v| b(k, v));
        for_each_row!(r, {
            let a = V::splat(a(k, r));
            for v in 0..NV {
                c[r][v] = a.mul_add(row[v], c[r][v]);
            }
        });
    }
    c
}

/// Writes the tile to rows that are `pitch` numbers apart, or adds it to what is there.
///
/// There is room for all of it: a second way out, for a part of a tile, would again take it out of
/// the registers.
#[inline(always)]
pub(super) fn put<const L: usize, const FMA: bool, const NV: usize>(
    c: Tile<L, FMA, NV>,
    add: bool,
    to: &mut [f32],
    pitch: usize,
) {
    for_each_row!(r, {
        for v in 0..NV {
            let to = &mut to[r * pitch + v * L..];
            if add { V::load(to) + c[r][v] } else { c[r][v] }.store(to);
        }
    });
}
