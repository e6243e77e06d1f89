//! Keras's own order and numbers, as `golden/keras_order.py` recorded them from its generator.

use gradus_data::ndarray::{Array4, ArrayView3, ArrayViewMut3};
use gradus_data::{DataLoader, Error, Flow, InMemory, Manifest, Randomness, Source};
use gradus_data::{flow, flow_from_dataframe};
use gradus_random::Domain;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("golden/keras_order.json")).unwrap()
}

fn number(case: &Value, name: &str) -> usize {
    case[name].as_u64().unwrap() as usize
}

/// Draws two numbers from the source, as the recorder of the script does.
fn draw(source: Source<'_>, _: ArrayView3<'_, u8>, mut into: ArrayViewMut3<'_, f32>) {
    let mut rng = source.stream(Domain::named("test"));
    // Both in full: an f64 in two halves that are exact as f32.
    for value in into.as_slice_mut().unwrap()[..4].chunks_mut(2) {
        let drawn = rng.uniform();
        value[0] = drawn as f32;
        value[1] = (drawn - f64::from(value[0])) as f32;
    }
}

fn described<S>(flow: Flow<S>, case: &Value, saved: &Path, workers: usize) -> Flow<S> {
    let flow = flow
        .batch_size(number(case, "batch_size"))
        .seed(case["seed"].as_u64().unwrap())
        .shuffle(case["shuffle"].as_bool().unwrap())
        .randomness(Randomness::Keras)
        .transform(draw)
        .workers(workers);
    match case["save"].as_bool().unwrap() {
        true => flow.save_to_dir(saved).save_prefix("x"),
        false => flow,
    }
}

fn open(case: &Value, images: &TempDir, saved: &Path, workers: usize) -> DataLoader {
    let n = number(case, "n");
    if case["kind"] == "array" {
        let dataset = InMemory::new(Array4::zeros((n, 2, 2, 3)), vec![0; n], &["a"]).unwrap();
        return described(flow(dataset), case, saved, workers).open().unwrap();
    }
    let name = |i: usize| format!("{i}.png");
    for i in 0..n {
        image::RgbImage::new(2, 2).save(images.path().join(name(i))).unwrap();
    }
    let rows = (0..n).map(|i| [name(i), ["a", "b"][i % 2].to_string()]);
    let frame = Manifest::from_rows(&["filename", "class"], rows).unwrap();
    let flow = flow_from_dataframe(&frame, images.path()).target_size(2, 2);
    described(flow, case, saved, workers).open().unwrap()
}

/// Whether a batch is the one that Keras made at that step.
fn compare(case: &Value, batch: &gradus_data::Batch, step: &Value, saved: &Path) {
    let numbers = |v: &Value| -> Vec<u64> {
        v.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
    };
    let rows: Vec<u64> = batch.rows().iter().map(|&r| u64::from(r)).collect();
    assert_eq!(rows, numbers(&step["rows"]), "{case}");
    for (image, drawn) in batch.images().outer_iter().zip(step["draws"].as_array().unwrap()) {
        for (pair, drawn) in image.as_slice().unwrap().chunks(2).zip(drawn.as_array().unwrap()) {
            let ours = f64::from(pair[0]) + f64::from(pair[1]);
            assert!((ours - drawn.as_f64().unwrap()).abs() < 1e-14, "{ours} and {drawn}");
        }
    }
    for (row, number) in rows.iter().zip(numbers(&step["numbers"])) {
        let path = saved.join(format!("x_{row}_{number}.png"));
        assert!(path.is_file(), "{} is not there", path.display());
    }
}

#[test]
fn rows_draws_and_file_numbers_are_those_of_keras() {
    for case in cases() {
        for workers in [0, 3] {
            let (images, saved) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let mut loader = open(&case, &images, saved.path(), workers);
            for (epoch, steps) in (0..).zip(case["epochs"].as_array().unwrap()) {
                loader.start(epoch, None);
                for step in steps.as_array().unwrap() {
                    let batch = loader.next_batch().unwrap().unwrap();
                    compare(&case, batch, step, saved.path());
                }
                assert!(loader.next_batch().is_none());
            }
        }
    }
}

#[test]
fn any_step_of_any_epoch_can_be_taken_up() {
    for case in cases() {
        let (images, saved) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut loader = open(&case, &images, saved.path(), 2);
        for (epoch, steps) in
            (0u32..).zip(case["epochs"].as_array().unwrap()).collect::<Vec<_>>().into_iter().rev()
        {
            for (first, step) in steps.as_array().unwrap().iter().enumerate().rev() {
                loader.start_at(epoch, first, None);
                compare(&case, loader.next_batch().unwrap().unwrap(), step, saved.path());
            }
        }
    }
}

#[test]
fn a_seed_that_numpy_refuses_is_refused() {
    let dataset = InMemory::new(Array4::zeros((2, 1, 1, 3)), vec![0, 0], &["a"]).unwrap();
    let flow = flow(dataset).seed(1 << 32).randomness(Randomness::Keras);
    assert!(matches!(flow.open(), Err(Error::Argument { argument: "seed", .. })));
}
