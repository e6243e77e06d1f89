//! Publishing a folder so that whoever watches never sees half of it.
//!
//! ```text
//! models/dogs_vs_cats/
//!   1/  2/  …     the versions: a server loads the highest number
//!   .saving-…/    the one that is being written
//! ```
//!
//! A version is written under a hidden name beside the others, brought to the disk (`fsync`), and
//! renamed to the next free number, which is one indivisible act. While it is written the hidden
//! folder is locked, so that what killed processes left is known and swept.

use crate::WriteError;
use crate::sync::sync;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};

/// How the folder of a version begins while it is written.
const HIDDEN: &str = ".saving-";

/// Writes the next version in `folder`, which is made if it is not there, through `content`, which
/// gets the folder to write into: all of it or, on an error, nothing. Returns the version's folder:
/// `models/1`, then `models/2`.
///
/// ```no_run
/// let version = gradus_data::write_version("models".as_ref(), |version| {
///     gradus_data::write_beside(&version.join("labels.txt"), |file| {
///         std::io::Write::write_all(file, b"cat\ndog\n")
///     })
/// })?;
/// # Ok::<(), gradus_data::WriteError>(())
/// ```
///
/// # Errors
/// What `content` returns, and where the system refuses to create, sync or rename. No version
/// appears then, unless it is only the folder's new entry that a broken disk did not take.
pub fn write_version<E: From<WriteError>>(
    folder: &Path,
    content: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<PathBuf, E> {
    fs::create_dir_all(folder).map_err(at(folder))?;
    sweep(folder);
    let number = RandomState::new().hash_one(std::process::id());
    let hidden = folder.join(format!("{HIDDEN}{number:016x}"));
    fs::create_dir(&hidden).map_err(at(&hidden))?;
    // Held until the folder has its number: see `sweep`.
    let lock = File::open(&hidden).ok();
    let _ = lock.as_ref().map(File::try_lock);
    let written = content(&hidden).and_then(|()| {
        sync_all(&hidden)?;
        Ok(publish(&hidden, folder)?)
    });
    if written.is_err() {
        // The first error is the one worth telling.
        let _ = fs::remove_dir_all(&hidden);
    }
    written
}

/// Removes the hidden folders of processes that were killed while they saved. One that lives holds
/// a lock on its folder, wherever folders can be locked; elsewhere they stay.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(HIDDEN));
        // Between making a folder and locking it no time is worth speaking of, but it is not
        // nothing: one that is empty may be new.
        let full = || fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_some());
        if ours
            && full()
            && let Ok(lock) = File::open(entry.path())
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// What the system says, with the path that it says it of.
fn at(path: &Path) -> impl FnOnce(io::Error) -> WriteError + use<> {
    let path = path.to_owned();
    move |cause| WriteError { path, cause }
}

/// Brings all that lies in a folder to the disk.
fn sync_all(path: &Path) -> Result<(), WriteError> {
    let kind = fs::symlink_metadata(path).map_err(at(path))?;
    // What a link leads to is someone else's.
    if kind.is_symlink() {
        return Ok(());
    }
    if kind.is_dir() {
        for entry in fs::read_dir(path).map_err(at(path))? {
            sync_all(&entry.map_err(at(path))?.path())?;
        }
    }
    sync(path).map_err(at(path))
}

/// Gives the hidden folder the next free number.
fn publish(hidden: &Path, folder: &Path) -> Result<PathBuf, WriteError> {
    loop {
        let entries = fs::read_dir(folder).map_err(at(folder))?;
        let numbers = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u64>().ok());
        let version = folder.join((numbers.max().unwrap_or(0) + 1).to_string());
        match fs::rename(hidden, &version) {
            Ok(()) => {
                // The new name shall outlive a power cut.
                sync(folder).map_err(at(folder))?;
                return Ok(version);
            }
            // Another process took the number in the meantime.
            Err(_) if version.exists() => {}
            Err(cause) => return Err(WriteError { path: version, cause }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    /// A version of two files, one of them in a folder of its own.
    fn write(version: &Path) -> Result<(), WriteError> {
        fs::write(version.join("a"), "a").map_err(at(version))?;
        fs::create_dir(version.join("more")).map_err(at(version))?;
        fs::write(version.join("more/b"), "b").map_err(at(version))
    }

    #[test]
    fn versions_count_up_from_the_highest() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models/pets");
        assert_eq!(write_version(&models, write).unwrap(), models.join("1"));
        fs::create_dir(models.join("7")).unwrap();
        fs::write(models.join("config.pbtxt"), "").unwrap();
        assert_eq!(write_version(&models, write).unwrap(), models.join("8"));
        assert_eq!(names(&models), ["1", "7", "8", "config.pbtxt"]);
        assert_eq!(fs::read(models.join("8/more/b")).unwrap(), b"b");
    }

    #[test]
    fn a_version_that_fails_half_way_is_never_there() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_version(folder.path(), |version| {
            write(version)?;
            Err(WriteError { path: version.join("c"), cause: io::Error::other("no more room") })
        });
        assert!(error.unwrap_err().to_string().contains("no more room"));
        assert!(names(folder.path()).is_empty());
    }

    /// A socket is nothing that the disk could hold.
    #[cfg(unix)]
    #[test]
    fn a_version_that_does_not_reach_the_disk_is_never_there() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_version(folder.path(), |version| {
            let socket = std::os::unix::net::UnixListener::bind(version.join("socket"));
            socket.map(drop).map_err(at(version))
        });
        let error = error.unwrap_err();
        assert!(error.path.ends_with("socket"), "{error}");
        assert!(names(folder.path()).is_empty());
        // Links are left alone, wherever they lead.
        let linked = write_version(folder.path(), |version| {
            std::os::unix::fs::symlink("/nothing", version.join("link")).map_err(at(version))
        });
        assert_eq!(linked.unwrap(), folder.path().join("1"));
    }

    #[test]
    fn nobody_sees_a_version_without_all_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let (models, done) = (folder.path(), AtomicBool::new(false));
        std::thread::scope(|threads| {
            let watcher = threads.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::Acquire) {
                    for name in names(models).into_iter().filter(|n| n.parse::<u64>().is_ok()) {
                        let version = models.join(name);
                        assert_eq!(names(&version), ["a", "more"]);
                        assert_eq!(names(&version.join("more")), ["b"]);
                        seen += 1;
                    }
                }
                seen
            });
            let writers = [(); 2].map(|()| {
                threads.spawn(|| (0..20).for_each(|_| drop(write_version(models, write).unwrap())))
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            done.store(true, Ordering::Release);
            assert!(watcher.join().unwrap() > 0);
        });
        assert_eq!(names(models).len(), 40, "no number was given twice");
    }

    #[test]
    fn what_a_killed_process_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".saving-0000000000000007");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("half"), "").unwrap();
        write_version(folder.path(), write).unwrap();
        assert_eq!(names(folder.path()), ["1"]);
    }
}
