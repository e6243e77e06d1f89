//! Named tensors in a safetensors file.
//!
//! Written beside and renamed. Read piece by piece into the tensors themselves, once all of what the
//! file says of itself was found to fit: a file from anywhere takes no more memory than it has bytes.

mod header;

use crate::WriteError;
use gradus_data::write_beside;
use gradus_tensor::{Device, Fields, Path as Name, Shape, Spec, Tensor};
use header::Header;
use safetensors::{Dtype, View};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Where the text stands.
const KEY: &str = "gradus";

/// Why a file of tensors cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorsError {
    /// The file is missing or cannot be read.
    #[error("{}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is not a safetensors file.
    #[error("{}: not a safetensors file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What stands beside the tensors is not what gradus writes there.
    #[error("{}: not a file of gradus: {reason}", path.display())]
    About {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It has other tensors than the ones that are wanted. All differences at once.
    #[error("{}: the tensors are not those of this network and training:{}", path.display(), lines(problems))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// One line each: missing, unexpected, or of another shape or type.
        problems: Vec<String>,
    },
}

fn lines(problems: &[String]) -> String {
    problems.iter().map(|p| format!("\n  {p}")).collect()
}

/// Tensors by name, copied out, to be written: a state of one moment.
#[derive(Debug, Default)]
pub struct Tensors(BTreeMap<String, Kept>);

impl Tensors {
    /// Everything that `owner` owns, by its own names.
    pub(crate) fn add_all(&mut self, owner: &dyn Fields) {
        owner.visit(&mut Name::default(), &mut |name, field| {
            self.add(name.to_string(), field.value());
        });
    }

    pub(crate) fn add(&mut self, name: String, tensor: &Tensor) {
        self.0.insert(name, Kept::new(tensor));
    }

    /// Adds numbers of any number of extents, in place of those of that name that there may be.
    ///
    /// # Panics
    /// If there are not as many as the shape says.
    pub fn insert(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}: {shape:?}");
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.0.insert(name.to_owned(), Kept { shape: shape.to_vec(), bytes });
    }

    /// Writes them as a safetensors file, beside and renamed.
    ///
    /// # Errors
    /// If it cannot be written. What `path` held before is still there then.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), WriteError> {
        self.write(path.as_ref(), None::<&()>)
    }

    /// Writes them with what there is to say about them: all of it or nothing. One entry of text,
    /// because several would stand in an order of chance, and equal states shall be equal files.
    pub(crate) fn write(
        &self,
        path: &Path,
        about: Option<&impl Serialize>,
    ) -> Result<(), WriteError> {
        let text = about.map(|about| serde_json::to_string(about).expect("plain values"));
        let text = text.map(|text| HashMap::from([(KEY.to_owned(), text)]));
        write_beside(path, |file| {
            let bytes = safetensors::serialize(&self.0, text).map_err(io::Error::other)?;
            file.write_all(&bytes)
        })
    }
}

/// A tensor as it will stand in the file.
#[derive(Debug)]
struct Kept {
    shape: Vec<usize>,
    /// Little-endian f32.
    bytes: Vec<u8>,
}

impl Kept {
    fn new(tensor: &Tensor) -> Self {
        let bytes = tensor.numbers::<f32>().iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { shape: tensor.shape().dims().to_vec(), bytes }
    }
}

impl View for &Kept {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// A safetensors file that is open: what is in it is known, and read when it is asked for.
#[derive(Debug)]
pub struct TensorsFile {
    path: PathBuf,
    file: File,
    /// Where the first tensor begins.
    start: u64,
    header: Header,
}

/// Bytes that are read at once.
const PIECE: usize = 1 << 16;

impl TensorsFile {
    /// Reads what the file says of itself, and holds it against what there is: every byte belongs to
    /// one tensor, and no tensor is cut short.
    ///
    /// # Errors
    /// If it cannot be read, or is no such file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TensorsError> {
        let path = path.as_ref();
        let read = |cause| TensorsError::Read { path: path.to_owned(), cause };
        let format = |reason| TensorsError::Format { path: path.to_owned(), reason };
        let mut file = File::open(path).map_err(read)?;
        let bytes = file.metadata().map_err(read)?.len();
        let mut length = [0; 8];
        if bytes < 8 {
            return Err(format(format!("it has only {bytes} bytes")));
        }
        file.read_exact(&mut length).map_err(read)?;
        let length = u64::from_le_bytes(length);
        let limit = header::LIMIT.min(bytes - 8);
        if length > limit {
            return Err(format(format!("its header has {length} bytes, of at most {limit}")));
        }
        let mut text = vec![0; length as usize];
        file.read_exact(&mut text).map_err(read)?;
        let header: Header = serde_json::from_slice(&text).map_err(|e| format(e.to_string()))?;
        let start = 8 + length;
        header.check_places(bytes - start).map_err(format)?;
        Ok(Self { path: path.to_owned(), file, start, header })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its tensors, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.header.tensors.keys().map(String::as_str)
    }

    /// The extents of a tensor if it has floats of 32 bits, and what it has otherwise; `None` where
    /// there is none of that name.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<Result<&[usize], String>> {
        let stored = self.header.tensors.get(name)?;
        Some(match stored.dtype {
            Dtype::F32 => Ok(&stored.shape),
            other => Err(format!("{other:?} {:?}", stored.shape)),
        })
    }

    /// The numbers of a tensor.
    ///
    /// # Errors
    /// If the disk fails.
    ///
    /// # Panics
    /// If there is no such tensor of floats with as many numbers.
    pub fn read_into(&self, name: &str, into: &mut [f32]) -> Result<(), TensorsError> {
        let numbers = self.shape(name).and_then(Result::ok).map(|s| s.iter().product::<usize>());
        assert_eq!(numbers, Some(into.len()), "{name} has other numbers");
        self.read(name, into)
    }

    /// How many numbers there can be in it.
    pub(crate) fn numbers(&self) -> usize {
        let places = self.header.tensors.values().map(|stored| stored.data_offsets);
        places.map(|(from, to)| (to - from) / 4).sum()
    }

    /// What is said about the tensors.
    pub(crate) fn about<'a, T: Deserialize<'a>>(&'a self) -> Result<T, TensorsError> {
        let wrong = |reason| TensorsError::About { path: self.path.clone(), reason };
        let text = self.header.text.as_ref();
        let text = text.ok_or_else(|| wrong(format!("it has no text called {KEY:?}")))?;
        serde_json::from_str(text).map_err(|e| wrong(e.to_string()))
    }

    /// A tensor of the file, as it is there.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor, TensorsError> {
        let Some(info) = self.header.tensors.get(name) else {
            return Err(self.mismatch(vec![format!("{name} is missing")]));
        };
        if info.dtype != Dtype::F32 || info.shape.len() > 4 {
            let found = format!("{name} is {:?} {:?}", info.dtype, info.shape);
            return Err(self.mismatch(vec![found]));
        }
        let mut tensor = Tensor::zeros(Spec::f32(Shape::new(&info.shape)), &Device::Cpu);
        self.read(name, tensor.slice_mut())?;
        Ok(tensor)
    }

    /// Refuses a file that has not exactly the tensors of `owners`, but for those whose name begins
    /// with one of `besides`.
    pub(crate) fn expect(
        &self,
        owners: &[&dyn Fields],
        besides: &[&str],
    ) -> Result<(), TensorsError> {
        let mut wanted = Vec::new();
        for owner in owners {
            owner.visit(&mut Name::default(), &mut |name, field| {
                wanted.push((name.to_string(), field.value().shape()));
            });
        }
        match self.differences(&wanted, besides) {
            problems if problems.is_empty() => Ok(()),
            problems => Err(self.mismatch(problems)),
        }
    }

    /// All in which the file differs from tensors of these names and shapes.
    pub(crate) fn differences(&self, wanted: &[(String, Shape)], besides: &[&str]) -> Vec<String> {
        let mut problems: Vec<String> =
            wanted.iter().filter_map(|(name, shape)| self.difference(name, *shape)).collect();
        let expected: BTreeSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        let others = self.header.tensors.keys().filter(|name| {
            let besides = besides.iter().any(|start| name.starts_with(start));
            !besides && !expected.contains(name.as_str())
        });
        problems.extend(others.map(|name| format!("{name} is unexpected")));
        problems
    }

    fn difference(&self, name: &str, wanted: Shape) -> Option<String> {
        match self.header.tensors.get(name) {
            None => Some(format!("{name} is missing")),
            Some(t) if t.dtype != Dtype::F32 || t.shape != wanted.dims() => {
                let (dtype, found) = (t.dtype, &t.shape);
                Some(format!("{name} is {dtype:?} {found:?}, expected F32 {:?}", wanted.dims()))
            }
            Some(_) => None,
        }
    }

    pub(crate) fn mismatch(&self, problems: Vec<String>) -> TensorsError {
        TensorsError::Mismatch { path: self.path.clone(), problems }
    }

    /// Fills everything that `owner` owns.
    ///
    /// # Errors
    /// If the disk fails. Some of it is filled then, and the rest is not.
    ///
    /// # Panics
    /// Unless [`TensorsFile::expect`] found them.
    pub(crate) fn fill(&self, owner: &mut dyn Fields) -> Result<(), TensorsError> {
        let mut read = Ok(());
        owner.visit_mut(&mut Name::default(), &mut |name, field| {
            if read.is_ok() {
                let into = field.into_value();
                into.edit(|values| read = self.read(name.as_str(), values));
            }
        });
        read
    }

    /// The numbers of a tensor that is there, piece by piece: no second copy is made of them.
    fn read(&self, name: &str, into: &mut [f32]) -> Result<(), TensorsError> {
        let failed = |cause| TensorsError::Read { path: self.path.clone(), cause };
        let mut file = &self.file;
        let offset = self.start + self.header.tensors[name].data_offsets.0 as u64;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut piece = vec![0; PIECE];
        for values in into.chunks_mut(PIECE / 4) {
            let bytes = &mut piece[..4 * values.len()];
            file.read_exact(bytes).map_err(failed)?;
            for (value, word) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*word);
            }
        }
        Ok(())
    }
}
