//! Whole runs with metrics on a GPU: recorded steps and single kernels give the same figures, a
//! metric that counts there those of one that reads the answers back.

use crate::metrics::{
    Auc, Average, F1Score, Metric, Precision, Recall, top_k_categorical_accuracy,
};
use crate::{Batch, Batches, Error, Fit, Model, Verbosity};
use gradus_layers::{Activation, CategoricalCrossentropy, Dense, Flatten, Sequential};
use gradus_optim::RMSprop;
use gradus_tensor::{Context, Device};
use gradus_testing::{Cases, gpu};
use ndarray::{Array1, Array2, Array4, ArrayView1, ArrayView2, s};

const IMAGES: usize = 61;
const BATCH: usize = 4;

/// Weighted images of four numbers and of three classes: fifteen batches of four, and one of one.
struct Noise {
    images: Array4<f32>,
    targets: Array2<f32>,
    weights: Array1<f32>,
    classes: Vec<String>,
    next: usize,
}

impl Noise {
    fn new() -> Self {
        let mut cases = Cases::new("a run with metrics", 0);
        let images = cases.normal(IMAGES * 4);
        let images = Array4::from_shape_vec((IMAGES, 2, 2, 1), images).expect("as many pixels");
        let class = |i: usize| i * i % 3;
        let one_hot = |(i, k)| f32::from(u8::from(class(i) == k));
        Self {
            images,
            targets: Array2::from_shape_fn((IMAGES, 3), one_hot),
            weights: cases.normal(IMAGES).into_iter().map(f32::abs).collect(),
            classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
            next: 0,
        }
    }
}

impl Batches for Noise {
    fn samples(&self) -> usize {
        IMAGES
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn image_shape(&self) -> [usize; 3] {
        [2, 2, 1]
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn start(&mut self, _: u32, done: usize, _: usize) {
        self.next = done;
    }

    fn next_batch(&mut self) -> Option<Result<Batch<'_>, gradus_data::Error>> {
        let rows = BATCH * self.next..(BATCH * (self.next + 1)).min(IMAGES);
        self.next += 1;
        (rows.start < IMAGES).then(|| {
            let images = self.images.slice(s![rows.clone(), .., .., ..]);
            let batch = Batch::new(images, self.targets.slice(s![rows.clone(), ..]));
            Ok(Batch { weights: Some(self.weights.slice(s![rows])), ..batch })
        })
    }
}

/// A metric of a user's own: it reads what it judges.
#[derive(Debug)]
struct Own(Box<dyn Metric>);

impl Metric for Own {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn update(
        &mut self,
        predictions: ArrayView2<'_, f32>,
        targets: ArrayView2<'_, f32>,
        weights: Option<ArrayView1<'_, f32>>,
    ) {
        self.0.update(predictions, targets, weights);
    }

    fn result(&self) -> f64 {
        self.0.result()
    }

    fn sums(&self) -> &[f64] {
        self.0.sums()
    }

    fn sums_mut(&mut self) -> &mut [f64] {
        self.0.sums_mut()
    }
}

fn metrics() -> Vec<Box<dyn Metric>> {
    vec![
        Box::new(top_k_categorical_accuracy(2)),
        Box::new(Precision::new()),
        Box::new(Recall::new().top_k(1)),
        Box::new(F1Score::new(3, Average::Weighted)),
        Box::new(Auc::roc()),
    ]
}

/// The columns of a history by their names, in bits.
type Columns = Vec<(String, Vec<u64>)>;

/// The history, and the confusion matrix of an evaluation.
fn run(
    device: &Device,
    graphs: bool,
    metrics: impl Fn() -> Vec<Box<dyn Metric>>,
) -> Result<(Columns, String), Error> {
    let network = Sequential::new().add(Flatten).add(Dense::new(3).activation(Activation::Softmax));
    let mut model = Model::build(network, [2, 2, 1], Context::new(device.clone(), 1), 3)?;
    let (plain, weighted) = (metrics(), metrics());
    let loss = CategoricalCrossentropy::new();
    model.compile_with_metrics(RMSprop::default(), loss, plain, weighted)?;
    model.set_graphs(graphs);
    let mut validation = Noise::new();
    let fit = Fit {
        epochs: 2,
        validation_data: Some(&mut validation),
        class_weight: vec![0.3, 1.7, 1.1],
        verbose: Verbosity::Silent,
        ..Fit::default()
    };
    let history = model.fit(&mut Noise::new(), fit)?;
    let columns = history.names().map(|name| {
        let values = history.column(name).into_iter().flatten();
        (name.to_owned(), values.map(|v| v.map_or(0, f64::to_bits)).collect())
    });
    let columns = columns.collect();
    let evaluation = model.evaluate(&mut Noise::new(), None)?;
    Ok((columns, evaluation.confusion.expect("classes").to_string()))
}

#[test]
fn a_run_has_the_figures_of_one_that_reads_every_answer() -> Result<(), Error> {
    let Some(gpu) = gpu() else { return Ok(()) };
    let device = Device::Cuda(gpu);
    let own = || metrics().into_iter().map(|metric| Box::new(Own(metric)) as _).collect();
    let recorded = run(&device, true, metrics)?;
    assert!(recorded.0.len() > 20, "{:?}", recorded.0);
    assert_eq!(recorded, run(&device, false, metrics)?, "kernel by kernel");
    assert_eq!(recorded, run(&device, true, own)?, "read back");
    let mixed = || {
        let [mut counted, read]: [Vec<Box<dyn Metric>>; 2] = [metrics(), own()];
        counted.iter_mut().zip(read).step_by(2).for_each(|(counted, read)| *counted = read);
        counted
    };
    assert_eq!(recorded, run(&device, true, mixed)?, "some read back");
    let (_, confusion) = run(&Device::Cpu, false, metrics)?;
    assert_eq!(recorded.1, confusion, "on the CPU");
    Ok(())
}
