//! What a GPU counts has the bits of what the CPU counts, whatever the weights.

mod fit;

use super::Judged;
use crate::ConfusionMatrix;
use crate::confusing::Confusing;
use crate::metrics::on_gpu::OnGpu;
use crate::metrics::{
    Auc, Average, Curve, F1Score, Metric, Metrics, Precision, Recall, accuracy, binary_accuracy,
    categorical_accuracy, sparse_categorical_accuracy, sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
};
use gradus_layers::{
    BinaryCrossentropy, CategoricalCrossentropy, Loss, SparseCategoricalCrossentropy,
};
use gradus_tensor::{Device, Shape, Tensor};
use gradus_testing::{Cases, gpu};
use ndarray::{Array2, ArrayView1};

/// Predictions, targets and weights, and the same on a device.
struct Rows {
    predictions: Array2<f32>,
    targets: Array2<f32>,
    weights: Vec<f32>,
    there: [Tensor; 3],
}

fn sent(values: &[f32], shape: &[usize], device: &Device) -> Tensor {
    Tensor::from_slice(Shape::new(shape), values).on(device)
}

impl Rows {
    fn new(predictions: Vec<f32>, targets: Vec<f32>, weights: Vec<f32>, device: &Device) -> Self {
        let n = weights.len();
        let [outputs, columns] = [predictions.len() / n, targets.len() / n];
        let there = [
            sent(&predictions, &[n, outputs], device),
            sent(&targets, &[n, columns], device),
            sent(&weights, &[n], device),
        ];
        let rows = |values, columns| Array2::from_shape_vec((n, columns), values).expect("rows");
        let (predictions, targets) = (rows(predictions, outputs), rows(targets, columns));
        Self { predictions, targets, weights, there }
    }

    /// Probabilities, some equal, some 0, 1 and no number; targets that are a yes, a no or a
    /// share; or the index of a class up to the highest, or none.
    fn random(
        cases: &mut Cases,
        [n, outputs]: [usize; 2],
        highest: Option<usize>,
        device: &Device,
    ) -> Self {
        let odd = [0.0, 1.0, 0.5, 0.5, 0.25, -0.5, 1.5, 1e-10, f32::NAN, f32::NEG_INFINITY];
        let mut predictions: Vec<f32> =
            cases.normal(n * outputs).iter().map(|v| (0.5 + 0.3 * v).clamp(0.0, 1.0)).collect();
        for p in &mut predictions {
            let from = cases.extent(0, 2 * odd.len());
            *p = odd.get(from).copied().unwrap_or(*p);
        }
        let targets = match highest {
            Some(highest) => (0..n).map(|_| cases.extent(0, highest + 1) as f32 - 1.0).collect(),
            None => {
                let shares = [0.0, 0.0, 0.0, 1.0, 1.0, 0.3, 1e-12];
                (0..n * outputs).map(|_| cases.one_of(&shares)).collect()
            }
        };
        // Two in three are so light beside the others that it matters whether they are added one by one.
        let shares = [2f32.powi(30), 1.0, 1.0].into_iter().cycle();
        let weights =
            cases.normal(n).iter().zip(shares).map(|(v, share)| v.abs() * share).collect();
        Self::new(predictions, targets, weights, device)
    }

    fn judged(&self) -> Judged<'_> {
        let [predictions, targets, weights] = &self.there;
        Judged { predictions, targets, weights }
    }

    /// Takes the rows in on the CPU.
    fn update(&self, metric: &mut dyn Metric, weighted: bool) {
        let weights = weighted.then(|| ArrayView1::from(&self.weights));
        metric.update(self.predictions.view(), self.targets.view(), weights);
    }
}

/// Every metric that takes a target for each of so many predictions.
fn dense(outputs: usize) -> Vec<Box<dyn Metric>> {
    let last = outputs - 1;
    vec![
        Box::new(accuracy(outputs, outputs)),
        Box::new(binary_accuracy(0.5)),
        Box::new(binary_accuracy(0.25)),
        Box::new(categorical_accuracy()),
        Box::new(top_k_categorical_accuracy(1)),
        Box::new(top_k_categorical_accuracy(3)),
        Box::new(top_k_categorical_accuracy(usize::MAX)),
        Box::new(Precision::new()),
        Box::new(Precision::new().threshold(0.25).top_k(2)),
        Box::new(Precision::new().class_id(last)),
        Box::new(Precision::new().top_k(1).class_id(last)),
        Box::new(Recall::new()),
        Box::new(Recall::new().top_k(3)),
        Box::new(Recall::new().threshold(0.7).class_id(0)),
        Box::new(F1Score::new(outputs, Average::Macro)),
        Box::new(F1Score::new(outputs, Average::Micro).threshold(0.5)),
        Box::new(Auc::roc()),
        Box::new(Auc::new(Curve::Pr, 7)),
        Box::new(Auc::new(Curve::Roc, 2)),
    ]
}

/// Those that take the index of a class.
fn sparse() -> Vec<Box<dyn Metric>> {
    vec![
        Box::new(sparse_categorical_accuracy()),
        Box::new(sparse_top_k_categorical_accuracy(1)),
        Box::new(sparse_top_k_categorical_accuracy(2)),
    ]
}

fn bits(metrics: &Metrics) -> Vec<(String, Vec<u64>)> {
    let of = |metric: &dyn Metric| metric.sums().iter().map(|sum| sum.to_bits()).collect();
    metrics.iter().map(|(name, metric)| (name.to_owned(), of(metric))).collect()
}

/// Metrics plain and weighted, counted here and there batch by batch: a whole epoch, and one that is
/// interrupted in the middle and goes on with the sums of the CPU.
fn agree(new: &dyn Fn() -> Vec<Box<dyn Metric>>, batches: &[Rows], device: &Device) {
    let Device::Cuda(gpu) = device else { panic!("a GPU") };
    let most = batches.iter().map(|rows| rows.weights.len()).max().unwrap_or_default();
    let (mut here, mut there) = (Metrics::new(new(), new()), Metrics::new(new(), new()));
    let mut on_gpu = OnGpu::new(gpu, &there.named, most).expect("kernels");
    for (i, rows) in batches.iter().enumerate() {
        for named in &mut here.named {
            rows.update(named.metric.as_mut(), named.weighted);
        }
        if i == 1 {
            on_gpu.collect(&mut there.named);
            on_gpu = OnGpu::new(gpu, &there.named, most).expect("kernels");
        }
        on_gpu.add(&there.named, rows.judged());
    }
    on_gpu.collect(&mut there.named);
    gpu.check().expect("no fault");
    for (ours, theirs) in bits(&there).into_iter().zip(bits(&here)) {
        assert_eq!(ours, theirs, "{:?}", batches.last().map(|b| b.predictions.dim()));
    }
}

#[test]
fn sums_have_the_bits_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu);
    for (case, outputs) in [1, 2, 5, 33, 70].into_iter().enumerate() {
        let mut cases = Cases::new("metrics on a GPU", case as u32);
        let n = cases.extent(3, 40);
        // The last batch is a short one.
        for index in [None, Some(outputs)] {
            let sizes = [n, n, n / 3 + 1];
            let batches = sizes.map(|n| Rows::random(&mut cases, [n, outputs], index, &device));
            let new = || if index.is_some() { sparse() } else { dense(outputs) };
            agree(&new, &batches, &device);
        }
    }
}

/// A batch of one-hot targets or indices, some of which do not count.
fn pairs_agree(loss: &dyn Loss, [n, outputs, columns]: [usize; 3], device: &Device) {
    let mut cases = Cases::new(loss.name(), (n * outputs) as u32);
    let names = (0..outputs.max(2)).map(|class| class.to_string());
    let matrix = ConfusionMatrix::new(names);
    let new = |device| Confusing::new(matrix.clone(), 0.25, outputs, device);
    let (mut here, mut there) = (new(&Device::Cpu), new(device));
    // Index targets: none, or a class that has a name.
    let highest = (columns == 1).then(|| outputs.max(2) - 1);
    for n in [n, n, 1] {
        let rows = Rows::random(&mut cases, [n, outputs], highest, device);
        here.add_told(loss, rows.predictions.view(), rows.targets.view());
        there.add_there(loss, rows.judged());
    }
    assert_eq!(there.counted(), here.counted(), "{} of {outputs}", loss.name());
}

#[test]
fn pairs_of_classes_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu);
    let ignoring = SparseCategoricalCrossentropy::new().ignore_class(2);
    let index = SparseCategoricalCrossentropy::new();
    for outputs in [3, 33, 40] {
        pairs_agree(&CategoricalCrossentropy::new(), [21, outputs, outputs], &device);
        pairs_agree(&ignoring, [37, outputs, 1], &device);
        pairs_agree(&index, [9, outputs, 1], &device);
    }
    pairs_agree(&BinaryCrossentropy::new(), [300, 1, 1], &device);
}
