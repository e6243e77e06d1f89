//! A model survives the disk, and what is not a model is refused with the reason.

use gradus::layers::Sequential;
use gradus::prelude::*;
use gradus::train::{Error, ModelError, TensorsError};
use gradus_testing::Cases;
use ndarray::Array4;
use std::fs;
use std::path::Path;

fn network() -> Sequential {
    Sequential::new()
        .add(Conv2D::new(4, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.25))
        .add(Flatten)
        .add(Dense::new(3).activation(Activation::Softmax))
}

fn model(seed: u64) -> Model {
    let classes = ["ant", "bee", "cat"].map(String::from);
    Model::build(network(), [12, 10, 3], Context::new(Device::Cpu, 1), seed)
        .expect("the layers fit")
        .with_classes(&classes)
        .with_rescale(1.0 / 255.0)
}

fn images() -> Array4<f32> {
    let values = Cases::new("saved model", 0).normal(5 * 12 * 10 * 3);
    Array4::from_shape_vec((5, 12, 10, 3), values).expect("as many pixels")
}

fn load(folder: &Path) -> Result<Model, Error> {
    Model::load(folder, Context::new(Device::Cpu, 1))
}

#[test]
fn what_is_loaded_answers_as_what_was_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut saved = model(3);
    let version = saved.save(folder.path()).expect("saved");
    let mut loaded = load(&version).expect("loaded");
    assert_eq!(loaded.classes(), ["ant", "bee", "cat"]);
    assert_eq!((loaded.image_shape(), loaded.rescale()), ([12, 10, 3], 1.0 / 255.0));
    let answers = saved.predict(images().view()).expect("answers");
    assert_eq!(answers, loaded.predict(images().view()).expect("answers"));
    for row in answers.rows() {
        assert!((row.sum() - 1.0).abs() < 1e-6, "probabilities, not logits: {row}");
    }
    assert_ne!(answers, model(4).predict(images().view()).expect("answers"));
}

#[test]
fn a_folded_model_answers_the_same() {
    let mut model = Model::build(
        network().add(Dense::new(4)).add(BatchNormalization::new()).add(Dense::new(3)),
        [12, 10, 3],
        Context::new(Device::Cpu, 1),
        3,
    )
    .expect("the layers fit");
    model.compile(RMSprop::default(), CategoricalCrossentropy::new()).expect("compiled");
    let answers = model.predict(images().view()).expect("answers");
    assert_eq!(model.fold_batch_normalization(), 1, "the other one lies before pooling");
    let folded = model.predict(images().view()).expect("answers");
    let off = (&answers - &folded).mapv(f32::abs).into_iter().fold(0.0, f32::max);
    assert!(off < 1e-6, "{off}");
}

#[test]
fn versions_count_up_and_nothing_else_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let models = folder.path().join("models");
    let (one, two) = (model(1).save(&models), model(2).save(&models));
    assert_eq!(one.expect("saved"), models.join("1"));
    assert_eq!(two.expect("saved"), models.join("2"));
    fs::create_dir(models.join("41")).expect("a folder");
    fs::write(models.join("notes.txt"), "mine").expect("a file");
    assert_eq!(model(3).save(&models).expect("saved"), models.join("42"));
    let mut names: Vec<_> = fs::read_dir(&models)
        .expect("the folder")
        .map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert_eq!(names, ["1", "2", "41", "42", "notes.txt"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("models");
    fs::write(&file, "a file, not a folder").expect("a file");
    let error = model(1).save(&file).expect_err("a file is no folder");
    assert!(matches!(&error, Error::Write(e) if e.path == file), "{error}");
}

#[test]
fn all_differences_of_the_weights_are_named_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = Sequential::new().add(Flatten).add(Dense::new(3)).add(Dense::new(3));
    let other = Model::build(other, [12, 10, 3], Context::new(Device::Cpu, 1), 0).expect("fits");
    let (ours, theirs) = (model(1).save(folder.path()), other.save(folder.path()));
    let (ours, theirs) = (ours.expect("saved"), theirs.expect("saved"));
    fs::copy(theirs.join("model.safetensors"), ours.join("model.safetensors")).expect("a copy");
    let error = load(&ours).expect_err("other weights");
    let Error::Model(ModelError::Weights(TensorsError::Mismatch { problems, .. })) = &error else {
        panic!("{error}")
    };
    let has = |text: &str| problems.iter().any(|p| p.contains(text));
    assert!(has("conv2d.kernel is missing"), "{error}");
    assert!(has("dense.kernel is F32 [360, 3], expected F32 [80, 3]"), "{error}");
    assert!(has("dense_1.bias is unexpected"), "{error}");
    assert_eq!(problems.len(), 6 + 1 + 2, "{error}");
}

#[test]
fn what_is_not_a_model_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let version = model(1).save(folder.path()).expect("saved");
    let (json, weights) = (version.join("model.json"), version.join("model.safetensors"));
    let (good_json, good_weights) = (fs::read(&json).expect("a file"), fs::read(&weights));
    let good_weights = good_weights.expect("a file");
    let with = |json_text: &[u8], weight_bytes: &[u8]| {
        fs::write(&json, json_text).expect("written");
        fs::write(&weights, weight_bytes).expect("written");
        match load(&version).expect_err("not a model") {
            Error::Model(error) => error,
            other => panic!("{other}"),
        }
    };
    let replaced = |from: &str, to: &str| {
        let text = String::from_utf8(good_json.clone()).expect("UTF-8");
        assert!(text.contains(from), "{text}");
        text.replacen(from, to, 1).into_bytes()
    };
    assert!(matches!(with(b"{", &good_weights), ModelError::Description { .. }));
    let newer = with(&replaced("\"gradus\": 1", "\"gradus\": 99"), &good_weights);
    assert!(newer.to_string().contains("format 99"), "{newer}");
    let unknown = with(&replaced("Dropout", "Dropin"), &good_weights);
    assert!(unknown.to_string().contains("no layer of class \"Dropin\""), "{unknown}");
    let unfit = with(&replaced("\"units\": 3", "\"units\": \"three\""), &good_weights);
    assert!(matches!(unfit, ModelError::Network { .. }), "{unfit}");
    for cut in [0, 7, 100, good_weights.len() - 1] {
        let error = with(&good_json, &good_weights[..cut]);
        assert!(
            matches!(error, ModelError::Weights(TensorsError::Format { .. })),
            "cut at {cut}: {error}"
        );
    }
    let mut huge = good_weights;
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(with(&good_json, &huge), ModelError::Weights(TensorsError::Format { .. })));
    assert!(matches!(load(folder.path()), Err(Error::Model(ModelError::Read { .. }))));
}

/// What a saved model says once a part of its description is another.
fn refused(from: &str, to: &str) -> ModelError {
    let folder = tempfile::tempdir().expect("a folder");
    let version = model(1).save(folder.path()).expect("saved");
    let json = version.join("model.json");
    let text = fs::read_to_string(&json).expect("a file");
    assert!(text.contains(from), "{text}");
    fs::write(&json, text.replacen(from, to, 1)).expect("written");
    match load(&version).expect_err("hostile") {
        Error::Model(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_description_that_asks_for_more_than_the_file_has_costs_nothing() {
    let error = refused("\"units\": 3", "\"units\": 2000000000");
    let ModelError::Weights(TensorsError::Mismatch { problems, .. }) = &error else {
        panic!("{error}")
    };
    let has = |text: &str| problems.iter().any(|p| p.contains(text));
    assert!(has("dense.kernel is F32 [80, 3], expected F32 [80, 2000000000]"), "{error}");
    assert!(has("dense.bias is F32 [3], expected F32 [2000000000]"), "{error}");
    assert!(has("the network has 162000000128 numbers, the file at most 371"), "{error}");
    let error = refused("\"filters\": 4", "\"filters\": 99999999999");
    assert!(error.to_string().contains("filters has 99999999999"), "{error}");
}

#[test]
fn sizes_that_no_computer_can_count_are_refused() {
    let huge = "\"image_shape\": [\n    18446744073709551615,";
    let error = refused("\"image_shape\": [\n    12,", huge);
    assert!(matches!(error, ModelError::Shape { .. }), "{error}");
    let mut inside = r#"{"class_name": "Flatten", "config": {"name": "x"}}"#.to_owned();
    for _ in 0..200 {
        let chain = r#"{"class_name": "Sequential", "config": {"name": "x", "layers": ["#;
        inside = format!("{chain}{inside}]}}}}");
    }
    let error = refused("\"layers\": [", &format!("\"layers\": [{inside},"));
    assert!(error.to_string().contains("recursion limit"), "{error}");
    let branch = r#"{"class_name": "Dropout", "config": {"rate": 0.1}}"#;
    let double = |i| {
        let branches = format!(r#""name": "x{i}", "branches": [{branch}, {branch}]"#);
        format!(r#"{{"class_name": "Concatenate", "config": {{{branches}}}}},"#)
    };
    let layers: String = (0..70).map(double).collect();
    let error = refused("\"layers\": [", &format!("\"layers\": [{layers}"));
    assert!(matches!(error, ModelError::Shape { .. }), "{error}");
    let error = refused("\"rescale\": 0.0", "\"rescale\": 1e39, \"was\": 0.0");
    assert!(error.to_string().contains("rescale is inf"), "{error}");
    let long = format!("\"classes\": [\"{}\"", "a".repeat(1 << 19));
    let error = refused("\"classes\": [\n    \"ant\"", &long);
    assert!(error.to_string().contains("more than 524288 bytes"), "{error}");
}

#[test]
fn how_images_were_resized_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let bilinear = gradus::data::Interpolation::Bilinear;
    let version = model(1).with_interpolation(bilinear).save(folder.path()).expect("saved");
    assert_eq!(load(&version).expect("loaded").interpolation(), bilinear);
    let text = fs::read_to_string(version.join("model.json")).expect("a file");
    assert!(text.contains("\"interpolation\": \"bilinear\""), "{text}");
}

#[test]
fn images_of_another_size_are_refused() {
    let error = model(1).predict(Array4::zeros((1, 10, 12, 3)).view()).expect_err("turned");
    assert!(error.to_string().contains("[12, 10, 3]"), "{error}");
}
