//! The main job, as a user starts it, on the emulated GPU: a few steps of the whole network on
//! drawings, recorded and kernel by kernel, beside the same on the CPU.

use gradus::data::synthetic::Synthetic;
use std::path::Path;
use std::process::{Command, Stdio};

#[allow(clippy::print_stdout, reason = "a test that skips says so")]
fn skipped() {
    println!("skipped: the emulated CUDA driver was not built");
}

/// Runs it there and returns the losses that its history lists.
fn job(folder: &Path, device: &str, library: &Path) -> Vec<f64> {
    let out = folder.join(device);
    let cargo = std::env::var("CARGO").expect("cargo runs this");
    let run = Command::new(cargo)
        .args(["run", "--quiet", "--example=dogs_vs_cats", "--", "--data"])
        .arg(folder)
        .args(["--epochs=2", "--batch-size=4", "--export=none", "--quiet"])
        .arg(format!("--device={device}"))
        .arg(format!("--models={}", out.join("models").display()))
        .arg(format!("--out={}", out.display()))
        .env("LD_LIBRARY_PATH", library)
        .stdin(Stdio::null())
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "on {device}: {said}");
    let history =
        std::fs::read_to_string(out.join("dogs_vs_cats-1/history.csv")).expect("a history");
    let (names, epochs) = history.split_once('\n').expect("a header");
    let losses = |epoch: &str| {
        let figures = names.split(',').zip(epoch.split(','));
        let losses = figures.filter(|(name, _)| name.ends_with("loss"));
        losses.map(|(_, value)| value.parse().expect("a number")).collect::<Vec<_>>()
    };
    epochs.lines().flat_map(losses).collect()
}

#[test]
fn the_job_gives_the_losses_of_the_cpu() {
    let Some(library) = gradus_cuda_emu::library() else { return skipped() };
    let folder = tempfile::tempdir().expect("a folder");
    // The first steps go kernel by kernel, the others as one graph.
    let drawings = Synthetic::default().train(8).validation(2);
    drawings.write(folder.path()).expect("written");
    let library = library.parent().expect("it lies in a folder");
    let [expected, actual] = ["cpu", "cuda"].map(|device| job(folder.path(), device, library));
    assert_eq!((expected.len(), actual.len()), (4, 4), "loss and val_loss of two epochs");
    // RMSprop's first steps are ±3.2 learning rates for every weight, however small its gradient is:
    // what rounding turns around is turned around whole, and the second epoch tells nothing.
    for (i, most) in [(0, 1e-3), (1, 1e-2)] {
        let off = (actual[i] / expected[i] - 1.0).abs();
        assert!(off < most, "{actual:?} for {expected:?}");
    }
    assert!(actual.iter().all(|loss| loss.is_finite()), "{actual:?}");
}
