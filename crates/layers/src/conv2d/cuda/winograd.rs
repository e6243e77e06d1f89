//! Winograd's F(4×4, 3×3) on a GPU, in f32: what the kernels of `winograd.cu` do one after the other,
//! and when it pays. The formulas are the CPU's (`cpu/winograd.rs`), and so are the tiles.
//!
//! ```text
//! Way          the kernel goes to the 36 points once; then, turn by turn, the inputs of some tiles go
//!              there, 36 products of matrices are made in one launch, and their sums come back as
//!              pixels. For dkernel inputs and gradients go there, and the sums come back as taps,
//!              which are added turn by turn. Every order is that of geometry, and so are the bits
//! Scratch      the kernel at the 36 points, and inputs and products of a turn: 32 MB, which an
//!              H100's second-level cache of 50 MB holds, and enough of it for two blocks a
//!              processor and more; but 128 tiles at least, the rows of one block
//! Pays         a full tile of C channels and K filters takes 36·C·K multiply-adds in place of 144·C·K,
//!              and writes and reads 72·(C + K) floats that the plain way has in registers. In the time
//!              in which a float comes or goes, by the data sheets, an H200 makes 28 multiply-adds of
//!              f32, an H100 40 and a T4 51. A full tile is worth it at the H100's 40 from
//!              C·K/(C + K) = 27 on: 64 channels and filters are, 32 and 64 are not. It is one number
//!              for all devices, so that all have the same bits
//! Measured     not yet: no GPU was at hand. `cargo xtask bench-gpu` measures both ways
//! ```
//!
//! What is lost in one input of a tile is lost for its 16 outputs: a NaN reaches pixels that the plain
//! sums keep. Tensor cores make products so cheap that the transforms never pay, and round so that
//! their fractions would lose too much: for tf32 and bf16 this is not there.

mod launches;
#[cfg(test)]
mod tests;

use crate::conv2d::Geometry;
pub use crate::conv2d::cpu::winograd::fits;
use crate::conv2d::cpu::winograd::transform::{PRODUCTS, TAPS};
use crate::conv2d::cpu::winograd::{Tiles, Winograd};
use crate::matmul::Tile;
use crate::matmul::cuda::Epilogue;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut};
use launches::{Launches, ODD, SQUARE, WIDE};
use std::ops::Range;

/// Floats of the inputs and products of a turn.
const TURN: usize = 8 << 20;
/// Tiles of a turn come by so many: the rows of a block of products.
const ROWS: usize = WIDE.rows;
/// Multiply-adds that are to be saved for each float that is written or read on the way.
const BALANCE: usize = 40;
/// Multiply-adds that are to be saved in all: an H100 makes them in the time of the launches.
const LEAST: usize = 1 << 27;
/// Of up to so many filters the plain way has a tile of its own, and half a block has nothing to do.
const FEW: usize = 32;

/// Whether it is worth it for that sweep, or for the gradient of its kernel. Once it is, it is for
/// every larger batch.
pub(super) fn pays(of: &Winograd) -> bool {
    let Winograd { tiles: Tiles { images, channels, output: [p, q], .. }, filters, .. } = *of;
    let tiles = of.tiles.grid().iter().product::<usize>();
    let saved = (TAPS * TAPS * p * q).saturating_sub(PRODUCTS * tiles) * channels * filters;
    let moved = 2 * PRODUCTS * tiles * (channels + filters);
    let enough = images * saved >= LEAST && images * tiles >= ROWS;
    enough && saved >= BALANCE * moved && channels.min(filters) > FEW
}

/// Floats of scratch for such a batch or a smaller one, whether it would be chosen or not.
#[must_use]
pub fn scratch(g: &Geometry) -> usize {
    if fits(g) { of_passes(g, |_| true) } else { 0 }
}

/// Floats of scratch for such a batch or a smaller one where it would be chosen.
pub(super) fn planned_scratch(g: &Geometry) -> usize {
    if fits(g) { of_passes(g, pays) } else { 0 }
}

fn of_passes(g: &Geometry, chosen: impl Fn(&Winograd) -> bool) -> usize {
    let [forward, backward] = [Winograd::forward(g), Winograd::backward(g)];
    let [forward, backward] = [forward, backward].map(|of| chosen(&of).then(|| Cut::new(of)));
    let sweeps = [&forward, &backward].map(|cut| cut.as_ref().map_or(0, Cut::scratch));
    sweeps[0].max(sweeps[1]).max(forward.map_or(0, |cut| cut.weight_scratch()))
}

/// How a pass is cut into turns.
#[derive(Clone, Copy, Debug)]
struct Cut {
    of: Winograd,
    /// The most tiles of a turn.
    most: usize,
}

impl Cut {
    fn new(of: Winograd) -> Self {
        let channels = of.tiles.channels + of.filters;
        Self { of, most: (TURN / (PRODUCTS * channels * ROWS)).max(1) * ROWS }
    }

    /// All tiles, in turns of much the same length.
    fn turns(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let count = self.of.tiles.count();
        let each = count.div_ceil(count.div_ceil(self.most).max(1)).next_multiple_of(ROWS);
        (0..count).step_by(each.max(1)).map(move |first| first..count.min(first + each))
    }

    /// Floats of the kernel at the 36 points.
    fn table(&self) -> usize {
        PRODUCTS * self.of.tiles.channels * self.of.filters
    }

    /// Floats of the inputs of so many tiles there, and of their products or gradients.
    fn lens(&self, tiles: usize) -> [usize; 2] {
        [self.of.tiles.channels, self.of.filters].map(|numbers| PRODUCTS * tiles * numbers)
    }

    /// Tiles of the longest turn of such a batch or a smaller one.
    fn longest(&self) -> usize {
        self.of.tiles.count().min(self.most)
    }

    /// Floats of scratch for a sweep.
    fn scratch(&self) -> usize {
        self.table() + self.lens(self.longest()).iter().sum::<usize>()
    }

    /// Floats of scratch for the gradient of the kernel.
    fn weight_scratch(&self) -> usize {
        self.scratch() + self.weight_tile().scratch(self.table(), self.longest())
    }

    fn by_quads(&self) -> bool {
        self.of.tiles.channels.is_multiple_of(4) && self.of.filters.is_multiple_of(4)
    }

    fn weight_tile(&self) -> Tile {
        if self.by_quads() { SQUARE } else { ODD }
    }
}

fn expect(g: &Geometry, x: usize, kernel: usize, y: usize) {
    assert!(fits(g), "not for {g:?}");
    super::check(g, x, kernel, y);
}

/// y from x and kernel, whether it pays or not.
///
/// # Panics
/// If [`fits`] says no, a view has another length than `g` says, or the scratch is less than
/// [`scratch`] says.
pub fn forward(
    gpu: &Gpu,
    g: &Geometry,
    [x, kernel]: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    y: GpuViewMut<'_, f32>,
) {
    expect(g, x.len(), kernel.len(), y.len());
    sweep(gpu, &Cut::new(Winograd::forward(g)), [x, kernel], epilogue, scratch, y);
}

/// dx from dz and kernel, whether it pays or not.
///
/// # Panics
/// As [`forward`].
pub fn backward_input(
    gpu: &Gpu,
    g: &Geometry,
    [dz, kernel]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dx: GpuViewMut<'_, f32>,
) {
    expect(g, dx.len(), kernel.len(), dz.len());
    sweep(gpu, &Cut::new(Winograd::backward(g)), [dz, kernel], Epilogue::none(), scratch, dx);
}

fn sweep(
    gpu: &Gpu,
    cut: &Cut,
    [source, kernel]: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    mut out: GpuViewMut<'_, f32>,
) {
    // A device without memory launches nothing.
    if scratch.is_empty() {
        return;
    }
    let launches = Launches { gpu, of: &cut.of, quads: cut.by_quads() };
    let (mut at_points, mut rest) = scratch.split_at(cut.table());
    launches.kernel(kernel, at_points.reborrow());
    for turn in cut.turns() {
        let [of_inputs, of_products] = cut.lens(turn.len());
        let (mut inputs, products) = rest.reborrow().split_at(of_inputs);
        let mut products = products.split_at(of_products).0;
        launches.input(&turn, source, inputs.reborrow());
        let operands = [inputs.as_view(), at_points.as_view()];
        launches.products(turn.len(), operands, products.reborrow());
        launches.output(&turn, products.as_view(), epilogue, out.reborrow());
    }
}

/// dkernel from x and dz, whether it pays or not.
///
/// # Panics
/// As [`forward`].
pub fn backward_weight(
    gpu: &Gpu,
    g: &Geometry,
    [x, dz]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    expect(g, x.len(), dkernel.len(), dz.len());
    gradient(gpu, &Cut::new(Winograd::forward(g)), [x, dz], scratch, dkernel);
}

fn gradient(
    gpu: &Gpu,
    cut: &Cut,
    [x, dz]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    mut dkernel: GpuViewMut<'_, f32>,
) {
    if scratch.is_empty() {
        return;
    }
    let launches = Launches { gpu, of: &cut.of, quads: cut.by_quads() };
    let (mut sums, mut rest) = scratch.split_at(cut.table());
    for turn in cut.turns() {
        let [of_inputs, of_gradients] = cut.lens(turn.len());
        let (mut inputs, rest) = rest.reborrow().split_at(of_inputs);
        let (mut gradients, parts) = rest.split_at(of_gradients);
        launches.input(&turn, x, inputs.reborrow());
        launches.gradient(&turn, dz, gradients.reborrow());
        let operands = [inputs.as_view(), gradients.as_view()];
        launches.weight_products(cut.weight_tile(), turn.len(), operands, parts, sums.reborrow());
        launches.kernel_gradient(sums.as_view(), turn.start > 0, dkernel.reborrow());
    }
}
