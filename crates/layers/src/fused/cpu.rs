//! The passes of the fused room on the CPU: each array is read once and written once.
//!
//! Tasks are some whole rows of images, cut by geometry alone. Sums over pixels are taken in f64,
//! and a task hands each on as a pair of floats, as batch normalization does.
//!
//! A row is walked once for every [`WIDE`] channels, which keeps their constants and sums in
//! registers. Such a walk touches a cache line here and there, and what the machine fetches of
//! itself comes late; so every step asks for its own place one row further.

use crate::batch_normalization::cpu::{PAIR, add_pair, constants_of_input, constants_of_output};
use crate::batch_normalization::{Normalization, cpu::merged, cpu::rstd};
use crate::dropout::{Draw, cpu::draw_mask};
use crate::max_pooling2d::Geometry;
use gradus_tensor::simd::{Isa, V, prefetch};
use gradus_tensor::{Chunks, Workspace};

/// Pooled rows of a task: a multiple of 8, so that a task begins with a whole block of dropout's
/// decisions.
const ROWS: usize = 8;
/// Rows of images in a task.
const LINES: usize = 16;
/// Marks a value that was dropped. The other bits are the tap that won.
const DROPPED: u8 = 0x80;
/// The most taps of a window.
pub(super) const TAPS: usize = DROPPED as usize;
/// Channels that are done at once: whole vectors on every instruction set.
const WIDE: usize = 16;
/// Windows that the sums over winners fetch ahead.
const AHEAD: usize = 64;

/// Floats of scratch that every function here can do with.
pub(super) fn scratch(g: &Geometry) -> usize {
    let (pooled, lines) = ((g.n * g.p).div_ceil(ROWS), (g.n * g.h).div_ceil(LINES));
    (5 + 2 * PAIR * pooled).max(5 + PAIR * lines) * g.c
}

/// What every pass needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passes<'a> {
    pub(super) isa: Isa,
    pub(super) g: &'a Geometry,
    pub(super) n: &'a Normalization<'a, f32>,
    /// What dropout multiplies with; 1 where there is none.
    pub(super) factor: f32,
    /// Whether x is relu(z), or else z itself.
    pub(super) relu: bool,
}

impl Passes<'_> {
    /// y = dropout(pool(normalize(x))); the x that `won`; and which tap that was and whether it was
    /// dropped, in `codes`. With no draw nothing is dropped.
    pub(super) fn forward(
        &self,
        ws: &mut Workspace,
        draw: Option<&Draw>,
        x: &[f32],
        y: &mut [f32],
        (won, codes): (&mut [f32], &mut [u8]),
    ) {
        let &Self { isa, g, n, factor, .. } = self;
        let constants = ws.scratch.take(2 * g.c);
        constants_of_output(n, constants);
        let (scale, offset) = constants.split_at(g.c);
        let row = g.q * g.c;
        let parts = (Chunks::new(won, ROWS * row), Chunks::new(codes, ROWS * row));
        ws.pool.each((Chunks::new(y, ROWS * row), parts), |i, (y, (won, codes))| {
            match draw {
                None => codes.fill(1),
                Some(draw) => draw_mask(isa, draw, (i * ROWS * row / 8) as u32, codes),
            }
            let saved = won.chunks_mut(row).zip(codes.chunks_mut(row));
            for (k, (y, saved)) in y.chunks_mut(row).zip(saved).enumerate() {
                let lines = lines_of_row(g, x, i * ROWS + k);
                pool_row(isa, g, lines, [n.mean, scale, offset], factor, y, saved);
            }
        });
    }

    /// y = pool(normalize(x)).
    pub(super) fn infer(&self, ws: &mut Workspace, x: &[f32], y: &mut [f32]) {
        let &Self { isa, g, n, .. } = self;
        let constants = ws.scratch.take(2 * g.c);
        constants_of_output(n, constants);
        let (scale, offset) = constants.split_at(g.c);
        let row = g.q * g.c;
        ws.pool.each(Chunks::new(y, ROWS * row), |i, y| {
            for (k, y) in y.chunks_mut(row).enumerate() {
                let lines = lines_of_row(g, x, i * ROWS + k);
                let nothing = (&mut [][..], &mut [][..]);
                pool_row(isa, g, lines, [n.mean, scale, offset], 1.0, y, nothing);
            }
        });
    }

    /// The sums dgamma and dbeta, C each.
    pub(super) fn backward_parameters(
        &self,
        ws: &mut Workspace,
        [won, dy]: [&[f32]; 2],
        codes: &[u8],
        [dgamma, dbeta]: [&mut [f32]; 2],
    ) {
        let &Self { isa, g, n, factor, .. } = self;
        let task = ROWS * g.q * g.c;
        let sums = ws.scratch.take(dy.len().div_ceil(task) * 2 * PAIR * g.c);
        ws.pool.each(Chunks::new(sums, 2 * PAIR * g.c), |i, sums| {
            let part = i * task..dy.len().min((i + 1) * task);
            let values = [&won[part.clone()], &dy[part.clone()], n.mean];
            parameter_sums(isa, values, &codes[part], factor, sums);
        });
        for c in 0..g.c {
            let [sum, product] = merged(sums, g.c, c);
            dbeta[c] = sum as f32;
            dgamma[c] = (rstd(n, c) * (product - f64::from(n.rest(c)) * sum)) as f32;
        }
    }

    /// dz in the place of x, from the sums dgamma and dbeta; and dbias = Σ dz, if it is asked for.
    pub(super) fn backward_input(
        &self,
        ws: &mut Workspace,
        dy: &[f32],
        codes: &[u8],
        sums: [&[f32]; 2],
        x: &mut [f32],
        dbias: Option<&mut [f32]>,
    ) {
        let &Self { isa, g, n, factor, relu } = self;
        let (line, c) = (g.w * g.c, g.c);
        let tasks = (g.n * g.h).div_ceil(LINES);
        let (constants, totals) = ws.scratch.take((5 + PAIR * tasks) * c).split_at_mut(5 * c);
        constants_of_input(n, g.n * g.h * g.w, sums, constants);
        let constants = &*constants;
        let parts = (Chunks::new(x, LINES * line), Chunks::new(&mut *totals, PAIR * c));
        ws.pool.each(parts, |i, (x, totals)| {
            totals.fill(0.0);
            for (k, x) in x.chunks_exact_mut(line).enumerate() {
                let (image, h) = ((i * LINES + k) / g.h, (i * LINES + k) % g.h);
                let pooled = match h / g.r {
                    p if p < g.p => (image * g.p + p) * g.q * c..(image * g.p + p + 1) * g.q * c,
                    _ => 0..0,
                };
                let of_row = (h % g.r * g.s, &dy[pooled.clone()], &codes[pooled]);
                gradient_row(isa, g, of_row, constants, (factor, relu), x, totals);
            }
        });
        for (c, dbias) in dbias.into_iter().flatten().enumerate() {
            let pairs = totals.chunks_exact(PAIR * g.c);
            *dbias = pairs.map(|t| f64::from(t[c]) + f64::from(t[g.c + c])).sum::<f64>() as f32;
        }
    }
}

/// The lines of x that the windows of a pooled row meet, rows counted over all images.
fn lines_of_row<'a>(g: &Geometry, x: &'a [f32], row: usize) -> &'a [f32] {
    let line = g.w * g.c;
    &x[(row / g.p * g.h + row % g.p * g.r) * line..][..g.r * line]
}

gradus_tensor::vectorize! {
    /// One row of y, what won, and the codes, which hold what is kept (1) and dropped (0) before.
    fn pool_row(
        g: &Geometry,
        lines: &[f32],
        constants: [&[f32]; 3],
        factor: f32,
        y: &mut [f32],
        saved: (&mut [f32], &mut [u8]),
    ) = pool_row_body;

    /// Σ d and Σ d · (won − mean) over some windows, d = dy behind dropout.
    fn parameter_sums(
        won_dy_mean: [&[f32]; 3],
        codes: &[u8],
        factor: f32,
        sums: &mut [f32],
    ) = parameter_sums_body;

    /// One line of dz, in the place of x; its sum is added to `sums`.
    fn gradient_row(
        g: &Geometry,
        row: (usize, &[f32], &[u8]),
        constants: &[f32],
        kind: (f32, bool),
        x: &mut [f32],
        sums: &mut [f32],
    ) = gradient_row_body;
}

/// Calls `$f::<W, …>(at, …)` for all channels, as many at once as there are.
macro_rules! for_channels {
    ($c:expr, $f:ident::<$fma:ident>($($arg:expr),*)) => {
        let mut at = 0;
        while at + WIDE <= $c {
            $f::<WIDE, $fma>(at, $($arg),*);
            at += WIDE;
        }
        while at < $c {
            $f::<1, $fma>(at, $($arg),*);
            at += 1;
        }
    };
}

#[inline(always)]
fn pool_row_body<const L: usize, const FMA: bool>(
    g: &Geometry,
    lines: &[f32],
    constants: [&[f32]; 3],
    factor: f32,
    y: &mut [f32],
    (won, codes): (&mut [f32], &mut [u8]),
) {
    if (g.r, g.s) == (2, 2) {
        // PERF: with the window as a constant its loop is unrolled (a factor of 2).
        let g = &Geometry { r: 2, s: 2, ..*g };
        for_channels!(g.c, pool_channels::<FMA>(g, lines, constants, factor, y, won, codes));
    } else {
        for_channels!(g.c, pool_channels::<FMA>(g, lines, constants, factor, y, won, codes));
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "as many as the kernel has")]
fn pool_channels<const W: usize, const FMA: bool>(
    at: usize,
    g: &Geometry,
    lines: &[f32],
    constants: [&[f32]; 3],
    factor: f32,
    y: &mut [f32],
    won: &mut [f32],
    codes: &mut [u8],
) {
    let (c, row) = (g.c, y.len());
    let constants = constants.map(|all| V::load(&all[at..]));
    if codes.is_empty() {
        for (q, y) in y.chunks_exact_mut(c).enumerate() {
            ahead(y, row + at);
            let (best, ..) = window::<W, FMA>(at, q, g, lines, constants);
            best.store(&mut y[at..]);
        }
        return;
    }
    let saved = won.chunks_exact_mut(c).zip(codes.chunks_exact_mut(c));
    for (q, (y, (won, codes))) in y.chunks_exact_mut(c).zip(saved).enumerate() {
        ahead(y, row + at);
        ahead(won, row + at);
        let (V(best), from, winner) = window::<W, FMA>(at, q, g, lines, constants);
        let kept: [u8; W] = chunk(codes, at);
        // PERF: all is ready before anything is written, or it is written number by number.
        let (mut dropped, mut code) = ([0.0; W], [0; W]);
        for lane in 0..W {
            // As dropout multiplies, so that a dropped NaN is still a NaN.
            dropped[lane] = best[lane] * f32::from(kept[lane]) * factor;
        }
        for lane in 0..W {
            code[lane] = winner[lane] as u8 | ((1 - kept[lane]) * DROPPED);
        }
        V::<W, FMA>(dropped).store(&mut y[at..]);
        from.store(&mut won[at..]);
        *codes[at..].first_chunk_mut().expect("W codes") = code;
    }
}

/// The largest normalized value of a window, the x that it comes from, and which tap that is.
#[inline(always)]
fn window<const W: usize, const FMA: bool>(
    at: usize,
    q: usize,
    g: &Geometry,
    lines: &[f32],
    [mean, scale, offset]: [V<W, FMA>; 3],
) -> (V<W, FMA>, V<W, FMA>, [u32; W]) {
    let (mut best, mut from, mut winner) = ([0.0; W], [0.0; W], [0; W]);
    for tap in 0..g.r * g.s {
        let place = (tap / g.s * g.w + q * g.s + tap % g.s) * g.c + at;
        ahead(lines, lines.len() + place);
        let x = V::<W, FMA>::load(&lines[place..]);
        let V(value) = (x - mean).mul_add(scale, offset);
        for lane in 0..W {
            // As max pooling does it: the first of equal values wins, and a NaN over all.
            // PERF: `|` and not `||`, which would be a branch for every lane (a factor of 2).
            let before: f32 = best[lane];
            let stays = (tap > 0) & ((value[lane] <= before) | before.is_nan());
            best[lane] = if stays { before } else { value[lane] };
            from[lane] = if stays { from[lane] } else { x.0[lane] };
            winner[lane] = if stays { winner[lane] } else { tap as u32 };
        }
    }
    (V(best), V(from), winner)
}

#[inline(always)]
fn parameter_sums_body<const L: usize, const FMA: bool>(
    won_dy_mean: [&[f32]; 3],
    codes: &[u8],
    factor: f32,
    sums: &mut [f32],
) {
    let channels = won_dy_mean[2].len();
    for_channels!(channels, sum_channels::<FMA>(won_dy_mean, codes, factor, sums));
}

#[inline(always)]
fn sum_channels<const W: usize, const FMA: bool>(
    at: usize,
    [won, dy, mean]: [&[f32]; 3],
    codes: &[u8],
    factor: f32,
    sums: &mut [f32],
) {
    let c = mean.len();
    let mean: [f32; W] = chunk(mean, at);
    let (mut sum, mut product) = ([0.0f64; W], [0.0f64; W]);
    let windows = won.chunks_exact(c).zip(dy.chunks_exact(c)).zip(codes.chunks_exact(c));
    for ((won, dy), codes) in windows {
        ahead(won, AHEAD * c + at);
        ahead(dy, AHEAD * c + at);
        let won: [f32; W] = chunk(won, at);
        let d: [f32; W] = behind_dropout(chunk(dy, at), chunk(codes, at), factor);
        for lane in 0..W {
            let (d, off) = (f64::from(d[lane]), f64::from(won[lane]) - f64::from(mean[lane]));
            let before = product[lane];
            sum[lane] += d;
            product[lane] = if FMA { d.mul_add(off, before) } else { d * off + before };
        }
    }
    for (k, total) in [sum, product].iter().enumerate() {
        let [nearest, rest] = [2 * k, 2 * k + 1].map(|part| part * c + at);
        for (lane, total) in total.iter().enumerate() {
            sums[nearest + lane] = *total as f32;
            sums[rest + lane] = (total - f64::from(*total as f32)) as f32;
        }
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
    for_channels!(g.c, gradient_channels::<FMA>(g, row, constants, kind, x, sums));
}

#[inline(always)]
fn gradient_channels<const W: usize, const FMA: bool>(
    at: usize,
    g: &Geometry,
    (first_tap, dy, codes): (usize, &[f32], &[u8]),
    constants: &[f32],
    (factor, relu): (f32, bool),
    x: &mut [f32],
    sums: &mut [f32],
) {
    let c = g.c;
    let constants = [0, 1, 2, 3, 4].map(|k| V::<W, FMA>::load(&constants[k * c + at..]));
    let mut total = [0.0f64; W];
    let next = [x.len(), dy.len()].map(|row| row + at);
    let (inside, behind) = x.split_at_mut(dy.len() * g.s);
    let windows = dy.chunks_exact(c).zip(codes.chunks_exact(c));
    for (x, (dy, codes)) in inside.chunks_exact_mut(g.s * c).zip(windows) {
        ahead(dy, next[1]);
        let codes: [u8; W] = chunk(codes, at);
        let d = behind_dropout(chunk(dy, at), codes, factor);
        for (s, x) in x.chunks_exact_mut(c).enumerate() {
            ahead(x, next[0]);
            let mut dy = [0.0; W];
            for lane in 0..W {
                let won = codes[lane] & !DROPPED == (first_tap + s) as u8;
                dy[lane] = if won { d[lane] } else { 0.0 };
            }
            gradient::<W, FMA>(constants, relu, dy, &mut x[at..], &mut total);
        }
    }
    for x in behind.chunks_exact_mut(c) {
        ahead(x, next[0]);
        // Nothing won there.
        gradient::<W, FMA>(constants, relu, [0.0; W], &mut x[at..], &mut total);
    }
    // PERF: as arrays, or the totals are kept in pieces of registers (a factor of 1.2).
    let parts = <[&mut [f32]; 2]>::from(sums.split_at_mut(c));
    let [nearest, rest] = parts.map(|part| part[at..].first_chunk_mut::<W>().expect("W sums"));
    for lane in 0..W {
        add_pair(&mut nearest[lane], &mut rest[lane], total[lane]);
    }
}

/// dz in the place of x, and added to `total`.
#[inline(always)]
fn gradient<const W: usize, const FMA: bool>(
    [mean, scale, mean_dy, pull, offset]: [V<W, FMA>; 5],
    relu: bool,
    dy: [f32; W],
    x: &mut [f32],
    total: &mut [f64; W],
) {
    let x: &mut [f32; W] = x.first_chunk_mut().expect("W numbers");
    let through = (V::<W, FMA>(*x) - mean).mul_add(pull, offset);
    let dz = (V(dy) - mean_dy).mul_add(scale, through);
    for lane in 0..W {
        // PERF: `&`, as there is no branch in it.
        x[lane] = if relu & (x[lane] <= 0.0) { 0.0 } else { dz.0[lane] };
        total[lane] += f64::from(x[lane]);
    }
}

/// dy·m/(1 − rate), in the order in which dropout multiplies.
#[inline(always)]
fn behind_dropout<const W: usize>(dy: [f32; W], codes: [u8; W], factor: f32) -> [f32; W] {
    let mut d = [0.0; W];
    for lane in 0..W {
        let kept = if codes[lane] < DROPPED { 1.0 } else { 0.0 };
        d[lane] = dy[lane] * kept * factor;
    }
    d
}

/// Fetches what lies `by` numbers behind the beginning of a slice, or behind its end, for the row
/// that follows.
#[inline(always)]
fn ahead(from: &[f32], by: usize) {
    prefetch(from.as_ptr().wrapping_add(by));
}

/// `W` numbers from `at` on.
#[inline(always)]
fn chunk<T: Copy, const W: usize>(from: &[T], at: usize) -> [T; W] {
    *from[at..].first_chunk().expect("W numbers")
}
