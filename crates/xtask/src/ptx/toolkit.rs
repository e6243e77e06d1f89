//! NVIDIA's compiler and assembler, from the wheels on PyPI: 101 MB, nothing to install.
//!
//! Every wheel is pinned, since the text of the PTX depends on all of them.

use super::source::HEADERS;
use super::target::Target;
use crate::python::environment;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

const WHEELS: [&str; 7] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cccl==13.0.85",
    // First published with 13.2; they read what 13.0 assembles.
    "nvidia-cuda-cuobjdump==13.2.86",
    "nvidia-cuda-nvdisasm==13.2.86",
];
/// What nvcc is told about every kernel. Its warnings are errors, and it optimizes by default.
const OPTIONS: [&str; 3] = ["-std=c++17", "-Werror", "all-warnings"];

/// All that the PTX depends on beside the source.
pub(super) fn recipe(target: Target) -> String {
    let versions = target.versions().join(" ");
    format!("{} {} {} {versions}", WHEELS.join(" "), OPTIONS.join(" "), target.name())
}

/// The programs, ready to run.
#[derive(Debug)]
pub(super) struct Toolkit {
    programs: PathBuf,
}

impl Toolkit {
    /// Takes what lies in the folder, or has pip fetch it.
    pub(super) fn install(folder: &Path) -> Result<Self> {
        let host = Command::new("g++").arg("--version").output();
        host.context("nvcc needs g++, which cannot be started")?;
        let packages = std::path::absolute(folder)?.join("packages");
        let to = packages.display().to_string();
        let install = [&["--no-deps", "--target", &to][..], &WHEELS].concat();
        environment(folder, &WHEELS.join("\n"), &[&install])?;
        let programs = packages.join("nvidia/cu13/bin").canonicalize();
        let programs = programs.with_context(|| {
            format!("{} lacks its programs: remove it and run this again", folder.display())
        })?;
        Ok(Self { programs })
    }

    /// Compiles a source of the project to the PTX that nvcc writes.
    pub(super) fn compile(&self, source: &Path, target: Target, to: &Path) -> Result<()> {
        let mut nvcc = self.program("nvcc");
        nvcc.args(OPTIONS).args(["-ptx", "-ccbin", "g++", "-I", HEADERS]);
        nvcc.arg(format!("-arch={}", target.name())).arg("-o").arg(to).arg(source);
        run(nvcc)?;
        Ok(())
    }

    /// Assembles PTX for a real GPU; gives what ptxas says of its kernels.
    pub(super) fn assemble(&self, ptx: &Path, machine: &str, to: &Path) -> Result<String> {
        let mut ptxas = self.program("ptxas");
        ptxas.args(["-v", &format!("-arch={machine}"), "-o"]).arg(to).arg(ptx);
        Ok(run(ptxas)?.1)
    }

    /// The machine code of what [`Self::assemble`] wrote, in words.
    pub(super) fn disassemble(&self, cubin: &Path) -> Result<String> {
        let mut cuobjdump = self.program("cuobjdump");
        cuobjdump.arg("-sass").arg(cubin);
        Ok(run(cuobjdump)?.0)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        // The programs start each other by name.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [self.programs.clone()].into_iter().chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
        command
    }
}

/// What the program wrote to its two outputs; an error with them if it failed.
fn run(mut command: Command) -> Result<(String, String)> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("{name} failed:\n{written}{said}");
    }
    Ok((written, said))
}
