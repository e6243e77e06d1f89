//! What metrics count, on a GPU: the kernels add to sums that lie there, in the order of the samples.

#[cfg(test)]
mod tests;

use gradus_layers::Accuracy;
use gradus_tensor::Tensor;
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, InOut, Out, kernels};

kernels! {
    "metrics/metrics";
    fn metric_hits(g: MetricHits, predictions: In<f32>, targets: In<f32>, counts: Out<u32>);
    fn metric_calls(g: MetricCalls, predictions: In<f32>, targets: In<f32>, counts: Out<u32>);
    fn metric_intervals(g: MetricIntervals, predictions: In<f32>, targets: In<f32>, counts: Out<u32>);
    fn metric_add(g: MetricSums, counts: In<u32>, weights: In<f32>, sums: InOut<f64>);
    fn metric_largest(g: MetricLabels, predictions: In<f32>, counts: Out<u32>);
    fn metric_labels(
        g: MetricLabels, predictions: In<f32>, targets: In<f32>, weights: In<f32>, largest: In<u32>,
        sums: InOut<f64>,
    );
    fn confusion_add(g: ConfusionCounts, predictions: In<f32>, targets: In<f32>, counts: InOut<u64>);
}

/// As in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct MetricHits {
    samples: i32,
    outputs: i32,
    columns: i32,
    kind: i32,
    top: i32,
    threshold: f32,
}

// SAFETY: numbers in the layout of C, as the source declares them.
unsafe impl Argument for MetricHits {}

/// As in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct MetricCalls {
    samples: i32,
    outputs: i32,
    limited: i32,
    top: i32,
    class_id: i32,
    recall: i32,
    threshold: f32,
}

// SAFETY: as above.
unsafe impl Argument for MetricCalls {}

/// As in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct MetricIntervals {
    samples: i32,
    outputs: i32,
    thresholds: i32,
}

// SAFETY: as above.
unsafe impl Argument for MetricIntervals {}

/// As in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct MetricLabels {
    samples: i32,
    outputs: i32,
    limited: i32,
    threshold: f32,
}

// SAFETY: as above.
unsafe impl Argument for MetricLabels {}

/// As in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct MetricSums {
    samples: i32,
    columns: i32,
    of: i32,
}

// SAFETY: as above.
unsafe impl Argument for MetricSums {}

/// As in the source.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct ConfusionCounts {
    samples: i32,
    outputs: i32,
    columns: i32,
    classes: i32,
    ignores: i32,
    ignored: f32,
    threshold: f32,
}

// SAFETY: as above.
unsafe impl Argument for ConfusionCounts {}

/// How a metric of this crate is counted on a GPU: see [`Metric::kernel`](super::Metric::kernel).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kernel(Counted);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Counted {
    Hits { kind: i32, top: usize, threshold: f32 },
    Calls { threshold: Option<f32>, top: Option<usize>, class: Option<usize>, recall: bool },
    Intervals { thresholds: usize },
    Labels { threshold: Option<f32> },
}

/// A batch that was judged, on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged<'a> {
    /// N·K.
    pub(crate) predictions: &'a Tensor,
    /// N·K, or N·1.
    pub(crate) targets: &'a Tensor,
    /// N.
    pub(crate) weights: &'a Tensor,
}

impl Judged<'_> {
    /// Samples, outputs, columns of the targets.
    fn sizes(&self) -> [i32; 3] {
        let (predictions, targets) = (self.predictions.shape(), self.targets.shape());
        assert_eq!(predictions.batch(), targets.batch(), "targets for each sample");
        [predictions.batch(), predictions.last(), targets.last()].map(|size| size as i32)
    }
}

impl Kernel {
    /// Right judgements.
    pub(super) fn hits(accuracy: Accuracy) -> Self {
        let (kind, threshold) = match accuracy {
            Accuracy::Binary { threshold } => (0, threshold),
            Accuracy::Categorical => (1, 0.0),
            Accuracy::SparseCategorical => (2, 0.0),
        };
        Self(Counted::Hits { kind, top: 0, threshold })
    }

    /// True classes among the `top` largest.
    pub(super) fn top(top: usize, sparse: bool) -> Self {
        Self(Counted::Hits { kind: if sparse { 4 } else { 3 }, top, threshold: 0.0 })
    }

    /// Labels that are called and are so, beside those that are so, or are called.
    pub(super) fn calls(
        threshold: Option<f32>,
        top: Option<usize>,
        class: Option<usize>,
        recall: bool,
    ) -> Self {
        Self(Counted::Calls { threshold, top, class, recall })
    }

    /// Labels between two thresholds.
    pub(super) fn intervals(thresholds: usize) -> Self {
        Self(Counted::Intervals { thresholds })
    }

    /// Rightly and wrongly called and missed, for each class.
    pub(super) fn labels(threshold: Option<f32>) -> Self {
        Self(Counted::Labels { threshold })
    }

    /// The counts of a sample: so many numbers a batch needs room for, times its samples.
    pub(super) fn columns(self) -> usize {
        match self.0 {
            Counted::Hits { .. } | Counted::Calls { .. } => 2,
            Counted::Intervals { thresholds } => 2 * thresholds,
            Counted::Labels { .. } => 1,
        }
    }

    /// Adds a batch to the sums of the metric, in which each sample counts by its weight where it
    /// is `weighted`. `counts` is room for the columns of each sample.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    pub(super) fn launch(
        self,
        gpu: &Gpu,
        batch: Judged<'_>,
        weighted: bool,
        counts: GpuViewMut<'_, u32>,
        sums: GpuViewMut<'_, f64>,
    ) {
        let [samples, outputs, columns] = batch.sizes();
        let weights = if weighted { batch.weights.gpu() } else { GpuView::none() };
        let room = self.columns() * samples as usize;
        assert!(counts.is_empty() || counts.len() >= room, "room for the counts of each sample");
        assert!(weights.is_empty() || weights.len() == samples as usize, "a weight each");
        let of = match self.0 {
            Counted::Labels { threshold } => {
                return labels(gpu, batch, threshold, weights, counts, sums);
            }
            Counted::Hits { kind: 0, .. } => outputs,
            Counted::Hits { .. } => 1,
            Counted::Calls { .. } | Counted::Intervals { .. } => 0,
        };
        let needs_all = !matches!(self.0, Counted::Hits { kind: 2 | 4, .. });
        assert!(!needs_all || columns == outputs, "a target for each prediction");
        let mut counts = counts;
        self.count(gpu, batch, counts.reborrow());
        let g = MetricSums { samples, columns: self.columns() as i32, of };
        let expected = g.columns as usize;
        assert!(sums.is_empty() || sums.len() == expected, "a sum for each column");
        // SAFETY: the lengths are those of `g`, as was seen just now.
        unsafe { metric_add(gpu, threads(expected), g, counts.as_view(), weights, sums) }
    }

    /// Counts what is in each sample.
    fn count(self, gpu: &Gpu, batch: Judged<'_>, counts: GpuViewMut<'_, u32>) {
        let [samples, outputs, columns] = batch.sizes();
        let (predictions, targets) = (batch.predictions.gpu(), batch.targets.gpu());
        let grid = warps(samples);
        match self.0 {
            Counted::Hits { kind, top, threshold } => {
                let top = at_most(top, outputs);
                let g = MetricHits { samples, outputs, columns, kind, top, threshold };
                // SAFETY: the lengths are those of `g`, as `launch` has seen.
                unsafe { metric_hits(gpu, grid, g, predictions, targets, counts) }
            }
            Counted::Calls { threshold, top, class, recall } => {
                let g = MetricCalls {
                    samples,
                    outputs,
                    limited: i32::from(threshold.is_some() || top.is_none()),
                    top: top.map_or(-1, |top| at_most(top, outputs)),
                    class_id: class.map_or(-1, |class| class as i32),
                    recall: i32::from(recall),
                    threshold: threshold.unwrap_or(0.5),
                };
                assert!(g.class_id < outputs, "class_id {} of {outputs} outputs", g.class_id);
                // SAFETY: as above; the class is one of the outputs.
                unsafe { metric_calls(gpu, grid, g, predictions, targets, counts) }
            }
            Counted::Intervals { thresholds } => {
                let g = MetricIntervals { samples, outputs, thresholds: thresholds as i32 };
                // SAFETY: as above.
                unsafe { metric_intervals(gpu, grid, g, predictions, targets, counts) }
            }
            Counted::Labels { .. } => unreachable!("they are added without counts"),
        }
    }
}

fn labels(
    gpu: &Gpu,
    batch: Judged<'_>,
    threshold: Option<f32>,
    weights: GpuView<'_, f32>,
    mut largest: GpuViewMut<'_, u32>,
    sums: GpuViewMut<'_, f64>,
) {
    let [samples, outputs, columns] = batch.sizes();
    assert_eq!(columns, outputs, "a target for each prediction");
    assert!(sums.is_empty() || sums.len() == 3 * outputs as usize, "three sums for each class");
    let (limited, threshold) = (i32::from(threshold.is_some()), threshold.unwrap_or(0.0));
    let g = MetricLabels { samples, outputs, limited, threshold };
    let (predictions, targets) = (batch.predictions.gpu(), batch.targets.gpu());
    if limited == 0 {
        // SAFETY: the lengths are those of `g`, as was seen just now and in `launch`.
        unsafe { metric_largest(gpu, warps(samples), g, predictions, largest.reborrow()) }
    }
    let (grid, largest) = (threads(outputs as usize), largest.as_view());
    // SAFETY: as above; the largest are read only where they were written.
    unsafe { metric_labels(gpu, grid, g, predictions, targets, weights, largest, sums) }
}

/// Counts, for each sample, its class and the one that it is taken for, in a table of `classes`
/// rows and columns. A single prediction says yes above `threshold`; samples whose only target is
/// `ignored` do not count.
///
/// # Panics
/// If the lengths do not fit each other.
pub(crate) fn confuse(
    gpu: &Gpu,
    batch: Judged<'_>,
    classes: usize,
    threshold: f32,
    ignored: Option<f32>,
    counts: GpuViewMut<'_, u64>,
) {
    let [samples, outputs, columns] = batch.sizes();
    assert!(counts.is_empty() || counts.len() == classes * classes, "a count for each pair");
    assert!(outputs.max(columns).max(if outputs == 1 { 2 } else { 1 }) as usize <= classes);
    let g = ConfusionCounts {
        samples,
        outputs,
        columns,
        classes: classes as i32,
        ignores: i32::from(ignored.is_some()),
        ignored: ignored.unwrap_or_default(),
        threshold,
    };
    let (predictions, targets) = (batch.predictions.gpu(), batch.targets.gpu());
    // SAFETY: the lengths are those of `g`; every class is one of the table's.
    unsafe { confusion_add(gpu, warps(samples), g, predictions, targets, counts) }
}

/// `top`, where more than there are is as good as all.
fn at_most(top: usize, outputs: i32) -> i32 {
    i32::try_from(top).map_or(outputs, |top| top.min(outputs))
}

/// A warp for each sample.
fn warps(samples: i32) -> Grid {
    Grid::strided(32 * samples as usize)
}

/// A thread for each of `n` columns.
fn threads(n: usize) -> Grid {
    const THREADS: usize = 128;
    Grid::of([n.div_ceil(THREADS).clamp(1, 1024) as u32, 1, 1], THREADS as u32)
}
