//! HDF5 files with Keras's weights in them.
//!
//! A file from anywhere is read within limits: only plain tensors of floats, none larger than the
//! file, so deep and so many of them. What panics while it is parsed is an error of the file.

use crate::LoadError;
use crate::import::Source;
use hdf5_pure::{DType, FileBuilder, GroupBuilder};
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Deeper groups than Keras makes.
const DEPTH: usize = 12;
/// More groups and tensors than Keras makes.
const OBJECTS: usize = 20_000;
/// The longest description of layers that is read.
pub(super) const DESCRIPTION: usize = 2 << 20;

/// Tensors in groups, to be written.
#[derive(Debug, Default)]
pub(super) struct Group(BTreeMap<String, Node>);

#[derive(Debug)]
enum Node {
    Group(Group),
    Tensor { shape: Vec<u64>, values: Vec<f32> },
}

impl Group {
    /// Adds a tensor under a path such as `layers/conv2d/vars/0`.
    pub(super) fn insert(&mut self, path: &str, shape: Vec<usize>, values: Vec<f32>) {
        match path.split_once('/') {
            None => {
                let shape = shape.into_iter().map(|extent| extent as u64).collect();
                self.0.insert(path.to_owned(), Node::Tensor { shape, values });
            }
            Some((first, rest)) => {
                let inner = self.0.entry(first.to_owned());
                if let Node::Group(inner) = inner.or_insert_with(|| Node::Group(Self::default())) {
                    inner.insert(rest, shape, values);
                }
            }
        }
    }

    /// The file.
    pub(super) fn into_bytes(self) -> io::Result<Vec<u8>> {
        let mut file = FileBuilder::new();
        for (name, node) in self.0 {
            match node {
                Node::Group(inner) => {
                    let mut group = file.create_group(&name);
                    inner.write(&mut group);
                    file.add_group(group.finish());
                }
                Node::Tensor { shape, values } => {
                    file.create_dataset(&name).with_f32_data(&values).with_shape(&shape);
                }
            }
        }
        file.finish().map_err(io::Error::other)
    }

    fn write(self, into: &mut GroupBuilder) {
        for (name, node) in self.0 {
            match node {
                Node::Group(inner) => {
                    let mut group = into.create_group(&name);
                    inner.write(&mut group);
                    into.add_group(group.finish());
                }
                Node::Tensor { shape, values } => {
                    into.create_dataset(&name).with_f32_data(&values).with_shape(&shape);
                }
            }
        }
    }
}

/// A file that is open, and what was found in it.
pub(super) struct H5 {
    path: PathBuf,
    file: hdf5_pure::File,
    /// Extents, or what is wrong, by the name that the reader gives to a path.
    tensors: BTreeMap<String, Tensor>,
}

struct Tensor {
    path: String,
    shape: Result<Vec<usize>, String>,
}

/// What `names` makes of the path of a tensor: the name it is known by, if it is of interest.
type Naming = fn(&str) -> Option<String>;

impl H5 {
    /// Opens a file from the disk, whose tensors are read when they are asked for.
    pub(super) fn open(path: &Path) -> Result<Self, LoadError> {
        let file = guarded(path, || hdf5_pure::File::open_streaming(path))?;
        Ok(Self { path: path.to_owned(), file, tensors: BTreeMap::new() })
    }

    /// Opens a file that lies in memory.
    pub(super) fn of(path: &Path, bytes: Vec<u8>) -> Result<Self, LoadError> {
        let file = guarded(path, || hdf5_pure::File::from_bytes(bytes))?;
        Ok(Self { path: path.to_owned(), file, tensors: BTreeMap::new() })
    }

    /// Whether the root has a group of that name.
    pub(super) fn has_group(&self, name: &str) -> Result<bool, LoadError> {
        guarded(&self.path, || Ok(self.file.root().groups()?.iter().any(|group| group == name)))
    }

    /// An attribute of the root that is a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, LoadError> {
        let attributes = guarded(&self.path, || self.file.root().attrs())?;
        let text = attributes.get(name).and_then(|value| value.as_str());
        Ok(text.map(str::to_owned))
    }

    /// Looks at every tensor below the root.
    pub(super) fn look(&mut self, naming: Naming) -> Result<(), LoadError> {
        let path = self.path.clone();
        let mut found = Vec::new();
        let looked = guarded(&path, || {
            let mut left = OBJECTS;
            Ok(visit(&self.file.root(), "", DEPTH, &mut left, &mut found))
        })?;
        looked.map_err(|reason| format(&path, reason))?;
        let size = self.file.file_size();
        for (at, dataset) in found {
            let Some(name) = naming(&at) else { continue };
            let shape = guarded(&path, || Ok(shape(&dataset, size)))?;
            if self.tensors.insert(name.clone(), Tensor { path: at, shape }).is_some() {
                return Err(format(&path, format!("it has {name} twice")));
            }
        }
        Ok(())
    }

    /// How many numbers its tensors have.
    pub(super) fn numbers(&self) -> usize {
        let shapes = self.tensors.values().filter_map(|tensor| tensor.shape.as_ref().ok());
        shapes.map(|shape| shape.iter().product::<usize>()).fold(0, usize::saturating_add)
    }
}

/// Adds all tensors below `group`, by their paths.
fn visit(
    group: &hdf5_pure::Group,
    path: &str,
    depth: usize,
    left: &mut usize,
    found: &mut Vec<(String, hdf5_pure::Dataset)>,
) -> Result<(), String> {
    let failed = |e: hdf5_pure::Error| format!("/{path}: {e}");
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    let (datasets, groups) = (group.datasets().map_err(failed)?, group.groups().map_err(failed)?);
    let many = datasets.len() + groups.len();
    if depth == 0 || many > *left {
        return Err(format!("/{path}: more or deeper groups than Keras makes"));
    }
    *left -= many;
    for name in datasets {
        found.push((below(&name), group.dataset(&name).map_err(failed)?));
    }
    for name in groups {
        let inner = group.group(&name).map_err(failed)?;
        visit(&inner, &below(&name), depth - 1, left, found)?;
    }
    Ok(())
}

/// The extents of a tensor that may be read; what it is otherwise.
fn shape(dataset: &hdf5_pure::Dataset, size: u64) -> Result<Vec<usize>, String> {
    let wrong = |e: hdf5_pure::Error| e.to_string();
    let (dtype, shape) = (dataset.dtype().map_err(wrong)?, dataset.shape().map_err(wrong)?);
    let numbers = shape.iter().try_fold(1u64, |n, extent| n.checked_mul(*extent));
    if !matches!(dtype, DType::F32) {
        return Err(format!("{dtype} {shape:?}"));
    }
    if dataset.is_chunked() || !dataset.filters().is_empty() {
        return Err(format!("in pieces, {shape:?}"));
    }
    match numbers.and_then(|n| n.checked_mul(4)) {
        Some(bytes) if bytes <= size => {
            Ok(shape.into_iter().map(|extent| extent as usize).collect())
        }
        _ => Err(format!("larger than the file, {shape:?}")),
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
        self.tensors.get(name).map(|tensor| tensor.shape.clone())
    }

    fn read(&self, name: &str, numbers: usize) -> Result<Vec<f32>, LoadError> {
        let at = self.tensors.get(name).map(|tensor| tensor.path.as_str()).unwrap_or_default();
        let values = guarded(&self.path, || self.file.dataset(at)?.read_f32())?;
        match values.len() == numbers {
            true => Ok(values),
            false => Err(format(&self.path, format!("{at} has {} numbers", values.len()))),
        }
    }
}
