//! Convolution on the CPU: direct, in registers, over images as they lie.
//!
//! A tile of output pixels × filters is summed in registers (`microkernel`) over taps that are
//! read straight from x: nothing nine times the size of x is ever written. Work is cut by geometry
//! alone, so results have the same bits for any number of threads; and the order of every sum is
//! the same for all instruction sets that multiply and add in one rounding.

mod canvas;
mod microkernel;
mod sweep;
mod weight;

use super::Geometry;
use gradus_tensor::ndarray::{ArrayView1, ArrayView4, ArrayViewMut1, ArrayViewMut4};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Workspace};
use sweep::{Sweep, pack_backward, pack_forward};
use weight::Cut;

/// What happens to z before it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Added to each filter's sums. Default: nothing.
    pub bias: Option<ArrayView1<'a, f32>>,
    /// Whether y = max(z, 0). Default: y = z.
    pub relu: bool,
}

/// Floats of scratch that the functions here take: what the workspace must have reserved.
#[must_use]
pub fn scratch(g: &Geometry) -> usize {
    let sweeps = Sweep::forward(g).scratch().max(Sweep::backward(g).scratch());
    sweeps.max(Cut::new(g).scratch()).max(BIAS_CHUNKS * 2 * g.k)
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
    Engine { isa: Isa::detect(), ws, g }.forward(x, kernel, epilogue, y);
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
    Engine { isa: Isa::detect(), ws, g }.backward_input(dz, kernel, dx);
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
    Engine { isa: Isa::detect(), ws, g }.backward_weight(x, dz, dkernel);
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
    Engine { isa: Isa::detect(), ws, g }.backward_bias(dz, dbias);
}

/// The passes for one instruction set: tests run through all that the machine has.
pub(super) struct Engine<'a> {
    pub(super) isa: Isa,
    pub(super) ws: &'a mut Workspace,
    pub(super) g: &'a Geometry,
}

impl Engine<'_> {
    pub(super) fn forward(
        &mut self,
        x: ArrayView4<'_, f32>,
        kernel: ArrayView4<'_, f32>,
        epilogue: Epilogue<'_>,
        mut y: ArrayViewMut4<'_, f32>,
    ) {
        let (g, sweep) = (self.g, Sweep::forward(self.g));
        let shapes = [x.shape(), kernel.shape(), y.shape()];
        assert_eq!(shapes, [g.x().dims(), g.kernel().dims(), g.y().dims()], "x, kernel, y");
        let kernel = kernel.as_slice().expect(CONTIGUOUS);
        let pack = |panel: &mut [f32], first| pack_forward(g, kernel, panel, first);
        let (x, y) = (x.as_slice().expect(CONTIGUOUS), y.as_slice_mut().expect(CONTIGUOUS));
        sweep.run(self.isa, self.ws, x, &epilogue, pack, y);
    }

    pub(super) fn backward_input(
        &mut self,
        dz: ArrayView4<'_, f32>,
        kernel: ArrayView4<'_, f32>,
        mut dx: ArrayViewMut4<'_, f32>,
    ) {
        let (g, sweep) = (self.g, Sweep::backward(self.g));
        let shapes = [dx.shape(), kernel.shape(), dz.shape()];
        assert_eq!(shapes, [g.x().dims(), g.kernel().dims(), g.y().dims()], "dx, kernel, dz");
        let kernel = kernel.as_slice().expect(CONTIGUOUS);
        let pack = |panel: &mut [f32], first| pack_backward(g, kernel, panel, first);
        let (dz, dx) = (dz.as_slice().expect(CONTIGUOUS), dx.as_slice_mut().expect(CONTIGUOUS));
        sweep.run(self.isa, self.ws, dz, &Epilogue::default(), pack, dx);
    }

    pub(super) fn backward_weight(
        &mut self,
        x: ArrayView4<'_, f32>,
        dz: ArrayView4<'_, f32>,
        mut dkernel: ArrayViewMut4<'_, f32>,
    ) {
        let (g, cut) = (self.g, Cut::new(self.g));
        let shapes = [x.shape(), dkernel.shape(), dz.shape()];
        assert_eq!(shapes, [g.x().dims(), g.kernel().dims(), g.y().dims()], "x, dkernel, dz");
        let (x, dz) = (x.as_slice().expect(CONTIGUOUS), dz.as_slice().expect(CONTIGUOUS));
        let dkernel = dkernel.as_slice_mut().expect(CONTIGUOUS);
        cut.run(self.isa, self.ws, x, dz, dkernel);
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
        let sums = self.ws.scratch.take(dz.len().div_ceil(chunk) * 2 * k);
        self.ws.pool.each(Chunks::new(sums, 2 * k), |i, sums| {
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
