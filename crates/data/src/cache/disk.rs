//! Images in one file, packed, read from where they lie.
//!
//! ```text
//! Header       64 bytes: a name, the fingerprint of the data set, N, height, width, channels, and
//!              the hash of these bytes
//! Images       N · height · width · channels bytes, in the order of the rows
//! Hashes       N hashes of the images, 0 for one that could not be read, and the hash of these
//! Numbers      8 bytes each, little-endian
//! Trusted      if the header is the one expected, the length fits and the hashes agree; and each
//!              image when it is read, by its own hash. All else is read from the original files
//! Written      beside and renamed: processes that make it at the same time each read their own
//!              until it ends, and the last one stays
//! ```

use super::Store;
use crate::bad_images::attempt;
use crate::hash::{Hash, hash};
use crate::in_order::in_order;
use crate::{Dataset, Error, Sample, write_beside};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const NAME: &[u8; 16] = b"gradus images 1\n";
const HEADER: usize = 64;

/// The cache of `dataset` in the file `path`: made now unless it is there and fits.
pub(super) fn open(
    path: PathBuf,
    dataset: &dyn Dataset,
    threads: usize,
    remarks: &mut Vec<String>,
) -> Result<Disk, Error> {
    let header = header(dataset)?;
    let shown = path.display();
    match Disk::open(&path, &header, dataset) {
        Ok(disk) => return Ok(disk),
        Err(Refused::Missing) => {}
        Err(Refused::Stale) => remarks.push(format!(
            "The cache {shown} was of other images, of a file that changed since, or of another \
             size: it is made anew."
        )),
        Err(Refused::Damaged(why)) => {
            remarks.push(format!("The cache {shown} is damaged ({why}): it is made anew."));
        }
    }
    write_beside(&path, |file| write(file, &header, dataset, threads))
        .map_err(|e| Error::io(&path)(e.cause))?;
    Disk::open(&path, &header, dataset).map_err(|_| Error::Argument {
        argument: "cache",
        found: format!("{shown} is no longer the file that was just written"),
        remedy: "give each data set a cache of its own",
    })
}

/// What the file of this data set begins with.
fn header(dataset: &dyn Dataset) -> Result<Vec<u8>, Error> {
    let mut all = Hash::default();
    for index in 0..dataset.len() {
        let one = dataset.fingerprint(index).ok_or_else(|| Error::Argument {
            argument: "cache",
            found: format!("{} has no fingerprint", dataset.name(index)),
            remedy: "keep these images in memory, or implement Dataset::fingerprint",
        })?;
        all.number(one);
    }
    let [h, w, c] = dataset.size().map(|n| n as u64);
    let mut header = NAME.to_vec();
    for number in [all.finish(), dataset.len() as u64, h, w, c] {
        header.extend(number.to_le_bytes());
    }
    header.extend(hash(&header).to_le_bytes());
    Ok(header)
}

fn write(
    file: &mut impl Write,
    header: &[u8],
    dataset: &dyn Dataset,
    threads: usize,
) -> io::Result<()> {
    file.write_all(header)?;
    let mut hashes = Vec::with_capacity(8 * dataset.len() + 8);
    let read = |sample: &mut Sample, index| {
        let outcome = attempt(dataset, index, sample);
        outcome.is_ok().then(|| sample.image.iter().copied().collect::<Vec<u8>>())
    };
    let blank = vec![0; dataset.size().iter().product()];
    let room = || Sample::new(dataset.size());
    in_order(dataset.len(), threads, room, read, |_, image| {
        hashes.extend(image.as_deref().map_or(0, hash).to_le_bytes());
        file.write_all(image.as_ref().unwrap_or(&blank))
    })?;
    hashes.extend(hash(&hashes).to_le_bytes());
    file.write_all(&hashes)
}

/// Why a file is not used.
enum Refused {
    Missing,
    Stale,
    Damaged(String),
}

/// A file that is open, and the hashes of its images.
pub(super) struct Disk {
    path: PathBuf,
    file: File,
    hashes: Vec<u64>,
    /// The images that were not what their hashes say.
    damaged: Mutex<BTreeSet<usize>>,
}

impl Disk {
    fn open(path: &Path, expected: &[u8], dataset: &dyn Dataset) -> Result<Self, Refused> {
        let damaged = |error: io::Error| Refused::Damaged(error.to_string());
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Refused::Missing,
            _ => damaged(error),
        })?;
        let mut header = [0; HEADER];
        read_at(&file, &mut header, 0).map_err(damaged)?;
        if header != expected {
            return Err(match hash(&header[..HEADER - 8]).to_le_bytes() == header[HEADER - 8..] {
                true => Refused::Stale,
                false => Refused::Damaged("its header is none".into()),
            });
        }
        let bytes: usize = dataset.size().iter().product();
        let mut hashes = vec![0; 8 * dataset.len() + 8];
        let at = (HEADER + bytes * dataset.len()) as u64;
        read_at(&file, &mut hashes, at).map_err(damaged)?;
        let whole = at + hashes.len() as u64;
        let (hashes, own) = hashes.split_at(8 * dataset.len());
        if hash(hashes).to_le_bytes() != own {
            return Err(Refused::Damaged("its list of images is none".into()));
        }
        if file.metadata().map_err(damaged)?.len() != whole {
            return Err(Refused::Damaged("it is too long".into()));
        }
        let hashes = hashes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        Ok(Self { path: path.to_path_buf(), file, hashes, damaged: Mutex::default() })
    }
}

impl Store for Disk {
    fn get(&self, index: usize, into: &mut [u8]) -> bool {
        let at = (HEADER + index * into.len()) as u64;
        let expected = self.hashes[index];
        if expected == 0 {
            return false;
        }
        let whole = read_at(&self.file, into, at).is_ok() && hash(into) == expected;
        if !whole {
            self.damaged.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
        }
        whole
    }

    fn put(&self, _: usize, _: &[u8]) {}

    fn remark(&self) -> Option<String> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner).len();
        (damaged > 0).then(|| {
            format!(
                "In the cache {} {damaged} image(s) are damaged and are read from their files each \
                 time: remove it, and it is made anew.",
                self.path.display()
            )
        })
    }
}

#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, at)
}

#[cfg(windows)]
fn read_at(file: &File, mut into: &mut [u8], mut at: u64) -> io::Result<()> {
    while !into.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_read(file, into, at)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (into, at) = (&mut into[n..], at + n as u64);
    }
    Ok(())
}
