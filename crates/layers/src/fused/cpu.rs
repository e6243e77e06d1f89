//! The passes of the fused room on the CPU: each array is read once and written once.
//!
//! Tasks are some whole rows of images, cut by geometry alone. Sums over pixels are taken in f64,
//! and a task hands each on as a pair of floats, as batch normalization does.
//! What is done to a row stands in `cpu/rows.rs`.

mod rows;

use crate::batch_normalization::cpu::{PAIR, constants_of_input, constants_of_output};
use crate::batch_normalization::{Normalization, cpu::merged, cpu::rstd};
use crate::dropout::{Draw, cpu::draw_mask};
use crate::max_pooling2d::Geometry;
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Workspace};
use rows::{DROPPED, gradient_row, parameter_sums, pool_row};

/// Pooled rows of a task: a multiple of 8, so that a task begins with a whole block of dropout's
/// decisions.
const ROWS: usize = 8;
/// Rows of images in a task.
const LINES: usize = 16;
/// The most taps of a window.
pub(super) const TAPS: usize = DROPPED as usize;

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
