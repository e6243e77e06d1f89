//! A run that was stopped at any moment and resumed leaves the bits of one that was not.

use gradus::augment::{CutMix, MixUp};
use gradus::data::synthetic::Synthetic;
use gradus::data::{BadImages, Cache, DataLoader};
use gradus::layers::{
    Activation, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Sequential,
};
use gradus::prelude::*;
use gradus::train::metrics::{Auc, Metric, Recall};
use gradus::train::{
    CSVLogger, Callback, Checkpoint, CheckpointError, Control, Error, LearningRateScheduler, Mixed,
    ModelCheckpoint, Run, Verbosity,
};
use gradus_testing::Cases;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SIDE: usize = 24;
const EPOCHS: u32 = 4;
/// Set for the process that is to be killed: the folder to work in.
const FOLDER: &str = "GRADUS_RESUME_TEST_FOLDER";
/// Set for it too: the place of its way in [`WAYS`].
const WAY: &str = "GRADUS_RESUME_TEST_WAY";
/// The ways in which a run comes to its batches.
const WAYS: [Way; 4] = [
    Way { torn: false, bad_images: BadImages::Stop, memory: false, mixed: false },
    Way { torn: true, bad_images: BadImages::Skip, memory: true, mixed: false },
    Way { torn: true, bad_images: BadImages::Replace, memory: false, mixed: true },
    Way { torn: true, bad_images: BadImages::Skip, memory: true, mixed: true },
];
/// What a run leaves behind.
const LEFT: [&str; 3] = ["checkpoint.safetensors", "log.csv", "best.safetensors"];

/// How a run comes to its batches.
struct Way {
    /// Whether some images cannot be read.
    torn: bool,
    bad_images: BadImages,
    /// Whether images are cached in memory, and not on disk.
    memory: bool,
    /// Whether batches go through MixUp and CutMix.
    mixed: bool,
}

fn network() -> Sequential {
    Sequential::new()
        .add(Conv2D::new(8, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.25))
        .add(Flatten)
        .add(Dense::new(16).activation(Activation::Relu))
        .add(Dense::new(2).activation(Activation::Softmax))
}

fn loader(
    way: &Way,
    data: &Path,
    folder: &Path,
    part: &str,
    seed: u64,
) -> Result<DataLoader, Error> {
    let generator = ImageDataGenerator::builder()
        .rotation_range(15.0)
        .width_shift_range(0.1)
        .horizontal_flip(true)
        .rescale(1.0 / 255.0)
        .build()
        .expect("a generator");
    let csv = data.join(format!("dogs_vs_cats-{part}.csv"));
    // Of each process its own, so that one is killed while it writes it.
    let cache = match way.memory {
        true => Cache::Memory { limit_bytes: 12 * SIDE * SIDE * 3 },
        false => Cache::Disk(folder.join(format!("{part}.cache"))),
    };
    Ok(flow_from_dataframe(&Manifest::read(csv)?, data)
        .y_col("category")
        .target_size(SIDE, SIDE)
        .batch_size(5)
        .seed(seed)
        .workers(2)
        .bad_images(way.bad_images)
        .cache(cache)
        .transform(generator.transform())
        .open()?)
}

/// Interrupts a run after that many updates.
struct After<'a>(u64, &'a AtomicBool);

impl Callback for After<'_> {
    fn name(&self) -> &str {
        "After"
    }

    fn step_end(&mut self, run: &Run<'_>, _: &mut Control) -> Result<(), Error> {
        self.1.store(run.model.updates() == self.0, Ordering::Relaxed);
        Ok(())
    }
}

/// The run, from the beginning or from where its checkpoint says. Interrupted after so many
/// updates if asked.
fn run(data: &Path, folder: &Path, seed: u64, stop_after: u64) -> Result<(), Error> {
    run_in(&WAYS[0], data, folder, seed, stop_after)
}

fn run_in(way: &Way, data: &Path, folder: &Path, seed: u64, stop_after: u64) -> Result<(), Error> {
    let open = |part| loader(way, data, folder, part, seed);
    let (mut train, mut validation) = (open("train")?, open("val")?);
    let mut model = Model::build(network(), [SIDE, SIDE, 3], Context::new(Device::Cpu, 1), seed)
        .expect("a model");
    let metrics: Vec<Box<dyn Metric>> = vec![Box::new(Auc::roc()), Box::new(Recall::new())];
    let weighted: Vec<Box<dyn Metric>> = vec![Box::new(Recall::new())];
    let optimizer = RMSprop::new().momentum(0.5);
    model.compile_with_metrics(optimizer, CategoricalCrossentropy::new(), metrics, weighted)?;
    let interrupt = AtomicBool::new(false);
    let best = folder.join("best.safetensors");
    let callbacks: Vec<Box<dyn Callback>> = vec![
        Box::new(LearningRateScheduler::new(|_, lr| lr * 0.9)),
        Box::new(ReduceLROnPlateau::new("val_loss").patience(1).factor(0.5)),
        Box::new(EarlyStopping::new(2).monitor("val_accuracy").restore_best_weights(true)),
        Box::new(CSVLogger::new(folder.join("log.csv"))),
        Box::new(ModelCheckpoint::new(best.to_str().expect("text"))?.save_best_only(true)),
        Box::new(After(stop_after, &interrupt)),
    ];
    let path = folder.join("checkpoint.safetensors");
    let fit = Fit {
        epochs: EPOCHS,
        validation_data: Some(&mut validation),
        class_weight: vec![1.0, 1.5],
        callbacks,
        checkpoint: Some(Checkpoint::new(path).every_steps(2).resume(true)),
        interrupt: Some(&interrupt),
        verbose: Verbosity::Silent,
        ..Fit::default()
    };
    let history = match way.mixed {
        false => model.fit(&mut train, fit)?,
        true => {
            let mut once = Mixed::new(&mut train, MixUp::new(0.4).expect("valid")).seed(seed);
            model.fit(&mut Mixed::new(&mut once, CutMix::default()).seed(seed), fit)?
        }
    };
    model.save_file(folder.join("end.safetensors"))?;
    Ok(history.write_csv(folder.join("history.csv"))?)
}

fn drawn(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    Synthetic::default().train(23).validation(10).size(32).write(&data).expect("a set");
    data
}

/// The same with seven images of the training set torn.
fn torn(folder: &Path) {
    let data = folder.join("torn");
    Synthetic::default().train(23).validation(10).size(32).write(&data).expect("a set");
    let csv = Manifest::read(data.join("dogs_vs_cats-train.csv")).expect("a manifest");
    for name in csv.column("filename").expect("names").step_by(3).take(7) {
        fs::write(data.join(name), b"no image").expect("written");
    }
}

/// Everything that a finished run leaves, by name.
fn left(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = LEFT.into_iter().chain(["end.safetensors", "history.csv"]);
    names.map(|n| (n.to_owned(), fs::read(folder.join(n)).expect(n))).collect()
}

fn same(reference: &[(String, Vec<u8>)], folder: &Path, what: &str) {
    for ((name, expected), (_, found)) in reference.iter().zip(left(folder)) {
        assert!(*expected == found, "{what}: {name} differs from the run that was not stopped");
    }
}

#[test]
fn a_run_interrupted_after_any_step_goes_on_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = drawn(folder.path());
    let straight = folder.path().join("straight");
    fs::create_dir(&straight).expect("a folder");
    run(&data, &straight, 3, 0).expect("a run");
    let reference = left(&straight);
    for stop in [1, 2, 4, 5, 7, 10, 13] {
        let path = folder.path().join(stop.to_string());
        fs::create_dir(&path).expect("a folder");
        let stopped = run(&data, &path, 3, stop);
        match stopped {
            Err(Error::Interrupted { checkpoint, .. }) => {
                assert_eq!(checkpoint, Some(path.join("checkpoint.safetensors")));
                run(&data, &path, 3, 0).expect("the rest of the run");
            }
            // Early stopping may have come first.
            other => other.expect("a run"),
        }
        same(&reference, &path, &format!("stopped after {stop} updates"));
        run(&data, &path, 3, 0).expect("nothing is left to do");
        same(&reference, &path, "resumed after its end");
    }
    let other = folder.path().join("other");
    fs::create_dir(&other).expect("a folder");
    run(&data, &other, 4, 0).expect("a run");
    assert!(reference != left(&other), "another seed gives the same bits");
}

/// Not a test of its own: the process that the next test kills.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let way = std::env::var(WAY).ok().and_then(|way| way.parse().ok()).unwrap_or(0);
    let way: &Way = &WAYS[way];
    let data =
        folder.parent().expect("a folder above").join(if way.torn { "torn" } else { "data" });
    run_in(way, &data, folder, 3, 0).expect("a run");
}

#[test]
fn a_run_killed_at_any_moment_goes_on_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().expect("a folder");
    drawn(folder.path());
    torn(folder.path());
    let spawn = |way: usize, path: &Path| {
        Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "child", "--nocapture"])
            .env(FOLDER, path)
            .env(WAY, way.to_string())
            .stdout(Stdio::null())
            .spawn()
            .expect("a process")
    };
    let straight = |way: usize| {
        let straight = folder.path().join(format!("straight-{way}"));
        fs::create_dir(&straight).expect("a folder");
        let begin = Instant::now();
        assert!(spawn(way, &straight).wait().expect("an end").success());
        (left(&straight), begin.elapsed())
    };
    let references: Vec<_> = (0..WAYS.len()).map(straight).collect();
    let mut cases = Cases::new("moments to kill", 0);
    let killed = |way: usize, path: &Path, moment: Duration| {
        let mut process = spawn(way, path);
        std::thread::sleep(moment);
        process.kill().expect("killed, or ended before");
        !process.wait().expect("an end").success()
    };
    for trial in 0..20 {
        let path = folder.path().join(trial.to_string());
        let way = trial % WAYS.len();
        let (reference, taken) = &references[way];
        let mut moment = taken.mul_f32(cases.one_of(&MOMENTS)).min(Duration::from_secs(20));
        // A run that ended before its moment proves nothing: again, and sooner.
        loop {
            fs::create_dir(&path).expect("a folder");
            if killed(way, &path, moment) {
                break;
            }
            fs::remove_dir_all(&path).expect("a folder");
            moment /= 2;
        }
        // Once more in the rest of the run, if it takes that long.
        killed(way, &path, taken.mul_f32(cases.one_of(&MOMENTS)) / 2);
        assert!(spawn(way, &path).wait().expect("an end").success());
        same(reference, &path, &format!("trial {trial} in way {way}"));
    }
}

/// Parts of a whole run's time.
const MOMENTS: [f32; 19] = [
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85,
    0.9, 0.95,
];

/// A finished run, and the folder of one that was stopped after four updates.
fn finished_and_stopped(folder: &Path) -> (PathBuf, Vec<(String, Vec<u8>)>, PathBuf) {
    let data = drawn(folder);
    let [straight, stopped] = ["straight", "stopped"].map(|name| folder.join(name));
    fs::create_dir(&straight).expect("a folder");
    fs::create_dir(&stopped).expect("a folder");
    run(&data, &straight, 3, 0).expect("a run");
    let error = run(&data, &stopped, 3, 4).expect_err("a run that stops");
    assert!(matches!(error, Error::Interrupted { epoch: 1, step: 4, .. }), "{error}");
    (data, left(&straight), stopped)
}

#[test]
fn an_image_that_vanishes_and_a_manifest_that_changes_cost_no_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, reference, stopped) = finished_and_stopped(folder.path());
    let checkpoint = fs::read(stopped.join(LEFT[0])).expect("a checkpoint");
    let csv = fs::read_to_string(data.join("dogs_vs_cats-train.csv")).expect("a manifest");
    // The last row of the file: whenever its turn comes, it is gone.
    let image = csv.trim_end().rsplit('\n').next().and_then(|row| row.split(',').next());
    let image = data.join(image.expect("a row"));
    let bytes = fs::read(&image).expect("an image");
    fs::write(&image, b"no image").expect("written");
    let error = run(&data, &stopped, 3, 0).expect_err("an image is missing");
    let name = image.file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(matches!(error, Error::Data(_)) && error.to_string().contains(name), "{error}");
    assert!(fs::read(stopped.join(LEFT[0])).expect("a checkpoint").len() >= checkpoint.len());
    fs::write(&image, bytes).expect("written");

    let shorter = csv.lines().take(10).collect::<Vec<_>>().join("\n");
    fs::write(data.join("dogs_vs_cats-train.csv"), shorter).expect("written");
    let error = run(&data, &stopped, 3, 0).expect_err("other data");
    assert!(matches!(error, Error::Checkpoint(CheckpointError::OtherRun { .. })), "{error}");
    fs::write(data.join("dogs_vs_cats-train.csv"), csv).expect("written");
    run(&data, &stopped, 3, 0).expect("the rest of the run");
    same(&reference, &stopped, "after the image and the manifest were back");
}

/// A limit on the size of files stands for a full disk: writing fails half way.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, reference, stopped) = finished_and_stopped(folder.path());
    let checkpoint = fs::read(stopped.join(LEFT[0])).expect("a checkpoint");
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 8; trap '' XFSZ; exec \"$0\" --exact child --nocapture"])
        .arg(std::env::current_exe().expect("this program"))
        .env(FOLDER, &stopped)
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "nothing was too large");
    assert!(said.contains(".safetensors") && said.contains("FileTooLarge"), "{said}");
    assert!(checkpoint == fs::read(stopped.join(LEFT[0])).expect("a checkpoint"));
    run(&folder.path().join("data"), &stopped, 3, 0).expect("the rest of the run");
    same(&reference, &stopped, "after there was room again");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = drawn(folder.path());
    let missing = folder.path().join("missing");
    let error = run(&data, &missing, 3, 0).expect_err("no such folder");
    assert!(error.to_string().starts_with(missing.to_str().expect("text")), "{error}");
}

/// Who may write everywhere is stopped by a folder that has the name of the file.
#[test]
fn a_file_that_cannot_be_written_leaves_the_last_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, reference, stopped) = finished_and_stopped(folder.path());
    for name in ["best.safetensors", "log.csv"] {
        let (file, aside) = (stopped.join(name), stopped.join("aside"));
        let was_there = fs::rename(&file, &aside).is_ok();
        fs::create_dir_all(file.join("inner")).expect("a folder");
        let error = run(&data, &stopped, 3, 0).expect_err("a folder in the way");
        assert!(matches!(&error, Error::Write(e) if e.path == file), "{error}");
        fs::remove_dir_all(&file).expect("removed");
        if was_there {
            fs::rename(&aside, &file).expect("put back");
        }
    }
    run(&data, &stopped, 3, 0).expect("the rest of the run");
    same(&reference, &stopped, "after the files could be written");
}

#[cfg(unix)]
#[test]
fn a_folder_that_turns_read_only_leaves_the_last_checkpoint() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let (data, reference, stopped) = finished_and_stopped(folder.path());
    let allow = |mode| fs::set_permissions(&stopped, fs::Permissions::from_mode(mode));
    allow(0o555).expect("permissions");
    if fs::write(stopped.join("probe"), b"").is_ok() {
        return eprintln!("skipped: this user may write everywhere; the test above is for him");
    }
    let error = run(&data, &stopped, 3, 0).expect_err("a read-only folder");
    allow(0o755).expect("permissions");
    assert!(matches!(&error, Error::Write(e) if e.path.starts_with(&stopped)), "{error}");
    run(&data, &stopped, 3, 0).expect("the rest of the run");
    same(&reference, &stopped, "after the folder could be written to");
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = drawn(folder.path());
    let path = folder.path().join("run");
    fs::create_dir(&path).expect("a folder");
    assert!(matches!(run(&data, &path, 3, 4), Err(Error::Interrupted { epoch: 1, step: 4, .. })));
    let file = path.join("checkpoint.safetensors");
    let whole = fs::read(&file).expect("a file");
    for cut in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..cut]).expect("written");
        let error = run(&data, &path, 3, 0).expect_err("a torn file");
        assert!(matches!(error, Error::Checkpoint(CheckpointError::Tensors(_))), "{cut}: {error}");
    }
    let mut other = Model::build(network(), [SIDE, SIDE, 3], Context::new(Device::Cpu, 1), 3)
        .expect("a model")
        .with_classes(&["a".to_owned(), "b".to_owned()]);
    other.compile(RMSprop::new(), CategoricalCrossentropy::new()).expect("compiled");
    other.save_file(&file).expect("written");
    let error = run(&data, &path, 3, 0).expect_err("a model without a run");
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Format { .. })), "{error}");
    fs::write(&file, &whole).expect("written");
    let mut train = loader(&WAYS[0], &data, &path, "train", 3).expect("a loader");
    let fit = Fit {
        checkpoint: Some(Checkpoint::new(&file).resume(true)),
        verbose: Verbosity::Silent,
        ..Fit::default()
    };
    let error = other.fit(&mut train, fit).expect_err("another network");
    assert!(matches!(error, Error::Checkpoint(CheckpointError::OtherRun { .. })), "{error}");
}
