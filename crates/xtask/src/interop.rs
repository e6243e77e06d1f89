//! Our files in other programs' hands, and theirs in ours.
//!
//! ```text
//! cargo xtask full interop                     everyone, and a dated table in docs/interop
//! cargo xtask full interop --torch PYTHON      with a Python that has PyTorch: none is set up
//! cargo xtask full interop --no-torch          without PyTorch's part of the table
//! cargo xtask interop                          onnxruntime and TensorFlow's messages, a part of check
//! ```
//!
//! The programs are Python's, in environments under `target/interop`, with the releases that
//! `tests/interop/requirements*.txt` name. What they load is written by `tests/interop/export`, on
//! photos of `GRADUS_TEST_DATA` where that is set, else on drawn ones; what they leave is read by it.

use crate::{cargo, python, run, say, target};
use anyhow::{Context as _, Result, bail};
use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER: &str = "tests/interop";
/// What is installed without what it asks for.
const ALONE: &str = "tf_keras==2.21.0";
/// For the part of check: TensorFlow's messages.
const MESSAGES: &str = "tensorboard==2.21.0";

/// What can be asked for.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask full interop")]
struct Args {
    /// A Python with what tests/interop/requirements-torch.txt lists [default: one is set up under
    /// target/interop, for which pip fetches 5.5 GB: PyPI's PyTorch brings CUDA along]
    #[arg(long, conflicts_with = "no_torch")]
    torch: Option<PathBuf>,
    /// Leave PyTorch out: nothing of it is fetched, and the table has no section of it
    #[arg(long)]
    no_torch: bool,
}

/// Everyone, and the table of the day.
pub(crate) fn full(words: impl Iterator<Item = String>) -> Result<()> {
    let name = "cargo xtask full interop".to_owned();
    let args = Args::parse_from(std::iter::once(name).chain(words));
    let python = environment("venv", "requirements.txt", &[ALONE])?;
    let torch = torch(&args)?;
    let cases = export("cases", &[])?;
    let date = crate::today()?;
    let mut text = format!(
        "# Other programs and gradus's files, {date}\n\nWritten by `cargo xtask full interop` \
         ({FOLDER}).\n"
    );
    let mut section = |command: &mut Command| -> Result<()> {
        text.push_str(&format!("\n{}\n", stdout(command)?));
        Ok(())
    };
    // Each prints a section. Keras and PyTorch leave files for us.
    let scripts = ["served.py", "events.py", "keras_files.py", "keras_models.py"];
    let scripts = scripts.map(|script| (&python, script));
    for (python, script) in scripts.into_iter().chain(torch.iter().map(|it| (it, "torch_files.py")))
    {
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

/// The Python with PyTorch; none where it is left out.
fn torch(args: &Args) -> Result<Option<PathBuf>> {
    const LINES: &str = "requirements-torch.txt";
    if args.no_torch || args.torch.is_some() {
        return Ok(args.torch.clone());
    }
    if !python::is_made(&folder("venv-torch"), &wanted(LINES, &[])?) {
        say("PyTorch is not there: pip fetches 5.5 GB (--torch PYTHON takes one, --no-torch none)");
    }
    environment("venv-torch", LINES, &[]).map(Some)
}

/// onnxruntime, on the small networks that hold every layer; nothing where it cannot be installed.
pub(crate) fn check() -> Result<()> {
    let python = match environment("venv-check", "requirements-check.txt", &[MESSAGES]) {
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

/// What an environment shall have: the lines of that file, and more that is installed without what it
/// asks for.
fn wanted(requirements: &str, alone: &[&str]) -> Result<String> {
    let path = format!("{FOLDER}/{requirements}");
    let lines = fs::read_to_string(&path).context(path)?;
    Ok(format!("{lines}{alone:?}"))
}

fn folder(name: &str) -> PathBuf {
    target().join("interop").join(name)
}

/// The Python of an environment with what that file lists and with `alone`.
fn environment(name: &str, requirements: &str, alone: &[&str]) -> Result<PathBuf> {
    let lines = format!("{FOLDER}/{requirements}");
    let listed = ["-r", &lines];
    let alone_each: Vec<_> = alone.iter().map(|package| ["--no-deps", package]).collect();
    let installs: Vec<&[&str]> =
        std::iter::once(&listed[..]).chain(alone_each.iter().map(|it| &it[..])).collect();
    python::environment(&folder(name), &wanted(requirements, alone)?, &installs)
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
