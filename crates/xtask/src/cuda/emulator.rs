//! Builds the emulated driver out of a copy of the kernels, by the build script of `cuda-emu` itself.

use super::mutants::Mutant;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "crates/cuda-emu";

/// Where it builds, and with what.
pub(super) struct Emulator {
    script: PathBuf,
    target: String,
    scratch: PathBuf,
}

impl Emulator {
    /// Compiles the build script.
    pub(super) fn new(scratch: PathBuf) -> Result<Self> {
        let artifacts = crate::artifacts(&["build", "--package=gradus-cuda-emu"])?;
        let is_script = |made: &&serde_json::Value| {
            made["target"]["kind"][0] == "custom-build"
                && made["manifest_path"].as_str().is_some_and(|path| path.contains(PACKAGE))
        };
        let script =
            artifacts.iter().find(is_script).and_then(|made| made["filenames"][0].as_str());
        let script = PathBuf::from(script.context("cargo names no build script of cuda-emu")?);
        let said = Command::new("rustc").arg("-vV").output()?.stdout;
        let said = String::from_utf8(said)?;
        let host = said.lines().find_map(|line| line.strip_prefix("host: "));
        Ok(Self { script, target: host.context("rustc names no host")?.to_owned(), scratch })
    }

    /// The driver with that bug, or with none. Objects are kept, so that only what the bug touches is
    /// compiled.
    pub(super) fn build(&self, mutant: Option<&Mutant>) -> Result<PathBuf> {
        let (tree, out) = (self.scratch.join("tree"), self.scratch.join("out"));
        for folder in fs::read_dir("crates")? {
            let sources = folder?.path().join("src");
            if sources.is_dir() {
                copy(&sources, &tree, is_kernel)?;
            }
        }
        copy(Path::new(PACKAGE), &tree, |_| true)?;
        if let Some(mutant) = mutant {
            mutant.plant(&tree)?;
        }
        fs::create_dir_all(&out)?;
        let run = Command::new(&self.script)
            .env("CARGO_MANIFEST_DIR", tree.join(PACKAGE))
            .env("OUT_DIR", &out)
            .env("HOST", &self.target)
            .env("TARGET", &self.target)
            .env("CARGO_CFG_TARGET_ARCH", std::env::consts::ARCH)
            .env("CARGO_CFG_TARGET_OS", std::env::consts::OS)
            .current_dir(tree.join(PACKAGE))
            .output()
            .with_context(|| self.script.display().to_string())?;
        let said = String::from_utf8_lossy(&run.stdout);
        let library =
            said.lines().find_map(|line| line.strip_prefix("cargo:rustc-env=GRADUS_CUDA_EMU="));
        match library.filter(|_| run.status.success()) {
            Some(library) => Ok(library.into()),
            None => {
                let bug = mutant.map_or("the kernels as they are", |mutant| &mutant.bug);
                bail!("{bug}: {said}\n{}", String::from_utf8_lossy(&run.stderr))
            }
        }
    }
}

/// Every file below that is wanted, at the same place of the tree.
fn copy(folder: &Path, tree: &Path, wanted: fn(&Path) -> bool) -> Result<()> {
    fs::create_dir_all(tree.join(folder))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            copy(&path, tree, wanted)?;
        } else if wanted(&path) {
            fs::copy(&path, tree.join(&path))?;
        }
    }
    Ok(())
}

fn is_kernel(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "cu" || kind == "cuh")
}
