//! The folders of the example's runs: which of them `--resume` takes, and with what arguments.

#[path = "../examples/dogs_vs_cats/args.rs"]
#[allow(dead_code, reason = "the example uses more of it")]
mod args;

use args::{Args, CHECKPOINT, EVALUATION, RunFolder};
use clap::Parser as _;
use std::fs;
use std::path::Path;

fn words(out: &Path, more: &[&str]) -> Vec<String> {
    let words = ["dogs_vs_cats", "--out", out.to_str().expect("text")];
    words.iter().chain(more).map(ToString::to_string).collect()
}

fn parsed(out: &Path, more: &[&str]) -> Args {
    Args::try_parse_from(words(out, more)).expect("arguments")
}

fn started(out: &Path, more: &[&str]) -> RunFolder {
    RunFolder::create(&parsed(out, more), words(out, more).into_iter()).expect("a folder")
}

#[test]
fn the_newest_run_that_has_a_checkpoint_is_resumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path();
    let resume = || RunFolder::to_resume(parsed(out, &["--resume"]));
    assert!(resume().is_err(), "there is no run");
    let (none, _) = RunFolder::to_resume(parsed(out, &["--data", "nope"])).expect("arguments");
    assert!(none.is_none() && fs::read_dir(out).expect("a folder").next().is_none());

    let first = started(out, &["--seed", "7"]);
    fs::write(first.file(CHECKPOINT), "").expect("written");
    // One that never came to its first step, and one that has ended.
    started(out, &["--seed", "8"]);
    fs::write(started(out, &[]).file(EVALUATION), "").expect("written");
    let (run, args) = resume().expect("the first run");
    assert_eq!(run.expect("a run").file(CHECKPOINT), first.file(CHECKPOINT));
    assert_eq!((args.seed, args.resume), (7, true));
    fs::remove_file(first.file(CHECKPOINT)).expect("removed");
    let error = resume().map(|_| ()).expect_err("no checkpoint").to_string();
    assert!(error.contains("no run to resume"), "{error}");
}

#[test]
fn folders_are_kept_as_absolute_paths() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = std::env::current_dir().expect("a folder");
    for given in [&["--data", "photos", "--seed", "7"][..], &["--seed=7", "--data=photos"]] {
        let run = started(folder.path(), given);
        fs::write(run.file(CHECKPOINT), "").expect("written");
        let (_, args) = RunFolder::to_resume(parsed(folder.path(), &["--resume"])).expect("a run");
        assert_eq!(args.data, Some(here.join("photos")));
        assert_eq!((args.models, args.seed), (here.join("models"), 7));
        assert_eq!(args.out, folder.path());
    }
    let run = started(folder.path(), &["--bad-images", "skip"]);
    fs::write(run.file(CHECKPOINT), "").expect("written");
    let (_, args) = RunFolder::to_resume(parsed(folder.path(), &["--resume"])).expect("a run");
    assert_eq!((args.data, args.bad_images), (None, args::OnBadImage::Skip));
}

#[test]
fn a_checkpoint_every_0_steps_is_refused() {
    let words = words(Path::new("runs"), &["--checkpoint-steps", "0"]);
    let error = Args::try_parse_from(words).expect_err("every 0 steps").to_string();
    assert!(error.contains("--checkpoint-steps") && error.contains("1.."), "{error}");
}
