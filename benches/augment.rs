//! Images a second on one core: augmentation alone, and a file on its way into a batch.
//!
//! ```text
//! cargo bench --bench augment
//! GRADUS_BENCH_IMAGES=DIR cargo bench --bench augment -- file      with JPEG files of your own
//! python benches/augment_keras.py DIR                              the same work in Keras
//! ```
//!
//! Throughput is in images a second ("elements"). Images are 128 x 128 x 3, the parameters the
//! tutorial's, bilinear with `fill_mode` nearest. Both sides draw anew for every image.

#[path = "common/tutorial.rs"]
mod tutorial;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gradus::augment::{
    ColorJitter, ImageDataGenerator, ImageDataGeneratorBuilder, Pipeline, RandAugment,
    RandomErasing, RandomResizedCrop,
};
use gradus::data::synthetic::{Class, Synthetic};
use gradus::data::{Decoder, Interpolation, Transform};
use gradus::random::Key;
use ndarray::Array3;
use std::path::PathBuf;
use std::time::Duration;
use tutorial::tutorial;

const SHAPE: (usize, usize, usize) = (128, 128, 3);

fn transforms() -> [(&'static str, Box<dyn Transform>); 5] {
    let generator = |builder: ImageDataGeneratorBuilder| builder.build().expect("valid");
    let values = tutorial().channel_shift_range(20.0).brightness_range([0.8, 1.2]);
    let rescale = || ImageDataGenerator::builder().rescale(1.0 / 255.0).build().expect("valid");
    let jitter = ColorJitter::new(0.4, 0.4, 0.4, 0.1).expect("valid");
    let imagenet = Pipeline::new().then(RandomResizedCrop::default()).then(jitter);
    let strong = Pipeline::new().then(RandAugment::default()).then(RandomErasing::default());
    [
        ("tutorial", Box::new(generator(tutorial()).transform())),
        ("brightness and channel shift", Box::new(generator(values).transform())),
        ("samplewise", {
            Box::new(generator(tutorial().samplewise_std_normalization(true)).transform())
        }),
        ("crop and jitter", Box::new(imagenet.then(rescale()).transform())),
        ("rand augment and erasing", Box::new(strong.then(rescale()).transform())),
    ]
}

fn key(index: u32) -> Key {
    Key { seed: 1, epoch: 0, index }
}

fn augment(c: &mut Criterion) {
    let mut group = c.benchmark_group("augment");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(4));
    let photo = Array3::from_shape_fn(SHAPE, |(r, c, k)| (r * 7 + c * 3 + k * 40) as u8);
    let mut image = Array3::zeros(SHAPE);
    for (name, transform) in transforms() {
        let mut index = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                index += 1;
                transform.apply(key(index).into(), photo.view(), image.view_mut());
            });
        });
    }
    group.finish();
}

/// Read, decode, resize and augment.
fn file(c: &mut Criterion) {
    let drawn = tempfile::tempdir().expect("a folder");
    let files = files(drawn.path());
    let mut group = c.benchmark_group("file");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(4));
    let (mut decoder, mut resized) = (Decoder::default(), Array3::zeros(SHAPE));
    let mut image = Array3::zeros(SHAPE);
    let transform = tutorial().build().expect("valid").transform();
    let mut index = 0;
    group.bench_function("decode, resize, augment", |b| {
        b.iter(|| {
            index += 1;
            let original = decoder.read(&files[index as usize % files.len()]).expect("an image");
            Interpolation::Nearest.resize(original, resized.view_mut());
            transform.apply(key(index).into(), resized.view(), image.view_mut());
        });
    });
    group.finish();
}

/// The JPEG files of `GRADUS_BENCH_IMAGES`, or drawings of about 200 x 200 pixels.
fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    if let Some(own) = std::env::var_os("GRADUS_BENCH_IMAGES") {
        let entries = std::fs::read_dir(own).expect("GRADUS_BENCH_IMAGES is a folder");
        return entries.map(|entry| entry.expect("an entry").path()).collect();
    }
    let set = Synthetic::default().size(200);
    let write = |index: u32| {
        let path = folder.join(format!("{index}.jpg"));
        set.draw(index, Class::ALL[index as usize % 2]).save(&path).expect("a file");
        path
    };
    (0..40).map(write).collect()
}

criterion_group!(benches, augment, file);
criterion_main!(benches);
