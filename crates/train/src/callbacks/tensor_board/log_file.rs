//! A file of events that grows.
//!
//! ```text
//! Form         records of TFRecord: length u64, masked CRC of the length u32, the event, masked CRC
//!              of the event u32, all little-endian; masked(c) = (c >>> 15 | c << 17) + 0xa282ead8
//! Conventions  the name has "tfevents" in it and begins with the time, so that files sort by it
//! Resume       a file goes on at the length that the checkpoint remembers: what was written after
//!              it is written again. A record of the same step has the same length, so that a
//!              TensorBoard that is looking on goes on too
//! Reference    TensorFlow, `tsl/lib/io/record_writer.h`
//! ```

use super::event;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How every name begins: TensorBoard looks for the middle word.
const PREFIX: &str = "events.out.tfevents.";

/// A file that is made when there is something to write.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LogFile {
    /// Within the folder of the run.
    name: String,
    /// How much of it is ours.
    bytes: u64,
    #[serde(skip)]
    file: Option<File>,
}

/// Why a file cannot be written, with its path.
pub(super) type Failed = (PathBuf, io::Error);

impl LogFile {
    /// A file of a name that no other has.
    pub(super) fn new() -> Self {
        static FILES: AtomicU64 = AtomicU64::new(0);
        let (now, process) = (since_1970(), std::process::id());
        let (seconds, nanos) = (now.as_secs(), now.subsec_nanos());
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{seconds}.{nanos:09}.{process}.{number}.v2");
        Self { name, bytes: 0, file: None }
    }

    /// Whether the name is one within the folder: a checkpoint may come from anywhere.
    pub(super) fn is_named_well(&self) -> bool {
        let rest = self.name.strip_prefix(PREFIX);
        rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '.'))
    }

    /// Whether a run that was resumed wrote to it and it was not yet opened.
    pub(super) fn is_to_go_on(&self) -> bool {
        self.bytes > 0 && self.file.is_none()
    }

    /// Opens it in `folder`, which is made if it is not there. The answer tells what was lost, where
    /// something was.
    pub(super) fn open(&mut self, folder: &Path) -> Result<Option<String>, Failed> {
        let path = folder.join(&self.name);
        let (file, found) = open_at(folder, &path, self.bytes).map_err(|e| (path.clone(), e))?;
        self.file = Some(file);
        if found == self.bytes && found > 0 {
            return Ok(None);
        }
        let lost = (self.bytes > 0).then(|| {
            let (path, bytes) = (path.display(), self.bytes);
            format!("TensorBoard: {path} should have {bytes} bytes and has {found}: begun anew")
        });
        self.bytes = 0;
        self.append(folder, &[event::version(wall_time())])?;
        Ok(lost)
    }

    /// Adds events: to a file that is made now, if need be.
    pub(super) fn append(&mut self, folder: &Path, events: &[Vec<u8>]) -> Result<(), Failed> {
        if self.file.is_none() {
            self.open(folder)?;
        }
        let records: Vec<u8> = events.iter().flat_map(|event| record(event)).collect();
        if let Some(file) = &mut self.file {
            file.write_all(&records).map_err(|e| (folder.join(&self.name), e))?;
            self.bytes += records.len() as u64;
        }
        Ok(())
    }

    /// Waits until all that was written is on the disk: a checkpoint that remembers its length is.
    pub(super) fn sync(&self, folder: &Path) -> Result<(), Failed> {
        let synced = self.file.as_ref().map_or(Ok(()), File::sync_data);
        synced.map_err(|e| (folder.join(&self.name), e))
    }
}

/// The file, cut to `bytes`, and how much of it there was to keep: nothing where it is shorter.
fn open_at(folder: &Path, path: &Path, bytes: u64) -> io::Result<(File, u64)> {
    fs::create_dir_all(folder)?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    let length = file.metadata()?.len();
    file.set_len(if length < bytes { 0 } else { bytes })?;
    file.seek(SeekFrom::End(0))?;
    Ok((file, length.min(bytes)))
}

fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let crc = |bytes| masked_crc(bytes).to_le_bytes();
    [&length[..], &crc(&length), event, &crc(event)].concat()
}

/// Masked, because a CRC of bytes that hold their own CRC says nothing.
pub(super) fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since 1970.
pub(super) fn wall_time() -> f64 {
    since_1970().as_secs_f64()
}
