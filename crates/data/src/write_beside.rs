//! Writing a file so that a crash never leaves half of it under its final name.
//!
//! The bytes go to a new file beside the target (the same folder, hence the same file system),
//! reach the disk (`fsync`), and only then take the target's name: a rename within a file system
//! is one indivisible act. Whoever looks sees the old file or the new one, never a mixture.
//!
//! While it is written the hidden file is locked. A process that is killed leaves its file and
//! loses the lock, so that the next write of the same target knows what nobody is at any more, and
//! removes it. (On a file system without locks it stays: a nuisance and no harm.)

use crate::sync::sync;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {cause}", .path.display())]
pub struct WriteError {
    /// The final name, which still holds what it held before.
    pub path: PathBuf,
    /// What the system said.
    pub cause: io::Error,
}

/// Writes `path` through `content`: all of it or, on an error, nothing.
///
/// The folder must exist. A symbolic link at `path` is replaced by a plain file.
///
/// ```no_run
/// use std::io::Write as _;
/// gradus_data::write_beside("history.csv".as_ref(), |file| writeln!(file, "epoch,loss"))?;
/// # Ok::<(), gradus_data::WriteError>(())
/// ```
///
/// # Errors
/// Where the system refuses to create, write or rename, or `content` returns an error. The
/// temporary file is removed and what `path` held before is still there, unless it is only the
/// folder's new entry that a broken disk did not take.
pub fn write_beside(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), WriteError> {
    let attempt = || {
        sweep_beside(path);
        let (temporary, file) = create_beside(path, names())?;
        // `file` stays open, and with it the lock, until the file has its name: else another writer
        // would take it for one that nobody is at.
        let result = file
            .try_clone()
            .and_then(|same| write_through(same, content))
            .and_then(|()| fs::rename(&temporary, path));
        if result.is_err() {
            // The first error is the one worth telling.
            let _ = fs::remove_file(&temporary);
        }
        result
    };
    attempt().map_err(|cause| WriteError { path: path.to_owned(), cause })?;
    // The bytes are safe already. Syncing the folder makes the new name outlive a power cut, too.
    sync(folder(path)).map_err(|cause| WriteError { path: path.to_owned(), cause })
}

/// Names that hardly anybody else thinks of: in a container, a process has the number that the one
/// before it had, so that numbers are drawn instead.
fn names() -> impl Iterator<Item = u64> {
    std::iter::repeat_with(|| RandomState::new().hash_one(std::process::id()))
}

/// A new hidden file in the same folder, locked, of the first of `names` that no file has: what
/// another writer is at is not touched.
fn create_beside(path: &Path, names: impl IntoIterator<Item = u64>) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the path names no file; add a file name")
    })?;
    for number in names {
        let mut hidden = prefix(name);
        hidden.push(format!("{number:016x}"));
        let hidden = folder(path).join(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&hidden) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            // Another writer's sweep may have come between creating and locking.
            Ok(file) if is_swept(&file, &hidden) => {}
            Ok(file) => return Ok((hidden, file)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Locks a new file, and says whether it was taken away before.
fn is_swept(file: &File, hidden: &Path) -> bool {
    matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !hidden.exists()
}

/// Removes the hidden files that writers of the same target left when they were killed.
fn sweep_beside(path: &Path) {
    let Some(prefix) = path.file_name().map(prefix) else { return };
    let Ok(entries) = fs::read_dir(folder(path)) else { return };
    let prefix = prefix.as_encoded_bytes();
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let number = name.as_encoded_bytes().strip_prefix(prefix);
        let ours = number.is_some_and(|n| n.len() == 16 && n.iter().all(u8::is_ascii_hexdigit));
        // Whoever gets the lock knows that no living process writes the file, and keeps the lock
        // until the file is gone.
        if ours
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// `.name.`, with which the hidden files for `name` begin.
fn prefix(name: &OsStr) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".");
    hidden
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_through(
    file: File,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    content(&mut file)?;
    file.flush()?;
    file.get_ref().sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn writers_of_one_file_at_once_take_nothing_away_from_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        write_beside(&path, |file| file.write_all(b"whole")).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn the_file_holds_what_was_written_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_beside(&path, |file| file.write_all(b"first")).unwrap();
        write_beside(&path, |file| file.write_all(b"second")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_writer_that_fails_half_way_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_beside(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_beside(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(io::Error::other("the disk is on fire"))
        })
        .unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.txt"]);
        assert_eq!(error.path, path);
        assert!(error.to_string().contains("a.txt: cannot be written: the disk is on fire"));
    }

    #[test]
    fn a_missing_folder_and_a_missing_name_are_errors_that_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("a.txt");
        let error = write_beside(&path, |_| Ok(())).unwrap_err();
        assert_eq!((error.path, error.cause.kind()), (path, io::ErrorKind::NotFound));
        let error = write_beside(Path::new(".."), |_| Ok(())).unwrap_err();
        assert_eq!(error.cause.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_bare_file_name_lies_in_the_current_folder() {
        assert_eq!(folder(Path::new("a.txt")), Path::new("."));
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let hidden = |number: u64| folder.path().join(format!(".a.txt.{number:016x}"));
        let others = [".b.txt.0000000000000001", ".a.txt.backup", ".a.txt.000000000000000g"];
        others.iter().for_each(|name| fs::write(folder.path().join(name), "mine").unwrap());
        fs::write(hidden(7), "half").unwrap();
        let (living, file) = create_beside(&path, [7, 8]).unwrap();
        assert_eq!(living, hidden(8));
        let error = create_beside(&path, [7, 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        write_beside(&path, |file| file.write_all(b"whole")).unwrap();
        assert!(!hidden(7).exists() && hidden(8).exists());
        drop(file);
        write_beside(&path, |file| file.write_all(b"whole")).unwrap();
        let mut left = names(folder.path());
        left.sort_unstable();
        let mut expected = [&others[..], &["a.txt"]].concat();
        expected.sort_unstable();
        assert_eq!(left, expected);
    }
}
