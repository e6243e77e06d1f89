//! Convolution on the CPU: direct, in registers, over images as they lie; or, where it takes less,
//! by Winograd's algorithm (`winograd`).
//!
//! A tile of output pixels × filters is summed in registers (`microkernel`) over taps that are
//! read straight from x: nothing nine times the size of x is ever written. Work is cut by geometry
//! alone, so results have the same bits for any number of threads; and the order of every sum is
//! the same for all instruction sets that multiply and add in one rounding.

mod canvas;
mod depthwise;
mod grouped;
mod microkernel;
mod sweep;
mod weight;
pub(super) mod winograd;

use super::Geometry;
use crate::batch_normalization::cpu::{SUMS, moments};
use gradus_tensor::ndarray::{ArrayView1, ArrayView4, ArrayViewMut1, ArrayViewMut4};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool, Workspace};
use sweep::{Sweep, pack_backward, pack_forward};
pub(crate) use weight::Rows;
use weight::{Cut, Lying};
use winograd::{Gradients, Winograd};

/// What happens to z before it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Added to each filter's sums. Default: nothing.
    pub bias: Option<ArrayView1<'a, f32>>,
    /// Whether y = max(z, 0). Default: y = z.
    pub relu: bool,
}

/// The sums of y and y² for each filter, which batch normalization wants of a batch: taken of what
/// was just written, while it is in the cache.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moments<'a> {
    Unwanted,
    /// Of y − shift, K.
    Around(&'a [f32]),
}

impl Moments<'_> {
    /// Floats of the sums of one piece of y.
    fn len(filters: usize) -> usize {
        SUMS * filters
    }

    /// The sums of one piece.
    fn take(self, isa: Isa, y: &[f32], sums: &mut [f32]) {
        if let Self::Around(shift) = self {
            moments(isa, y, shift, sums);
        }
    }
}

/// Floats of scratch that the functions here take: what the workspace must have reserved.
#[must_use]
pub fn scratch(g: &Geometry) -> usize {
    let direct = || {
        let sweeps = Sweep::forward(g).scratch().max(Sweep::backward(g).scratch());
        sweeps.max(Cut::new(g).scratch(0, 0))
    };
    let passes = match Algorithm::pick(g) {
        Algorithm::Direct => direct(),
        Algorithm::Winograd => {
            let sweeps = Winograd::forward(g).scratch().max(Winograd::backward(g).scratch());
            // Exactness may be asked for at any time.
            direct().max(sweeps).max(Gradients::new(g).scratch())
        }
        Algorithm::Depthwise => depthwise::scratch(g),
        Algorithm::Grouped => grouped::scratch(g),
    };
    passes.max(BIAS_CHUNKS * 2 * g.k)
}

/// Floats of scratch that the functions here take for each thread.
#[must_use]
pub fn desk(g: &Geometry) -> usize {
    match Algorithm::pick(g) {
        Algorithm::Winograd => {
            let sweeps = Winograd::forward(g).desk().max(Winograd::backward(g).desk());
            sweeps.max(Gradients::new(g).desk())
        }
        Algorithm::Grouped => desk(&g.of_group()),
        Algorithm::Direct | Algorithm::Depthwise => 0,
    }
}

/// y from x and kernel.
///
/// # Panics
/// If an array has another shape than `g` says or is not contiguous, or less scratch was reserved
/// than [`scratch`] says.
pub fn forward(
    ws: &mut Workspace,
    g: &Geometry,
    x: ArrayView4<'_, f32>,
    kernel: ArrayView4<'_, f32>,
    epilogue: Epilogue<'_>,
    y: ArrayViewMut4<'_, f32>,
) {
    Engine::new(Isa::detect(), ws, g).forward(x, kernel, epilogue, Moments::Unwanted, y);
}

/// As [`forward`], and gives the moments of y around `shift`, piece by piece. None where the
/// algorithm has no pieces to take them of.
pub(crate) fn forward_with_moments<'a>(
    ws: &'a mut Workspace,
    g: &'a Geometry,
    x: ArrayView4<'_, f32>,
    kernel: ArrayView4<'_, f32>,
    epilogue: Epilogue<'_>,
    shift: &[f32],
    y: ArrayViewMut4<'_, f32>,
) -> Option<&'a [f32]> {
    let engine = Engine::new(Isa::detect(), ws, g);
    engine.forward(x, kernel, epilogue, Moments::Around(shift), y)
}

/// dx from dz and kernel.
///
/// # Panics
/// As [`forward`].
pub fn backward_input(
    ws: &mut Workspace,
    g: &Geometry,
    dz: ArrayView4<'_, f32>,
    kernel: ArrayView4<'_, f32>,
    dx: ArrayViewMut4<'_, f32>,
) {
    Engine::new(Isa::detect(), ws, g).backward_input(dz, kernel, dx);
}

/// dkernel from x and dz.
///
/// # Panics
/// As [`forward`].
pub fn backward_weight(
    ws: &mut Workspace,
    g: &Geometry,
    x: ArrayView4<'_, f32>,
    dz: ArrayView4<'_, f32>,
    dkernel: ArrayViewMut4<'_, f32>,
) {
    Engine::new(Isa::detect(), ws, g).backward_weight(x, dz, dkernel);
}

/// Whether [`backward_weight_of_rows`] asks for each row of dz once: where another algorithm is
/// at work, dz has to lie there.
pub(crate) fn takes_rows(exact: bool, g: &Geometry) -> bool {
    Algorithm::at_work(exact, g) == Algorithm::Direct && Cut::new(g).asks_once()
}

/// Floats of scratch that [`backward_weight_of_rows`] takes; 0 where it is not to be had.
pub(crate) fn scratch_of_rows(g: &Geometry, sums: usize) -> usize {
    // Exactness may be asked for at any time.
    if takes_rows(true, g) { Cut::new(g).scratch(g.q * g.k, sums) } else { 0 }
}

/// dkernel from x and a dz whose rows are made on the way; and what was summed over these, for each
/// piece of the work.
pub(crate) fn backward_weight_of_rows<'s>(
    (pool, scratch): (&Pool, &'s mut [f32]),
    g: &Geometry,
    x: ArrayView4<'_, f32>,
    dz: &dyn Rows,
    mut dkernel: ArrayViewMut4<'_, f32>,
) -> std::slice::ChunksExact<'s, f32> {
    assert_eq!([x.shape(), dkernel.shape()], [g.x().dims(), g.kernel().dims()], "x, dkernel");
    let x = x.as_slice().expect(CONTIGUOUS);
    let dkernel = dkernel.as_slice_mut().expect(CONTIGUOUS);
    Cut::new(g).run((Isa::detect(), pool, scratch), x, dz, dkernel)
}

/// dbias from dz.
///
/// # Panics
/// As [`forward`].
pub fn backward_bias(
    ws: &mut Workspace,
    g: &Geometry,
    dz: ArrayView4<'_, f32>,
    dbias: ArrayViewMut1<'_, f32>,
) {
    Engine::new(Isa::detect(), ws, g).backward_bias(dz, dbias);
}

/// The passes for one instruction set: tests run through all that the machine has.
pub(super) struct Engine<'a> {
    isa: Isa,
    pool: &'a Pool,
    scratch: &'a mut [f32],
    desks: &'a mut [f32],
    /// Whether only the plain order of sums will do.
    exact: bool,
    g: &'a Geometry,
}

/// How a convolution is done on the CPU: see [`Algorithm::pick`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// All channels with all filters, product by product.
    Direct,
    /// As [`Algorithm::Direct`], with a quarter of the products.
    Winograd,
    /// Each channel with a filter of its own.
    Depthwise,
    /// Group by group.
    Grouped,
}

impl Algorithm {
    /// The one that is fastest, by a rule that knows nothing but the sizes.
    #[must_use]
    pub fn pick(g: &Geometry) -> Self {
        match (g.groups, g.c / g.groups, g.k / g.groups) {
            (1, ..) if winograd::suits(g) => Algorithm::Winograd,
            (1, ..) => Algorithm::Direct,
            (_, 1, 1) => Algorithm::Depthwise,
            _ => Algorithm::Grouped,
        }
    }

    /// Its name in small letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Direct => "direct",
            Algorithm::Winograd => "winograd",
            Algorithm::Depthwise => "depthwise",
            Algorithm::Grouped => "grouped",
        }
    }

    fn at_work(exact: bool, g: &Geometry) -> Self {
        if exact { Self::pick_exact(g) } else { Self::pick(g) }
    }

    /// The one that is picked where only the plain order of sums will do.
    #[must_use]
    pub fn pick_exact(g: &Geometry) -> Self {
        match Self::pick(g) {
            Algorithm::Winograd => Algorithm::Direct,
            other => other,
        }
    }
}

impl<'a> Engine<'a> {
    pub(super) fn new(isa: Isa, ws: &'a mut Workspace, g: &'a Geometry) -> Self {
        let desks = ws.desks.take(Workspace::desks_for(&ws.pool, desk(g)));
        Self {
            isa,
            pool: &ws.pool,
            scratch: ws.scratch.take(scratch(g)),
            desks,
            exact: ws.exact,
            g,
        }
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::at_work(self.exact, self.g)
    }

    pub(super) fn forward(
        self,
        x: ArrayView4<'_, f32>,
        kernel: ArrayView4<'_, f32>,
        epilogue: Epilogue<'_>,
        moments: Moments<'_>,
        mut y: ArrayViewMut4<'_, f32>,
    ) -> Option<&'a [f32]> {
        let g = self.g;
        let shapes = [x.shape(), kernel.shape(), y.shape()];
        assert_eq!(shapes, [g.x().dims(), g.kernel().dims(), g.y().dims()], "x, kernel, y");
        let (x, y) = (x.as_slice().expect(CONTIGUOUS), y.as_slice_mut().expect(CONTIGUOUS));
        let kernel = kernel.as_slice().expect(CONTIGUOUS);
        let bias = epilogue.bias.as_ref().map(|bias| bias.as_slice().expect(CONTIGUOUS));
        self.forward_slices(x, kernel, (bias, epilogue.relu, moments), y)
    }

    fn forward_slices(
        self,
        x: &[f32],
        kernel: &[f32],
        (bias, relu, moments): (Option<&[f32]>, bool, Moments<'_>),
        y: &mut [f32],
    ) -> Option<&'a [f32]> {
        let (g, isa, pool) = (self.g, self.isa, self.pool);
        match self.algorithm() {
            Algorithm::Direct => {
                let pack = |panel: &mut [f32], first| pack_forward(g, kernel, panel, first);
                let (means, epilogue) = ((isa, pool, self.scratch), (bias, relu, moments));
                Some(Sweep::forward(g).run(means, x, epilogue, pack, y))
            }
            Algorithm::Winograd => {
                let means = (isa, pool, self.scratch, self.desks);
                Some(Winograd::forward(g).run(means, x, (bias, relu, moments), kernel, y))
            }
            Algorithm::Depthwise => {
                depthwise::forward(isa, pool, g, x, kernel, (bias, relu), y);
                None
            }
            Algorithm::Grouped => {
                grouped::forward(self, x, kernel, (bias, relu), y);
                None
            }
        }
    }

    pub(super) fn backward_input(
        &mut self,
        dz: ArrayView4<'_, f32>,
        kernel: ArrayView4<'_, f32>,
        mut dx: ArrayViewMut4<'_, f32>,
    ) {
        let g = self.g;
        let shapes = [dx.shape(), kernel.shape(), dz.shape()];
        assert_eq!(shapes, [g.x().dims(), g.kernel().dims(), g.y().dims()], "dx, kernel, dz");
        let kernel = kernel.as_slice().expect(CONTIGUOUS);
        let (dz, dx) = (dz.as_slice().expect(CONTIGUOUS), dx.as_slice_mut().expect(CONTIGUOUS));
        self.backward_input_slices(dz, kernel, dx);
    }

    fn backward_input_slices(&mut self, dz: &[f32], kernel: &[f32], dx: &mut [f32]) {
        let (g, isa, pool) = (self.g, self.isa, self.pool);
        match self.algorithm() {
            Algorithm::Direct => {
                let pack = |panel: &mut [f32], first| pack_backward(g, kernel, panel, first);
                Sweep::backward(g).run(
                    (isa, pool, self.scratch),
                    dz,
                    (None, false, Moments::Unwanted),
                    pack,
                    dx,
                );
            }
            Algorithm::Winograd => {
                let means = (isa, pool, &mut *self.scratch, &mut *self.desks);
                Winograd::backward(g).run(means, dz, (None, false, Moments::Unwanted), kernel, dx);
            }
            Algorithm::Depthwise => depthwise::backward_input(isa, pool, g, dz, kernel, dx),
            Algorithm::Grouped => grouped::backward_input(self, dz, kernel, dx),
        }
    }

    pub(super) fn backward_weight(
        &mut self,
        x: ArrayView4<'_, f32>,
        dz: ArrayView4<'_, f32>,
        mut dkernel: ArrayViewMut4<'_, f32>,
    ) {
        let g = self.g;
        let shapes = [x.shape(), dkernel.shape(), dz.shape()];
        assert_eq!(shapes, [g.x().dims(), g.kernel().dims(), g.y().dims()], "x, dkernel, dz");
        let (x, dz) = (x.as_slice().expect(CONTIGUOUS), dz.as_slice().expect(CONTIGUOUS));
        let dkernel = dkernel.as_slice_mut().expect(CONTIGUOUS);
        self.backward_weight_slices(x, dz, dkernel);
    }

    fn backward_weight_slices(&mut self, x: &[f32], dz: &[f32], dkernel: &mut [f32]) {
        let (g, isa, pool) = (self.g, self.isa, self.pool);
        match self.algorithm() {
            Algorithm::Direct => {
                let dz = Lying(dz, g.q * g.k);
                let _ = Cut::new(g).run((isa, pool, self.scratch), x, &dz, dkernel);
            }
            Algorithm::Winograd => {
                let means = (isa, pool, &mut *self.scratch, &mut *self.desks);
                Gradients::new(g).run(means, x, dz, dkernel);
            }
            Algorithm::Depthwise => {
                depthwise::backward_weight((isa, pool, self.scratch), g, x, dz, dkernel);
            }
            Algorithm::Grouped => grouped::backward_weight(self, x, dz, dkernel),
        }
    }

    pub(super) fn backward_bias(
        &mut self,
        dz: ArrayView4<'_, f32>,
        mut dbias: ArrayViewMut1<'_, f32>,
    ) {
        let (isa, k) = (self.isa, self.g.k);
        assert_eq!((dz.shape(), dbias.len()), (self.g.y().dims(), k), "dz, dbias");
        let dz = dz.as_slice().expect(CONTIGUOUS);
        let chunk = (dz.len() / k).div_ceil(BIAS_CHUNKS).max(1) * k;
        let sums = &mut self.scratch[..dz.len().div_ceil(chunk) * 2 * k];
        self.pool.each(Chunks::new(sums, 2 * k), |i, sums| {
            let dz = &dz[i * chunk..];
            column_sums(isa, &dz[..chunk.min(dz.len())], sums.as_chunks_mut().0);
        });
        for (filter, dbias) in dbias.iter_mut().enumerate() {
            let chunks = sums.as_chunks::<2>().0.iter().skip(filter).step_by(k);
            *dbias = chunks.flatten().map(|part| f64::from(*part)).sum::<f64>() as f32;
        }
    }
}

const CONTIGUOUS: &str = "a contiguous array";
/// Chunks that the sum of dbias is cut into.
const BIAS_CHUNKS: usize = 16;
/// Filters that are summed at once.
const BIAS_FILTERS: usize = 64;

/// The sum over all pixels of each filter, in two floats that make up one f64: a filter has too
/// many pixels, and gradients cancel too well, for a sum in f32.
#[inline(always)]
fn column_sums_body<const L: usize, const FMA: bool>(dz: &[f32], sums: &mut [[f32; 2]]) {
    let k = sums.len();
    for (group, sums) in sums.chunks_mut(BIAS_FILTERS).enumerate() {
        let mut totals = [0.0f64; BIAS_FILTERS];
        let totals = &mut totals[..sums.len()];
        for pixel in dz.chunks_exact(k) {
            let pixel = &pixel[group * BIAS_FILTERS..];
            totals.iter_mut().zip(pixel).for_each(|(total, d)| *total += f64::from(*d));
        }
        for (sum, total) in sums.iter_mut().zip(totals) {
            let high = *total as f32;
            *sum = [high, (*total - f64::from(high)) as f32];
        }
    }
}

gradus_tensor::vectorize! {
    fn column_sums(dz: &[f32], sums: &mut [[f32; 2]]) = column_sums_body;
}
