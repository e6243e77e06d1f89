//! How good predictions are, in figures for people.
//!
//! A metric sees probabilities and targets batch by batch and keeps nothing but sums in f64, added
//! in the order of the samples: the figure of an epoch has the same bits however many threads and
//! workers there were, and what an interrupted epoch has seen can be saved as a list of numbers.
//! On a GPU the metrics of this crate are counted there, to the same bits, and no step waits for it.
//!
//! ```
//! use gradus_train::metrics::{Auc, Metric};
//! use ndarray::array;
//! let mut auc = Auc::roc();
//! let predictions = array![[0.1], [0.4], [0.35], [0.8]];
//! let targets = array![[0.], [0.], [1.], [1.]];
//! auc.update(predictions.view(), targets.view(), None);
//! assert!((auc.result() - 0.75).abs() < 1e-12);
//! ```
//!
//! The semantics are those of Keras 3.15, held against its own figures.

mod accuracy;
mod auc;
pub(crate) mod cuda;
mod f1_score;
mod on_gpu;
mod precision_recall;
#[cfg(test)]
mod tests;

pub use accuracy::{
    MeanAccuracy, accuracy, binary_accuracy, categorical_accuracy, sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy, top_k_categorical_accuracy,
};
pub use auc::{Auc, Curve};
pub use cuda::Kernel as MetricKernel;
pub use f1_score::{Average, F1Score};
pub use precision_recall::{Precision, Recall};

use crate::{Error, Memory};
use gradus_tensor::Device;
use ndarray::{ArrayView1, ArrayView2, Axis};
use on_gpu::OnGpu;
use std::fmt::Debug;

/// A figure that grows with every batch of an epoch.
pub trait Metric: Debug + Send + Sync {
    /// Its column in the history, such as `auc`.
    fn name(&self) -> &str;

    /// Whether it can judge rows of that many predictions by that many targets: asked before the
    /// first batch, so that what does not fit is an error and no panic. Anything, unless said.
    ///
    /// # Errors
    /// What would have fitted, and what to do.
    fn accepts(&self, predictions: usize, targets: usize) -> Result<(), String> {
        let _ = (predictions, targets);
        Ok(())
    }

    /// Takes in a batch: probabilities N·outputs, targets N·outputs or N·1 as the metric says, and
    /// N weights where samples do not all count 1.
    ///
    /// # Panics
    /// If the extents do not fit each other.
    fn update(
        &mut self,
        predictions: ArrayView2<'_, f32>,
        targets: ArrayView2<'_, f32>,
        weights: Option<ArrayView1<'_, f32>>,
    );

    /// The figure of all batches since the last reset; 0 where there is nothing to divide by, as in
    /// Keras.
    fn result(&self) -> f64;

    /// The sums of which the figure is made: all that a checkpoint has to keep.
    fn sums(&self) -> &[f64];

    /// The same sums, to be put back.
    fn sums_mut(&mut self) -> &mut [f64];

    /// Forgets everything: what happens before each epoch.
    fn reset(&mut self) {
        self.sums_mut().fill(0.0);
    }

    /// What adds a batch to the sums on a GPU. None unless said: the network's answers are then read
    /// back in every step, for [`Metric::update`], and the device waits meanwhile.
    fn kernel(&self) -> Option<MetricKernel> {
        None
    }
}

/// The metrics of a model, each under a name of its own.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    named: Vec<Named>,
    /// The sums of those that have a kernel, where batches are judged on a GPU.
    on_gpu: Option<OnGpu>,
}

/// A metric of a model.
#[derive(Debug)]
struct Named {
    name: String,
    /// Whether it sees the weights of samples.
    weighted: bool,
    metric: Box<dyn Metric>,
}

impl Named {
    /// Whether a batch is added to its sums by a kernel, where there are sums on a GPU.
    fn is_counted_there(&self, on_gpu: bool) -> bool {
        on_gpu && self.metric.kernel().is_some()
    }
}

impl Metrics {
    /// Names that are taken are numbered, as Keras numbers them: `auc`, `auc_1`. One that sees the
    /// weights of samples is called so first: `weighted_auc`.
    pub(crate) fn new(plain: Vec<Box<dyn Metric>>, weighted: Vec<Box<dyn Metric>>) -> Self {
        let mut names = vec!["loss".to_owned(), "accuracy".to_owned(), "lr".to_owned()];
        let plain = plain.into_iter().map(|metric| (false, metric));
        let all = plain.chain(weighted.into_iter().map(|metric| (true, metric)));
        let named = all.map(|(weighted, metric)| {
            let own = metric.name().to_owned();
            let second = if weighted { format!("weighted_{own}") } else { own.clone() };
            let numbered = (1..).map(|n| format!("{second}_{n}"));
            let mut free = [own, second.clone()].into_iter().chain(numbered);
            let name = free.find(|name| !names.contains(name)).expect("numbers do not end");
            names.push(name.clone());
            Named { name, weighted, metric }
        });
        Self { named: named.collect(), on_gpu: None }
    }

    /// Whether all can judge rows of that many predictions by that many targets.
    pub(crate) fn accept(&self, predictions: usize, targets: usize) -> Result<(), Error> {
        self.named.iter().try_for_each(|Named { name, metric, .. }| {
            let refused = |reason| Error::Metric { metric: name.clone(), reason };
            metric.accepts(predictions, targets).map_err(refused)
        })
    }

    /// Makes room for batches of up to `samples` on that device.
    pub(crate) fn plan(&mut self, device: &Device, samples: usize) {
        let Device::Cuda(gpu) = device else { return self.on_gpu = None };
        if !self.on_gpu.as_ref().is_some_and(|there| there.holds(gpu, &self.named, samples)) {
            self.on_gpu = OnGpu::new(gpu, &self.named, samples);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Whether a metric wants the answers of every batch on the CPU, which on a GPU means to wait.
    pub(crate) fn reads_answers(&self) -> bool {
        self.named.iter().any(|named| !named.is_counted_there(self.on_gpu.is_some()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &dyn Metric)> {
        self.named.iter().map(|named| (named.name.as_str(), named.metric.as_ref()))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Metric>> {
        self.on_gpu.iter_mut().for_each(OnGpu::forget);
        self.named.iter_mut().map(|named| &mut named.metric)
    }

    pub(crate) fn reset(&mut self) {
        self.iter_mut().for_each(|metric| metric.reset());
    }

    /// Takes in the batch that the memory has the answers to. On a GPU it is counted there, and
    /// [`Metrics::collect`] brings the sums.
    pub(crate) fn judge(&mut self, memory: &mut Memory, targets: ArrayView2<'_, f32>) {
        if let Some(on_gpu) = &mut self.on_gpu {
            on_gpu.add(&self.named, memory.judged());
        }
        if !self.reads_answers() {
            return;
        }
        memory.tell();
        let (answers, weights) = (memory.answered().rows(), memory.weights());
        let on_gpu = self.on_gpu.is_some();
        for named in self.named.iter_mut().filter(|named| !named.is_counted_there(on_gpu)) {
            named.metric.update(answers, targets, named.weighted.then_some(weights));
        }
    }

    /// Waits for what a GPU has counted, and brings it here. Does nothing on the CPU.
    pub(crate) fn collect(&mut self) {
        if let Some(on_gpu) = &mut self.on_gpu {
            on_gpu.collect(&mut self.named);
        }
    }
}

/// Refuses targets that are not as many as the predictions.
fn one_for_each(predictions: usize, targets: usize) -> Result<(), String> {
    match predictions == targets {
        true => Ok(()),
        false => Err(format!(
            "it takes a target for each of the network's {predictions} outputs, the data has \
             {targets}: set its class_mode, or take another metric"
        )),
    }
}

/// Refuses targets that are not the index of a class.
fn an_index(targets: usize) -> Result<(), String> {
    match targets {
        1 => Ok(()),
        _ => Err(format!(
            "it takes the index of a class as the only target, the data has {targets}: set its \
             class_mode to sparse, or take the metric without `sparse`"
        )),
    }
}

/// Calls `each` with the predictions, targets and weight of every sample, in order.
fn each_sample(
    predictions: ArrayView2<'_, f32>,
    targets: ArrayView2<'_, f32>,
    weights: Option<ArrayView1<'_, f32>>,
    mut each: impl FnMut(&[f32], &[f32], f64),
) {
    assert_eq!(predictions.nrows(), targets.nrows(), "targets for each sample");
    for (i, p) in predictions.axis_iter(Axis(0)).enumerate() {
        let t = targets.row(i);
        let rows = (p.to_slice(), t.to_slice());
        let (Some(p), Some(t)) = rows else { panic!("the columns of a row lie side by side") };
        each(p, t, weights.map_or(1.0, |weights| f64::from(weights[i])));
    }
}

/// a / b, and 0 where b is 0: Keras's `divide_no_nan`.
fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// Whether prediction `k` is among the `top` largest, the lower index first among equals.
fn is_among_top(prediction: &[f32], k: usize, top: usize) -> bool {
    let before = |(i, &p): (usize, &f32)| p > prediction[k] || p == prediction[k] && i < k;
    prediction.iter().enumerate().filter(|&other| before(other)).count() < top
}
