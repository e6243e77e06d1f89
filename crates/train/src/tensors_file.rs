//! Named tensors in a safetensors file.
//!
//! Written beside and renamed; read whole, and only what was found to fit is copied anywhere.

use crate::WriteError;
use gradus_data::write_beside;
use gradus_tensor::{Device, Fields, Path as Name, Shape, Spec, Tensor};
use safetensors::{Dtype, SafeTensorError, SafeTensors, View};
use serde::{Serialize, de::DeserializeOwned};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::{
    fs,
    io::{self, Write as _},
};

/// Where the text stands.
const KEY: &str = "gradus";

/// Why a file of tensors cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorsError {
    /// The file is missing or cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
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
#[derive(Default)]
pub(crate) struct Tensors(BTreeMap<String, Stored>);

impl Tensors {
    /// Everything that `owner` owns, by its own names.
    pub(crate) fn add_all(&mut self, owner: &dyn Fields) {
        owner.visit(&mut Name::default(), &mut |name, field| {
            self.add(name.to_string(), field.value());
        });
    }

    pub(crate) fn add(&mut self, name: String, tensor: &Tensor) {
        self.0.insert(name, Stored::new(tensor));
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

/// A tensor as it stands in the file.
struct Stored {
    shape: Vec<usize>,
    /// Little-endian f32.
    bytes: Vec<u8>,
}

impl Stored {
    fn new(tensor: &Tensor) -> Self {
        let bytes = tensor.numbers::<f32>().iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { shape: tensor.shape().dims().to_vec(), bytes }
    }
}

impl View for &Stored {
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

/// A file that was read.
pub(crate) struct TensorsFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl TensorsFile {
    /// Reads the whole file.
    pub(crate) fn read(path: &Path) -> Result<Self, TensorsError> {
        let path = path.to_owned();
        match fs::read(&path) {
            Ok(bytes) => Ok(Self { path, bytes }),
            Err(source) => Err(TensorsError::Read { path, source }),
        }
    }

    /// What is in it.
    pub(crate) fn contents(&self) -> Result<Contents<'_>, TensorsError> {
        let format = |e: SafeTensorError| TensorsError::Format {
            path: self.path.clone(),
            reason: e.to_string(),
        };
        let (_, header) = SafeTensors::read_metadata(&self.bytes).map_err(format)?;
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(format)?;
        Ok(Contents { path: &self.path, text: header.metadata().clone(), tensors })
    }
}

/// The tensors of a file, and its text.
pub(crate) struct Contents<'a> {
    path: &'a Path,
    text: Option<HashMap<String, String>>,
    tensors: SafeTensors<'a>,
}

impl Contents<'_> {
    /// What is said about the tensors.
    pub(crate) fn about<T: DeserializeOwned>(&self) -> Result<T, TensorsError> {
        let wrong = |reason| TensorsError::About { path: self.path.to_owned(), reason };
        let text = self.text.as_ref().and_then(|text| text.get(KEY));
        let text = text.ok_or_else(|| wrong(format!("it has no text called {KEY:?}")))?;
        serde_json::from_str(text).map_err(|e| wrong(e.to_string()))
    }

    /// A tensor of the file, as it is there.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor, TensorsError> {
        let wrong = |problem: String| TensorsError::Mismatch {
            path: self.path.to_owned(),
            problems: vec![problem],
        };
        let Ok(stored) = self.tensors.tensor(name) else {
            return Err(wrong(format!("{name} is missing")));
        };
        if stored.dtype() != Dtype::F32 || stored.shape().len() > 4 {
            return Err(wrong(format!("{name} is {:?} {:?}", stored.dtype(), stored.shape())));
        }
        let spec = Spec::f32(Shape::new(stored.shape()));
        let mut tensor = Tensor::zeros(spec, &Device::Cpu);
        copy(stored.data(), tensor.slice_mut());
        Ok(tensor)
    }

    /// Refuses a file that has not exactly the tensors of `owners`, but for those whose name begins
    /// with one of `besides`.
    pub(crate) fn expect(
        &self,
        owners: &[&dyn Fields],
        besides: &[&str],
    ) -> Result<(), TensorsError> {
        let (mut problems, mut expected) = (Vec::new(), BTreeSet::new());
        for owner in owners {
            owner.visit(&mut Name::default(), &mut |name, field| {
                problems.extend(self.difference(name.as_str(), field.value()));
                expected.insert(name.to_string());
            });
        }
        let mut others: Vec<&str> = self.tensors.names();
        others.sort_unstable();
        others.retain(|name| {
            !expected.contains(*name) && !besides.iter().any(|start| name.starts_with(start))
        });
        problems.extend(others.iter().map(|name| format!("{name} is unexpected")));
        match problems.is_empty() {
            true => Ok(()),
            false => Err(TensorsError::Mismatch { path: self.path.to_owned(), problems }),
        }
    }

    fn difference(&self, name: &str, wanted: &Tensor) -> Option<String> {
        let shape = wanted.shape();
        match self.tensors.tensor(name) {
            Err(_) => Some(format!("{name} is missing")),
            Ok(t) if t.dtype() != Dtype::F32 || t.shape() != shape.dims() => {
                let (dtype, found) = (t.dtype(), t.shape());
                Some(format!("{name} is {dtype:?} {found:?}, expected F32 {:?}", shape.dims()))
            }
            Ok(_) => None,
        }
    }

    /// Fills everything that `owner` owns.
    ///
    /// # Panics
    /// Unless [`Contents::expect`] found them.
    pub(crate) fn fill(&self, owner: &mut dyn Fields) {
        owner.visit_mut(&mut Name::default(), &mut |name, field| {
            let stored = self.tensors.tensor(name.as_str()).expect("every name was found");
            field.into_value().edit(|values| copy(stored.data(), values));
        });
    }
}

fn copy(bytes: &[u8], into: &mut [f32]) {
    for (value, word) in into.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *value = f32::from_le_bytes(*word);
    }
}
