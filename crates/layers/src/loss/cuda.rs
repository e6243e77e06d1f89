//! The losses of this crate on a GPU: one kernel for classes, one for means over labels.

#[cfg(test)]
mod tests;

use super::Target;
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, InOut, Out, kernels};
use gradus_tensor::{Sums, Tensor};

kernels! {
    "loss/loss";
    fn class_loss(
        g: ClassLoss, predictions: In<f32>, targets: In<f32>, weights: In<f32>, gradient: Out<f32>,
        sums: InOut<f64>,
    );
    fn label_loss(
        g: LabelLoss, predictions: In<f32>, targets: In<f32>, weights: In<f32>, gradient: Out<f32>,
        sums: InOut<f64>,
    );
    fn tally_add(sums: InOut<f64>, blocks: i32, judged: u64, samples: u64);
}

/// As in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
struct ClassLoss {
    samples: i32,
    classes: i32,
    from_logits: i32,
    sparse: i32,
    ignores: i32,
    ignored: f32,
    kept: f64,
    spread: f64,
}

// SAFETY: numbers in the layout of C, as the source declares them.
unsafe impl Argument for ClassLoss {}

/// As in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
struct LabelLoss {
    samples: i32,
    labels: i32,
    kind: i32,
    judges: i32,
    threshold: f32,
    smoothing: f64,
}

// SAFETY: as above.
unsafe impl Argument for LabelLoss {}

/// Which kernel works a loss out, and with what options: see [`Loss::kernel`](super::Loss::kernel).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kernel(Options);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Options {
    Classes { from_logits: bool, sparse: bool, ignored: Option<f32>, smoothing: f64 },
    Labels { kind: i32, threshold: Option<f32>, smoothing: f64 },
}

impl Kernel {
    /// Categorical crossentropy.
    pub(crate) fn classes(from_logits: bool, smoothing: f64) -> Self {
        Self(Options::Classes { from_logits, sparse: false, ignored: None, smoothing })
    }

    /// Categorical crossentropy with the class given by its index.
    pub(crate) fn sparse_classes(from_logits: bool, ignored: Option<f32>) -> Self {
        Self(Options::Classes { from_logits, sparse: true, ignored, smoothing: 0.0 })
    }

    /// Binary crossentropy.
    pub(crate) fn binary(from_logits: bool, smoothing: f64) -> Self {
        let (kind, threshold) = if from_logits { (0, 0.0) } else { (1, 0.5) };
        Self(Options::Labels { kind, threshold: Some(threshold), smoothing })
    }

    /// Mean squared error.
    pub(crate) fn squared() -> Self {
        Self(Options::Labels { kind: 2, threshold: None, smoothing: 0.0 })
    }

    /// Mean absolute error.
    pub(crate) fn absolute() -> Self {
        Self(Options::Labels { kind: 3, threshold: None, smoothing: 0.0 })
    }

    /// The target whose samples do not count, if there is one.
    #[must_use]
    pub fn ignored(self) -> Option<f32> {
        match self.0 {
            Options::Classes { ignored, .. } => ignored,
            Options::Labels { .. } => None,
        }
    }

    /// Writes the gradient of a batch and adds its losses and hits to `sums`.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    pub(crate) fn launch(
        self,
        gpu: &Gpu,
        predictions: &Tensor,
        targets: Target<'_>,
        gradient: Option<&mut Tensor>,
        sums: &mut Sums,
    ) {
        let (samples, outputs) = (predictions.shape().batch(), predictions.shape().last());
        let batch = Batch {
            sizes: [samples as i32, outputs as i32],
            predictions: predictions.gpu(),
            targets: targets.y.gpu(),
            weights: targets.weights.map_or(GpuView::none(), Tensor::gpu),
            gradient: gradient.map_or(GpuViewMut::none(), Tensor::gpu_mut),
        };
        let columns = match self.0 {
            Options::Classes { sparse: true, .. } => 1,
            _ => outputs,
        };
        batch.check(columns);
        let (work, judged) = match self.0 {
            // A warp for each sample, or a thread for each label.
            Options::Classes { .. } => (32 * samples, samples),
            Options::Labels { threshold: Some(_), .. } => (samples * outputs, samples * outputs),
            Options::Labels { threshold: None, .. } => (samples * outputs, 0),
        };
        let grid = grid(work, Grid::THREADS);
        self.launch_on(gpu, grid, batch, sums.gpu_mut());
        add(gpu, grid, [judged as u64, samples as u64], sums);
    }

    fn launch_on(self, gpu: &Gpu, grid: Grid, b: Batch<'_>, sums: GpuViewMut<'_, f64>) {
        let [samples, outputs] = b.sizes;
        match self.0 {
            Options::Classes { from_logits, sparse, ignored, smoothing } => {
                let g = ClassLoss {
                    samples,
                    classes: outputs,
                    from_logits: i32::from(from_logits),
                    sparse: i32::from(sparse),
                    ignores: i32::from(ignored.is_some()),
                    ignored: ignored.unwrap_or_default(),
                    kept: 1.0 - smoothing,
                    spread: smoothing / f64::from(outputs.max(1)),
                };
                // SAFETY: the lengths are those of `g`, as `Batch::check` has seen; the blocks are
                // no more than `sums` has room for.
                unsafe {
                    class_loss(gpu, grid, g, b.predictions, b.targets, b.weights, b.gradient, sums);
                }
            }
            Options::Labels { kind, threshold, smoothing } => {
                let g = LabelLoss {
                    samples,
                    labels: outputs,
                    kind,
                    judges: i32::from(threshold.is_some()),
                    threshold: threshold.unwrap_or_default(),
                    smoothing,
                };
                // SAFETY: as above.
                unsafe {
                    label_loss(gpu, grid, g, b.predictions, b.targets, b.weights, b.gradient, sums);
                }
            }
        }
    }
}

/// What a kernel is given of a batch. Weights and gradient may be none.
struct Batch<'a> {
    sizes: [i32; 2],
    predictions: GpuView<'a, f32>,
    targets: GpuView<'a, f32>,
    weights: GpuView<'a, f32>,
    gradient: GpuViewMut<'a, f32>,
}

impl Batch<'_> {
    /// # Panics
    /// If something has another length. What has none is absent, or there was no memory for it and
    /// nothing is launched.
    fn check(&self, columns: usize) {
        let [samples, outputs] = self.sizes.map(|size| size as usize);
        for (what, found, expected) in [
            ("predictions", self.predictions.len(), samples * outputs),
            ("targets", self.targets.len(), samples * columns),
            ("weights", self.weights.len(), samples),
            ("slopes", self.gradient.len(), samples * outputs),
        ] {
            assert!(found == 0 || found == expected, "{found} {what}, expected {expected}");
        }
    }
}

/// A thread for each of `n` things, in blocks of `threads`, and no more blocks than [`Sums`] have
/// room for: the threads go on to the next thing.
pub(crate) fn grid(n: usize, threads: u32) -> Grid {
    let blocks = n.div_ceil(threads as usize).clamp(1, Sums::BLOCKS);
    Grid::of([blocks as u32, 1, 1], threads)
}

/// Adds what the blocks of a kernel have left, and what it says of judgements and samples. A block
/// that was alone has done so itself.
pub(crate) fn add(gpu: &Gpu, grid: Grid, [judged, samples]: [u64; 2], sums: &mut Sums) {
    let [blocks, ..] = grid.blocks;
    if blocks > 1 {
        let alone = Grid::of([1; 3], Sums::BLOCKS as u32);
        // SAFETY: the blocks are those of `grid`, no more than there is room for.
        unsafe { tally_add(gpu, alone, sums.gpu_mut(), blocks as i32, judged, samples) }
    }
}
