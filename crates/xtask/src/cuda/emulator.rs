//! Builds the emulated driver out of a copy of the kernels, by the build script of `cuda-emu` itself.

use super::mutants::Mutant;
use super::suite::Rooms;
use super::verdicts::fingerprint;
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

const PACKAGE: &str = "crates/cuda-emu";

/// Where it builds, and with what.
pub(super) struct Emulator {
    script: PathBuf,
    target: String,
    scratch: PathBuf,
    lock: File,
}

impl Emulator {
    /// Compiles the build script, which holds the lock while it runs.
    pub(super) fn new(scratch: PathBuf, lock: File) -> Result<Self> {
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
        let target = host.context("rustc names no host")?.to_owned();
        Ok(Self { script, target, scratch, lock })
    }

    /// The driver with that bug, or with none. Objects are kept, so that only what the bug touches is
    /// compiled.
    pub(super) fn build(&self, mutant: Option<&Mutant>) -> Result<PathBuf> {
        self.make(mutant, &[])
    }

    /// The same, in half the time, for schedules that check nothing: the checked kernels stay as they
    /// were built last.
    pub(super) fn build_plain(&self, mutant: &Mutant) -> Result<PathBuf> {
        self.make(Some(mutant), &[("GRADUS_CUDA_EMU_PLAIN_ONLY", "1")])
    }

    fn make(&self, mutant: Option<&Mutant>, settings: &[(&str, &str)]) -> Result<PathBuf> {
        let (tree, out) = (self.tree(), self.out());
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
            .envs(settings.iter().copied())
            .env("NUM_JOBS", thread::available_parallelism()?.to_string())
            .env("HOST", &self.target)
            .env("TARGET", &self.target)
            .env("CARGO_CFG_TARGET_ARCH", std::env::consts::ARCH)
            .env("CARGO_CFG_TARGET_OS", std::env::consts::OS)
            .current_dir(tree.join(PACKAGE))
            .stdin(self.lock.try_clone()?)
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

    /// A hash of all that the driver built last was made of: compiler, flags, and the text of every
    /// source and header.
    pub(super) fn fingerprint(&self) -> Result<u64> {
        let path = self.out().join("libcuda.stamp");
        Ok(fingerprint(fs::read(&path).with_context(|| path.display().to_string())?))
    }

    /// The rooms whose kernels were made of that file when the driver was built last.
    pub(super) fn rooms_of(&self, file: &str) -> Result<Rooms> {
        let (mut rooms, tree) = (Rooms::new(), format!("{}/", self.tree().display()));
        for entry in fs::read_dir(self.out())? {
            let path = entry?.path();
            // Of the plain objects: the checked ones are made of the same.
            if path.to_str().is_some_and(|path| path.ends_with("_plain.d")) {
                rooms.extend(rooms_in(&fs::read_to_string(&path)?, &tree, file));
            }
        }
        Ok(rooms)
    }

    fn tree(&self) -> PathBuf {
        self.scratch.join("tree")
    }

    fn out(&self) -> PathBuf {
        self.scratch.join("out")
    }
}

/// The rooms of the kernels in a rule for make that has that file, too; all of them below `tree`.
fn rooms_in(rule: &str, tree: &str, file: &str) -> Rooms {
    let files = || rule.split_whitespace().filter_map(|path| path.strip_prefix(tree));
    let room = |path: &str| {
        let (package, path) = path.strip_prefix("crates/")?.split_once("/src/")?;
        Some([package, path.split('/').next()?].map(str::to_owned))
    };
    match files().any(|path| path == file) {
        true => files().filter(|path| path.ends_with(".cu")).filter_map(room).collect(),
        false => Rooms::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_belongs_to_the_rooms_whose_kernels_include_it() {
        let rule = "x.o: /out/x_plain.cpp /tree/crates/layers/src/conv2d/cuda/ladder/1_naive.cu \\\n \
                    /tree/crates/gpu/src/include/prelude.cuh /tree/crates/cuda-emu/emu/kernel.h\n";
        let rooms = |file| rooms_in(rule, "/tree/", file);
        let conv2d = Rooms::from([["layers", "conv2d"].map(str::to_owned)]);
        assert_eq!(rooms("crates/gpu/src/include/prelude.cuh"), conv2d);
        assert_eq!(rooms("crates/layers/src/conv2d/cuda/ladder/1_naive.cu"), conv2d);
        assert_eq!(rooms("crates/gpu/src/include/sums.cuh"), Rooms::new());
        let own = "y.o: /tree/crates/cuda-emu/kernels/broken.cu /tree/crates/gpu/src/include/a.cuh";
        assert_eq!(rooms_in(own, "/tree/", "crates/gpu/src/include/a.cuh"), Rooms::new());
    }
}
