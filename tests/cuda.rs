//! The job on a GPU: a real one, or the emulated one where there is none. What the CPU learns the
//! GPU learns; recorded steps, repeated runs and resumed ones give the same bits.

use gradus::data::{DataLoader, InMemory, Source, flow};
use gradus::layers::Sequential;
use gradus::prelude::*;
use gradus::tensor::gpu::Gpu;
use gradus::tensor::{FieldMut, Fields, Path};
use gradus::train::{Checkpoint, Verbosity};
use gradus_testing::{Cases, gpu};
use ndarray::{Array4, ArrayView3, ArrayViewMut3};
use std::path::Path as Folder;

const SIDE: usize = 14;
/// Batches of 8, 8 and 6.
const IMAGES: usize = 22;

/// The reference network in small: everything that it has, once.
fn network() -> Sequential {
    Sequential::new()
        .add(Conv2D::new(8, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.25))
        .add(Conv2D::new(12, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(20).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(Dropout::new(0.5))
        .add(Dense::new(2).activation(Activation::Softmax))
}

fn rescale(_: Source<'_>, bytes: ArrayView3<'_, u8>, mut floats: ArrayViewMut3<'_, f32>) {
    floats.zip_mut_with(&bytes, |float, byte| *float = f32::from(*byte) / 255.0);
}

/// Noise whose class is whether it is brighter than the middle.
fn data() -> DataLoader {
    let mut cases = Cases::new("images on a GPU", 0);
    let pixels = cases.normal(IMAGES * SIDE * SIDE * 3);
    let pixels = pixels.into_iter().enumerate().map(|(i, v)| {
        let shift = if (i / (SIDE * SIDE * 3)).is_multiple_of(2) { 20.0 } else { -20.0 };
        (128.0 + shift + 30.0 * v).clamp(0.0, 255.0) as u8
    });
    let images = Array4::from_shape_vec((IMAGES, SIDE, SIDE, 3), pixels.collect());
    let images = images.expect("as many pixels");
    let labels = (0..IMAGES).map(|i| i as u32 % 2).collect();
    let set = InMemory::new(images, labels, &["bright", "dark"]).expect("a set");
    flow(set).batch_size(8).workers(0).transform(rescale).open().expect("a loader")
}

fn model(device: &Device) -> Model {
    let context = Context::new(device.clone(), 2);
    let mut model = Model::build(network(), [SIDE, SIDE, 3], context, 7).expect("a model");
    model.compile(RMSprop::default(), CategoricalCrossentropy::new()).expect("compiled");
    model
}

/// Losses and validation losses of the epochs, and all that the network has.
fn run(mut model: Model, epochs: u32, checkpoint: Option<Checkpoint>) -> (Vec<f64>, Vec<f32>) {
    let (mut train, mut validation) = (data(), data());
    let fit = Fit {
        epochs,
        validation_data: Some(&mut validation),
        checkpoint,
        verbose: Verbosity::Silent,
        ..Fit::default()
    };
    let history = model.fit(&mut train, fit).expect("a run");
    let mut losses = Vec::new();
    for name in ["loss", "accuracy", "val_loss", "val_accuracy"] {
        losses.extend(history.column(name).expect("a column").iter().map(|v| v.expect("a value")));
    }
    let numbers = numbers_of(&model);
    (losses, numbers)
}

/// All that the network has.
fn numbers_of(model: &Model) -> Vec<f32> {
    let mut numbers = Vec::new();
    model.network().visit(&mut Path::default(), &mut |_, field| {
        numbers.extend_from_slice(&field.value().numbers::<f32>());
    });
    numbers
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn a_gpu_learns_what_the_cpu_learns() {
    let Some(gpu) = gpu() else { return };
    let (expected, _) = run(model(&Device::Cpu), 3, None);
    let (found, _) = run(model(&Device::Cuda(gpu)), 3, None);
    assert_eq!(found.len(), expected.len());
    for (column, (found, expected)) in found.chunks(3).zip(expected.chunks(3)).enumerate() {
        for (found, expected) in found.iter().zip(expected) {
            // Nine updates amplify what rounding differs by. An accuracy jumps where an image lies
            // between two classes: by that image.
            let most = match column % 2 {
                0 => 1e-3 * expected.abs(),
                _ => 1.0 / IMAGES as f64 + 1e-9,
            };
            assert!((found - expected).abs() <= most, "column {column}: {found} {expected}");
        }
    }
}

#[test]
fn recorded_steps_and_single_kernels_give_the_same_bits() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu);
    let recorded = run(model(&device), 3, None);
    let mut eager = model(&device);
    eager.set_graphs(false);
    let eager = run(eager, 3, None);
    assert_eq!(recorded.0, eager.0);
    assert_eq!(bits(&recorded.1), bits(&eager.1));
    let again = run(model(&device), 3, None);
    assert_eq!(bits(&recorded.1), bits(&again.1), "a second run");
}

/// Two epochs: the second is of recorded steps, where steps are recorded.
fn fit_once(model: &mut Model) {
    let fit = Fit { epochs: 2, verbose: Verbosity::Silent, ..Fit::default() };
    model.fit(&mut data(), fit).expect("two epochs");
}

/// All that the network has, after `between` two runs: of a model that records its steps, and of
/// one that does not.
fn recorded_and_eager(device: &Device, between: impl Fn(&mut Model)) -> [Vec<u32>; 2] {
    [true, false].map(|graphs| {
        let mut model = model(device);
        model.set_graphs(graphs);
        fit_once(&mut model);
        between(&mut model);
        fit_once(&mut model);
        bits(&numbers_of(&model))
    })
}

#[test]
fn a_recorded_step_outlives_no_scratch_memory() {
    let Some(gpu) = gpu() else { return };
    let [recorded, eager] = recorded_and_eager(&Device::Cuda(gpu), |model| {
        // More images than a batch of training has: the scratch grows, and moves.
        let answers = model.predict(Array4::zeros((96, SIDE, SIDE, 3)).view());
        assert_eq!(answers.expect("answers").dim(), (96, 2));
    });
    assert!(recorded == eager, "other bits than without recording");
}

#[test]
fn what_is_frozen_or_replaced_through_its_fields_counts_for_recorded_steps() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu);
    let kernel = |model: &Model| {
        let mut found = Vec::new();
        model.network().visit(&mut Path::default(), &mut |path, field| {
            if path.as_str() == "dense.kernel" {
                found = bits(&field.value().numbers::<f32>());
            }
        });
        found
    };
    let freeze = |model: &mut Model| {
        model.fields_mut().visit_mut(&mut Path::default(), &mut |path, field| {
            if let (true, FieldMut::Param(param)) = (path.as_str().starts_with("dense."), field) {
                param.frozen = true;
            }
        });
    };
    let mut frozen = model(&device);
    fit_once(&mut frozen);
    freeze(&mut frozen);
    let before = kernel(&frozen);
    fit_once(&mut frozen);
    assert!(!before.is_empty());
    assert!(kernel(&frozen) == before, "a frozen kernel moved");
    let [recorded, eager] = recorded_and_eager(&device, freeze);
    assert!(recorded == eager, "frozen on the way: other bits");
    // A copy of each tensor, in another place and with another sign.
    let replace = |model: &mut Model| {
        model.fields_mut().visit_mut(&mut Path::default(), &mut |path, field| {
            if path.as_str() == "dense.kernel" {
                let value = field.into_value();
                let numbers: Vec<f32> = value.numbers::<f32>().iter().map(|v| -v).collect();
                *value = value.clone();
                value.write(&numbers);
            }
        });
    };
    let [recorded, eager] = recorded_and_eager(&device, replace);
    assert!(recorded == eager, "replaced on the way: other bits");
}

#[test]
fn a_resumed_run_gives_the_bits_of_the_whole_one() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.checkpoint");
    let whole = run(model(&device), 3, None);
    run(model(&device), 1, Some(Checkpoint::new(&path)));
    let resumed = run(model(&device), 3, Some(Checkpoint::new(&path).resume(true)));
    assert_eq!(bits(&whole.1), bits(&resumed.1));
}

#[test]
fn a_model_saved_from_a_gpu_answers_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let device = Device::Cuda(gpu);
    let mut trained = model(&device);
    let fit = Fit { verbose: Verbosity::Silent, ..Fit::default() };
    trained.fit(&mut data(), fit).expect("an epoch");
    let version = trained.save(folder.path()).expect("saved");
    let answers = |device: &Device, version: &Folder| {
        let context = Context::new(device.clone(), 1);
        let mut model = Model::load(version, context).expect("loaded");
        model.predict_batches(&mut data(), None).expect("answers")
    };
    let [on_gpu, on_cpu] = [&device, &Device::Cpu].map(|device| answers(device, &version));
    let own = trained.predict_batches(&mut data(), None).expect("answers");
    assert_eq!(on_gpu, own);
    assert!((on_gpu - on_cpu).iter().all(|difference| difference.abs() < 1e-5));
}

#[test]
fn steps_on_a_gpu_allocate_nothing_there() {
    let Some(gpu) = gpu() else { return };
    let mut model = model(&Device::Cuda(gpu.clone()));
    let epoch = |model: &mut Model, gpu: &Gpu| {
        let fit = Fit { verbose: Verbosity::Silent, ..Fit::default() };
        let before = gpu.allocations();
        model.fit(&mut data(), fit).expect("an epoch");
        gpu.allocations() - before
    };
    epoch(&mut model, &gpu);
    assert_eq!(epoch(&mut model, &gpu), 0);
}

#[test]
fn every_precision_learns_and_a_new_one_counts_from_the_next_step_on() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu);
    let rounded = |precision| {
        let mut model = model(&device);
        model.set_precision(precision);
        model
    };
    let (exact, _) = run(model(&device), 3, None);
    for precision in [Precision::Tf32, Precision::Bf16] {
        let (losses, _) = run(rounded(precision), 3, None);
        assert_ne!(losses, exact, "{precision}: nothing was rounded");
        // Nine updates amplify what rounding to 7 bits differs by; accuracies move by whole samples,
        // two of them at most.
        let pairs = losses.chunks(3).zip(exact.chunks(3)).enumerate();
        for (column, (losses, exact)) in pairs {
            let two = 2.0 / IMAGES as f64 + 1e-9;
            let near = |(a, b): (&f64, &f64)| match column {
                0 | 2 => (a - b).abs() < 0.1 * b,
                _ => (a - b).abs() < two,
            };
            assert!(losses.iter().zip(exact).all(near), "{precision}: {losses:?} {exact:?}");
        }
    }
    let in_two_precisions = |graphs| {
        let mut model = rounded(Precision::Bf16);
        model.set_graphs(graphs);
        let mut losses = Vec::new();
        for precision in [Precision::Bf16, Precision::F32] {
            model.set_precision(precision);
            let fit = Fit { epochs: 2, verbose: Verbosity::Silent, ..Fit::default() };
            let history = model.fit(&mut data(), fit).expect("two epochs");
            losses.extend_from_slice(history.column("loss").expect("losses"));
        }
        losses
    };
    assert_eq!(in_two_precisions(true), in_two_precisions(false), "a recording of the other");
}
