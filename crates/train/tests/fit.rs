//! The arguments of `fit` and the callbacks, on a network of one layer.

use gradus_layers::{
    Activation, CategoricalCrossentropy, Concatenate, Conv2D, Dense, Flatten, Residual, Sequential,
};
use gradus_optim::{Ema, Optimizer, RMSprop, Schedule};
use gradus_tensor::{Context, Device, Field, FieldMut, Fields, Path};
use gradus_train::metrics::{
    Average, F1Score, Metric, Precision, categorical_accuracy, sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
};
use gradus_train::{
    Batch, Batches, CSVLogger, Callback, Checkpoint, CheckpointError, Control, Error, Fit, History,
    LearningRateScheduler, Model, ModelCheckpoint, Run, TerminateOnNaN, Verbosity,
};
use ndarray::{Array2, Array4, s};

/// Eight images of one pixel in batches of three; the class is whether the pixel is bright.
struct Pixels {
    images: Array4<f32>,
    targets: Array2<f32>,
    classes: Vec<String>,
    next: usize,
    until: usize,
}

impl Pixels {
    fn new() -> Self {
        let bright = |i: usize| i % 2;
        Self {
            images: Array4::from_shape_fn((8, 1, 1, 1), |(i, ..)| bright(i) as f32 - 0.4),
            targets: Array2::from_shape_fn((8, 2), |(i, k)| f32::from(u8::from(bright(i) == k))),
            classes: vec!["dark".to_owned(), "bright".to_owned()],
            next: 0,
            until: 0,
        }
    }
}

impl Batches for Pixels {
    fn samples(&self) -> usize {
        8
    }

    fn batch_size(&self) -> usize {
        3
    }

    fn image_shape(&self) -> [usize; 3] {
        [1, 1, 1]
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn start(&mut self, _: u32, done: usize, steps: usize) {
        (self.next, self.until) = (done, steps.min(self.batches()));
    }

    fn next_batch(&mut self) -> Option<Result<Batch<'_>, gradus_data::Error>> {
        let rows = 3 * self.next..(3 * self.next + 3).min(8);
        self.next += 1;
        (self.next <= self.until).then(|| {
            let images = self.images.slice(s![rows.clone(), .., .., ..]);
            Ok(Batch::new(images, self.targets.slice(s![rows, ..])))
        })
    }
}

fn model() -> Model {
    let network = Sequential::new().add(Flatten).add(Dense::new(2).activation(Activation::Softmax));
    let mut model = Model::build(network, [1, 1, 1], Context::new(Device::Cpu, 1), 7).unwrap();
    model.compile(RMSprop::new().learning_rate(0.01), CategoricalCrossentropy::new()).unwrap();
    model
}

fn weights(model: &Model) -> Vec<f32> {
    let mut all = Vec::new();
    model.network().visit(&mut Path::default(), &mut |_, field| {
        all.extend_from_slice(field.value().slice::<f32>());
    });
    all
}

fn quiet<'a>(epochs: u32, callbacks: Vec<Box<dyn Callback + 'a>>) -> Fit<'a> {
    Fit { epochs, callbacks, verbose: Verbosity::Silent, ..Fit::default() }
}

fn fit(fit: Fit<'_>) -> Result<(Model, History), Error> {
    let mut model = model();
    let history = model.fit(&mut Pixels::new(), fit)?;
    Ok((model, history))
}

#[test]
fn validation_follows_every_so_many_epochs_and_the_first_epoch_may_be_a_later_one() {
    let mut validation = Pixels::new();
    let (_, history) = fit(Fit {
        initial_epoch: 2,
        validation_data: Some(&mut validation),
        validation_freq: 2,
        ..quiet(6, Vec::new())
    })
    .unwrap();
    assert_eq!(history.epochs(), [2, 3, 4, 5]);
    let validated = history.column("val_loss").unwrap().iter().map(Option::is_some);
    assert_eq!(validated.collect::<Vec<_>>(), [false, true, false, true]);
    assert!(history.column("loss").unwrap().iter().all(Option::is_some));
}

#[test]
fn a_class_counts_as_much_as_its_weight() {
    let trained = |class_weight: Vec<f32>| {
        let fit = fit(Fit { class_weight, ..quiet(1, Vec::new()) });
        fit.map(|(model, history)| (weights(&model), history.last("loss").unwrap()))
    };
    let plain = trained(Vec::new()).unwrap();
    assert_eq!(plain, trained(vec![1.0, 1.0]).unwrap());
    let (doubled, loss) = trained(vec![2.0, 2.0]).unwrap();
    // RMSprop takes the size of a gradient away, so the weights and the bare loss stay as they are.
    assert!(doubled.iter().zip(&plain.0).all(|(a, b)| (a - b).abs() < 1e-4));
    assert!((loss / (2.0 * plain.1) - 1.0).abs() < 1e-4, "{loss}");
    assert_ne!(plain.0, trained(vec![3.0, 0.1]).unwrap().0);
    let error = trained(vec![1.0]).unwrap_err();
    assert!(matches!(error, Error::ClassWeight { expected: 2, found: 1 }), "{error}");
}

#[test]
fn a_lost_loss_ends_the_training_with_its_row_in_the_history() {
    let mut data = Pixels::new();
    data.images[[4, 0, 0, 0]] = f32::NAN;
    let mut model = model();
    let history = model.fit(&mut data, quiet(5, vec![Box::new(TerminateOnNaN)])).unwrap();
    assert_eq!((history.len(), model.updates()), (1, 2));
    assert!(history.last("loss").unwrap().is_nan());
    let place = model.first_not_finite().unwrap();
    assert_eq!((place.place.as_str(), place.index), ("the images", 1));
}

#[test]
fn the_first_layer_that_loses_a_number_is_named() {
    let lost = |name: &str, value: f32| {
        let mut model = model();
        model.fields_mut().visit_mut(&mut Path::default(), &mut |path, field| {
            if path.as_str() == name {
                field.into_value().slice_mut::<f32>()[1] = value;
            }
        });
        model.fit(&mut Pixels::new(), quiet(1, Vec::new())).unwrap();
        model.first_not_finite().map(|lost| lost.place)
    };
    assert_eq!(lost("dense.kernel", 0.5), None);
    assert_eq!(lost("dense.kernel", f32::NAN).as_deref(), Some("the output of dense"));
    assert_eq!(lost("dense.bias", f32::NEG_INFINITY).as_deref(), Some("the output of dense"));
}

#[test]
fn a_layer_within_others_that_loses_a_number_is_named_by_its_path() {
    let conv = || Conv2D::new(1, 1);
    let ways = Concatenate::new().branch(conv()).branch(Sequential::new().add(conv()).add(conv()));
    let block = || Residual::new(Sequential::new().add(conv()).add(conv())).shortcut(conv());
    let network = Sequential::new().add(block()).add(ways).add(Flatten).add(Dense::new(2));
    let mut model = Model::build(network, [1, 1, 1], Context::new(Device::Cpu, 1), 7).unwrap();
    let places = [
        "residual.body.conv2d",
        "residual.body.conv2d_1",
        "residual.shortcut",
        "concatenate.branch_1",
        "concatenate.branch_2.conv2d_1",
        "dense",
    ];
    for place in places {
        model.compile(RMSprop::new().learning_rate(0.0), CategoricalCrossentropy::new()).unwrap();
        model.fields_mut().visit_mut(&mut Path::default(), &mut |path, field| {
            let lost = path.as_str().strip_suffix(".bias") == Some(place);
            field.into_value().slice_mut::<f32>().fill(if lost { f32::NAN } else { 0.5 });
        });
        // In a second step every weight would be lost.
        let fit = Fit { steps_per_epoch: Some(1), ..quiet(1, Vec::new()) };
        model.fit(&mut Pixels::new(), fit).unwrap();
        let found = model.first_not_finite().unwrap().place;
        assert_eq!(found, format!("the output of {place}"));
    }
}

#[test]
fn a_metric_that_does_not_fit_is_an_error_before_the_first_step() {
    let metrics: [(Box<dyn Metric>, &str); 4] = [
        (Box::new(F1Score::new(3, Average::Macro)), "f1_score: it was made for 3 classes"),
        (
            Box::new(sparse_categorical_accuracy()),
            "sparse_categorical_accuracy: it takes the index",
        ),
        (Box::new(Precision::new().class_id(2)), "precision: class_id is 2"),
        (Box::new(sparse_top_k_categorical_accuracy(1)), "sparse_top_k_categorical_accuracy: it"),
    ];
    for (metric, expected) in metrics {
        let mut model = model();
        let loss = CategoricalCrossentropy::new();
        model.compile_with_metrics(RMSprop::new(), loss, vec![metric], Vec::new()).unwrap();
        let error = model.fit(&mut Pixels::new(), quiet(1, Vec::new())).unwrap_err();
        assert!(matches!(error, Error::Metric { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(model.updates(), 0);
        let error = model.evaluate(&mut Pixels::new(), None).unwrap_err();
        assert!(matches!(error, Error::Metric { .. }), "{error}");
    }
}

#[test]
fn a_weighted_metric_counts_samples_as_the_loss_does() {
    let mut model = model();
    let metric = || -> Vec<Box<dyn Metric>> { vec![Box::new(categorical_accuracy())] };
    let optimizer = RMSprop::new().learning_rate(0.0);
    let loss = CategoricalCrossentropy::new();
    model.compile_with_metrics(optimizer, loss, metric(), metric()).unwrap();
    // Every pixel is taken for a bright one: four of eight are.
    model.fields_mut().visit_mut(&mut Path::default(), &mut |path, field| {
        let values = field.into_value().slice_mut::<f32>();
        values.fill(0.0);
        if path.as_str() == "dense.bias" {
            values[1] = 1.0;
        }
    });
    let fit = Fit { class_weight: vec![1.0, 3.0], ..quiet(1, Vec::new()) };
    let history = model.fit(&mut Pixels::new(), fit).unwrap();
    assert_eq!(history.last("categorical_accuracy"), Some(0.5));
    assert_eq!(history.last("weighted_categorical_accuracy"), Some(0.75));
    // Evaluation knows no class weights.
    let evaluation = model.evaluate(&mut Pixels::new(), None).unwrap();
    let figures = ["categorical_accuracy", "weighted_categorical_accuracy"];
    assert_eq!(evaluation.metrics, figures.map(|name| (name.to_owned(), 0.5)));
}

#[test]
fn state_that_no_memory_can_hold_is_refused_before_it_is_made() {
    /// Needs more than any machine has.
    #[derive(Debug)]
    struct Vast(RMSprop);
    impl Fields for Vast {
        fn visit(&self, path: &mut Path, f: &mut dyn FnMut(&Path, Field<'_>)) {
            self.0.visit(path, f);
        }
        fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, FieldMut<'_>)) {
            self.0.visit_mut(path, f);
        }
    }
    impl Optimizer for Vast {
        fn name(&self) -> &'static str {
            "Vast"
        }
        fn description(&self) -> String {
            self.0.description()
        }
        fn state_bytes(&self, _: &dyn Fields) -> u64 {
            1 << 60
        }
        fn schedule(&self) -> &dyn Schedule {
            Optimizer::schedule(&self.0)
        }
        fn build(&mut self, _: &dyn Fields, _: &Device) {
            panic!("made, though there is not the memory for it");
        }
        fn step(&mut self, cx: &mut Context, model: &mut dyn Fields) {
            self.0.step(cx, model);
        }
    }
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: how much memory there is, is known on Linux only");
    }
    let network = Sequential::new().add(Flatten).add(Dense::new(2));
    let mut model = Model::build(network, [1, 1, 1], Context::new(Device::Cpu, 1), 7).unwrap();
    let error = model.compile(Vast(RMSprop::new()), CategoricalCrossentropy::new()).unwrap_err();
    assert!(matches!(error, Error::Memory { needed: 0x1000_0000_0000_0000.., .. }), "{error}");
}

#[test]
fn a_run_does_not_go_on_with_other_options_of_its_optimizer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let run = |epochs, optimizer: RMSprop| {
        let mut model = model();
        model.compile(optimizer, CategoricalCrossentropy::new()).unwrap();
        let checkpoint = Some(Checkpoint::new(&path).resume(true));
        model.fit(&mut Pixels::new(), Fit { checkpoint, ..quiet(epochs, Vec::new()) })
    };
    run(1, RMSprop::new().rho(0.8)).unwrap();
    for other in [RMSprop::new(), RMSprop::new().rho(0.8).weight_decay(0.1)] {
        let error = run(2, other).unwrap_err().to_string();
        assert!(error.contains("another optimizer") && error.contains("rho: 0.8"), "{error}");
    }
    assert_eq!(run(2, RMSprop::new().rho(0.8)).unwrap().len(), 2);
}

#[test]
fn every_no_steps_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let checkpoint = Some(Checkpoint::new(&path).every_steps(0));
    let error = fit(Fit { checkpoint, ..quiet(1, Vec::new()) }).unwrap_err();
    let expected = matches!(error, Error::Checkpoint(CheckpointError::EverySteps { .. }));
    assert!(expected && !path.exists(), "{error}");
    let models = ModelCheckpoint::new(path.to_str().unwrap()).unwrap().save_freq(0);
    let error = fit(quiet(1, vec![Box::new(models)])).unwrap_err();
    assert!(matches!(error, Error::Callback { callback: "ModelCheckpoint", .. }), "{error}");
}

#[test]
fn a_save_sweeps_what_a_killed_one_left() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join(".saving-7-0");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("model.json"), "{").unwrap();
    let mut model = model();
    model.fit(&mut Pixels::new(), quiet(1, Vec::new())).unwrap();
    let saved = model.save(folder.path()).unwrap();
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names, [saved]);
}

#[test]
fn a_batch_that_no_memory_can_hold_is_refused_before_anything_is_made() {
    struct Huge(Pixels);
    impl Batches for Huge {
        fn samples(&self) -> usize {
            self.batch_size()
        }
        fn batch_size(&self) -> usize {
            1 << 42
        }
        fn image_shape(&self) -> [usize; 3] {
            self.0.image_shape()
        }
        fn classes(&self) -> &[String] {
            self.0.classes()
        }
        fn start(&mut self, _: u32, _: usize, _: usize) {}
        fn next_batch(&mut self) -> Option<Result<Batch<'_>, gradus_data::Error>> {
            None
        }
    }
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: how much memory there is, is known on Linux only");
    }
    let error = model().fit(&mut Huge(Pixels::new()), quiet(1, Vec::new())).unwrap_err();
    assert!(matches!(error, Error::Memory { batch_size: 0x400_0000_0000, .. }), "{error}");
}

#[test]
fn the_learning_rate_of_an_epoch_can_be_set_before_it() {
    let halved = LearningRateScheduler::new(|epoch, lr| if epoch == 0 { lr } else { lr / 2.0 });
    let (_, history) = fit(quiet(3, vec![Box::new(halved)])).unwrap();
    let rates: Vec<f32> =
        history.column("lr").unwrap().iter().map(|lr| lr.unwrap() as f32).collect();
    assert_eq!(rates, [0.01, 0.005, 0.0025]);
    let wrong = LearningRateScheduler::new(|_, _| f32::NAN);
    let error = fit(quiet(3, vec![Box::new(wrong)])).unwrap_err();
    assert!(matches!(error, Error::Callback { callback: "LearningRateScheduler", .. }));
}

#[test]
fn a_schedule_counts_the_updates_and_no_callback_may_set_the_rate_beside_it() {
    let trained = |callbacks: fn() -> Vec<Box<dyn Callback>>| {
        let mut model = model();
        let halved = |update: u64| if update < 4 { 0.01 } else { 0.005 };
        model.compile(RMSprop::new().schedule(halved), CategoricalCrossentropy::new()).unwrap();
        let mut history = Vec::new();
        for _ in 0..2 {
            history.push(model.fit(&mut Pixels::new(), quiet(1, callbacks()))?.last("lr").unwrap());
        }
        Ok::<_, Error>(history)
    };
    let rates: Vec<f32> = trained(Vec::new).unwrap().into_iter().map(|lr| lr as f32).collect();
    assert_eq!(rates, [0.01, 0.005]);
    let halving: fn() -> Vec<Box<dyn Callback>> =
        || vec![Box::new(LearningRateScheduler::new(|_, lr| lr / 2.0))];
    assert!(matches!(trained(halving), Err(Error::Scheduled { .. })));
}

#[test]
fn the_moving_average_of_the_weights_is_what_a_fit_ends_with() {
    let trained = |ema: bool| {
        let mut model = model();
        let plain = RMSprop::new();
        let optimizer = if ema { plain.use_ema(Ema::new().momentum(0.5)) } else { plain };
        model.compile(optimizer, CategoricalCrossentropy::new()).unwrap();
        let before = weights(&model);
        model.fit(&mut Pixels::new(), quiet(1, Vec::new())).unwrap();
        let moved = weights(&model).iter().zip(before).map(|(a, b)| (a - b).abs()).sum::<f32>();
        (moved, model.updates())
    };
    let ((straight, _), (averaged, updates)) = (trained(false), trained(true));
    assert!(0.0 < averaged && averaged < straight, "{averaged} {straight}");
    assert_eq!(updates, 3);
}

#[test]
fn models_are_kept_under_the_names_that_were_asked_for_and_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut validation = Pixels::new();
    let callbacks: Vec<Box<dyn Callback>> = vec![
        Box::new(ModelCheckpoint::new(&path("{epoch:02d}-{val_accuracy:.1f}.st")).unwrap()),
        Box::new(ModelCheckpoint::new(&path("step.st")).unwrap().save_freq(4)),
        Box::new(
            ModelCheckpoint::new(&path("never.st"))
                .unwrap()
                .save_best_only(true)
                .initial_value_threshold(0.0),
        ),
    ];
    let (model, _) =
        fit(Fit { validation_data: Some(&mut validation), ..quiet(2, callbacks) }).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names[0].starts_with("01-") && names[1].starts_with("02-"), "{names:?}");
    let last = Model::load(path(&names[1]), Context::new(Device::Cpu, 1)).unwrap();
    assert_eq!(weights(&last), weights(&model));
    let error = ModelCheckpoint::new("{epoch").unwrap_err();
    assert!(matches!(error, Error::Callback { callback: "ModelCheckpoint", .. }), "{error}");
}

#[test]
fn the_log_is_the_history_and_can_go_on_below_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.csv");
    let (_, history) = fit(quiet(2, vec![Box::new(CSVLogger::new(&path))])).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, history.to_csv());
    fit(quiet(1, vec![Box::new(CSVLogger::new(&path).append(true))])).unwrap();
    let longer = std::fs::read_to_string(&path).unwrap();
    assert!(longer.starts_with(&text));
    assert_eq!(longer.lines().count(), 4, "{longer}");
}

/// A callback of one's own: sees every step and stops when it has seen enough.
struct Enough(Vec<(u32, usize)>);

impl Callback for &mut Enough {
    fn step_end(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        self.0.push((run.epoch, run.step));
        if self.0.len() == 4 {
            control.stop = Some("enough".to_owned());
        }
        Ok(())
    }
}

#[test]
fn a_callback_of_one_s_own_sees_every_step_and_can_stop_at_once() {
    let mut enough = Enough(Vec::new());
    let (model, history) = fit(quiet(5, vec![Box::new(&mut enough)])).unwrap();
    assert_eq!(enough.0, [(0, 1), (0, 2), (0, 3), (1, 1)]);
    assert_eq!((history.len(), model.updates()), (2, 4));
}

#[test]
fn a_profile_has_a_row_for_each_layer_and_what_else_takes_time() {
    let mut model = model();
    assert!(model.profile().is_none());
    model.start_profile();
    model.fit(&mut Pixels::new(), quiet(2, Vec::new())).unwrap();
    let text = model.profile().unwrap().to_string();
    let rows: Vec<&str> = text.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(
        rows,
        ["layer", "flatten", "dense", "waiting for data", "loss", "optimizer", "a step"]
    );
    assert!(text.lines().nth(2).unwrap().contains("GFLOP/s"), "{text}");
    assert!(text.ends_with("6 steps"), "{text}");
}
