//! Models on disk.
//!
//! ```text
//! models/
//!   1/  model.json           what the network is, in the words of Keras's get_config
//!       model.safetensors    the weights, by their Keras names: conv2d_1.kernel, …
//!   2/  …                    the next save
//! ```
//!
//! A version is written under a hidden name beside the others, synced, and renamed to the next
//! free number, so that a server that watches the folder never sees half a model.

use crate::{Error, Model, WriteError, write_beside};
use gradus_layers::{Config, ConfigError, Described, Registry, Sequential, ShapeError};
use gradus_tensor::{Context, Fields, Path as Name, Tensor};
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The version of what stands in `model.json`.
const FORMAT: u32 = 1;

/// `model.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    /// [`FORMAT`].
    gradus: u32,
    /// Height, width and channels.
    image_shape: [usize; 3],
    /// What pixels are multiplied with.
    rescale: f32,
    classes: Vec<String>,
    network: Config,
}

/// Why a saved model cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file is missing or cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// `model.json` is not what this version of gradus writes.
    #[error("{}: not a description of a gradus model: {reason}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// The network cannot be rebuilt.
    #[error("{}: {source}", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// Which layer, and why.
        source: ConfigError,
    },
    /// The layers do not fit together.
    #[error("{}: {source}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Which layer, and why.
        source: ShapeError,
    },
    /// The weights are not a safetensors file.
    #[error("{}: not a safetensors file: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The weights are not those of the network. All differences at once.
    #[error("{}: the weights are not those of the network:{}", path.display(), list(problems))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// One line each: missing, unexpected, or of another shape or type.
        problems: Vec<String>,
    },
}

fn list(problems: &[String]) -> String {
    problems.iter().map(|p| format!("\n  {p}")).collect()
}

impl Model {
    /// Saves the model as the next version in `folder`, which is made if it is not there, and
    /// returns the version's folder: `models/1`, then `models/2`.
    ///
    /// # Errors
    /// If something cannot be written. No version appears then.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<PathBuf, Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(at(folder))?;
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let hidden = folder.join(format!(".saving-{process}-{count}"));
        let _ = fs::remove_dir_all(&hidden); // left over by a process that had the same number
        fs::create_dir(&hidden).map_err(at(&hidden))?;
        let saved = self.write_into(&hidden).and_then(|()| publish(&hidden, folder));
        if saved.is_err() {
            let _ = fs::remove_dir_all(&hidden);
        }
        Ok(saved?)
    }

    fn write_into(&self, folder: &Path) -> Result<(), WriteError> {
        use gradus_layers::Layer;
        let description = Description {
            gradus: FORMAT,
            image_shape: self.image,
            rescale: self.rescale,
            classes: self.classes.clone(),
            network: self.network.config(),
        };
        write_beside(&folder.join("model.json"), |file| {
            serde_json::to_writer_pretty(&mut *file, &description).map_err(io::Error::from)?;
            io::Write::write_all(file, b"\n")
        })?;
        let mut tensors = BTreeMap::new();
        self.network.visit(&mut Name::default(), &mut |name, field| {
            tensors.insert(name.to_string(), Stored::new(field.value()));
        });
        write_beside(&folder.join("model.safetensors"), |file| {
            let bytes = safetensors::serialize(tensors, None).map_err(io::Error::other)?;
            io::Write::write_all(file, &bytes)
        })
    }

    /// Loads a version, such as `models/1`, to predict with, or to compile and train on.
    ///
    /// # Errors
    /// If a file is missing or is not what it should be.
    pub fn load(version: impl AsRef<Path>, context: Context) -> Result<Self, Error> {
        Self::load_with(version, context, &Registry::default())
    }

    /// Loads a version whose network has layers of your own, known to `registry`.
    ///
    /// # Errors
    /// If a file is missing or is not what it should be.
    pub fn load_with(
        version: impl AsRef<Path>,
        context: Context,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let path = version.as_ref().join("model.json");
        let description = read_description(&path)?;
        let network = Sequential::from_config(&description.network, registry)
            .map_err(|source| ModelError::Network { path: path.clone(), source })?;
        let mut model = Self::build(network, description.image_shape, context, 0)
            .map_err(|source| ModelError::Shape { path: path.clone(), source })?
            .with_classes(&description.classes)
            .with_rescale(description.rescale);
        let path = version.as_ref().join("model.safetensors");
        model.read_weights(&path)?;
        Ok(model)
    }

    fn read_weights(&mut self, path: &Path) -> Result<(), ModelError> {
        let path = path.to_owned();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(ModelError::Read { path, source }),
        };
        let file = match SafeTensors::deserialize(&bytes) {
            Ok(file) => file,
            Err(e) => return Err(ModelError::Weights { path, reason: e.to_string() }),
        };
        let problems = differences(&self.network, &file);
        if !problems.is_empty() {
            return Err(ModelError::Mismatch { path, problems });
        }
        self.network.visit_mut(&mut Name::default(), &mut |name, field| {
            let stored = file.tensor(name.as_str()).expect("every name was found");
            let words = stored.data().as_chunks::<4>().0;
            for (value, word) in field.into_value().slice_mut::<f32>().iter_mut().zip(words) {
                *value = f32::from_le_bytes(*word);
            }
        });
        Ok(())
    }

    /// Puts weights back that were copied in visiting order.
    pub(crate) fn put_back(&mut self, weights: Vec<Tensor>) {
        let mut weights = weights.into_iter();
        self.network.visit_mut(&mut Name::default(), &mut |_, field| {
            let kept = weights.next().expect("as many tensors as were copied");
            field.into_value().slice_mut::<f32>().copy_from_slice(kept.slice());
        });
    }
}

/// What the system says, with the path that it says it of.
fn at(path: &Path) -> impl FnOnce(io::Error) -> WriteError + use<> {
    let path = path.to_owned();
    move |source| WriteError { path, source }
}

/// Gives the hidden folder the next free number.
fn publish(hidden: &Path, folder: &Path) -> Result<PathBuf, WriteError> {
    loop {
        let entries = fs::read_dir(folder).map_err(at(folder))?;
        let numbers = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u64>().ok());
        let version = folder.join((numbers.max().unwrap_or(0) + 1).to_string());
        match fs::rename(hidden, &version) {
            Ok(()) => {
                // The new name shall outlive a power cut; not every system lets a folder be synced.
                let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
                return Ok(version);
            }
            // Another process took the number in the meantime.
            Err(_) if version.exists() => {}
            Err(source) => return Err(WriteError { path: version, source }),
        }
    }
}

fn read_description(path: &Path) -> Result<Description, ModelError> {
    let path = path.to_owned();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(ModelError::Read { path, source }),
    };
    let description: Description = match serde_json::from_slice(&text) {
        Ok(description) => description,
        Err(e) => return Err(ModelError::Description { path, reason: e.to_string() }),
    };
    if description.gradus != FORMAT {
        let reason = format!("format {}, this version reads {FORMAT}", description.gradus);
        return Err(ModelError::Description { path, reason });
    }
    Ok(description)
}

/// What the network and the file do not have in common, one line each.
fn differences(network: &Sequential, file: &SafeTensors<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expected = Vec::new();
    network.visit(&mut Name::default(), &mut |name, field| {
        expected.push(name.to_string());
        let shape = field.value().shape();
        match file.tensor(name.as_str()) {
            Err(_) => problems.push(format!("{name} is missing")),
            Ok(t) if t.dtype() != Dtype::F32 || t.shape() != shape.dims() => {
                problems.push(format!(
                    "{name} is {:?} {:?}, expected F32 {:?}",
                    t.dtype(),
                    t.shape(),
                    shape.dims()
                ))
            }
            Ok(_) => {}
        }
    });
    for name in file.names() {
        if !expected.iter().any(|e| e == name) {
            problems.push(format!("{name} is unexpected"));
        }
    }
    problems
}

/// A tensor as it stands in the file.
struct Stored {
    shape: Vec<usize>,
    /// Little-endian f32.
    bytes: Vec<u8>,
}

impl Stored {
    fn new(tensor: &Tensor) -> Self {
        let bytes = tensor.slice::<f32>().iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { shape: tensor.shape().dims().to_vec(), bytes }
    }
}

impl View for Stored {
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
