//! Our files in other programs' hands, and theirs in ours.
//!
//! ```text
//! cargo xtask full interop                     everyone, and a dated table in docs/interop
//! cargo xtask full interop --torch PYTHON      with a Python that has PyTorch: none is set up
//! cargo xtask interop                          onnxruntime alone, a part of check
//! ```
//!
//! The programs are Python's, in environments under `target/interop`, with the releases that
//! `tests/interop/requirements*.txt` name. What they load is written by `tests/interop/export`, on
//! photos of `GRADUS_TEST_DATA` where that is set, else on drawn ones; what they leave is read by it.

use crate::{cargo, run, say, target};
use anyhow::{Context as _, Result, bail};
use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER: &str = "tests/interop";
/// What is installed without what it asks for.
const ALONE: &str = "tf_keras==2.21.0";

/// What can be asked for.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask full interop")]
struct Args {
    /// A Python with what tests/interop/requirements-torch.txt lists [default: one is set up under
    /// target/interop, which downloads some gigabytes]
    #[arg(long)]
    torch: Option<PathBuf>,
}

/// Everyone, and the table of the day.
pub(crate) fn full(words: impl Iterator<Item = String>) -> Result<()> {
    let name = "cargo xtask full interop".to_owned();
    let Args { torch } = Args::parse_from(std::iter::once(name).chain(words));
    let python = environment("venv", "requirements.txt", &[ALONE])?;
    let torch = match torch {
        Some(torch) => torch,
        None => environment("venv-torch", "requirements-torch.txt", &[])?,
    };
    let cases = export("cases", &[])?;
    let date = stdout(Command::new("date").args(["-u", "+%F"]))?;
    let mut text = format!(
        "# Other programs and gradus's files, {date}\n\nWritten by `cargo xtask full interop` \
         ({FOLDER}).\n"
    );
    let mut section = |command: &mut Command| -> Result<()> {
        text.push_str(&format!("\n{}\n", stdout(command)?));
        Ok(())
    };
    // Each prints a section. Keras and PyTorch leave files for us.
    for (python, script) in [
        (&python, "served.py"),
        (&python, "events.py"),
        (&python, "keras_files.py"),
        (&torch, "torch_files.py"),
    ] {
        say(&format!("$ {script}"));
        section(Command::new(python).arg(Path::new(FOLDER).join(script)).arg(&cases))?;
    }
    say("$ interop_export --back");
    let example = target().join("debug/examples/interop_export");
    section(Command::new(example).arg(&cases).arg("--back"))?;
    let path = format!("docs/interop/{date}-interop.md");
    fs::create_dir_all("docs/interop")?;
    fs::write(&path, text).with_context(|| path.clone())?;
    say(&format!("written to {path}"));
    Ok(())
}

/// onnxruntime, on the small networks that hold every layer; nothing where it cannot be installed.
pub(crate) fn check() -> Result<()> {
    let python = match environment("venv-check", "requirements-check.txt", &[]) {
        Ok(python) => python,
        Err(error) => {
            say(&format!("interop: skipped, it needs Python with onnxruntime: {error:#}"));
            return Ok(());
        }
    };
    let cases = export("cases-check", &["--layers-only"])?;
    let script = format!("{FOLDER}/check_layers.py");
    run(&python.display().to_string(), &[&script, &cases.display().to_string()], &[])
}

/// Writes the networks anew.
fn export(folder: &str, options: &[&str]) -> Result<PathBuf> {
    let out = target().join("interop").join(folder);
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    let example = ["run", "--quiet", "--example", "interop_export", "--"];
    cargo(&[&example[..], &[&out.display().to_string()], options].concat(), &[])?;
    Ok(out)
}

/// The Python of an environment with what that file lists, and more that is installed without what
/// it asks for. One that was made for the same lines is taken as it is.
fn environment(name: &str, requirements: &str, alone: &[&str]) -> Result<PathBuf> {
    let folder = std::path::absolute(target().join("interop").join(name))?;
    let requirements = format!("{FOLDER}/{requirements}");
    let lines = fs::read_to_string(&requirements).with_context(|| requirements.clone())?;
    let (wanted, stamp) = (format!("{lines}{alone:?}"), folder.join("requirements"));
    let python = folder.join("bin/python");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    let path = python.display().to_string();
    run("python3", &["-m", "venv", "--clear", &folder.display().to_string()], &[])?;
    // Where there is no network that shall be known soon.
    let patience = ["--retries", "2", "--timeout", "30"];
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let install = [&install[..], &patience].concat();
    run(&path, &[&install[..], &["-r", &requirements]].concat(), &[])?;
    for package in alone {
        run(&path, &[&install[..], &["--no-deps", package]].concat(), &[])?;
    }
    fs::write(&stamp, wanted)?;
    Ok(python)
}

/// What a program prints; what it says beside goes through.
fn stdout(command: &mut Command) -> Result<String> {
    let name = format!("{command:?}");
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {name}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        bail!("{name} failed:\n{text}");
    }
    Ok(text)
}
