//! A bundle of tensors: `variables.data-00000-of-00001` and its index.
//!
//! ```text
//! Data         the tensors, one behind the other, little-endian
//! Index        a table as LevelDB writes it: a block of entries, an empty block of metadata, a
//!              block that says where the first one is, a footer. Behind each block stand a zero
//!              (it is not compressed) and its checksum
//! Entries      the first, of the empty name, says that there is one file of data; each other says
//!              type, shape, place and checksum of the tensor of its name. They are sorted
//! Checksums    CRC-32C, turned right by 15 bits and moved by 0xa282ead8, as LevelDB does so that a
//!              checksum of checksums is none
//! Reference    LevelDB, doc/table_format.md; TensorFlow, core/util/tensor_bundle
//! ```

use super::messages::{BundleEntry, BundleHeader, TensorShape, VersionDef, dtype};
use crate::Error;
use crate::graph::Weight;
use gradus_data::write_beside;
use prost::Message as _;
use prost::encoding::encode_varint;
use std::io::Write as _;
use std::path::Path;

/// The last eight bytes of a table.
const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// How long the footer is, its magic included.
const FOOTER: usize = 48;

/// Writes the tensors, sorted by name, into the folder `variables`.
pub(super) fn write(folder: &Path, tensors: &[(String, Weight)]) -> Result<(), Error> {
    write_beside(&folder.join("variables.data-00000-of-00001"), |file| {
        tensors.iter().try_for_each(|(_, tensor)| file.write_all(&bytes(tensor)))
    })?;
    let index = table(&entries(tensors));
    Ok(write_beside(&folder.join("variables.index"), |file| file.write_all(&index))?)
}

fn bytes(tensor: &Weight) -> Vec<u8> {
    tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Names and what is said of them.
fn entries(tensors: &[(String, Weight)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let header = BundleHeader { num_shards: 1, version: Some(VersionDef { producer: 1 }) };
    let mut entries = vec![(Vec::new(), header.encode_to_vec())];
    let mut offset = 0;
    for (name, tensor) in tensors {
        let bytes = bytes(tensor);
        let entry = BundleEntry {
            dtype: dtype::FLOAT,
            shape: Some(TensorShape::known(tensor.shape.dims())),
            offset,
            size: bytes.len() as i64,
            crc32c: masked(&bytes),
        };
        offset += entry.size;
        entries.push((name.clone().into_bytes(), entry.encode_to_vec()));
    }
    entries
}

/// The checksum of the bytes, as it is written.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A table of sorted entries.
fn table(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    let data = append(&mut file, &block(entries));
    let metadata = append(&mut file, &block(&[]));
    let last = entries.last().map(|(name, _)| name.clone()).unwrap_or_default();
    let index = append(&mut file, &block(&[(last, data)]));
    let mut footer = [metadata, index].concat();
    footer.resize(FOOTER - 8, 0);
    file.extend(footer);
    file.extend(MAGIC.to_le_bytes());
    file
}

/// Entries, each with its whole name, and where each begins.
fn block(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let (mut block, mut starts) = (Vec::new(), Vec::new());
    for (name, value) in entries {
        starts.push(block.len() as u32);
        // How much of the name before is shared: nothing.
        [0, name.len(), value.len()].iter().for_each(|n| encode_varint(*n as u64, &mut block));
        block.extend(name);
        block.extend(value);
    }
    if starts.is_empty() {
        starts.push(0);
    }
    let count = starts.len() as u32;
    starts.iter().chain([&count]).for_each(|start| block.extend(start.to_le_bytes()));
    block
}

/// Appends a block with its trailer; where it is: its place and its length.
fn append(file: &mut Vec<u8>, block: &[u8]) -> Vec<u8> {
    let mut place = Vec::new();
    [file.len(), block.len()].iter().for_each(|n| encode_varint(*n as u64, &mut place));
    let start = file.len();
    file.extend(block);
    file.push(0);
    let checksum = masked(&file[start..]);
    file.extend(checksum.to_le_bytes());
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::Shape;

    #[test]
    fn a_checksum_is_that_of_the_standard() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn a_table_says_where_its_blocks_are() {
        let entries = [(b"a".to_vec(), b"xyz".to_vec()), (b"bc".to_vec(), vec![])];
        let file = table(&entries);
        let first = [0, 1, 3, b'a', b'x', b'y', b'z', 0, 2, 0, b'b', b'c'];
        assert_eq!(file[..12], first);
        assert_eq!(file[12..24], [0, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(file[24], 0, "not compressed");
        assert_eq!(file[25..29], masked(&file[..25]).to_le_bytes());
        // The empty block, its trailer, and then the index: the last name, and 24 bytes at 0.
        assert_eq!(file[29..37], [0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(file[42..49], [0, 2, 2, b'b', b'c', 0, 24]);
        let footer = &file[file.len() - FOOTER..];
        assert_eq!((footer[..2].to_vec(), footer[2]), (vec![29, 8], 42));
        assert_eq!(footer[40..], MAGIC.to_le_bytes());
    }

    #[test]
    fn tensors_stand_behind_each_other() {
        let tensor = |values: &[f32]| Weight {
            name: "kernel",
            shape: Shape::new(&[values.len()]),
            values: values.to_vec(),
        };
        let tensors = [("a".to_owned(), tensor(&[1.0, 2.0])), ("b".to_owned(), tensor(&[3.0]))];
        let entries = entries(&tensors);
        let entry = |i: usize| BundleEntry::decode(&entries[i].1[..]).unwrap();
        assert_eq!((entry(1).offset, entry(1).size), (0, 8));
        assert_eq!((entry(2).offset, entry(2).size), (8, 4));
        assert_eq!(entry(2).crc32c, masked(&3.0f32.to_le_bytes()));
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &tensors).unwrap();
        let data = std::fs::read(folder.path().join("variables.data-00000-of-00001")).unwrap();
        assert_eq!(data, [1.0f32, 2.0, 3.0].map(f32::to_le_bytes).concat());
    }
}
