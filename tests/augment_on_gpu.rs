//! Augmentation on a GPU: a real one, or the emulated one where there is none. Whoever makes the
//! pictures, workers or the device, a run has the same bits; and so it may go on with the other.

use gradus::augment::Compatibility;
use gradus::data::{ClassMode, DataLoader, InMemory, Randomness, flow};
use gradus::layers::Sequential;
use gradus::prelude::*;
use gradus::tensor::{Fields, Path};
use gradus::train::{Batch, Batches, Checkpoint, Images, Verbosity};
use gradus_testing::{Cases, gpu};
use ndarray::Array4;

const SIZE: [usize; 3] = [13, 15, 3];
/// Batches of 8, 8 and 6.
const IMAGES: usize = 22;

fn images() -> Array4<u8> {
    let [h, w, c] = SIZE;
    let pixels = Cases::new("augmented on a GPU", 0).normal(IMAGES * h * w * c);
    let bytes = pixels.into_iter().map(|v| (128.0 + 50.0 * v) as u8).collect();
    Array4::from_shape_vec((IMAGES, h, w, c), bytes).expect("as many pixels")
}

/// Everything that a device is told.
fn generator() -> ImageDataGenerator {
    let mut generator = ImageDataGenerator::builder()
        .rotation_range(15.0)
        .shear_range(5.0)
        .zoom_range(0.2)
        .width_shift_range(0.1)
        .height_shift_range(0.1)
        .horizontal_flip(true)
        .vertical_flip(true)
        .brightness_range([0.6, 1.4])
        .rescale(1.0 / 255.0)
        .featurewise_center(true)
        .featurewise_std_normalization(true)
        .fill_mode(gradus::augment::FillMode::Reflect)
        .compatibility(Compatibility::Keras)
        .build()
        .expect("a generator");
    generator.fit(images().view(), false, 1, 0).expect("fitted");
    generator
}

fn data(randomness: Randomness) -> DataLoader {
    let labels = (0..IMAGES).map(|i| i as u32 % 2).collect();
    let set = InMemory::new(images(), labels, &["even", "odd"]).expect("a set");
    let flow = flow(set).batch_size(8).seed(5).workers(2).randomness(randomness);
    flow.transform(generator().transform()).open().expect("a loader")
}

fn model(device: &Device, augment_on_gpu: bool) -> Model {
    let network = Sequential::new()
        .add(Conv2D::new(4, 3).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(2).activation(Activation::Softmax));
    let context = Context::new(device.clone(), 2);
    let mut model = Model::build(network, SIZE, context, 7).expect("a model");
    model.compile(RMSprop::default(), CategoricalCrossentropy::new()).expect("compiled");
    model.set_augment_on_gpu(augment_on_gpu);
    model
}

/// Bits of all that the network has after that many epochs, and of its losses.
fn run(model: &mut Model, epochs: u32, checkpoint: Option<Checkpoint>) -> Vec<u64> {
    let (mut train, mut validation) = (data(Randomness::Keyed), data(Randomness::Keras));
    let fit = Fit {
        epochs,
        validation_data: Some(&mut validation),
        checkpoint,
        verbose: Verbosity::Silent,
        ..Fit::default()
    };
    let history = model.fit(&mut train, fit).expect("a run");
    let mut bits = Vec::new();
    for name in ["loss", "val_loss"] {
        let losses = history.column(name).expect("a column").iter();
        bits.extend(losses.map(|v| v.expect("a value").to_bits()));
    }
    model.network().visit(&mut Path::default(), &mut |_, field| {
        bits.extend(field.value().numbers::<f32>().iter().map(|v| u64::from(v.to_bits())));
    });
    bits
}

#[test]
fn a_loader_s_bytes_become_its_pictures() {
    for randomness in [Randomness::Keyed, Randomness::Keras] {
        let (mut plain, mut raw) = (data(randomness), data(randomness));
        for epoch in 0..2 {
            plain.start(epoch, None);
            raw.start_bytes_at(epoch, 0, None);
            while let Some(expected) = plain.next_batch() {
                let expected = expected.expect("a batch");
                let found = raw.next_batch().expect("as many").expect("a batch");
                let (pixels, maps) = found.bytes().expect("all of it fits a map");
                let mut made = Array4::zeros(pixels.dim());
                Images::Bytes { pixels, maps }.write(made.view_mut());
                assert_eq!((found.rows(), found.targets()), (expected.rows(), expected.targets()));
                assert!(made == expected.images(), "{randomness:?}, epoch {epoch}");
            }
            assert!(raw.next_batch().is_none());
        }
        // And floats again, for whoever asks for them.
        raw.start(0, None);
        plain.start(0, None);
        let found = raw.next_batch().expect("one").expect("a batch");
        let expected = plain.next_batch().expect("one").expect("a batch");
        assert!(found.bytes().is_none() && found.images() == expected.images());
    }
}

/// A loader, and whether its batches came as bytes.
struct Noting(DataLoader, Vec<bool>);

impl Batches for Noting {
    fn samples(&self) -> usize {
        self.0.samples()
    }

    fn batch_size(&self) -> usize {
        Batches::batch_size(&self.0)
    }

    fn image_shape(&self) -> [usize; 3] {
        Batches::image_shape(&self.0)
    }

    fn classes(&self) -> &[String] {
        Batches::classes(&self.0)
    }

    fn start(&mut self, epoch: u32, done: usize, steps: usize) {
        Batches::start(&mut self.0, epoch, done, steps);
    }

    fn start_bytes(&mut self, epoch: u32, done: usize, steps: usize) {
        self.0.start_bytes(epoch, done, steps);
    }

    fn next_batch(&mut self) -> Option<Result<Batch<'_>, gradus::data::Error>> {
        let batch = Batches::next_batch(&mut self.0)?;
        self.1.extend(batch.iter().map(|batch| matches!(batch.images, Images::Bytes { .. })));
        Some(batch)
    }
}

#[test]
fn a_gpu_asks_for_bytes_unless_it_is_not_to() {
    let devices = gpu().map(|gpu| [(Device::Cuda(gpu.clone()), true), (Device::Cuda(gpu), false)]);
    for (device, on) in devices.into_iter().flatten().chain([(Device::Cpu, true)]) {
        let mut asked = Noting(data(Randomness::Keyed), Vec::new());
        let mut model = model(&device, on);
        model.fit(&mut asked, Fit { verbose: Verbosity::Silent, ..Fit::default() }).expect("a run");
        model.evaluate(&mut asked, None).expect("judged");
        model.predict_batches(&mut asked, None).expect("answers");
        assert_eq!(asked.1, [device != Device::Cpu && on; 9], "{device}, {on}");
    }
}

#[test]
fn a_run_has_the_same_bits_whoever_makes_its_pictures() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu);
    let by_workers = run(&mut model(&device, false), 3, None);
    assert!(run(&mut model(&device, true), 3, None) == by_workers, "recorded");
    let mut eager = model(&device, true);
    eager.set_graphs(false);
    assert!(run(&mut eager, 3, None) == by_workers, "kernel by kernel");
    let folder = tempfile::tempdir().expect("a folder");
    for (first, second) in [(true, false), (false, true)] {
        let path = folder.path().join(format!("{first}.checkpoint"));
        run(&mut model(&device, first), 1, Some(Checkpoint::new(&path)));
        let checkpoint = Checkpoint::new(&path).resume(true);
        let resumed = run(&mut model(&device, second), 3, Some(checkpoint));
        assert!(resumed == by_workers, "begun {first}, resumed {second}");
    }
}

#[test]
fn answers_and_judgements_are_the_same_too() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu);
    let [on_gpu, by_workers] = [true, false].map(|on| {
        let mut model = model(&device, on);
        let judged = model.evaluate(&mut data(Randomness::Keyed), None).expect("judged");
        let answers = model.predict_batches(&mut data(Randomness::Keyed), None).expect("answers");
        (judged.loss.to_bits(), answers)
    });
    assert_eq!(on_gpu, by_workers);
}

/// A target that is the picture needs the picture, and so does an image that is saved.
#[test]
fn what_someone_looks_at_is_made_by_the_workers() {
    let open = |class_mode| {
        let labels = (0..IMAGES).map(|i| i as u32 % 2).collect();
        let set = InMemory::new(images(), labels, &["even", "odd"]).expect("a set");
        flow(set.class_mode(class_mode).expect("of the data")).transform(generator().transform())
    };
    let folder = tempfile::tempdir().expect("a folder");
    let saved = open(ClassMode::Categorical).save_to_dir(folder.path());
    let function = open(ClassMode::Categorical).transform(
        |_: gradus::data::Source<'_>,
         _: ndarray::ArrayView3<'_, u8>,
         _: ndarray::ArrayViewMut3<'_, f32>| {},
    );
    for (flow, expected) in [
        (open(ClassMode::Categorical), true),
        (open(ClassMode::Sparse), true),
        (open(ClassMode::Input), false),
        (saved, false),
        (function, false),
    ] {
        let mut loader = flow.batch_size(8).open().expect("a loader");
        loader.start_bytes_at(0, 1, None);
        let batch = loader.next_batch().expect("one").expect("a batch");
        assert_eq!(batch.bytes().is_some(), expected);
        assert_eq!(loader.position(), 2);
    }
}
