//! dz from x, line by line, for each instruction set: in the place of x, or beside an x that stays.

use super::rows::{DROPPED, WIDE, ahead, behind_dropout, chunk, for_channels};
use crate::batch_normalization::cpu::add_pair;
use crate::max_pooling2d::Geometry;
use gradus_tensor::simd::V;

gradus_tensor::vectorize! {
    /// One line of dz, in the place of x; its sum is added to `sums`.
    pub(super) fn gradient_row(
        g: &Geometry,
        row: (usize, &[f32], &[u8]),
        constants: &[f32],
        kind: (f32, bool),
        x: &mut [f32],
        sums: &mut [f32],
    ) = gradient_row_body;

    /// The same from an x that stays.
    pub(super) fn gradient_row_apart(
        g: &Geometry,
        row: (usize, &[f32], &[u8]),
        constants: &[f32],
        kind: (f32, bool),
        x_and_dz: (&[f32], &mut [f32]),
        sums: &mut [f32],
    ) = gradient_row_apart_body;
}

/// A line of x that becomes one of dz.
trait Line {
    /// Whether the next line has to be fetched while this one is worked on.
    const FETCHES: bool;

    fn x(&self) -> &[f32];

    fn dz(&mut self) -> &mut [f32];
}

/// dz takes the place of x.
struct InPlace<'a>(&'a mut [f32]);

impl Line for InPlace<'_> {
    const FETCHES: bool = true;

    #[inline(always)]
    fn x(&self) -> &[f32] {
        self.0
    }

    #[inline(always)]
    fn dz(&mut self) -> &mut [f32] {
        self.0
    }
}

/// x stays, and is fetched by whom dz is for.
struct Apart<'a>(&'a [f32], &'a mut [f32]);

impl Line for Apart<'_> {
    const FETCHES: bool = false;

    #[inline(always)]
    fn x(&self) -> &[f32] {
        self.0
    }

    #[inline(always)]
    fn dz(&mut self) -> &mut [f32] {
        self.1
    }
}

#[inline(always)]
fn gradient_row_body<const L: usize, const FMA: bool>(
    g: &Geometry,
    row: (usize, &[f32], &[u8]),
    constants: &[f32],
    kind: (f32, bool),
    x: &mut [f32],
    sums: &mut [f32],
) {
    gradient_line::<FMA>(g, row, constants, kind, &mut InPlace(x), sums);
}

#[inline(always)]
fn gradient_row_apart_body<const L: usize, const FMA: bool>(
    g: &Geometry,
    row: (usize, &[f32], &[u8]),
    constants: &[f32],
    kind: (f32, bool),
    (x, dz): (&[f32], &mut [f32]),
    sums: &mut [f32],
) {
    gradient_line::<FMA>(g, row, constants, kind, &mut Apart(x, dz), sums);
}

#[inline(always)]
fn gradient_line<const FMA: bool>(
    g: &Geometry,
    row: (usize, &[f32], &[u8]),
    constants: &[f32],
    kind: (f32, bool),
    line: &mut impl Line,
    sums: &mut [f32],
) {
    if g.s == 2 {
        // PERF: as in `pool_row`.
        let g = &Geometry { s: 2, ..*g };
        for_channels!(g.c, gradient_channels::<FMA>(g, row, constants, kind, line, sums));
    } else {
        for_channels!(g.c, gradient_channels::<FMA>(g, row, constants, kind, line, sums));
    }
}

#[inline(always)]
fn gradient_channels<const W: usize, const FMA: bool>(
    at: usize,
    g: &Geometry,
    (first_tap, dy, codes): (usize, &[f32], &[u8]),
    constants: &[f32],
    (factor, relu): (f32, bool),
    line: &mut impl Line,
    sums: &mut [f32],
) {
    let c = g.c;
    let constants = [0, 1, 2, 3, 4].map(|k| V::<W, FMA>::load(&constants[k * c + at..]));
    let mut total = [0.0f64; W];
    let mut place = at;
    for (dy, codes) in dy.chunks_exact(c).zip(codes.chunks_exact(c)) {
        ahead(dy, g.q * c + at);
        let codes: [u8; W] = chunk(codes, at);
        let d = behind_dropout(chunk(dy, at), codes, factor);
        for s in 0..g.s {
            let mut dy = [0.0; W];
            for lane in 0..W {
                let won = codes[lane] & !DROPPED == (first_tap + s) as u8;
                dy[lane] = if won { d[lane] } else { 0.0 };
            }
            gradient::<W, FMA, _>(constants, relu, dy, (line, place), &mut total);
            place += c;
        }
    }
    while place < line.x().len() {
        // Nothing won there.
        gradient::<W, FMA, _>(constants, relu, [0.0; W], (line, place), &mut total);
        place += c;
    }
    // PERF: as arrays, or the totals are kept in pieces of registers (a factor of 1.2).
    let parts = <[&mut [f32]; 2]>::from(sums.split_at_mut(c));
    let [nearest, rest] = parts.map(|part| part[at..].first_chunk_mut::<W>().expect("W sums"));
    for lane in 0..W {
        add_pair(&mut nearest[lane], &mut rest[lane], total[lane]);
    }
}

/// dz of `W` numbers of a line, added to `total`.
#[inline(always)]
fn gradient<const W: usize, const FMA: bool, T: Line>(
    [mean, scale, mean_dy, pull, offset]: [V<W, FMA>; 5],
    relu: bool,
    dy: [f32; W],
    (line, place): (&mut T, usize),
    total: &mut [f64; W],
) {
    if T::FETCHES {
        ahead(line.x(), line.x().len() + place);
    }
    let x: [f32; W] = chunk(line.x(), place);
    let through = (V::<W, FMA>(x) - mean).mul_add(pull, offset);
    let V(mut dz) = (V(dy) - mean_dy).mul_add(scale, through);
    for lane in 0..W {
        // PERF: `&`, as there is no branch in it.
        dz[lane] = if relu & (x[lane] <= 0.0) { 0.0 } else { dz[lane] };
        total[lane] += f64::from(dz[lane]);
    }
    *line.dz()[place..].first_chunk_mut().expect("W numbers") = dz;
}
