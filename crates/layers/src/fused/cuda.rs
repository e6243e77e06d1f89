//! The passes of the fused room on a GPU: the convolution's output is read once forward, and read
//! and written once backward.
//!
//! Sums take two stages, as in batch normalization, whose kernels make the statistics before these
//! passes, most often of moments that the convolution has left, and add what
//! [`Passes::backward_parameters`] sums.

#[cfg(test)]
mod tests;

use super::cpu::TAPS;
use crate::batch_normalization::cuda::{self, Cut, Normalization, expect_scratch, walk};
use crate::dropout::Draw;
use crate::matmul::cuda::{Epilogue, in_parts};
use crate::max_pooling2d::Geometry;
use crate::pooling::cuda::Windows;
use crate::stored::{Stored, StoredMut};
use gradus_tensor::StepScalars;
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, In, InOut, Out, kernels};

kernels! {
    "fused/fused";
    fn fused_forward(
        g: Windows, lanes: i32, z: In<f32>, mean: In<f32>, rest: In<f32>, variance: In<f32>,
        gamma: In<f32>, beta: In<f32>, epsilon: f32, now: In<StepScalars>, drop: Drop, y: Out<f32>,
        won: Out<f32>, codes: Out<u8>,
    );
    fn fused_forward_z16(
        g: Windows, z: In<u16>, mean: In<f32>, rest: In<f32>, variance: In<f32>, gamma: In<f32>,
        beta: In<f32>, epsilon: f32, now: In<StepScalars>, drop: Drop, y: Out<f32>, won: Out<u16>,
        codes: Out<u8>,
    );
    fn fused_products(
        won: In<f32>, rows: u64, channels: i32, lanes: i32, chunk: i32, mean: In<f32>, dy: In<f32>,
        codes: In<u8>, factor: f32, partials: Out<f32>,
    );
    fn fused_products_z16(
        won: In<u16>, rows: u64, channels: i32, lanes: i32, chunk: i32, mean: In<f32>, dy: In<f32>,
        codes: In<u8>, factor: f32, partials: Out<f32>,
    );
    fn fused_backward(
        g: Windows, width: i32, lanes: i32, chunk: i32, mean: In<f32>, rest: In<f32>,
        variance: In<f32>, gamma: In<f32>, epsilon: f32, relu: i32, dy: In<f32>, codes: In<u8>,
        factor: f32, dgamma: In<f32>, dbeta: In<f32>, z: InOut<f32>, sums: Out<f32>,
    );
    fn fused_backward_z16(
        g: Windows, lanes: i32, chunk: i32, mean: In<f32>, rest: In<f32>, variance: In<f32>,
        gamma: In<f32>, epsilon: f32, relu: i32, dy: In<f32>, codes: In<u8>, factor: f32,
        dgamma: In<f32>, dbeta: In<f32>, z: InOut<u16>, sums: Out<f32>,
    );
}

/// What dropout does with the layer's values.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Drop {
    layer: u32,
    threshold: u32,
    factor: f32,
}

// SAFETY: `repr(C)`, with the fields that the kernel declares in their order.
unsafe impl Argument for Drop {}

/// Windows that a thread takes backward, at least.
const TILE: usize = 2;

/// Floats of scratch that every function here can do with, and batch normalization's statistics, for
/// such a batch or a smaller one.
pub(super) fn scratch(g: &Geometry) -> usize {
    let sums = |width: usize| Cut::most_chunks(TILE, windows(g), g.c.div_ceil(width)) * g.c;
    cuda::scratch(g.n * g.h * g.w, g.c).max(sums(1)).max(sums(4))
}

/// Windows over a batch, and the parts of windows behind the last ones.
fn windows(g: &Geometry) -> usize {
    g.n * g.h.div_ceil(g.r) * g.w.div_ceil(g.s)
}

/// What every pass needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passes<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) g: &'a Geometry,
    pub(super) n: &'a Normalization<'a>,
    /// Whether z was put through relu.
    pub(super) relu: bool,
    /// Blocks that are aimed at where they leave sums.
    pub(super) blocks: usize,
}

impl<'a> Passes<'a> {
    pub(super) fn new(gpu: &'a Gpu, g: &'a Geometry, n: &'a Normalization<'a>, relu: bool) -> Self {
        Self { gpu, g, n, relu, blocks: Cut::BLOCKS }
    }

    /// y = dropout(pool(normalize(z))); the z that `won`; and which tap that was and whether it was
    /// dropped, in `codes`. With no draw nothing is dropped. Seed and update are those that `now`
    /// holds when the kernel runs, not the draw's.
    ///
    /// # Panics
    /// If the lengths are not those of the geometry.
    pub(super) fn forward(
        &self,
        draw: Option<&Draw>,
        now: GpuView<'_, StepScalars>,
        z: Stored<'_>,
        y: GpuViewMut<'_, f32>,
        (won, codes): (StoredMut<'_>, GpuViewMut<'_, u8>),
    ) {
        assert_eq!((won.len(), codes.len()), (y.len(), y.len()), "one of each for each y");
        let nothing = Drop { layer: 0, threshold: 0, factor: 1.0 };
        let drop = draw.map_or(nothing, |draw| {
            let (layer, threshold, factor) = (draw.layer, draw.threshold(), draw.scale());
            Drop { layer, threshold, factor }
        });
        self.pool((drop, now), z, y, (won, codes));
    }

    /// y = pool(normalize(z)).
    ///
    /// # Panics
    /// As [`Passes::forward`].
    pub(super) fn infer(&self, z: Stored<'_>, y: GpuViewMut<'_, f32>) {
        let nothing = Drop { layer: 0, threshold: 0, factor: 1.0 };
        let kept = (z.none_to_write(), GpuViewMut::none());
        self.pool((nothing, GpuView::none()), z, y, kept);
    }

    /// y, and what is kept, if that is not none.
    fn pool(
        &self,
        (drop, now): (Drop, GpuView<'_, StepScalars>),
        z: Stored<'_>,
        y: GpuViewMut<'_, f32>,
        (won, codes): (StoredMut<'_>, GpuViewMut<'_, u8>),
    ) {
        let &Self { gpu, g, n, .. } = self;
        self.expect_windows(z.len(), y.len());
        let lanes = n.lanes(&[z.pointer(), y.pointer(), won.pointer(), codes.pointer()]);
        assert!(lanes == 4 || matches!(z, Stored::F32(_)), "bf16 by fours");
        let grid = walk(y.len() / lanes, g.c / lanes);
        let (lanes, windows) = (lanes as i32, Windows::from(g));
        let &Normalization { mean, rest, variance, gamma, beta, epsilon: e } = n;
        // SAFETY: the kernel stays within the geometry, whose windows lie within z, and whose extents
        // are those of z and y, and of won and codes where these are not none; within its channels
        // for the others; all are aligned as `lanes` says. `now` is one structure, or not read.
        unsafe {
            match (z, won) {
                (Stored::F32(z), StoredMut::F32(won)) => fused_forward(
                    gpu, grid, windows, lanes, z, mean, rest, variance, gamma, beta, e, now, drop,
                    y, won, codes,
                ),
                (Stored::Bf16(z), StoredMut::Bf16(won)) => fused_forward_z16(
                    gpu, grid, windows, z, mean, rest, variance, gamma, beta, e, now, drop, y, won,
                    codes,
                ),
                (z, won) => panic!("{won:?} is not as {z:?}"),
            }
        }
    }

    /// The sums dgamma and dbeta, C each; and once more where they are the `gradients` of
    /// parameters. `factor` is what dropout multiplies with.
    ///
    /// # Panics
    /// If the lengths are not those of the geometry, or the scratch is not there.
    pub(super) fn backward_parameters(
        &self,
        mut scratch: GpuViewMut<'_, f32>,
        (won, dy): (Stored<'_>, GpuView<'_, f32>),
        (codes, factor): (GpuView<'_, u8>, f32),
        [sums, gradients]: [[GpuViewMut<'_, f32>; 2]; 2],
    ) {
        let &Self { gpu, g, n, blocks, .. } = self;
        let len = g.y().len();
        assert_eq!([len; 3], [won.len(), dy.len(), codes.len()], "one of each for each y");
        assert_eq!(n.channels(), g.c, "statistics for each channel");
        let rows = g.n * g.p * g.q;
        let cut = Cut::aiming_at(blocks, rows, g.c);
        expect_scratch(&scratch, cut.chunks * Cut::SUMS * g.c);
        let (grid, rows, c, partials) = (cut.grid(), rows as u64, g.c as i32, scratch.reborrow());
        let (lanes, chunk, mean) = (cut.lanes as i32, cut.chunk as i32, n.mean);
        // SAFETY: the kernel reads `rows` rows of C numbers, which are won, dy and codes, and writes
        // four numbers for each channel and chunk, for which there is room.
        unsafe {
            match won {
                Stored::F32(won) => fused_products(
                    gpu, grid, won, rows, c, lanes, chunk, mean, dy, codes, factor, partials,
                ),
                Stored::Bf16(won) => fused_products_z16(
                    gpu, grid, won, rows, c, lanes, chunk, mean, dy, codes, factor, partials,
                ),
            }
        }
        cuda::add_products(gpu, cut, scratch, n, sums, gradients);
    }

    /// dz in the place of z, from the sums dgamma and dbeta, which are none where the statistics do
    /// not depend on z; and dbias = Σ dz, unless that is none.
    ///
    /// # Panics
    /// As [`Passes::backward_parameters`].
    pub(super) fn backward_input(
        &self,
        scratch: GpuViewMut<'_, f32>,
        dy: GpuView<'_, f32>,
        (codes, factor): (GpuView<'_, u8>, f32),
        [dgamma, dbeta]: [GpuView<'_, f32>; 2],
        z: StoredMut<'_>,
        dbias: GpuViewMut<'_, f32>,
    ) {
        let &Self { gpu, g, n, relu, blocks } = self;
        self.expect_windows(z.len(), dy.len());
        assert_eq!(codes.len(), dy.len(), "a code for each y");
        let fits = |sums: usize| sums == 0 || sums == g.c;
        let fit = fits(dgamma.len()) && fits(dbeta.len()) && fits(dbias.len());
        assert!(fit, "a sum for each channel");
        let pointers = [dy, dgamma, dbeta].map(|view| view.pointer());
        let width = n.lanes(&pointers).min(n.lanes(&[codes.pointer(), z.pointer()]));
        assert!(width == 4 || matches!(z, StoredMut::F32(_)), "bf16 by fours");
        let cut = Cut::with_least(TILE, blocks, windows(g), g.c / width);
        let (lanes, chunk, grid) = (cut.lanes as i32, cut.chunk as i32, cut.grid());
        let &Normalization { mean, rest, variance, gamma, epsilon: e, .. } = n;
        let launch = |sums: GpuViewMut<'_, f32>, _: Epilogue<'_>| {
            let (width, relu, windows) = (width as i32, i32::from(relu), Windows::from(g));
            // SAFETY: as in `forward`; each pixel of z lies in one window, which one thread has; sums
            // are none, or have a row of C for each chunk.
            unsafe {
                match z {
                    StoredMut::F32(z) => fused_backward(
                        gpu, grid, windows, width, lanes, chunk, mean, rest, variance, gamma, e,
                        relu, dy, codes, factor, dgamma, dbeta, z, sums,
                    ),
                    StoredMut::Bf16(z) => fused_backward_z16(
                        gpu, grid, windows, lanes, chunk, mean, rest, variance, gamma, e, relu, dy,
                        codes, factor, dgamma, dbeta, z, sums,
                    ),
                }
            }
        };
        match dbias.is_empty() {
            true => launch(dbias, Epilogue::none()),
            false => in_parts(gpu, cut.chunks, Epilogue::none(), scratch, dbias, launch),
        }
    }

    /// # Panics
    /// If z and y have other lengths than the geometry says, or windows do not lie side by side
    /// within z.
    fn expect_windows(&self, z: usize, y: usize) {
        let &Self { g, n, .. } = self;
        assert_eq!((z, y), (g.x().len(), g.y().len()), "the geometry's extents");
        assert_eq!(n.channels(), g.c, "statistics for each channel");
        assert!(g.strides == [g.r, g.s] && g.before == [0, 0], "windows side by side");
        let within = g.p * g.r <= g.h && g.q * g.s <= g.w && g.r * g.s <= TAPS;
        assert!(within, "windows within z");
        let pixels = g.n * g.h * g.w;
        assert!(i32::try_from(pixels).is_ok(), "{pixels} pixels, fewer than 2³¹ are possible");
    }
}
