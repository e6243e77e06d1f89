//! The same seed gives the same bits, whatever the number of threads and of workers, and another
//! seed gives others.

use gradus::data::DataLoader;
use gradus::data::synthetic::Synthetic;
use gradus::prelude::*;
use gradus::tensor::{Fields, Path};
use gradus::train::Verbosity;
use std::path::Path as Folder;

const SIDE: usize = 40;

fn loader(folder: &Folder, part: &str, workers: usize, seed: u64) -> DataLoader {
    let generator = ImageDataGenerator::builder()
        .rotation_range(15.0)
        .zoom_range(0.2)
        .horizontal_flip(true)
        .rescale(1.0 / 255.0)
        .build()
        .expect("a generator");
    let csv = folder.join(format!("dogs_vs_cats-{part}.csv"));
    flow_from_dataframe(&Manifest::read(csv).expect("a manifest"), folder)
        .y_col("category")
        .target_size(SIDE, SIDE)
        .batch_size(7)
        .seed(seed)
        .workers(workers)
        .transform(generator.transform())
        .open()
        .expect("a loader")
}

/// Every number that two epochs leave behind, as bits.
fn train(folder: &Folder, threads: usize, workers: usize, seed: u64) -> Vec<u32> {
    let mut data = loader(folder, "train", workers, seed);
    let mut validation = loader(folder, "val", workers, seed);
    let context = Context::new(Device::Cpu, threads);
    let mut model =
        Model::build(models::dogs_vs_cats(), [SIDE, SIDE, 3], context, seed).expect("a model");
    model.compile(RMSprop::default(), CategoricalCrossentropy::new()).expect("compiled");
    let fit = Fit {
        epochs: 2,
        validation_data: Some(&mut validation),
        verbose: Verbosity::Silent,
        ..Fit::default()
    };
    let history = model.fit(&mut data, fit).expect("two epochs");
    let mut bits = Vec::new();
    for name in ["loss", "accuracy", "val_loss", "val_accuracy"] {
        let column = history.column(name).expect("a column");
        bits.extend(column.iter().map(|v| v.expect("a value").to_bits() as u32));
    }
    model.network().visit(&mut Path::default(), &mut |_, field| {
        bits.extend(field.value().slice::<f32>().iter().map(|v| v.to_bits()));
    });
    bits
}

#[test]
fn threads_and_workers_change_no_bit_and_the_seed_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let set = Synthetic::default().train(24).validation(10).size(48);
    set.write(folder.path()).expect("a set");
    let reference = train(folder.path(), 1, 1, 5);
    assert!(reference.len() > 100_000);
    for (threads, workers) in [(2, 1), (1, 2), (3, 8), (1, 0)] {
        let other = train(folder.path(), threads, workers, 5);
        assert!(reference == other, "{threads} threads and {workers} workers differ");
    }
    assert!(reference != train(folder.path(), 2, 2, 6), "another seed gives the same bits");
}
