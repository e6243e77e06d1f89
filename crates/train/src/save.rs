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

use crate::tensors_file::{Tensors, TensorsError, TensorsFile};
use crate::{Error, Model, WriteError, write_beside};
use gradus_layers::{Config, ConfigError, Described, Layer, Registry, Sequential, ShapeError};
use gradus_tensor::{Context, Fields, Path as Name, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};

/// The version of what stands in `model.json`.
const FORMAT: u32 = 1;

/// `model.json`.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Description {
    /// [`FORMAT`].
    gradus: u32,
    /// Height, width and channels.
    image_shape: [usize; 3],
    /// What pixels are multiplied with.
    rescale: f32,
    classes: Vec<String>,
    network: Config,
}

/// What stands beside the tensors of a single file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) model: Description,
    /// The state of a run, if it is a checkpoint.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) checkpoint: Value,
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
    /// The weights cannot be read, or are not those of the network.
    #[error(transparent)]
    Weights(#[from] TensorsError),
}

impl Model {
    /// Saves the model as the next version in `folder`, which is made if it is not there, and
    /// returns the version's folder: `models/1`, then `models/2`.
    ///
    /// # Errors
    /// If something cannot be written. No version appears then.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<PathBuf, Error> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(at(folder))?;
        sweep(folder);
        let number = RandomState::new().hash_one(std::process::id());
        let hidden = folder.join(format!("{HIDDEN}{number:016x}"));
        fs::create_dir(&hidden).map_err(at(&hidden))?;
        // Held until the folder has its number: see `sweep`.
        let lock = File::open(&hidden).ok();
        let _ = lock.as_ref().map(File::try_lock);
        let saved = self.write_into(&hidden).and_then(|()| publish(&hidden, folder));
        if saved.is_err() {
            let _ = fs::remove_dir_all(&hidden);
        }
        Ok(saved?)
    }

    fn write_into(&self, folder: &Path) -> Result<(), WriteError> {
        let description = self.description();
        write_beside(&folder.join("model.json"), |file| {
            serde_json::to_writer_pretty(&mut *file, &description).map_err(io::Error::from)?;
            io::Write::write_all(file, b"\n")
        })?;
        let mut tensors = Tensors::default();
        tensors.add_all(&self.network);
        tensors.write(&folder.join("model.safetensors"), None::<&About>)
    }

    pub(crate) fn description(&self) -> Description {
        Description {
            gradus: FORMAT,
            image_shape: self.image,
            rescale: self.rescale,
            classes: self.classes.clone(),
            network: self.network.config(),
        }
    }

    /// Saves the model as one file: the weights, with the text of `model.json` beside them.
    /// [`Model::load`] takes it as it takes a version's folder.
    ///
    /// # Errors
    /// If it cannot be written. What `path` held before is still there then.
    pub fn save_file(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let about = About { model: self.description(), checkpoint: Value::Null };
        let mut tensors = Tensors::default();
        tensors.add_all(&self.network);
        Ok(tensors.write(path.as_ref(), Some(&about))?)
    }

    /// Loads a version, such as `models/1`, or a file that [`Model::save_file`] wrote, to predict
    /// with, or to compile and train on.
    ///
    /// # Errors
    /// If a file is missing or is not what it should be.
    pub fn load(from: impl AsRef<Path>, context: Context) -> Result<Self, Error> {
        Self::load_with(from, context, &Registry::default())
    }

    /// Loads a model whose network has layers of your own, known to `registry`.
    ///
    /// # Errors
    /// If a file is missing or is not what it should be.
    pub fn load_with(
        from: impl AsRef<Path>,
        context: Context,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let from = from.as_ref();
        let whole = from.is_file();
        let weights = if whole { from.to_owned() } else { from.join("model.safetensors") };
        let path = if whole { from.to_owned() } else { from.join("model.json") };
        let separate = if whole { None } else { Some(read_description(&path)?) };
        let file = TensorsFile::read(&weights).map_err(ModelError::from)?;
        let contents = file.contents().map_err(ModelError::from)?;
        let description = match separate {
            Some(description) => description,
            None => contents.about::<About>().map_err(ModelError::from)?.model,
        };
        description.check(&path)?;
        let network = Sequential::from_config(&description.network, registry)
            .map_err(|source| ModelError::Network { path: path.clone(), source })?;
        let mut model = Self::build(network, description.image_shape, context, 0)
            .map_err(|source| ModelError::Shape { path: path.clone(), source })?
            .with_classes(&description.classes)
            .with_rescale(description.rescale);
        // A checkpoint is such a file too: with the optimizer's state and the callbacks' beside.
        let besides: &[&str] = if whole { &["optim.", "callbacks."] } else { &[] };
        contents.expect(&[&model.network], besides).map_err(ModelError::from)?;
        contents.fill(&mut model.network);
        Ok(model)
    }

    /// Puts weights back that were copied in visiting order.
    pub(crate) fn put_back(&mut self, weights: Vec<Tensor>) {
        let mut weights = weights.into_iter();
        self.network.visit_mut(&mut Name::default(), &mut |_, field| {
            let kept = weights.next().expect("as many tensors as were copied");
            field.into_value().copy_from(&kept);
        });
    }
}

/// How the folder of a version begins while it is written.
const HIDDEN: &str = ".saving-";

/// Removes the hidden folders of processes that were killed while they saved. One that lives holds
/// a lock on its folder, wherever folders can be locked; elsewhere they stay.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(HIDDEN));
        // Between making a folder and locking it no time is worth speaking of, but it is not
        // nothing: one that is empty may be new.
        let full = || fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_some());
        if ours
            && full()
            && let Ok(lock) = File::open(entry.path())
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
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

impl Description {
    fn check(&self, path: &Path) -> Result<(), ModelError> {
        if self.gradus == FORMAT {
            return Ok(());
        }
        let reason = format!("format {}, this version reads {FORMAT}", self.gradus);
        Err(ModelError::Description { path: path.to_owned(), reason })
    }
}

fn read_description(path: &Path) -> Result<Description, ModelError> {
    let path = path.to_owned();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(ModelError::Read { path, source }),
    };
    serde_json::from_slice(&text)
        .map_err(|e| ModelError::Description { path, reason: e.to_string() })
}
