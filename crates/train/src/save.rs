//! Models on disk.
//!
//! ```text
//! models/
//!   1/  model.json           what the network is, in the words of Keras's get_config
//!       model.safetensors    the weights, by their Keras names: conv2d_1.kernel, …
//!   2/  …                    the next save
//! ```
//!
//! A version is published as a whole, so that a server that watches the folder never sees half a
//! model: [`write_version`].

use crate::tensors_file::{Tensors, TensorsError, TensorsFile};
use crate::{Error, Model, WriteError, write_beside, write_version};
use gradus_data::Interpolation;
use gradus_layers::{
    Config, ConfigError, Described, Layer, Registry, Sequential, ShapeError, Wanted,
};
use gradus_tensor::{Context, Fields, Path as Name, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The version of what stands in `model.json`.
const FORMAT: u32 = 1;
/// The longest description that is read; that of a network of a thousand layers is a third of it.
const DESCRIPTION: usize = 1 << 19;

/// A checkpoint is a model's file too: with the state of optimizer, callbacks and batches beside.
const BESIDES: [&str; 3] = ["optim.", "callbacks.", "batches."];

/// `model.json`.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Description {
    /// [`FORMAT`].
    gradus: u32,
    /// Height, width and channels.
    image_shape: [usize; 3],
    /// What pixels are multiplied with.
    rescale: f32,
    /// How images are resized: Keras's default, where it is not said.
    #[serde(default, with = "interpolation", skip_serializing_if = "is_nearest")]
    interpolation: Interpolation,
    classes: Vec<String>,
    network: Config,
}

fn is_nearest(interpolation: &Interpolation) -> bool {
    *interpolation == Interpolation::Nearest
}

/// By its Keras name.
mod interpolation {
    use gradus_data::Interpolation;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(it: &Interpolation, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(it.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Interpolation, D::Error> {
        let name = String::deserialize(from)?;
        let unknown = || D::Error::custom(format!("no interpolation is called {name:?}"));
        Interpolation::named(&name).ok_or_else(unknown)
    }
}

/// What stands beside the tensors of a single file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) model: Description,
    /// The state of a run, if it is a checkpoint.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) checkpoint: Value,
}

/// The part of it that says what the model is; what a run adds may be long.
#[derive(Deserialize)]
struct AboutModel<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
}

/// Why a saved model cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file is missing or cannot be read.
    #[error("{}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
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
    #[error("{}: {cause}", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// Which layer, and why.
        cause: ConfigError,
    },
    /// The layers do not fit together.
    #[error("{}: {cause}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Which layer, and why.
        cause: ShapeError,
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
        self.save_with(folder, |_| Ok(()))
    }

    /// Saves the model as [`Model::save`] does, with what `more` writes into the version's folder:
    /// the forms that other programs serve, say. No version appears without them.
    ///
    /// # Errors
    /// If something cannot be written, and what `more` returns. No version appears then.
    pub fn save_with<E: From<WriteError>>(
        &self,
        folder: impl AsRef<Path>,
        more: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        write_version(folder.as_ref(), |version| {
            self.write_into(version)?;
            more(version)
        })
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
            interpolation: self.interpolation,
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

    /// Saves the weights alone as one file, by their Keras names; moving statistics are among them.
    ///
    /// # Errors
    /// If it cannot be written. What `path` held before is still there then.
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let mut tensors = Tensors::default();
        tensors.add_all(&self.network);
        Ok(tensors.save(path)?)
    }

    /// Puts the weights of a file that [`Model::save_weights`] or [`Model::save_file`] wrote into this
    /// model. Keras's `load_weights`.
    ///
    /// # Errors
    /// If the file cannot be read, or its weights are not those of this network: nothing has changed
    /// then, unless the disk fails midway.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let contents = TensorsFile::open(path).map_err(ModelError::from)?;
        contents.expect(&[&self.network], &BESIDES).map_err(ModelError::from)?;
        Ok(contents.fill(&mut self.network).map_err(ModelError::from)?)
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
        let contents = TensorsFile::open(&weights).map_err(ModelError::from)?;
        let description = match separate {
            Some(description) => description,
            None => {
                let about: AboutModel<'_> = contents.about().map_err(ModelError::from)?;
                parsed(about.model.get().as_bytes(), &path)?
            }
        };
        description.check(&path)?;
        let network = Sequential::from_config(&description.network, registry)
            .map_err(|cause| ModelError::Network { path: path.clone(), cause })?;
        let besides: &[&str] = if whole { &BESIDES } else { &[] };
        let wanted = Wanted::at_most(contents.numbers());
        let image = description.image_shape;
        let mut model = Self::build_to_be_filled(network, image, context, &wanted)
            .map_err(|cause| ModelError::Shape { path: path.clone(), cause })?
            .with_classes(&description.classes)
            .with_rescale(description.rescale)
            .with_interpolation(description.interpolation);
        if !wanted.is_met() {
            let mut problems = contents.differences(&wanted.params(), besides);
            let (found, wanted) = (contents.numbers(), wanted.numbers());
            problems.push(format!("the network has {wanted} numbers, the file at most {found}"));
            return Err(ModelError::from(contents.mismatch(problems)).into());
        }
        contents.expect(&[&model.network], besides).map_err(ModelError::from)?;
        contents.fill(&mut model.network).map_err(ModelError::from)?;
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

impl Description {
    fn check(&self, path: &Path) -> Result<(), ModelError> {
        let reason = if self.gradus != FORMAT {
            format!("format {}, this version reads {FORMAT}", self.gradus)
        } else if !self.rescale.is_finite() {
            format!("rescale is {}, expected a number", self.rescale)
        } else {
            return Ok(());
        };
        Err(ModelError::Description { path: path.to_owned(), reason })
    }
}

fn read_description(path: &Path) -> Result<Description, ModelError> {
    let path = path.to_owned();
    let mut text = Vec::new();
    let read =
        File::open(&path).and_then(|file| file.take(DESCRIPTION as u64 + 1).read_to_end(&mut text));
    if let Err(cause) = read {
        return Err(ModelError::Read { path, cause });
    }
    parsed(&text, &path)
}

fn parsed(text: &[u8], path: &Path) -> Result<Description, ModelError> {
    let wrong = |reason| ModelError::Description { path: path.to_owned(), reason };
    match text.len() > DESCRIPTION {
        true => Err(wrong(format!("it has more than {DESCRIPTION} bytes"))),
        false => serde_json::from_slice(text).map_err(|e| wrong(e.to_string())),
    }
}
