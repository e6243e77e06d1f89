//! `cargo xtask bench-gpu`: gradus and PyTorch on one GPU.
//!
//! ```text
//! cargo xtask bench-gpu                        all stages here, and the table of the day
//! cargo xtask bench-gpu --bundle DIR           only packs what a machine with a GPU needs
//! cargo xtask bench-gpu --table DIR            only the table, from a folder of results
//! cargo xtask bench-gpu --quick                each measure once, on the emulated device
//! ```
//!
//! The bundle has the programs, PyTorch's script and `run.sh`, whose stages (parity, ours,
//! convolutions, step, compiled) take at most eight minutes each and go on where they were cut off.
//! Its machine needs no Rust. The table goes to `docs/benchmarks` with the measures it was made of.

mod table;

use crate::{cargo, run, say, target};
use anyhow::{Context as _, Result, bail};
use clap::Parser;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const STAGES: [&str; 5] = ["parity", "ours", "convolutions", "step", "compiled"];
const FOLDER: &str = "benches/rivals";
/// What a bundle may have, to be sent easily.
const MOST_MEGABYTES: f64 = 60.0;

/// What can be asked for.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench-gpu")]
struct Args {
    /// Packs the bundle into that folder, and measures nothing
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Writes the table from the results in that folder, and measures nothing
    #[arg(long, value_name = "DIR", conflicts_with = "bundle")]
    table: Option<PathBuf>,
    /// Measures everything of ours once, in small sizes, on an emulated device if there is no GPU
    #[arg(long)]
    quick: bool,
    /// A Python with PyTorch
    #[arg(long, default_value = "python3")]
    python: String,
}

/// Does what was asked for.
pub(crate) fn main(words: impl Iterator<Item = String>) -> Result<()> {
    let args = Args::parse_from(std::iter::once("cargo xtask bench-gpu".to_owned()).chain(words));
    if args.quick {
        return quick();
    }
    if let Some(results) = &args.table {
        return table::write(results);
    }
    let bundle = args.bundle.clone().unwrap_or_else(|| target().join("bench-gpu"));
    pack(&bundle)?;
    if args.bundle.is_some() {
        return Ok(());
    }
    let script = bundle.join("run.sh").display().to_string();
    for stage in STAGES {
        run(&script, &[stage], &[("PYTHON", &args.python)])?;
    }
    table::write(&bundle.join("results"))
}

/// Everything once, so that it still runs when a GPU comes along: a part of check.
pub(crate) fn quick() -> Result<()> {
    let out = target().join("bench-gpu-quick.jsonl");
    let _ = fs::remove_file(&out);
    let out = out.display().to_string();
    cargo(&["run", "--quiet", "--example=bench_gpu", "--", "--quick", "--out", &out], &[])
}

/// The programs, the scripts.
fn pack(bundle: &Path) -> Result<()> {
    fs::create_dir_all(bundle)?;
    for arguments in [
        ["build", "--release", "--package=gradus", "--example=bench_gpu"],
        ["test", "--release", "--package=gradus-layers", "--lib"],
        ["test", "--release", "--package=gradus-optim", "--lib"],
        ["test", "--release", "--package=gradus-augment", "--lib"],
        ["test", "--release", "--package=gradus-train", "--lib"],
        ["test", "--release", "--package=gradus", "--test=cuda"],
        ["test", "--release", "--package=gradus", "--test=augment_on_gpu"],
    ] {
        let no_run: &[&str] = if arguments[0] == "test" { &["--no-run"] } else { &[] };
        let made = crate::artifacts(&[&arguments[..], no_run].concat())?;
        let made = made.iter().rev().find(|made| made["executable"].is_string());
        let made = made.with_context(|| format!("cargo makes no program of {arguments:?}"))?;
        let (name, from) = (text(&made["target"]["name"])?, text(&made["executable"])?);
        let to = bundle.join(name);
        fs::copy(from, &to)?;
        // Debugging information is most of a program; where there is no `strip`, it stays.
        let _ = run("strip", &[&to.display().to_string()], &[]);
    }
    for script in ["gpu/run.sh", "pytorch_gpu.py", "pytorch_network.py"] {
        let from = Path::new(FOLDER).join(script);
        fs::copy(&from, bundle.join(from.file_name().context("a file")?))?;
    }
    let sizes = fs::read_dir(bundle)?.map(|entry| Ok(entry?.metadata()?.len()));
    let megabytes = sizes.sum::<Result<u64>>()? as f64 / 1e6;
    if megabytes > MOST_MEGABYTES {
        bail!("{} has {megabytes:.1} MB, more than {MOST_MEGABYTES}", bundle.display());
    }
    say(&format!("{}: {megabytes:.1} MB, see run.sh there", bundle.display()));
    Ok(())
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("cargo says {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The convolutions that a program lists, each on a line of its own, without its language.
    fn convolutions(file: &str) -> Vec<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FOLDER).join(file);
        let text = fs::read_to_string(path).expect("is part of the project");
        let lines = text.lines().filter(|line| line.starts_with("    (\""));
        lines.map(|line| line.replace(['[', ']', '"'], "").to_lowercase()).collect()
    }

    #[test]
    fn pytorch_is_measured_at_the_same_convolutions() {
        let ours = convolutions("gpu/convolutions.rs");
        assert!(ours.len() > 10, "{ours:?}");
        assert_eq!(ours, convolutions("pytorch_gpu.py"));
    }
}
