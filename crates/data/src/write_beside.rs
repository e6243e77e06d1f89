//! Writing a file so that a crash never leaves half of it under its final name.
//!
//! The bytes go to a new file beside the target (the same folder, hence the same file system),
//! reach the disk (`fsync`), and only then take the target's name: a rename within a file system
//! is one indivisible act. Whoever looks sees the old file or the new one, never a mixture.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {source}", .path.display())]
pub struct WriteError {
    /// The final name, which still holds what it held before.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
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
/// temporary file is removed and what `path` held before is still there.
pub fn write_beside(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), WriteError> {
    let attempt = || {
        let (temporary, file) = create_beside(path, names())?;
        let result = write_through(file, content).and_then(|()| fs::rename(&temporary, path));
        if result.is_err() {
            // The first error is the one worth telling.
            let _ = fs::remove_file(&temporary);
        }
        result
    };
    attempt().map_err(|source| WriteError { path: path.to_owned(), source })?;
    // The bytes are safe already. Syncing the folder makes the new name outlive a power cut, too;
    // not every system lets a folder be opened, so that a refusal is no error.
    let _ = File::open(folder(path)).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Names that hardly anybody else thinks of: in a container, a process has the number that the one
/// before it had, so that numbers are drawn instead.
fn names() -> impl Iterator<Item = u64> {
    std::iter::repeat_with(|| RandomState::new().hash_one(std::process::id()))
}

/// A new hidden file in the same folder, of the first of `names` that no file has: what another
/// writer is at, or left when it was killed, is not touched.
fn create_beside(path: &Path, names: impl IntoIterator<Item = u64>) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the path names no file; add a file name")
    })?;
    for number in names {
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{number:016x}"));
        let hidden = folder(path).join(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&hidden) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => return Ok((hidden, file?)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
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
        assert_eq!((error.path, error.source.kind()), (path, io::ErrorKind::NotFound));
        let error = write_beside(Path::new(".."), |_| Ok(())).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_bare_file_name_lies_in_the_current_folder() {
        assert_eq!(folder(Path::new("a.txt")), Path::new("."));
    }

    #[test]
    fn a_temporary_file_that_a_killed_process_left_is_passed_over_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let left = folder.path().join(".a.txt.0000000000000007");
        fs::write(&left, "half").unwrap();
        let (temporary, _) = create_beside(&path, [7, 8]).unwrap();
        assert_eq!(temporary, folder.path().join(".a.txt.0000000000000008"));
        let error = create_beside(&path, [7, 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&left).unwrap(), b"half");
    }
}
