//! Runs whose batches are augmented, mixed, standardized or incomplete: resumed they leave the bits
//! of runs that were not stopped, and with another option they are not resumed.

use gradus::augment::{Compatibility, CutMix, ImageDataGenerator, MixUp};
use gradus::data::synthetic::Synthetic;
use gradus::data::{
    BadImages, ClassMode, DataLoader, Interpolation, Manifest, Randomness, Transform,
    flow_from_dataframe,
};
use gradus::layers::Sequential;
use gradus::prelude::*;
use gradus::train::{
    Batches, Callback, Checkpoint, CheckpointError, Control, Error, Mixed, Run, Verbosity,
};
use ndarray::Array4;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const SIDE: usize = 12;
const EPOCHS: u32 = 3;

/// What a run depends on.
struct Job {
    generator: ImageDataGenerator,
    bad_images: BadImages,
    randomness: Randomness,
    shuffle: bool,
    interpolation: Interpolation,
    exif: bool,
    /// α of MixUp, and of CutMix after it.
    mixed: Option<[f64; 2]>,
    patience: u32,
    precision: Precision,
    exact: bool,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            generator: tutorial().build().expect("valid"),
            bad_images: BadImages::Skip,
            randomness: Randomness::Keyed,
            shuffle: true,
            interpolation: Interpolation::Nearest,
            exif: false,
            mixed: None,
            patience: 5,
            precision: Precision::F32,
            exact: false,
        }
    }
}

fn tutorial() -> gradus::augment::ImageDataGeneratorBuilder {
    let builder = ImageDataGenerator::builder().rotation_range(15.0).width_shift_range(0.1);
    builder.horizontal_flip(true).rescale(1.0 / 255.0)
}

/// Interrupts a run after that many updates.
struct After<'a>(u64, &'a AtomicBool);

impl Callback for After<'_> {
    fn step_end(&mut self, run: &Run<'_>, _: &mut Control) -> Result<(), Error> {
        self.1.store(run.model.updates() == self.0, Ordering::Relaxed);
        Ok(())
    }
}

/// Fourteen images in batches of three, with weights; those of one batch and another one are torn.
fn drawn(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    Synthetic::default().train(14).validation(2).size(16).write(&data).expect("a set");
    let read = Manifest::read(data.join("dogs_vs_cats-train.csv")).expect("a manifest");
    for name in read.column("filename").expect("names").take(4) {
        fs::write(data.join(name), b"no image").expect("written");
    }
    data
}

fn open(data: &Path, job: &Job) -> DataLoader {
    let read = Manifest::read(data.join("dogs_vs_cats-train.csv")).expect("a manifest");
    let (names, classes) = (read.column("filename"), read.column("category"));
    let pairs = names.expect("names").zip(classes.expect("classes"));
    let weighted = pairs.zip(["0.5", "1", "2"].iter().cycle()).map(|((n, c), w)| [n, c, *w]);
    let frame = Manifest::from_rows(&["filename", "category", "weight"], weighted).expect("rows");
    flow_from_dataframe(&frame, data)
        .y_col("category")
        .weight_col("weight")
        .class_mode(ClassMode::Categorical)
        .target_size(SIDE, SIDE)
        .interpolation(job.interpolation)
        .exif_orientation(job.exif)
        .batch_size(3)
        .seed(3)
        .shuffle(job.shuffle)
        .randomness(job.randomness)
        .bad_images(job.bad_images)
        .transform(job.generator.transform())
        .open()
        .expect("a loader")
}

/// What is left of a run: the model and the history, and what the loader knows at its end.
#[derive(Debug, PartialEq)]
struct Left {
    model: Vec<u8>,
    history: String,
    problems: Vec<String>,
}

fn run(data: &Path, checkpoint: &Path, job: &Job, stop_after: u64) -> Result<Left, Error> {
    let mut loader = open(data, job);
    let network = Sequential::new()
        .add(Conv2D::new(4, 3).activation(Activation::Relu))
        .add(Flatten)
        .add(Dense::new(2).activation(Activation::Softmax));
    let mut context = Context::new(Device::Cpu, 1);
    context.precision = job.precision;
    let mut model = Model::build(network, [SIDE, SIDE, 3], context, 3).expect("a model");
    model.set_exact(job.exact);
    model.compile(RMSprop::new(), CategoricalCrossentropy::new())?;
    let interrupt = AtomicBool::new(false);
    let stopping = EarlyStopping::new(job.patience).monitor("loss");
    let fit = Fit {
        epochs: EPOCHS,
        class_weight: vec![1.0, 1.5],
        callbacks: vec![Box::new(stopping), Box::new(After(stop_after, &interrupt))],
        checkpoint: Some(Checkpoint::new(checkpoint).every_steps(2).resume(true)),
        interrupt: Some(&interrupt),
        verbose: Verbosity::Silent,
        ..Fit::default()
    };
    let history = match job.mixed {
        None => model.fit(&mut loader, fit)?,
        Some([mixup, cutmix]) => {
            let mut once = Mixed::new(&mut loader, MixUp::new(mixup).expect("valid")).seed(1);
            model.fit(&mut Mixed::new(&mut once, CutMix::new(cutmix).expect("valid")), fit)?
        }
    };
    let end = checkpoint.with_extension("end");
    model.save_file(&end)?;
    let model = fs::read(end).expect("a model");
    Ok(Left { model, history: history.to_csv(), problems: Batches::problems(&loader) })
}

/// Stops the job after each of its steps, and resumes it with `again`.
fn stopped_and_resumed(job: &Job, again: &Job) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = drawn(folder.path());
    let straight = run(&data, &folder.path().join("straight"), job, 0).expect("a run");
    for stop in 1..12 {
        let path = folder.path().join(format!("{stop}"));
        let error = run(&data, &path, job, stop).expect_err("a run that stops");
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        let resumed = run(&data, &path, again, 0).expect("the rest of the run");
        assert!(resumed == straight, "stopped after {stop} steps: {resumed:?}\n{straight:?}");
    }
}

#[test]
fn a_run_of_mixed_batches_goes_on_although_one_batch_could_not_be_read() {
    // In order, so that the first batch has no image at all.
    let job = Job { mixed: Some([0.4, 1.0]), shuffle: false, ..Job::default() };
    stopped_and_resumed(&job, &job);
    let job = Job { mixed: Some([0.4, 1.0]), bad_images: BadImages::Replace, ..Job::default() };
    stopped_and_resumed(&job, &job);
}

#[test]
fn a_run_in_keras_s_order_goes_on() {
    let generator = tutorial().compatibility(Compatibility::Keras).build().expect("valid");
    let job = Job { randomness: Randomness::Keras, generator, ..Job::default() };
    stopped_and_resumed(&job, &job);
}

#[test]
fn what_was_fitted_stands_in_the_checkpoint() {
    let images = |n| {
        let level = |(i, r, c, k): (usize, usize, usize, usize)| (40 * i + 9 * r + 5 * c * k) as u8;
        Array4::from_shape_fn((n, 2, 2, 3), level)
    };
    let builder = || tutorial().featurewise_std_normalization(true);
    let mut job = Job { generator: builder().build().expect("valid"), ..Job::default() };
    job.generator.fit(images(3).view(), false, 1, 0).expect("fitted");
    // Fitted on other images, and not at all: what the run began with counts.
    let mut other = Job { generator: builder().build().expect("valid"), ..Job::default() };
    stopped_and_resumed(&job, &other);
    other.generator.fit(images(5).view(), false, 1, 0).expect("fitted");
    stopped_and_resumed(&job, &other);
}

#[test]
fn zca_whitening_stands_in_the_checkpoint() {
    let images = Array4::from_shape_fn((6, SIDE, SIDE, 3), |(i, r, c, k)| {
        (40 * i + 9 * r * r + 5 * c * k + 31 * (r * c % 7)) as u8
    });
    let builder = || ImageDataGenerator::builder().zca_whitening(true).rescale(1.0 / 255.0);
    let mut job = Job { generator: builder().build().expect("valid"), ..Job::default() };
    job.generator.fit(images.view(), false, 1, 0).expect("fitted");
    let folder = tempfile::tempdir().expect("a folder");
    let (data, path) = (drawn(folder.path()), folder.path().join("run"));
    let straight = run(&data, &folder.path().join("straight"), &job, 0).expect("a run");
    run(&data, &path, &job, 3).expect_err("a run that stops");
    let unfitted = Job { generator: builder().build().expect("valid"), ..Job::default() };
    assert!(run(&data, &path, &unfitted, 0).expect("the rest of the run") == straight);
    // The checkpoint is a model as well.
    Model::load(&path, Context::new(Device::Cpu, 1)).expect("a model");
}

#[test]
fn a_run_is_not_resumed_with_another_option_and_the_option_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, path) = (drawn(folder.path()), folder.path().join("run"));
    let job = || Job { mixed: Some([0.4, 1.0]), ..Job::default() };
    run(&data, &path, &job(), 4).expect_err("a run that stops");
    let whole = fs::read(&path).expect("a checkpoint");
    let generator = |builder: gradus::augment::ImageDataGeneratorBuilder| Job {
        generator: builder.build().expect("valid"),
        ..job()
    };
    for (other, what, was, is) in [
        (generator(tutorial().rotation_range(9.0)), "data", "range: 15.0", "range: 9.0"),
        (generator(tutorial().zoom_range(0.5)), "data", "zoom_range: ", "zoom_range: "),
        (generator(tutorial().vertical_flip(true)), "data", "flip: false", "flip: true"),
        (Job { shuffle: false, ..job() }, "data", "shuffle: true", "shuffle: false"),
        (Job { bad_images: BadImages::Replace, ..job() }, "data", "Skip", "Replace"),
        (Job { randomness: Randomness::Keras, ..job() }, "data", "Keyed", "Keras"),
        (Job { interpolation: Interpolation::Bilinear, ..job() }, "data", "Nearest", "Bilinear"),
        (Job { exif: true, ..job() }, "data", "orientation: false", "orientation: true"),
        (Job { mixed: Some([0.5, 1.0]), ..job() }, "data", "alpha: 0.4", "alpha: 0.5"),
        (Job { mixed: Some([0.4, 0.9]), ..job() }, "data", "alpha: 1.0", "alpha: 0.9"),
        (Job { patience: 6, ..job() }, "list of callbacks", "patience: 5", "patience: 6"),
        (Job { precision: Precision::Bf16, ..job() }, "precision", "f32", "bf16"),
        (Job { exact: true, ..job() }, "choice of set_exact", "false", "true"),
    ] {
        let error = run(&data, &path, &other, 0).expect_err("another run");
        let Error::Checkpoint(CheckpointError::OtherRun {
            what: found, expected, found: now, ..
        }) = &error
        else {
            panic!("{is}: {error}");
        };
        assert!(found.starts_with(what) && expected.contains(was) && now.contains(is), "{error}");
        assert!(expected.len() < 80, "not what differs alone: {error}");
    }
    assert!(fs::read(&path).expect("a checkpoint") == whole, "a refusal changes nothing");
    run(&data, &path, &job(), 0).expect("the rest of the run");
}

#[test]
fn a_generator_that_only_documents_keras_is_remarked_upon() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = drawn(folder.path());
    let mut job = Job { randomness: Randomness::Keras, ..Job::default() };
    let remarks = open(&data, &job).found().remarks.join("; ");
    assert!(remarks.contains("Compatibility::Keras"), "{remarks}");
    job.generator = tutorial().compatibility(Compatibility::Keras).build().expect("valid");
    assert!(open(&data, &job).found().remarks.is_empty());
    assert!(job.generator.description().contains("compatibility: Keras"));
}
