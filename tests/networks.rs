//! Three networks of the literature train a little, and resume to the bit.

use gradus::data::{DataLoader, InMemory, flow};
use gradus::layers::Sequential;
use gradus::models::{Stem, inception_like, lenet5, resnet18};
use gradus::optim::SGD;
use gradus::prelude::*;
use gradus::train::{Callback, Checkpoint, Control, Error, Run, Verbosity};
use gradus_testing::test_data;
use ndarray::Array4;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const CIFAR: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The first rows of a manifest, as names and classes.
fn rows(csv: &Path, n: usize) -> Vec<[String; 2]> {
    let frame = Manifest::read(csv).expect("a manifest");
    let (names, classes) = (frame.column("filename"), frame.column("category"));
    let pairs = names.expect("names").zip(classes.expect("classes"));
    pairs.take(n).map(|(name, class)| [name.to_owned(), class.to_owned()]).collect()
}

fn cifar10(n: usize, batch_size: usize) -> Option<DataLoader> {
    let folder = test_data("data/second/cifar10")?;
    let rows = rows(&folder.join("cifar10-train.csv"), n);
    let frame = Manifest::from_rows(&["filename", "category"], rows).expect("rows");
    let rescale = ImageDataGenerator::builder().rescale(1.0 / 255.0).build().expect("a generator");
    let flow = flow_from_dataframe(&frame, folder).y_col("category").classes(CIFAR);
    let flow = flow.target_size(32, 32).batch_size(batch_size).transform(rescale.transform());
    Some(flow.open().expect("a loader"))
}

/// Grey digits, decoded here and kept as one array.
fn mnist(n: usize, batch_size: usize) -> Option<DataLoader> {
    let folder = test_data("data/second/mnist-png")?;
    let rows = rows(&folder.join("mnist-png-train.csv"), n);
    let mut pixels = Vec::new();
    for [name, _] in &rows {
        pixels.extend(image::open(folder.join(name)).expect("an image").into_luma8().into_raw());
    }
    let images = Array4::from_shape_vec((rows.len(), 28, 28, 1), pixels).expect("28×28, grey");
    let labels = rows.iter().map(|[_, class]| class.parse().expect("a digit")).collect();
    let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let rescale = ImageDataGenerator::builder().rescale(1.0 / 255.0).build().expect("a generator");
    let flow = flow(InMemory::new(images, labels, &digits).expect("a set")).batch_size(batch_size);
    Some(flow.transform(rescale.transform()).open().expect("a loader"))
}

/// Interrupts a run after that many updates.
struct After<'a>(u64, &'a AtomicBool);

impl Callback for After<'_> {
    fn name(&self) -> &str {
        "After"
    }

    fn step_end(&mut self, run: &Run<'_>, _: &mut Control) -> Result<(), Error> {
        self.1.store(run.model.updates() == self.0, Ordering::Relaxed);
        Ok(())
    }
}

/// Trains, or goes on with what the folder's checkpoint says; leaves the model beside it.
fn run(
    network: Sequential,
    data: &mut DataLoader,
    [epochs, stop_after]: [u32; 2],
    folder: &Path,
) -> Result<History, Error> {
    let context = Context::new(Device::Cpu, 2);
    let mut model = Model::build(network, data.image_shape(), context, 1).expect("it fits");
    let sgd = SGD::new().learning_rate(0.02).momentum(0.9);
    model.compile(sgd, CategoricalCrossentropy::new())?;
    let interrupt = AtomicBool::new(false);
    let checkpoint = Checkpoint::new(folder.join("checkpoint.safetensors")).resume(true);
    let history = model.fit(
        data,
        Fit {
            epochs,
            callbacks: vec![Box::new(After(u64::from(stop_after), &interrupt))],
            checkpoint: Some(checkpoint),
            interrupt: Some(&interrupt),
            verbose: Verbosity::Silent,
            ..Fit::default()
        },
    )?;
    model.save_file(folder.join("end.safetensors"))?;
    Ok(history)
}

/// The loss falls, and a run interrupted within its second epoch ends in the bits of one that was
/// not.
fn trains_and_resumes(network: impl Fn() -> Sequential, mut data: DataLoader, epochs: u32) {
    let [straight, stopped] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let history = run(network(), &mut data, [epochs, 0], straight.path()).expect("a run");
    let losses: Vec<f64> =
        history.column("loss").expect("losses").iter().flatten().copied().collect();
    assert_eq!(losses.len(), epochs as usize);
    assert!(losses[losses.len() - 1] < 0.98 * losses[0], "the loss does not fall: {losses:?}");
    let stop = data.len().div_ceil(data.batch_size()) as u32 + 1;
    let error = run(network(), &mut data, [epochs, stop], stopped.path()).expect_err("a stop");
    assert!(matches!(error, Error::Interrupted { epoch: 2, step: 1, .. }), "{error}");
    run(network(), &mut data, [epochs, 0], stopped.path()).expect("the rest of the run");
    let [expected, found] = [straight, stopped]
        .map(|folder| std::fs::read(folder.path().join("end.safetensors")).expect("a model"));
    assert!(expected == found, "the resumed run ends in other bits");
}

#[test]
fn resnet18_trains_and_resumes() {
    let Some(data) = cifar10(8, 4) else { return };
    trains_and_resumes(|| resnet18(Stem::Cifar, 10), data, 2);
}

#[test]
fn an_inception_like_network_trains_and_resumes() {
    let Some(data) = cifar10(60, 10) else { return };
    trains_and_resumes(|| inception_like(10), data, 4);
}

#[test]
fn lenet5_trains_and_resumes_on_grey_images() {
    let Some(data) = mnist(60, 10) else { return };
    trains_and_resumes(|| lenet5(28, 10), data, 8);
}
