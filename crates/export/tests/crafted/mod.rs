//! HDF5 files that no program writes: of the oldest form, which has no checksums.
//!
//! ```text
//! Superblock 0    signature, versions, sizes 8 and 8, the entry of the root group
//! Object          header 1: messages of type u16, size u16, flags u8
//! Group           a B-tree of one node, whose entries name objects by places in a local heap
//! Reference       HDF5 File Format Specification 3.0, sections II.A, III.A to III.D, IV.A
//! ```

/// No address.
const NOWHERE: u64 = u64::MAX;
/// Of the superblock.
const START: usize = 96;

/// A file in the making.
pub(crate) struct Crafted(Vec<u8>);

/// What a link points at.
pub(crate) type Address = u64;

impl Crafted {
    pub(crate) fn new() -> Self {
        Self(vec![0; START])
    }

    /// Appends bytes, at a multiple of 8.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Address {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let at = self.0.len() as Address;
        self.0.extend_from_slice(bytes);
        at
    }

    /// A tensor of floats whose numbers lie from there on, wherever that is.
    pub(crate) fn dataset(&mut self, shape: &[u64], numbers_at: Address) -> Address {
        let numbers: u64 = shape.iter().product();
        let place = [&[3, 1][..], &numbers_at.to_le_bytes(), &(4 * numbers).to_le_bytes()].concat();
        self.dataset_in(shape, &place)
    }

    /// A tensor whose numbers stand in its header: at most 64 KiB.
    pub(crate) fn compact(&mut self, numbers: &[f32]) -> Address {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let size = u16::try_from(bytes.len()).expect("few").to_le_bytes();
        self.dataset_in(&[numbers.len() as u64], &[&[3, 0], &size[..], &bytes].concat())
    }

    fn dataset_in(&mut self, shape: &[u64], layout: &[u8]) -> Address {
        let mut space = vec![1, shape.len() as u8, 0, 0, 0, 0, 0, 0];
        shape.iter().for_each(|extent| space.extend(extent.to_le_bytes()));
        // IEEE 754, 32 bits, little-endian.
        let float = [0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0];
        self.object(&[(0x01, &space), (0x03, &float), (0x08, layout)])
    }

    fn object(&mut self, messages: &[(u16, &[u8])]) -> Address {
        let mut body = Vec::new();
        for (kind, data) in messages {
            let size = data.len().next_multiple_of(8);
            body.extend(kind.to_le_bytes());
            body.extend((size as u16).to_le_bytes());
            body.extend([0; 4]);
            body.extend_from_slice(data);
            body.resize(body.len() + size - data.len(), 0);
        }
        let mut header = vec![1, 0];
        header.extend((messages.len() as u16).to_le_bytes());
        header.extend(1u32.to_le_bytes());
        header.extend((body.len() as u32).to_le_bytes());
        header.extend([0; 4]);
        header.extend(body);
        self.bytes(&header)
    }

    /// A group of these links.
    pub(crate) fn group(&mut self, links: &[(String, Address)]) -> Address {
        let (mut names, mut entries) = (vec![0; 8], Vec::new());
        for (name, object) in links {
            entries.push((names.len() as u64, *object));
            names.extend(name.bytes());
            names.push(0);
        }
        self.group_of(&names, &entries)
    }

    /// A group whose entries have their names at those places of a heap.
    pub(crate) fn group_of(&mut self, names: &[u8], entries: &[(u64, Address)]) -> Address {
        let names_at = self.bytes(names);
        let mut heap = b"HEAP\0\0\0\0".to_vec();
        [names.len() as u64, NOWHERE, names_at].iter().for_each(|n| heap.extend(n.to_le_bytes()));
        let heap = self.bytes(&heap);
        let mut node = b"SNOD\x01\0".to_vec();
        node.extend((entries.len() as u16).to_le_bytes());
        for (name, object) in entries {
            node.extend(name.to_le_bytes());
            node.extend(object.to_le_bytes());
            node.extend([0; 24]);
        }
        let node = self.bytes(&node);
        let mut tree = b"TREE\0\0\x01\0".to_vec();
        [NOWHERE, NOWHERE, 0, node, 8].iter().for_each(|n| tree.extend(n.to_le_bytes()));
        let tree = self.bytes(&tree);
        self.object(&[(0x11, &[tree.to_le_bytes(), heap.to_le_bytes()].concat())])
    }

    /// The file with that root group.
    pub(crate) fn finish(mut self, root: Address) -> Vec<u8> {
        let mut start = b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0\x04\0\x10\0\0\0\0\0".to_vec();
        let end = self.0.len() as u64;
        [0, NOWHERE, end, NOWHERE, 0, root].iter().for_each(|n| start.extend(n.to_le_bytes()));
        self.0[..start.len()].copy_from_slice(&start);
        self.0
    }
}
