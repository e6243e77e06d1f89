//! A saved model learns a new task with its last layer alone: what is frozen keeps its bits.

use gradus::data::{InMemory, flow};
use gradus::layers::{Residual, Sequential};
use gradus::prelude::*;
use gradus::tensor::{Fields, Path};
use gradus::train::{Error, Verbosity};
use gradus_testing::Cases;
use ndarray::Array4;
use std::collections::BTreeMap;

const SIDE: usize = 12;

fn network() -> Sequential {
    let body = Sequential::new()
        .add(Conv2D::new(4, 3).padding(gradus::layers::Padding::Same))
        .add(BatchNormalization::new());
    Sequential::new()
        .add(Conv2D::new(4, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(Residual::new(body).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(2).activation(Activation::Softmax))
}

fn fit(model: &mut Model, seed: u32) -> Result<History, Error> {
    let pixels = Cases::new("fine tuning", seed).normal(8 * SIDE * SIDE * 3);
    let pixels = pixels.iter().map(|v| (128.0 + 40.0 * v) as u8).collect();
    let images = Array4::from_shape_vec((8, SIDE, SIDE, 3), pixels).expect("as many pixels");
    let dataset = InMemory::new(images, vec![0, 1, 1, 0, 1, 0, 0, 1], &["a", "b"]).expect("a set");
    let mut loader = flow(dataset).batch_size(4).open().expect("a loader");
    model.fit(&mut loader, Fit { epochs: 2, verbose: Verbosity::Silent, ..Fit::default() })
}

fn compile(model: &mut Model) {
    model.compile(RMSprop::new(), CategoricalCrossentropy::new()).expect("compiled");
}

/// Every tensor by name, moving statistics included.
fn tensors(model: &Model) -> BTreeMap<String, Vec<f32>> {
    let mut all = BTreeMap::new();
    model.network().visit(&mut Path::default(), &mut |path, field| {
        all.insert(path.to_string(), field.value().slice::<f32>().to_vec());
    });
    all
}

/// The names of what another training moved.
fn moved(before: &BTreeMap<String, Vec<f32>>, model: &Model) -> Vec<String> {
    let after = tensors(model);
    before.iter().filter(|(name, value)| after[*name] != **value).map(|(n, _)| n.clone()).collect()
}

/// A model that has learnt something, from the disk.
fn loaded() -> Model {
    let folder = tempfile::tempdir().expect("a folder");
    let mut model = Model::build(network(), [SIDE, SIDE, 3], Context::new(Device::Cpu, 2), 1)
        .expect("the layers fit");
    compile(&mut model);
    fit(&mut model, 0).expect("trained");
    let version = model.save(folder.path()).expect("saved");
    Model::load(version, Context::new(Device::Cpu, 2)).expect("loaded")
}

fn freeze_all_but_the_last(model: &mut Model) {
    let children = model.network().children();
    let names: Vec<String> = children.iter().map(|(name, _)| (*name).to_owned()).collect();
    let (_, frozen) = names.split_last().expect("layers");
    for name in frozen {
        model.set_trainable(name, false).expect("a layer of that name");
    }
}

#[test]
fn frozen_layers_keep_their_bits_and_the_head_moves() {
    let mut model = loaded();
    freeze_all_but_the_last(&mut model);
    compile(&mut model);
    let before = tensors(&model);
    assert_eq!(before.len(), 2 + 4 + 2 + 4 + 2);
    fit(&mut model, 1).expect("trained");
    assert_eq!(moved(&before, &model), ["dense.bias", "dense.kernel"]);
}

#[test]
fn a_layer_within_a_block_is_thawed_by_its_path() {
    let mut model = loaded();
    freeze_all_but_the_last(&mut model);
    model.set_trainable("residual.body.batch_normalization", true).expect("a layer of that name");
    compile(&mut model);
    let before = tensors(&model);
    fit(&mut model, 1).expect("trained");
    let thawed = ["beta", "gamma", "moving_mean", "moving_variance"];
    let thawed = thawed.map(|name| format!("residual.body.batch_normalization.{name}"));
    let moved = moved(&before, &model);
    assert_eq!(moved[..2], ["dense.bias", "dense.kernel"]);
    assert_eq!(moved[2..], thawed);
}

#[test]
fn what_is_trained_is_decided_before_compiling() {
    let mut model = loaded();
    compile(&mut model);
    model.set_trainable("conv2d", false).expect("a layer of that name");
    let error = fit(&mut model, 1).expect_err("compiled for another choice");
    assert!(matches!(error, Error::NotCompiled), "{error}");
}

#[test]
fn a_layer_that_is_not_there_is_an_error_that_names_those_that_are() {
    let mut model = loaded();
    let mut said = |path| model.set_trainable(path, false).expect_err("no such layer").to_string();
    let error = said("conv2d_7");
    assert!(error.contains("\"conv2d_7\"") && error.contains("conv2d, batch_norm"), "{error}");
    let error = said("residual.body.dense");
    assert!(error.contains("residual.body.conv2d, residual.body.batch_norm"), "{error}");
    assert!(!error.contains("flatten"), "{error}");
}
