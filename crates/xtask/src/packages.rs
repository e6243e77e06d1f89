//! Does each crate build from its package, with nothing of the workspace beside it?
//!
//! `cargo package` builds them from a registry of its own in the target folder. It unpacks what is in
//! there to the home of cargo, by the registry's path and the version alone, and takes that for what
//! it is for ever: of a version that was packaged before, from the same path, it would build the old
//! sources. So each time the target folder is given by a name that it never had.

use crate::{cargo, target};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

const UNPUBLISHED: [&str; 3] = ["gradus-testing", "gradus-cuda-emu", "gradus-xtask"];

/// Packages and builds all that are published.
pub(crate) fn check() -> Result<()> {
    let folder = std::path::absolute(target())?;
    fs::create_dir_all(&folder)?;
    let alias = folder.join(format!("packaging-{}-{}", std::process::id(), now()?));
    another_name(&folder, &alias)?;
    let name = alias.display().to_string();
    let excluded = UNPUBLISHED.iter().flat_map(|name| ["--exclude", name]);
    let mut arguments = vec!["package", "--workspace", "--allow-dirty", "--quiet"];
    arguments.extend(["--target-dir", &name]);
    arguments.extend(excluded);
    let outcome = cargo(&arguments, &[]);
    fs::remove_file(&alias).or_else(|_| fs::remove_dir_all(&alias))?;
    forget_unpacked();
    outcome
}

/// What no earlier run was called.
fn now() -> Result<u128> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(since.context("a clock before 1970")?.as_nanos())
}

#[cfg(unix)]
fn another_name(folder: &Path, alias: &Path) -> Result<()> {
    std::os::unix::fs::symlink(folder, alias).with_context(|| alias.display().to_string())
}

/// Without links, a folder of its own, in which everything is built once more.
#[cfg(not(unix))]
fn another_name(_: &Path, alias: &Path) -> Result<()> {
    fs::create_dir_all(alias).with_context(|| alias.display().to_string())
}

/// Takes away what was unpacked from registries that have no host, as far as it is ours.
fn forget_unpacked() {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let Some(registry) = home.map(|home| home.join("registry")) else { return };
    let entries = fs::read_dir(registry.join("src")).into_iter().flatten().flatten();
    for name in entries.map(|entry| entry.file_name()) {
        let src = registry.join("src").join(&name);
        let ours = src.join(concat!("gradus-random-", env!("CARGO_PKG_VERSION"))).exists();
        if name.to_string_lossy().starts_with('-') && ours {
            // Nobody misses it; where it cannot be removed, it only takes room.
            for part in ["src", "cache", "index"] {
                let _ = fs::remove_dir_all(registry.join(part).join(&name));
            }
        }
    }
}
