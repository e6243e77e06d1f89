//! What callbacks say, and what they leave on disk.

use gradus_data::{DataLoader, InMemory, flow, ndarray::Array4};
use gradus_layers::{Activation, CategoricalCrossentropy, Dense, Flatten, Sequential};
use gradus_optim::RMSprop;
use gradus_tensor::{Context, Device, Fields, Path};
use gradus_train::{
    CSVLogger, Callback, Control, EarlyStopping, Error, Fit, LearningRateScheduler, Logs, Model,
    ModelCheckpoint, ModelError, ReduceLROnPlateau, Run, Verbosity,
};

/// Dark images and bright ones.
fn data() -> DataLoader {
    let images = Array4::from_shape_fn((8, 1, 1, 1), |(i, ..)| if i % 2 == 0 { 0 } else { 200 });
    let labels = (0..8).map(|i| i % 2).collect();
    let images = InMemory::new(images, labels, &["dark", "bright"]).unwrap();
    flow(images).batch_size(4).open().unwrap()
}

fn built(outputs: usize, seed: u64) -> Model {
    let dense = Dense::new(outputs).activation(Activation::Softmax);
    let network = Sequential::new().add(Flatten).add(dense);
    Model::build(network, [1, 1, 1], Context::new(Device::Cpu, 1), seed).unwrap()
}

fn weights(model: &Model) -> Vec<f32> {
    let mut all = Vec::new();
    model.network().visit(&mut Path::default(), &mut |_, field| {
        all.extend_from_slice(field.value().slice::<f32>());
    });
    all
}

/// What the callback says of epochs with these losses, and why it stops, if it does.
fn said(mut callback: impl Callback, losses: &[f64]) -> Vec<String> {
    let (model, mut logs) = (built(2, 7), Logs::default());
    let (mut control, epochs) = (Control::default(), losses.len() as u32);
    control.learning_rate = 0.01;
    callback.fit_start().unwrap();
    for (epoch, loss) in (0..).zip(losses) {
        logs.set("val_loss", *loss);
        let run = Run { epoch, epochs, step: 2, steps: 2, logs: &logs, model: &model };
        callback.epoch_start(&run, &mut control).unwrap();
        callback.epoch_end(&run, &mut control).unwrap();
        control.messages.extend(control.stop.take());
    }
    let run = Run { epoch: epochs - 1, epochs, step: 0, steps: 2, logs: &logs, model: &model };
    callback.fit_end(&run, &mut control).unwrap();
    control.messages
}

#[test]
fn verbose_callbacks_name_the_epoch_and_the_figure() {
    let folder = tempfile::tempdir().unwrap();
    let best = folder.path().join("best.safetensors").display().to_string();
    let checkpoint = || ModelCheckpoint::new(&best).unwrap();
    assert_eq!(
        said(checkpoint().verbose(true).save_best_only(true), &[0.5, 0.75, 0.25]),
        [
            format!("Epoch 1: val_loss improved from inf to 0.50000, saving model to {best}"),
            "Epoch 2: val_loss did not improve from 0.50000".to_owned(),
            format!("Epoch 3: val_loss improved from 0.50000 to 0.25000, saving model to {best}"),
        ]
    );
    let each = said(checkpoint().verbose(true), &[0.5]);
    assert_eq!(each, [format!("Epoch 1: saving model to {best}")]);
    assert_eq!(
        said(EarlyStopping::new(1).restore_best_weights(true), &[0.5, 0.75]),
        [
            "Epoch 2: early stopping, val_loss was best in epoch 1 (0.5000)",
            "Restoring the weights of the best epoch: 1."
        ]
    );
    assert_eq!(
        said(ReduceLROnPlateau::new("val_loss").patience(1).factor(0.5), &[0.5, 0.75]),
        ["Epoch 2: ReduceLROnPlateau reducing learning rate to 0.005."]
    );
    assert_eq!(
        said(LearningRateScheduler::new(|_, rate| rate / 2.0).verbose(true), &[0.5, 0.5]),
        [
            "Epoch 1: LearningRateScheduler setting learning rate to 0.005.",
            "Epoch 2: LearningRateScheduler setting learning rate to 0.0025."
        ]
    );
}

#[test]
fn callbacks_that_are_not_verbose_do_the_same_and_say_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let best = folder.path().join("best.safetensors");
    let checkpoint = ModelCheckpoint::new(&best.display().to_string()).unwrap();
    assert_eq!(said(checkpoint.save_best_only(true), &[0.5, 0.75]), [""; 0]);
    assert!(best.exists());
    let silent = EarlyStopping::new(1).restore_best_weights(true).verbose(false);
    assert_eq!(said(silent, &[0.5, 0.75]), [""], "it stops, for a reason that is not told");
    let silent = ReduceLROnPlateau::new("val_loss").patience(1).verbose(false);
    assert_eq!(said(silent, &[0.5, 0.75]), [""; 0]);
    assert_eq!(said(LearningRateScheduler::new(|_, rate| rate), &[0.5]), [""; 0]);
}

#[test]
fn a_log_has_the_separator_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.csv");
    let mut model = built(2, 7);
    model.compile(RMSprop::new(), CategoricalCrossentropy::new()).unwrap();
    let mut fit = |append| {
        let log = CSVLogger::new(&path).separator(';').append(append);
        let callbacks: Vec<Box<dyn Callback>> = vec![Box::new(log)];
        let fit = Fit { callbacks, verbose: Verbosity::Silent, ..Fit::default() };
        model.fit(&mut data(), fit).unwrap();
        std::fs::read_to_string(&path).unwrap()
    };
    let first = fit(false);
    assert!(first.starts_with("epoch;accuracy;loss;lr\n0;"), "{first}");
    let both = fit(true);
    assert_eq!(both.lines().filter(|line| line.starts_with("0;")).count(), 2, "{both}");
    assert!(both.starts_with(&first) && !both.contains(','), "{both}");
}

#[test]
#[should_panic(expected = "'e' cannot stand between two cells")]
fn a_separator_that_numbers_are_made_of_is_refused() {
    let _ = CSVLogger::new("log.csv").separator('e');
}

#[test]
fn weights_alone_are_saved_and_come_back_into_a_network_that_is_built() -> Result<(), Error> {
    let folder = tempfile::tempdir().unwrap();
    let [alone, whole] = ["alone", "whole"].map(|name| folder.path().join(name));
    let name = |path: &std::path::Path| path.display().to_string();
    let callbacks: Vec<Box<dyn Callback>> = vec![
        Box::new(ModelCheckpoint::new(&name(&alone))?.save_weights_only(true)),
        Box::new(ModelCheckpoint::new(&name(&whole))?),
    ];
    let mut model = built(2, 7);
    model.compile(RMSprop::new(), CategoricalCrossentropy::new())?;
    model.fit(&mut data(), Fit { callbacks, verbose: Verbosity::Silent, ..Fit::default() })?;
    for file in [&alone, &whole] {
        let mut other = built(2, 8);
        assert_ne!(weights(&other), weights(&model));
        other.load_weights(file)?;
        assert_eq!(weights(&other), weights(&model));
    }
    let load = |file| Model::load(file, Context::new(Device::Cpu, 1));
    assert!(load(&whole).is_ok());
    assert!(matches!(load(&alone), Err(Error::Model(ModelError::Weights(_)))));
    let mut wrong = built(3, 8);
    let before = weights(&wrong);
    let error = wrong.load_weights(&alone).unwrap_err().to_string();
    assert!(error.contains("dense.kernel"), "{error}");
    assert_eq!(weights(&wrong), before);
    Ok(())
}
