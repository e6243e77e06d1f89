//! Files that Keras itself wrote; `tests/keras/generate.py` says how.

use gradus_export::layers::{Flatten, Layer as _, Sequential};
use gradus_export::{Import, load_keras};
use gradus_tensor::{Context, Device};
use gradus_train::Model;
use ndarray::Array4;
use std::io::Read as _;
use std::path::PathBuf;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keras").join(name)
}

/// What Keras was asked about.
fn images() -> Array4<f32> {
    let x = |i: usize| (7 * i % 11) as f32 / 11.0;
    Array4::from_shape_vec((2, 6, 5, 1), (0..60).map(x).collect()).unwrap()
}

#[test]
fn models_that_keras_wrote_answer_as_in_keras() {
    let text = std::fs::read_to_string(file("answers.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    for name in ["keras3.keras", "keras2.h5"] {
        let mut model = load_keras(file(name), Context::new(Device::Cpu, 1)).unwrap();
        assert_eq!(model.image_shape(), [6, 5, 1]);
        let layers = model.summary();
        let names: Vec<&str> = layers.rows().iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["first", "normal", "pool", "drop", "flat", "last"]);
        let answers = model.predict(images().view()).unwrap();
        let expected: Vec<Vec<f32>> = serde_json::from_value(expected[name].clone()).unwrap();
        for (answer, expected) in answers.iter().zip(expected.concat()) {
            assert!((answer - expected).abs() < 1e-6, "{name}: {answers}");
        }
    }
}

/// A part of `branches.zip`.
fn part(name: &str) -> Vec<u8> {
    let mut archive =
        zip::ZipArchive::new(std::fs::File::open(file("branches.zip")).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn branches_that_keras_wrote_answer_as_in_keras() {
    let expected: serde_json::Value = serde_json::from_slice(&part("answers.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["branches3.keras", "branches2.h5"] {
        let path = folder.path().join(name);
        std::fs::write(&path, part(name)).unwrap();
        let mut model = load_keras(&path, Context::new(Device::Cpu, 1)).unwrap();
        assert_eq!(model.image_shape(), [6, 5, 1]);
        let answers = model.predict(images().view()).unwrap();
        let expected: Vec<Vec<f32>> = serde_json::from_value(expected[name].clone()).unwrap();
        for (answer, expected) in answers.iter().zip(expected.concat()) {
            assert!((answer - expected).abs() < 1e-6, "{name}: {answers} {expected}");
        }
        let children = model.network().children();
        let (_, base) = children.iter().find(|(name, _)| *name == "base").unwrap();
        let names: Vec<&str> = base.children().into_iter().map(|(name, _)| name).collect();
        let plus = ["c_add", "add", "d_concat"];
        let blocks = ["pad", "stem_conv", "stem_bn", "stem_relu", "a_add", "b_add"];
        let tail = if name.ends_with("h5") { &[plus[0], plus[2]][..] } else { &plus };
        assert_eq!(names, [&blocks[..], tail].concat(), "{name}");
    }
}

#[test]
fn a_group_that_contains_itself_is_refused() {
    let network = Sequential::new().add(Flatten);
    let mut model = Model::build(network, [1, 1, 2], Context::new(Device::Cpu, 1), 0).unwrap();
    let error = Import::into(&mut model).keras(file("cycle.h5")).unwrap_err();
    assert!(error.to_string().contains("more or deeper groups than Keras makes"), "{error}");
}

#[test]
fn what_is_no_file_of_keras_is_refused() {
    let context = || Context::new(Device::Cpu, 1);
    let error = load_keras(file("answers.json"), context()).unwrap_err().to_string();
    assert!(error.contains("not an HDF5 file of Keras"), "{error}");
    let error = load_keras(file("nothing.keras"), context()).unwrap_err().to_string();
    assert!(error.contains("nothing.keras") && !error.contains("HDF5"), "{error}");
}

/// The file of Keras 2 with another activation: as much shorter where JSON has blanks as it is longer.
#[test]
fn what_keras_2_means_by_hard_sigmoid_is_not_guessed() {
    let bytes = std::fs::read(file("keras2.h5")).unwrap();
    let before = br#""activation": "softmax", "use_bias": true, "kernel_initializer": {"#;
    let after = br#""activation":"hard_sigmoid","use_bias":true,"kernel_initializer":{"#;
    let at = bytes.windows(before.len()).position(|bytes| bytes == before).unwrap();
    let other = [&bytes[..at], after, &bytes[at + before.len()..]].concat();
    assert_eq!(other.len(), bytes.len());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.h5");
    std::fs::write(&path, other).unwrap();
    let error = load_keras(path, Context::new(Device::Cpu, 1)).unwrap_err().to_string();
    assert!(error.contains("last: hard_sigmoid is clip(0.2 x + 0.5, 0, 1) in Keras 2"), "{error}");
}
