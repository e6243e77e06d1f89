//! HDF5 files with Keras's weights in them, read.
//!
//! A file from anywhere is read within limits: only plain tensors of floats, no two of the same bytes
//! and all together no larger than the file, so deep and so many of them. What panics while it is
//! parsed is an error of the file. The numbers are read from where they lie, piece by piece, into the
//! tensors of the network: no second copy is made of them.

use super::stored::{Bytes, ENTRIES, Watched};
use crate::LoadError;
use crate::import::Source;
use hdf5_pure::{Datatype, DatatypeByteOrder, FloatingPointLayout, Layout};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Deeper groups than Keras makes.
const DEPTH: usize = 12;
/// Bytes that are read at once.
const PIECE: usize = 1 << 16;

/// A file that is open, and what was found in it.
#[derive(Debug)]
pub(super) struct H5 {
    path: PathBuf,
    source: Watched,
    file: hdf5_pure::File,
    /// The tensors, or what is wrong with them, by the name that the reader gives to a path.
    tensors: BTreeMap<String, Result<Tensor, String>>,
}

/// A tensor of floats.
#[derive(Debug)]
struct Tensor {
    shape: Vec<usize>,
    order: DatatypeByteOrder,
    numbers: Numbers,
}

/// Where its numbers lie.
#[derive(Debug)]
enum Numbers {
    /// From there on.
    At(u64),
    /// Small ones stand in what the file says of the tensor.
    Here(Vec<u8>),
}

/// What `names` makes of the path of a tensor: the name it is known by, if it is of interest.
type Naming<'a> = &'a dyn Fn(&str) -> Option<String>;

impl H5 {
    /// Opens a file from the disk.
    pub(super) fn open(path: &Path) -> Result<Self, LoadError> {
        let read = |cause| LoadError::Read { path: path.to_owned(), cause };
        let file = File::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        Self::of(path, Bytes::Disk { file, start: 0, length })
    }

    /// Opens a file whose bytes lie there. Tensors are read when they are asked for.
    pub(super) fn of(path: &Path, bytes: Bytes) -> Result<Self, LoadError> {
        let source = Watched::new(bytes);
        let file = guarded(path, || hdf5_pure::File::from_source(source.clone()))?;
        Ok(Self { path: path.to_owned(), source, file, tensors: BTreeMap::new() })
    }

    /// Whether the root has a group of that name.
    pub(super) fn has_group(&self, name: &str) -> Result<bool, LoadError> {
        self.source.another();
        guarded(&self.path, || Ok(self.file.root().groups()?.iter().any(|group| group == name)))
    }

    /// An attribute of the root that is a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, LoadError> {
        self.source.another();
        let attributes = guarded(&self.path, || self.file.root().attrs())?;
        let text = attributes.get(name).and_then(|value| value.as_str());
        Ok(text.map(str::to_owned))
    }

    /// Looks at every tensor below the root.
    pub(super) fn look(&mut self, naming: Naming<'_>) -> Result<(), LoadError> {
        let mut walk = Walk {
            source: &self.source,
            naming,
            left: ENTRIES as usize,
            room: self.source.bytes().len(),
            tensors: BTreeMap::new(),
        };
        let looked = guarded(&self.path, || Ok(walk.visit(&self.file.root(), "", DEPTH)))?;
        let tensors = std::mem::take(&mut walk.tensors);
        looked.map_err(|reason| format(&self.path, reason))?;
        check_places(&tensors, self.source.bytes().len())
            .map_err(|reason| format(&self.path, reason))?;
        self.tensors = tensors;
        Ok(())
    }

    /// How many numbers its tensors have.
    pub(super) fn numbers(&self) -> usize {
        self.tensors.values().flatten().map(Tensor::numbers).sum()
    }
}

impl Tensor {
    fn numbers(&self) -> usize {
        self.shape.iter().product()
    }

    fn bytes(&self) -> u64 {
        4 * self.numbers() as u64
    }

    /// Fills `into` with the bytes of its numbers from there on.
    fn piece(&self, file: &Bytes, from: usize, into: &mut [u8]) -> io::Result<()> {
        match &self.numbers {
            Numbers::At(at) => file.read(at + from as u64, into)?,
            Numbers::Here(here) => into.copy_from_slice(&here[from..from + into.len()]),
        }
        Ok(())
    }
}

/// A walk through the groups, and what it found.
struct Walk<'a> {
    source: &'a Watched,
    naming: Naming<'a>,
    /// Groups and tensors that it may still meet.
    left: usize,
    /// Bytes that tensors may still have: all together no more than the file.
    room: u64,
    tensors: BTreeMap<String, Result<Tensor, String>>,
}

impl Walk<'_> {
    /// Adds all tensors below `group`, whose path that is.
    fn visit(&mut self, group: &hdf5_pure::Group, path: &str, depth: usize) -> Result<(), String> {
        let failed = |e: hdf5_pure::Error| format!("/{path}: {e}");
        let below =
            |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        self.source.another();
        let datasets = group.datasets().map_err(failed)?;
        self.source.another();
        let groups = group.groups().map_err(failed)?;
        let many = datasets.len() + groups.len();
        if depth == 0 || many > self.left {
            return Err(format!("/{path}: more or deeper groups than Keras makes"));
        }
        self.left -= many;
        for dataset in datasets {
            let Some(name) = (self.naming)(&below(&dataset)) else { continue };
            self.source.another();
            let tensor = tensor(&group.dataset(&dataset).map_err(failed)?);
            let bytes = tensor.as_ref().map_or(0, Tensor::bytes);
            let room = self.room.checked_sub(bytes);
            self.room =
                room.ok_or_else(|| format!("{name}: more numbers than the file can hold"))?;
            if self.tensors.insert(name.clone(), tensor).is_some() {
                return Err(format!("it has {name} twice"));
            }
        }
        for name in groups {
            self.source.another();
            let inner = group.group(&name).map_err(failed)?;
            self.visit(&inner, &below(&name), depth - 1)?;
        }
        Ok(())
    }
}

/// A tensor that may be read; what it is otherwise.
fn tensor(dataset: &hdf5_pure::Dataset) -> Result<Tensor, String> {
    let extents = dataset.shape().map_err(text)?;
    let order = order(dataset)?.ok_or_else(|| match dataset.dtype() {
        Ok(dtype) => format!("{dtype} {extents:?}"),
        Err(e) => text(e),
    })?;
    let extent = |extent: &u64| usize::try_from(*extent).ok();
    let shape: Option<Vec<usize>> = extents.iter().map(extent).collect();
    let bytes = shape.as_ref().and_then(|shape| {
        shape.iter().try_fold(4usize, |bytes, extent| bytes.checked_mul(*extent))
    });
    let (Some(shape), Some(bytes)) = (shape, bytes) else {
        return Err(format!("larger than the file, {extents:?}"));
    };
    let numbers = match dataset.layout().map_err(text)? {
        _ if !dataset.filters().is_empty() => return Err(format!("compressed, {extents:?}")),
        Layout::Chunked { .. } | Layout::Virtual => return Err(format!("in pieces, {extents:?}")),
        _ if bytes == 0 => Numbers::Here(Vec::new()),
        Layout::Contiguous { address: Some(at), size } if size == bytes as u64 => Numbers::At(at),
        Layout::Compact { size } if size == bytes as u64 => {
            Numbers::Here(dataset.read_raw().map_err(text)?)
        }
        _ => return Err(format!("without its numbers, {extents:?}")),
    };
    Ok(Tensor { shape, order, numbers })
}

/// In which order the bytes of each number are, if they are floats of 32 bits.
fn order(dataset: &hdf5_pure::Dataset) -> Result<Option<DatatypeByteOrder>, String> {
    Ok(match dataset.datatype().map_err(text)? {
        Datatype::FloatingPoint { size: 4, byte_order, layout }
            if layout == FloatingPointLayout::IEEE754_BINARY32 =>
        {
            Some(byte_order).filter(|order| *order != DatatypeByteOrder::Vax)
        }
        _ => None,
    })
}

fn text(error: hdf5_pure::Error) -> String {
    error.to_string()
}

/// That every tensor has bytes of its own: what shares them would be small in the file and large in
/// memory.
fn check_places(
    tensors: &BTreeMap<String, Result<Tensor, String>>,
    size: u64,
) -> Result<(), String> {
    let mut places = Vec::new();
    for (name, tensor) in tensors {
        let Ok(tensor @ Tensor { numbers: Numbers::At(at), .. }) = tensor else { continue };
        let end = at.checked_add(tensor.bytes()).filter(|end| *end <= size);
        places.push((*at, end.ok_or_else(|| format!("{name} ends behind the file"))?, name));
    }
    places.sort_unstable();
    let overlap = places.windows(2).find(|pair| pair[1].0 < pair[0].1);
    match overlap {
        Some(pair) => Err(format!("{} and {} overlap", pair[0].2, pair[1].2)),
        None => Ok(()),
    }
}

/// Calls what parses the file, for which a panic is an error too.
fn guarded<T>(
    path: &Path,
    parse: impl FnOnce() -> Result<T, hdf5_pure::Error>,
) -> Result<T, LoadError> {
    match catch_unwind(AssertUnwindSafe(parse)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(hdf5_pure::Error::Io(cause))) => {
            Err(LoadError::Read { path: path.to_owned(), cause })
        }
        Ok(Err(error)) => Err(format(path, error.to_string())),
        Err(_) => Err(format(path, "its parser gave up".to_owned())),
    }
}

fn format(path: &Path, reason: String) -> LoadError {
    LoadError::Format { path: path.to_owned(), expected: "an HDF5 file of Keras", reason }
}

impl Source for H5 {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Result<Vec<usize>, String>> {
        let tensor = self.tensors.get(name)?.as_ref();
        Some(tensor.map(|tensor| tensor.shape.clone()).map_err(Clone::clone))
    }

    fn read(&self, name: &str, into: &mut [f32]) -> Result<(), LoadError> {
        let tensor = self.tensors.get(name).and_then(|tensor| tensor.as_ref().ok());
        let tensor = tensor.filter(|tensor| tensor.numbers() == into.len());
        let Some(tensor) = tensor else {
            return Err(format(&self.path, format!("{name} has other numbers")));
        };
        let number = match tensor.order {
            DatatypeByteOrder::BigEndian => f32::from_be_bytes,
            _ => f32::from_le_bytes,
        };
        let mut piece = vec![0; PIECE];
        for (i, values) in into.chunks_mut(PIECE / 4).enumerate() {
            let bytes = &mut piece[..4 * values.len()];
            tensor
                .piece(self.source.bytes(), i * PIECE, bytes)
                .map_err(|cause| LoadError::Read { path: self.path.clone(), cause })?;
            for (value, word) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = number(*word);
            }
        }
        Ok(())
    }
}
