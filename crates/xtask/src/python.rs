//! Python environments, each made once for what it shall hold.

use crate::run;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Written last, so that an environment without it was left half-made.
const STAMP: &str = "made-for";
/// What every pip is told: where there is no network, that shall be known soon.
const PIP: [&str; 9] = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--retries",
    "2",
    "--timeout",
    "30",
];

/// Whether there is an environment in the folder that was made for just that.
pub(crate) fn is_made(folder: &Path, wanted: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|made| made == wanted)
}

/// The Python of the environment in the folder: of the one that is there, if it was made for what is
/// `wanted`, or of a new one, in which pip was called with each list of arguments.
pub(crate) fn environment(folder: &Path, wanted: &str, installs: &[&[&str]]) -> Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let python = folder.join("bin/python");
    if is_made(&folder, wanted) {
        return Ok(python);
    }
    run("python3", &["-m", "venv", "--clear", &folder.display().to_string()], &[])
        .context("python3 -m venv (Debian and Ubuntu: apt install python3-venv)")?;
    for install in installs {
        run(&python.display().to_string(), &[&PIP[..], install].concat(), &[])?;
    }
    fs::write(folder.join(STAMP), wanted)?;
    Ok(python)
}
