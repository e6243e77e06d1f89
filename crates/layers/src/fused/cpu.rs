//! The passes of the fused room on the CPU: each array is read once and written once.
//!
//! Tasks are some whole rows of images, cut by geometry alone. Sums over pixels are taken in f64,
//! and a task hands each on as a pair of floats, as batch normalization does.
//! What is done to a row stands in `cpu/rows.rs` and `cpu/gradient.rs`.

mod gradient;
mod rows;

use crate::batch_normalization::cpu::{PAIR, constants_of_input, constants_of_output};
use crate::batch_normalization::{Normalization, cpu::merged, cpu::rstd};
use crate::conv2d;
use crate::conv2d::cpu::{Rows, backward_weight_of_rows};
use crate::dropout::{Draw, cpu::draw_mask};
use crate::max_pooling2d::Geometry;
use gradient::{gradient_row, gradient_row_apart};
use gradus_tensor::ndarray::{ArrayView4, ArrayViewMut4};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Workspace};
use rows::{DROPPED, parameter_sums, pool_row};
use std::ops::Range;

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
        let &Self { isa, g, factor, relu, .. } = self;
        let (line, c) = (g.w * g.c, g.c);
        let tasks = (g.n * g.h).div_ceil(LINES);
        let (constants, totals) = ws.scratch.take((5 + PAIR * tasks) * c).split_at_mut(5 * c);
        constants_of_input(self.n, g.n * g.h * g.w, sums, constants);
        let lines = LinesOfDz { passes: self, constants, dy, codes };
        let parts = (Chunks::new(x, LINES * line), Chunks::new(&mut *totals, PAIR * c));
        ws.pool.each(parts, |i, (x, totals)| {
            totals.fill(0.0);
            for (k, x) in x.chunks_exact_mut(line).enumerate() {
                let winners = lines.winners(i * LINES + k);
                gradient_row(isa, g, winners, lines.constants, (factor, relu), x, totals);
            }
        });
        add_pairs(totals.chunks_exact(PAIR * c), dbias);
    }

    /// The gradients of the kernel and the bias from the sums dgamma and dbeta, where nobody else
    /// wants dz: it is made line by line from x, which stays, and never exists as a whole.
    pub(super) fn backward_kernel(
        &self,
        ws: &mut Workspace,
        (dy, codes): (&[f32], &[u8]),
        sums: [&[f32]; 2],
        x: &[f32],
        conv: (&conv2d::Geometry, ArrayView4<'_, f32>, ArrayViewMut4<'_, f32>),
        dbias: Option<&mut [f32]>,
    ) {
        let g = self.g;
        let (geometry, input, dkernel) = conv;
        let (constants, rest) =
            ws.scratch.take(scratch_of_kernel(g, geometry)).split_at_mut(5 * g.c);
        constants_of_input(self.n, g.n * g.h * g.w, sums, constants);
        let lines = LinesOfDz { passes: self, constants, dy, codes };
        let dz = DzOf { x, lines };
        let totals = backward_weight_of_rows((&ws.pool, rest), geometry, input, &dz, dkernel);
        add_pairs(totals, dbias);
    }
}

/// Floats of scratch that [`Passes::backward_kernel`] takes.
pub(super) fn scratch_of_kernel(g: &Geometry, conv: &conv2d::Geometry) -> usize {
    5 * g.c + conv2d::cpu::scratch_of_rows(conv, PAIR * g.c)
}

/// What makes lines of dz out of lines of x.
struct LinesOfDz<'a> {
    passes: &'a Passes<'a>,
    /// As `constants_of_input` gives them.
    constants: &'a [f32],
    dy: &'a [f32],
    codes: &'a [u8],
}

impl LinesOfDz<'_> {
    /// What wins in line `line` of all images: its first tap, and dy and codes of its windows.
    fn winners(&self, line: usize) -> (usize, &[f32], &[u8]) {
        let g = self.passes.g;
        let (image, h) = (line / g.h, line % g.h);
        let pooled = match h / g.r {
            p if p < g.p => (image * g.p + p) * g.q * g.c..(image * g.p + p + 1) * g.q * g.c,
            _ => 0..0,
        };
        (h % g.r * g.s, &self.dy[pooled.clone()], &self.codes[pooled])
    }
}

/// The whole dz, made from an x that stays.
struct DzOf<'a> {
    x: &'a [f32],
    lines: LinesOfDz<'a>,
}

impl Rows for DzOf<'_> {
    fn source(&self, rows: Range<usize>) -> &[f32] {
        let line = self.room();
        &self.x[rows.start * line..rows.end * line]
    }

    fn room(&self) -> usize {
        let g = self.lines.passes.g;
        g.w * g.c
    }

    fn sums(&self) -> usize {
        PAIR * self.lines.passes.g.c
    }

    fn get<'a>(&'a self, rows: Range<usize>, room: &'a mut [f32], sums: &mut [f32]) -> &'a [f32] {
        let Self { lines: LinesOfDz { passes, constants, .. }, .. } = self;
        let &Passes { isa, g, factor, relu, .. } = *passes;
        let (x, line) = (self.source(rows.clone()), self.room());
        let room = &mut room[..x.len()];
        let lines = x.chunks_exact(line).zip(room.chunks_exact_mut(line));
        for (row, line) in rows.zip(lines) {
            let winners = self.lines.winners(row);
            gradient_row_apart(isa, g, winners, constants, (factor, relu), line, sums);
        }
        room
    }
}

/// dbias from the pairs of floats that pieces have summed, if it is asked for.
fn add_pairs<'a>(totals: impl Iterator<Item = &'a [f32]> + Clone, dbias: Option<&mut [f32]>) {
    let Some(dbias) = dbias else { return };
    let filters = dbias.len();
    for (c, dbias) in dbias.iter_mut().enumerate() {
        let pairs = totals.clone().map(|t| f64::from(t[c]) + f64::from(t[filters + c]));
        *dbias = pairs.sum::<f64>() as f32;
    }
}

/// The lines of x that the windows of a pooled row meet, rows counted over all images.
fn lines_of_row<'a>(g: &Geometry, x: &'a [f32], row: usize) -> &'a [f32] {
    let line = g.w * g.c;
    &x[(row / g.p * g.h + row % g.p * g.r) * line..][..g.r * line]
}
