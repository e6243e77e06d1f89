//! The kernels compiled from their sources by NVRTC, as `GRADUS_KERNELS=source` has them compiled.
//!
//! It needs no GPU and no driver. What nvcc accepts NVRTC may not: it has no standard headers.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// 45 MB.
const WHEEL: &str = "nvidia-cuda-nvrtc==13.0.88";

/// Runs the test of the gpu crate, where NVRTC can be had.
pub(crate) fn check() -> Result<()> {
    let folder = crate::target().join("cuda-nvrtc");
    match install(&folder) {
        Ok(python) => crate::cargo(
            &["test", "--package=gradus-gpu", "--lib", "--", "every_kernel_compiles"],
            &[("VIRTUAL_ENV", &python.display().to_string()), ("GRADUS_REQUIRE_NVRTC", "1")],
        ),
        Err(error) => {
            crate::say(&format!("nvrtc: the kernels were not compiled by it: {error:#}"));
            Ok(())
        }
    }
}

/// The virtual environment with NVRTC in it: what lies there, or a new one.
fn install(folder: &Path) -> Result<PathBuf> {
    let (python, marker) = (folder.join("venv"), folder.join("complete"));
    if std::fs::read_to_string(&marker).is_ok_and(|wheel| wheel == WHEEL) {
        return Ok(python.canonicalize()?);
    }
    crate::say(&format!("$ pip: {WHEEL} into {}", folder.display()));
    let venv = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&python).output();
    succeeded("python3 -m venv (Debian and Ubuntu: apt install python3-venv)", venv)?;
    let mut pip = Command::new(python.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", WHEEL]);
    succeeded("pip", pip.output())?;
    std::fs::write(marker, WHEEL)?;
    Ok(python.canonicalize()?)
}

fn succeeded(what: &str, output: std::io::Result<std::process::Output>) -> Result<()> {
    let output = output.with_context(|| format!("cannot start {what}"))?;
    if !output.status.success() {
        bail!("{what} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
