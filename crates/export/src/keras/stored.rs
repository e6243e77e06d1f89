//! Where the bytes of an HDF5 file lie, and what its parser may read of them.
//!
//! A file from anywhere can lead its parser in circles, or to the same bytes again and again, each
//! time into memory of their own. What it reads is counted: of one group, and of all of them.

use hdf5_pure::{FormatError, Source};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// More than the names and headers of any group of Keras's take.
const OF_A_GROUP: u64 = 16 << 20;
/// A longer name than Keras gives.
const NAME: usize = 1024;
/// More entries than any group of Keras's has.
pub(super) const ENTRIES: u64 = 20_000;

/// The bytes.
#[derive(Debug)]
pub(super) enum Bytes {
    /// A file, or a part of one, which stays on the disk.
    Disk { file: File, start: u64, length: u64 },
    /// What was unpacked.
    Memory(Vec<u8>),
}

impl Bytes {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Disk { length, .. } => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `into` with what lies there.
    pub(super) fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(into.len() as u64).filter(|end| *end <= self.len());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        match self {
            Self::Disk { file, start, .. } => {
                let mut file = file;
                file.seek(SeekFrom::Start(start + at))?;
                file.read_exact(into)
            }
            Self::Memory(bytes) => {
                into.copy_from_slice(&bytes[at as usize..end as usize]);
                Ok(())
            }
        }
    }
}

/// The bytes as a parser sees them, who is told to stop where it reads more than it should.
#[derive(Clone, Debug)]
pub(super) struct Watched(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes: Bytes,
    /// What may still be read: of this group, of its entries, and in all.
    group: AtomicU64,
    entries: AtomicU64,
    all: AtomicU64,
    /// Whether what is read next are names.
    names: AtomicBool,
}

impl Watched {
    pub(super) fn new(bytes: Bytes) -> Self {
        let all = bytes.len().saturating_mul(64).saturating_add(1 << 30);
        Self(Arc::new(Inner {
            bytes,
            group: AtomicU64::new(OF_A_GROUP),
            entries: AtomicU64::new(ENTRIES),
            all: AtomicU64::new(all),
            names: AtomicBool::new(false),
        }))
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// What follows is about another group or tensor.
    pub(super) fn another(&self) {
        self.0.group.store(OF_A_GROUP, Relaxed);
        self.0.entries.store(ENTRIES, Relaxed);
    }

    /// Counts what was read, and looks at names: many entries may share one, which the parser copies
    /// for each of them.
    fn check(&self, read: &[u8]) -> Result<(), FormatError> {
        let Inner { group, entries, all, names, .. } = &*self.0;
        let stop = |what: &str| Err(FormatError::Source(format!("{what} than Keras makes")));
        let bytes = read.len() as u64;
        if !spend(group, bytes) || !spend(all, bytes) {
            return stop("more is said of its groups");
        }
        // A node of entries of the older kind, with how many there are; its first eight bytes are
        // read alone before.
        let many = match read {
            [b'S', b'N', b'O', b'D', _, _, low, high, _, ..] => u16::from_le_bytes([*low, *high]),
            _ => 0,
        };
        if !spend(entries, many.into()) {
            return stop("more entries in a group");
        }
        let long = || read.split(|byte| *byte == 0).any(|name| name.len() > NAME);
        if names.swap(read.starts_with(b"HEAP"), Relaxed) && long() {
            return stop("longer names");
        }
        Ok(())
    }
}

/// Takes so much away, if it is there.
fn spend(left: &AtomicU64, much: u64) -> bool {
    left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(much)).is_ok()
}

impl Source for Watched {
    fn len(&self) -> u64 {
        self.0.bytes.len()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), FormatError> {
        let read = self.0.bytes.read(offset, into);
        read.map_err(|e| FormatError::Source(e.to_string()))?;
        self.check(into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &Watched, at: u64, length: usize) -> Result<Vec<u8>, String> {
        source.read_exact_at(at, length).map_err(|e| e.to_string())
    }

    #[test]
    fn a_part_of_a_file_ends_where_it_ends() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"before, part, behind").unwrap();
        let part = Bytes::Disk { file, start: 8, length: 4 };
        let mut into = [0; 4];
        part.read(0, &mut into).unwrap();
        assert_eq!(&into, b"part");
        assert!(part.read(1, &mut into).is_err() && part.read(u64::MAX, &mut into).is_err());
        let memory = Bytes::Memory(b"part".to_vec());
        memory.read(2, &mut into[..2]).unwrap();
        assert_eq!(&into, b"rtrt");
        assert!(memory.read(3, &mut into[..2]).is_err());
    }

    #[test]
    fn a_parser_that_reads_too_much_is_stopped() {
        let source = Watched::new(Bytes::Memory(vec![7; 1 << 20]));
        for _ in 0..16 {
            read(&source, 0, 1 << 20).unwrap();
        }
        let error = read(&source, 0, 1).unwrap_err();
        assert!(error.contains("more is said of its groups than Keras makes"), "{error}");
        // For another group there is more, but not without end: 1088 MiB.
        let groups = (0..).take_while(|_| {
            source.another();
            (0..16).all(|_| read(&source, 0, 1 << 20).is_ok())
        });
        assert_eq!(groups.count(), 67);
    }

    #[test]
    fn many_entries_and_long_names_are_stopped() {
        let mut bytes = b"SNOD\x01\x00\x10\x27entry...HEAP....".to_vec();
        bytes.extend([b'a'; NAME + 1]);
        let source = Watched::new(Bytes::Memory(bytes));
        let node = || [8, 16].map(|length| read(&source, 0, length).err());
        assert_eq!([node(), node()], [[None, None], [None, None]]);
        let [_, error] = node();
        assert!(error.is_some_and(|e| e.contains("more entries")));
        source.another();
        assert_eq!(node(), [None, None]);
        assert!(read(&source, 24, NAME + 1).is_ok(), "no names");
        read(&source, 16, 8).unwrap();
        assert!(read(&source, 24, NAME).is_ok(), "as long as a name can be");
        read(&source, 16, 8).unwrap();
        let error = read(&source, 24, NAME + 1).unwrap_err();
        assert!(error.contains("longer names"), "{error}");
    }
}
