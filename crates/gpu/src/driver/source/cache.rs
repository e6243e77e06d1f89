//! Cubins that were compiled here, kept on disk.
//!
//! ```text
//! Name     a hash of all that the cubin depends on: source, headers, options, NVRTC's version
//! Content  the cubin and, behind it, a hash of it and of its name in eight bytes: what was cut off,
//!          changed or put there by somebody else is compiled again
//! ```

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// Bytes of the hash behind the cubin.
const SEAL: usize = 8;

/// Where cubins are kept.
pub(super) fn folder() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let home = variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    home.join("gradus/kernels")
}

/// Where the cubin of that source is kept: under a hash of it, its headers, the options and the
/// compiler's version.
pub(super) fn path(
    folder: &Path,
    source: &str,
    options: &[String],
    version: (i32, i32),
) -> PathBuf {
    let mut hash = DefaultHasher::new();
    (source, options, env!("CARGO_PKG_VERSION"), version).hash(&mut hash);
    for folder in options.iter().filter_map(|option| option.strip_prefix("-I")) {
        let mut headers: Vec<PathBuf> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "cuh"))
            .collect();
        headers.sort();
        for header in headers {
            fs::read(&header).unwrap_or_default().hash(&mut hash);
        }
    }
    folder.join(format!("{:016x}.cubin", hash.finish()))
}

/// What is kept there; else what `compile` makes, which is kept.
pub(super) fn cached(
    path: &Path,
    compile: impl FnOnce() -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, String> {
    if let Some(cubin) = kept(path) {
        return Ok(cubin);
    }
    let cubin = compile()?;
    keep(path, &cubin);
    Ok(cubin)
}

/// The cubin of a file that is whole and belongs there.
fn kept(path: &Path) -> Option<Vec<u8>> {
    let mut cubin = fs::read(path).ok()?;
    let found = cubin.split_off(cubin.len().checked_sub(SEAL)?);
    (found == seal(path, &cubin)).then_some(cubin)
}

/// Keeps it, written beside and renamed. A cache that cannot be written is no loss.
fn keep(path: &Path, cubin: &[u8]) {
    let beside = path.with_extension(format!("{}.part", std::process::id()));
    let folder = path.parent().unwrap_or(Path::new("."));
    let sealed = [cubin, &seal(path, cubin)].concat();
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::write(&beside, sealed))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
}

fn seal(path: &Path, cubin: &[u8]) -> [u8; SEAL] {
    let mut hash = DefaultHasher::new();
    (path.file_name(), cubin).hash(&mut hash);
    hash.finish().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUBIN: &[u8] = b"\x7fELF, so to speak";

    /// What `cached` gives, and whether it had to compile.
    fn ask(path: &Path) -> (Vec<u8>, bool) {
        let mut compiled = false;
        let cubin = cached(path, || {
            compiled = true;
            Ok(CUBIN.to_vec())
        });
        (cubin.expect("it compiles"), compiled)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_was_compiled_once_is_found_the_next_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("made/on/the/way/1.cubin");
        assert_eq!(ask(&path), (CUBIN.to_vec(), true));
        assert_eq!(ask(&path), (CUBIN.to_vec(), false));
        assert_eq!(names(path.parent().expect("a folder")), ["1.cubin"], "nothing beside it");
    }

    #[test]
    fn what_does_not_compile_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("1.cubin");
        let said = cached(&path, || Err("a semicolon is missing".to_owned()));
        assert_eq!(said, Err("a semicolon is missing".to_owned()));
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_damaged_or_foreign_file_is_compiled_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (folder.path().join("1.cubin"), folder.path().join("2.cubin"));
        ask(&path);
        let whole = fs::read(&path).expect("kept");
        let mut changed = whole.clone();
        changed[3] ^= 1;
        let cut = &whole[..whole.len() - 1];
        for wrong in [&changed[..], cut, CUBIN, b"short", b""] {
            fs::write(&path, wrong).expect("written");
            assert_eq!(ask(&path), (CUBIN.to_vec(), true), "{wrong:?}");
            assert_eq!(fs::read(&path).expect("kept"), whole, "and kept anew");
        }
        fs::copy(&path, &other).expect("copied");
        assert_eq!(ask(&other), (CUBIN.to_vec(), true), "the cubin of another source");
        assert_eq!(ask(&other), (CUBIN.to_vec(), false));
    }

    #[test]
    fn where_nothing_can_be_written_nothing_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a file");
        fs::write(&file, "not a folder").expect("written");
        let path = file.join("1.cubin");
        assert_eq!([ask(&path), ask(&path)], [(CUBIN.to_vec(), true), (CUBIN.to_vec(), true)]);
        // A folder stands where the cubin would: what was written beside it goes away again.
        let taken = folder.path().join("2.cubin");
        fs::create_dir_all(taken.join("inside")).expect("made");
        assert_eq!(ask(&taken), (CUBIN.to_vec(), true));
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, ["2.cubin", "a file"]);
    }

    #[test]
    fn its_name_follows_from_all_that_it_depends_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let header = folder.path().join("step.cuh");
        fs::write(&header, "int a;").expect("written");
        let options = [format!("-I{}", folder.path().display()), "--std=c++17".to_owned()];
        let name = |source, options: &[String], version| {
            path(Path::new("kernels"), source, options, version)
        };
        let first = name("a", &options, (13, 0));
        assert_eq!(first, name("a", &options, (13, 0)));
        fs::write(folder.path().join("notes.txt"), "no header").expect("written");
        assert_eq!(first, name("a", &options, (13, 0)));
        let others = [name("b", &options, (13, 0)), name("a", &options[..1], (13, 0))];
        assert!(!others.contains(&first) && first != name("a", &options, (12, 9)));
        fs::write(&header, "int b;").expect("written");
        assert_ne!(first, name("a", &options, (13, 0)));
    }
}
