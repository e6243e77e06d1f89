//! Batch normalization on a GPU: sums of chunks of rows, then of the chunks; elementwise passes in
//! which a thread stays with its channels.
//!
//! What a thread sums in f32 are eight differences from a number near them; everything after that is
//! added in f64, and chunks hand their sums on as pairs of floats, as on the CPU.

#[cfg(test)]
mod tests;

use crate::lanes::{COLUMN_THREADS, columns_of_block, lanes};
use crate::stored::Stored;
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, InOut, Out, kernels};

kernels! {
    "batch_normalization/batch_normalization";
    fn batch_normalization_moments(
        x: In<f32>,
        rows: u64,
        channels: i32,
        lanes: i32,
        chunk: i32,
        partials: Out<f32>,
    );
    fn batch_normalization_moments_x16(
        x: In<u16>,
        rows: u64,
        channels: i32,
        lanes: i32,
        chunk: i32,
        partials: Out<f32>,
    );
    fn batch_normalization_statistics(
        moments: In<f32>,
        pieces: i32,
        towards: Towards,
        mean: Out<f32>,
        rest: Out<f32>,
        variance: Out<f32>,
        moving_mean: InOut<f32>,
        moving_variance: InOut<f32>,
    );
    fn batch_normalization_forward(
        x: In<f32>,
        rows: u64,
        channels: i32,
        lanes: i32,
        mean: In<f32>,
        rest: In<f32>,
        variance: In<f32>,
        gamma: In<f32>,
        beta: In<f32>,
        epsilon: f32,
        y: Out<f32>,
    );
    fn batch_normalization_products(
        x: In<f32>,
        rows: u64,
        channels: i32,
        lanes: i32,
        chunk: i32,
        mean: In<f32>,
        dy: In<f32>,
        partials: Out<f32>,
    );
    fn batch_normalization_sums(
        partials: In<f32>,
        chunks: i32,
        rest: In<f32>,
        variance: In<f32>,
        epsilon: f32,
        dgamma: Out<f32>,
        dbeta: Out<f32>,
        gradient_of_gamma: Out<f32>,
        gradient_of_beta: Out<f32>,
    );
    fn batch_normalization_backward(
        x: In<f32>,
        rows: u64,
        channels: i32,
        lanes: i32,
        mean: In<f32>,
        rest: In<f32>,
        variance: In<f32>,
        gamma: In<f32>,
        epsilon: f32,
        dy: In<f32>,
        dgamma: In<f32>,
        dbeta: In<f32>,
        dx: Out<f32>,
    );
}

/// `super::Normalization` on a GPU: views of C numbers, or of none for the defaults.
#[derive(Clone, Copy, Debug)]
pub struct Normalization<'a> {
    /// The mean.
    pub mean: GpuView<'a, f32>,
    /// The exact mean minus `mean`; none for 0.
    pub rest: GpuView<'a, f32>,
    /// The biased variance.
    pub variance: GpuView<'a, f32>,
    /// What is added to the variance.
    pub epsilon: f32,
    /// The scale; none for 1.
    pub gamma: GpuView<'a, f32>,
    /// The offset; none for 0.
    pub beta: GpuView<'a, f32>,
}

/// The moving statistics, C each, and how a batch moves them.
#[derive(Debug)]
pub struct Moving<'a> {
    /// The moving mean.
    pub mean: GpuViewMut<'a, f32>,
    /// The moving variance.
    pub variance: GpuViewMut<'a, f32>,
    /// The share that stays.
    pub momentum: f64,
    /// What the biased variance is multiplied with before it is stored.
    pub factor: f64,
}

/// moving = keep · moving + mean · (mean of the batch), the variance likewise.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Towards {
    keep: f64,
    mean: f64,
    variance: f64,
}

// SAFETY: `repr(C)`, with the fields that the kernels declare in their order.
unsafe impl Argument for Towards {}

/// How the rows of x are cut: by geometry alone, so that sums have the same bits on every device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// Neighbouring channels of a block: a power of two.
    pub(crate) lanes: usize,
    /// Blocks beside each other.
    groups: usize,
    /// Rows of a chunk.
    pub(crate) chunk: usize,
    /// Chunks.
    pub(crate) chunks: usize,
}

impl Cut {
    /// Rows that a thread takes at once, at least.
    const TILE: usize = 8;
    /// Blocks that are aimed at: they fill an H200.
    pub(crate) const BLOCKS: usize = 1024;
    /// Floats that a chunk hands on for each channel, at most.
    pub(crate) const SUMS: usize = 4;

    pub(crate) fn of(rows: usize, channels: usize) -> Self {
        Self::aiming_at(Self::BLOCKS, rows, channels)
    }

    pub(crate) fn aiming_at(blocks: usize, rows: usize, channels: usize) -> Self {
        Self::with_least(Self::TILE, blocks, rows, channels)
    }

    /// For that many blocks, where a thread takes `tile` rows at least.
    pub(crate) fn with_least(tile: usize, blocks: usize, rows: usize, channels: usize) -> Self {
        let (lanes, groups, least) = Self::block(tile, channels);
        let chunk = (rows * groups).div_ceil(blocks).max(1).next_multiple_of(least);
        Self { lanes, groups, chunk, chunks: rows.div_ceil(chunk) }
    }

    /// Lanes, groups of them, and the fewest rows that are worth a block.
    fn block(tile: usize, channels: usize) -> (usize, usize, usize) {
        let lanes = columns_of_block(channels);
        (lanes, channels.div_ceil(lanes), tile * COLUMN_THREADS / lanes)
    }

    /// The most chunks that [`Cut::with_least`] makes for [`Cut::BLOCKS`] of up to that many rows: of
    /// fewer rows there may be more chunks, but never more than these.
    pub(crate) fn most_chunks(tile: usize, rows: usize, channels: usize) -> usize {
        let (_, groups, least) = Self::block(tile, channels);
        Self::BLOCKS.div_ceil(groups.max(1)).min(rows.div_ceil(least))
    }

    pub(crate) fn grid(&self) -> Grid {
        Grid::of([self.groups as u32, self.chunks as u32, 1], COLUMN_THREADS as u32)
    }
}

/// A block for each channel, with about a thread for each of the pieces whose sums it adds.
fn grid_of_channels(channels: usize, pieces: usize) -> Grid {
    let threads = pieces.next_power_of_two().clamp(32, COLUMN_THREADS);
    Grid::of([channels as u32, 1, 1], threads as u32)
}

/// Floats of the moments of a piece, for each channel, as in moments.cuh.
pub(crate) const MOMENTS: usize = 4;

/// The moments of the pieces that a matrix falls into, [`MOMENTS`] for each of them and each channel:
/// of batch normalization's own chunks, or taken where the matrix was made.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    pub(crate) count: usize,
    pub(crate) moments: GpuViewMut<'a, f32>,
}

/// Floats of scratch that every function here can do with, for up to that many rows.
#[must_use]
pub fn scratch(rows: usize, channels: usize) -> usize {
    Cut::most_chunks(Cut::TILE, rows, channels) * Cut::SUMS * channels
}

/// Mean, the rest of the mean and biased variance of each channel of x, C each; and the moving
/// statistics moved towards them.
///
/// # Panics
/// If the lengths do not fit, x has no rows, or the scratch is not there.
pub(crate) fn statistics(
    gpu: &Gpu,
    scratch: GpuViewMut<'_, f32>,
    x: Stored<'_>,
    into: [GpuViewMut<'_, f32>; 3],
    moving: Option<Moving<'_>>,
) {
    let channels = into[0].len();
    let cut = Cut::of(rows(x.len(), channels), channels);
    statistics_of(gpu, cut, scratch, x, into, moving);
}

/// As [`statistics`], with the rows cut like that.
fn statistics_of(
    gpu: &Gpu,
    cut: Cut,
    mut scratch: GpuViewMut<'_, f32>,
    x: Stored<'_>,
    into: [GpuViewMut<'_, f32>; 3],
    moving: Option<Moving<'_>>,
) {
    let channels = into[0].len();
    let rows = rows(x.len(), channels);
    expect_scratch(&scratch, cut.chunks * MOMENTS * channels);
    let (lanes, chunk, partials) = (cut.lanes as i32, cut.chunk as i32, scratch.reborrow());
    // SAFETY: the kernel reads `rows` rows of `channels`, which is x, and writes the moments of each
    // channel and chunk, for which there is room.
    unsafe {
        let (grid, n, c) = (cut.grid(), rows as u64, channels as i32);
        match x {
            Stored::F32(x) => {
                batch_normalization_moments(gpu, grid, x, n, c, lanes, chunk, partials)
            }
            Stored::Bf16(x) => {
                batch_normalization_moments_x16(gpu, grid, x, n, c, lanes, chunk, partials);
            }
        }
    }
    merge(gpu, &Pieces { count: cut.chunks, moments: scratch }, into, moving);
}

/// As [`statistics`], from the moments of all pieces of x.
///
/// # Panics
/// If the lengths do not fit.
pub(crate) fn merge(
    gpu: &Gpu,
    pieces: &Pieces<'_>,
    [mean, rest, variance]: [GpuViewMut<'_, f32>; 3],
    moving: Option<Moving<'_>>,
) {
    let channels = mean.len();
    assert_eq!((channels, channels), (rest.len(), variance.len()), "one for each channel");
    expect_scratch(&pieces.moments, pieces.count * MOMENTS * channels);
    let (towards, moving_mean, moving_variance) = match moving {
        None => (Towards::default(), GpuViewMut::none(), GpuViewMut::none()),
        Some(Moving { mean, variance, momentum: keep, factor }) => {
            assert_eq!((channels, channels), (mean.len(), variance.len()), "one for each channel");
            let towards = Towards { keep, mean: 1.0 - keep, variance: (1.0 - keep) * factor };
            (towards, mean, variance)
        }
    };
    // SAFETY: the kernel reads the moments of each channel and piece, and writes a number for each
    // channel, which is the length of the others, or none.
    unsafe {
        batch_normalization_statistics(
            gpu,
            grid_of_channels(channels, pieces.count),
            pieces.moments.as_view(),
            pieces.count as i32,
            towards,
            mean,
            rest,
            variance,
            moving_mean,
            moving_variance,
        );
    }
}

/// y = (x − mean) · gamma · rstd + beta.
///
/// # Panics
/// If the lengths do not fit.
pub fn forward(gpu: &Gpu, x: GpuView<'_, f32>, n: &Normalization<'_>, y: GpuViewMut<'_, f32>) {
    let channels = n.channels();
    assert_eq!(x.len(), y.len(), "as many y as x");
    let rows = rows(x.len(), channels);
    let lanes = n.lanes(&[x.pointer(), y.pointer()]);
    // SAFETY: the kernel stays within `rows` rows of `channels`, which are x and y, and within
    // `channels` for the others, as `channels()` has seen; all are aligned as `lanes` says.
    unsafe {
        batch_normalization_forward(
            gpu,
            walk(x.len() / lanes, channels / lanes),
            x,
            rows as u64,
            channels as i32,
            lanes as i32,
            n.mean,
            n.rest,
            n.variance,
            n.gamma,
            n.beta,
            n.epsilon,
            y,
        );
    }
}

/// dgamma and dbeta, C each; and once more where they are the `gradients` of parameters, which are
/// none where there is no such parameter.
///
/// # Panics
/// If the lengths do not fit, or the scratch is not there.
pub fn backward_parameters(
    gpu: &Gpu,
    scratch: GpuViewMut<'_, f32>,
    x: GpuView<'_, f32>,
    n: &Normalization<'_>,
    dy: GpuView<'_, f32>,
    sums: [GpuViewMut<'_, f32>; 2],
    gradients: [GpuViewMut<'_, f32>; 2],
) {
    let channels = n.channels();
    let cut = Cut::of(rows(x.len(), channels), channels);
    parameters_of(gpu, cut, scratch, n, [x, dy], [sums, gradients]);
}

/// As [`backward_parameters`], with the rows cut like that.
fn parameters_of(
    gpu: &Gpu,
    cut: Cut,
    mut scratch: GpuViewMut<'_, f32>,
    n: &Normalization<'_>,
    [x, dy]: [GpuView<'_, f32>; 2],
    [sums, gradients]: [[GpuViewMut<'_, f32>; 2]; 2],
) {
    let channels = n.channels();
    assert_eq!(x.len(), dy.len(), "as many dy as x");
    let rows = rows(x.len(), channels);
    expect_scratch(&scratch, cut.chunks * Cut::SUMS * channels);
    // SAFETY: the kernel reads `rows` rows of `channels`, which are x and dy, and writes four numbers
    // for each channel and chunk, for which there is room.
    unsafe {
        batch_normalization_products(
            gpu,
            cut.grid(),
            x,
            rows as u64,
            channels as i32,
            cut.lanes as i32,
            cut.chunk as i32,
            n.mean,
            dy,
            scratch.reborrow(),
        );
    }
    add_products(gpu, cut, scratch, n, sums, gradients);
}

/// dgamma and dbeta, twice, from what a kernel that sums products left in the scratch.
///
/// # Panics
/// If the lengths do not fit, or the scratch is not there.
pub(crate) fn add_products(
    gpu: &Gpu,
    cut: Cut,
    scratch: GpuViewMut<'_, f32>,
    n: &Normalization<'_>,
    [dgamma, dbeta]: [GpuViewMut<'_, f32>; 2],
    [of_gamma, of_beta]: [GpuViewMut<'_, f32>; 2],
) {
    let channels = n.channels();
    assert_eq!([channels; 3], [n.rest.len(), dgamma.len(), dbeta.len()], "one for each channel");
    let fits = |gradient: &GpuViewMut<'_, f32>| gradient.is_empty() || gradient.len() == channels;
    assert!(fits(&of_gamma) && fits(&of_beta), "a gradient for each channel");
    expect_scratch(&scratch, cut.chunks * Cut::SUMS * channels);
    // SAFETY: the kernel reads four numbers for each channel and chunk, and writes a number for each
    // channel, which is the length of the others, or none.
    unsafe {
        batch_normalization_sums(
            gpu,
            grid_of_channels(channels, cut.chunks),
            scratch.as_view(),
            cut.chunks as i32,
            n.rest,
            n.variance,
            n.epsilon,
            dgamma,
            dbeta,
            of_gamma,
            of_beta,
        );
    }
}

/// dx = gamma · rstd · (dy − dbeta/N − x̂ · dgamma/N), from the sums dgamma and dbeta, which are none
/// where the statistics do not depend on x.
///
/// # Panics
/// If the lengths do not fit.
pub fn backward_input(
    gpu: &Gpu,
    x: GpuView<'_, f32>,
    n: &Normalization<'_>,
    dy: GpuView<'_, f32>,
    [dgamma, dbeta]: [GpuView<'_, f32>; 2],
    dx: GpuViewMut<'_, f32>,
) {
    let channels = n.channels();
    assert_eq!((x.len(), x.len()), (dy.len(), dx.len()), "as many dy and dx as x");
    let fits = [dgamma, dbeta].iter().all(|sums| sums.is_empty() || sums.len() == channels);
    assert!(fits, "one sum for each channel");
    let rows = rows(x.len(), channels);
    let pointers = [x, dy, dgamma, dbeta].map(|view| view.pointer());
    let lanes = n.lanes(&pointers).min(n.lanes(&[dx.pointer()]));
    // SAFETY: as in `forward`.
    unsafe {
        batch_normalization_backward(
            gpu,
            walk(x.len() / lanes, channels / lanes),
            x,
            rows as u64,
            channels as i32,
            lanes as i32,
            n.mean,
            n.rest,
            n.variance,
            n.gamma,
            n.epsilon,
            dy,
            dgamma,
            dbeta,
            dx,
        );
    }
}

impl Normalization<'_> {
    /// How many channels there are.
    ///
    /// # Panics
    /// If the views have other lengths, and are not none.
    pub(crate) fn channels(&self) -> usize {
        let channels = self.mean.len();
        assert_eq!(self.variance.len(), channels, "a variance for each channel");
        let optional = [self.rest, self.gamma, self.beta];
        let fit = optional.iter().all(|view| view.is_empty() || view.len() == channels);
        assert!(fit, "the rest, gamma and beta, where there are any, for each channel");
        channels
    }

    /// How many channels go together, where arrays begin at these addresses.
    pub(crate) fn lanes(&self, pointers: &[u64]) -> usize {
        let own = [self.mean, self.rest, self.variance, self.gamma, self.beta];
        let own = lanes(self.mean.len(), &own.map(|view| view.pointer()));
        own.min(lanes(self.mean.len(), pointers))
    }
}

/// Threads for `items` vectors in rows of `columns`: about four to each thread, which reads its
/// channels once, and at least one for each column.
pub(crate) fn walk(items: usize, columns: usize) -> Grid {
    let grid = Grid::strided(items.div_ceil(4));
    let blocks = grid.blocks[0].max(columns.div_ceil(grid.threads as usize) as u32);
    Grid::of([blocks, 1, 1], grid.threads)
}

/// # Panics
/// If the rows are not whole, or there are none.
fn rows(n: usize, channels: usize) -> usize {
    let rows = n / channels.max(1);
    assert!(rows > 0 && rows * channels == n, "whole rows of {channels} channels, not {n} numbers");
    rows
}

pub(crate) fn expect_scratch(scratch: &GpuViewMut<'_, f32>, need: usize) {
    assert!(scratch.len() >= need, "{need} floats of scratch are used, {} given", scratch.len());
}
