//! The fused passes, row by row, for each instruction set.
//!
//! A row is walked once for every [`WIDE`] channels, which keeps their constants and sums in
//! registers. Such a walk touches a cache line here and there, and what the machine fetches of
//! itself comes late; so every step asks for its own place one row further.

use crate::max_pooling2d::Geometry;
use gradus_tensor::simd::{V, prefetch};

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
pub(super) use for_channels;

/// Marks a value that was dropped. The other bits are the tap that won.
pub(super) const DROPPED: u8 = 0x80;
/// Channels that are done at once: whole vectors on every instruction set.
pub(super) const WIDE: usize = 16;
/// Windows that the sums over winners fetch ahead.
const AHEAD: usize = 64;

gradus_tensor::vectorize! {
    /// One row of y, what won, and the codes, which hold what is kept (1) and dropped (0) before.
    pub(super) fn pool_row(
        g: &Geometry,
        lines: &[f32],
        constants: [&[f32]; 3],
        factor: f32,
        y: &mut [f32],
        saved: (&mut [f32], &mut [u8]),
    ) = pool_row_body;

    /// Σ d and Σ d · (won − mean) over some windows, d = dy behind dropout.
    pub(super) fn parameter_sums(
        won_dy_mean: [&[f32]; 3],
        codes: &[u8],
        factor: f32,
        sums: &mut [f32],
    ) = parameter_sums_body;
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

/// dy·m/(1 − rate), in the order in which dropout multiplies.
#[inline(always)]
pub(super) fn behind_dropout<const W: usize>(
    dy: [f32; W],
    codes: [u8; W],
    factor: f32,
) -> [f32; W] {
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
pub(super) fn ahead(from: &[f32], by: usize) {
    prefetch(from.as_ptr().wrapping_add(by));
}

/// `W` numbers from `at` on.
#[inline(always)]
pub(super) fn chunk<T: Copy, const W: usize>(from: &[T], at: usize) -> [T; W] {
    *from[at..].first_chunk().expect("W numbers")
}
