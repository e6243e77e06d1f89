//! Bringing to the disk what was written.
//!
//! Not every system lets a folder, or a file that is open to be read, be synced: such a refusal is no
//! error. All else that a system says is one: the disk may be full, or broken.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Brings a file or a folder to the disk, where the system knows how to.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.or_else(|error| if is_not_for(path.is_dir(), &error) { Ok(()) } else { Err(error) })
}

/// Whether it means that this cannot be synced here, be it a folder or a file.
fn is_not_for(folder: bool, error: &io::Error) -> bool {
    // What stands for a handle that is only read, for which there is no word: Linux's EBADF, and
    // Windows's ERROR_INVALID_FUNCTION and ERROR_INVALID_HANDLE.
    let numbers: &[i32] = if cfg!(windows) { &[1, 6] } else { &[9] };
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::Unsupported => true,
        // A file was just written and may be read; Windows wants to write what it syncs.
        ErrorKind::PermissionDenied => folder || cfg!(windows),
        _ => error.raw_os_error().is_some_and(|number| numbers.contains(&number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn only_what_cannot_be_synced_here_is_passed_over() {
        let passed = |number, folder| is_not_for(folder, &io::Error::from_raw_os_error(number));
        let [eio, ebadf, eacces, einval, enospc, eopnotsupp] = [5, 9, 13, 22, 28, 95];
        for number in [ebadf, einval, eopnotsupp] {
            assert!(passed(number, true) && passed(number, false), "{number}");
        }
        assert!(passed(eacces, true) && !passed(eacces, false));
        for number in [eio, enospc] {
            assert!(!passed(number, true) && !passed(number, false), "{number}");
        }
        // No disk is behind it: EINVAL.
        sync(Path::new("/dev/null")).unwrap();
        assert_eq!(sync(Path::new("/nothing")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
