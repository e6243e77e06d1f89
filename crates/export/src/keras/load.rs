//! Models and weights of Keras, read.

use super::WEIGHTS;
use super::config::{self, Read};
use super::h5::{DESCRIPTION, H5};
use super::unfold::Unfolded;
use crate::places::{Place, joined, leaves};
use crate::{Import, LoadError};
use gradus_layers::{Described as _, Registry, Sequential, Wanted};
use gradus_tensor::Context;
use gradus_train::Model;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use zip::ZipArchive;

/// Loads a `.keras` file, or the `.h5` that Keras 2's `model.save` wrote: the layers and their
/// weights, to predict with, or to compile and train on. What it was compiled with is not read, and
/// Keras does not know the names of the classes: see [`Model::with_classes`].
///
/// ```no_run
/// use gradus_export::load_keras;
/// use gradus_models::layers::tensor::{Context, Device};
/// # fn main() -> Result<(), gradus_export::LoadError> {
/// let model = load_keras("model.keras", Context::new(Device::Cpu, 0))?.with_rescale(1.0 / 255.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the file cannot be read or is no such file, if a layer is of a class that gradus has not, or if
/// the layers are no chain: then build the network here, and take the weights with
/// [`Import::keras`].
pub fn load_keras(path: impl AsRef<Path>, context: Context) -> Result<Model, LoadError> {
    let path = path.as_ref();
    let (text, mut h5, three) = open(path)?;
    let wrong = |reason: String| LoadError::Format {
        path: path.to_owned(),
        expected: "a model of Keras",
        reason,
    };
    let text = text.ok_or_else(|| wrong("it has weights and no layers".to_owned()))?;
    if text.len() > DESCRIPTION {
        return Err(wrong(format!("its layers are described in {} bytes", text.len())));
    }
    let value: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let Read { chain, image } = config::read(&value).map_err(wrong)?;
    let network = Sequential::from_config(&chain, &Registry::default())
        .map_err(|cause| LoadError::Network { path: path.to_owned(), cause })?;
    h5.look(if three { of_keras_3 } else { of_keras_2 })?;
    let wanted = Wanted::at_most(h5.numbers());
    let mut model = Model::build_to_be_filled(network, image, context, &wanted)
        .map_err(|cause| LoadError::Shape { path: path.to_owned(), cause })?;
    if !wanted.is_met() {
        let (found, wanted) = (h5.numbers(), wanted.numbers());
        let problem = format!("the layers have {wanted} numbers, the file at most {found}");
        return Err(LoadError::Mismatch { path: path.to_owned(), problems: vec![problem] });
    }
    fill(&mut Import::into(&mut model), &h5, three)?;
    Ok(model)
}

impl Import<'_> {
    /// The weights of a `.keras` or `.weights.h5` file, for a network of the same layers in the same
    /// order, whatever their names; or those of Keras 2's `.h5`, for layers of the same names.
    ///
    /// # Errors
    /// If the file is none of these, or has not exactly the tensors of the network; then nothing is
    /// changed.
    pub fn keras(&mut self, path: impl AsRef<Path>) -> Result<(), LoadError> {
        let (_, mut h5, three) = open(path.as_ref())?;
        h5.look(if three { of_keras_3 } else { of_keras_2 })?;
        fill(self, &h5, three)
    }
}

/// The description of the layers if there is one, the weights, and whether they are Keras 3's.
fn open(path: &Path) -> Result<(Option<String>, H5, bool), LoadError> {
    let read = |cause| LoadError::Read { path: path.to_owned(), cause };
    let mut file = File::open(path).map_err(read)?;
    let mut magic = [0; 4];
    let length = file.read(&mut magic).map_err(read)?;
    if magic[..length] == *b"PK\x03\x04" {
        file.seek(SeekFrom::Start(0)).map_err(read)?;
        let (text, weights) = unzip(path, file)?;
        return Ok((Some(text), H5::of(path, weights)?, true));
    }
    drop(file);
    let h5 = H5::open(path)?;
    let three = h5.has_group("layers")? && !h5.has_group("model_weights")?;
    let text = if three { None } else { h5.text("model_config")? };
    Ok((text, h5, three))
}

/// `config.json` and the weights. No part is larger than the file: Keras stores them as they are.
fn unzip(path: &Path, file: File) -> Result<(String, Vec<u8>), LoadError> {
    let wrong = |reason: String| LoadError::Format {
        path: path.to_owned(),
        expected: "a .keras file",
        reason,
    };
    let size = file.metadata().map_err(|e| wrong(e.to_string()))?.len();
    let mut archive =
        ZipArchive::new(io::BufReader::new(file)).map_err(|e| wrong(e.to_string()))?;
    let mut part = |name: &str, limit: u64| {
        let entry = archive.by_name(name).map_err(|e| wrong(format!("{name}: {e}")))?;
        let mut bytes = Vec::new();
        let read = entry.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|e| wrong(format!("{name}: {e}")))?;
        match bytes.len() as u64 > limit {
            true => Err(wrong(format!("{name} has more than {limit} bytes"))),
            false => Ok(bytes),
        }
    };
    let config = part("config.json", DESCRIPTION as u64)?;
    let config = String::from_utf8(config).map_err(|e| wrong(format!("config.json: {e}")))?;
    Ok((config, part(WEIGHTS, size)?))
}

fn fill(import: &mut Import<'_>, h5: &H5, three: bool) -> Result<(), LoadError> {
    let (network, image) = (import.model.network(), import.model.image_shape());
    let places = match three {
        true => Unfolded::of(network, image)?.places(),
        false => {
            let mut places = Vec::new();
            for leaf in leaves(network, image)? {
                places.extend(leaf.fields.iter().map(|(field, shape)| {
                    let name = joined(&leaf.path, field);
                    Place::same(name.clone(), name, *shape)
                }));
            }
            places
        }
    };
    import.fill(&places, h5, |_| false)
}

/// Keras 3's names as they are; what optimizers and generators of random numbers keep is not asked
/// for.
fn of_keras_3(path: &str) -> Option<String> {
    let ours = path.starts_with("layers/") && !path.contains("/seed_generator/");
    ours.then(|| path.to_owned())
}

/// `model_weights/conv2d_1/…/kernel:0` as `conv2d_1.kernel`.
fn of_keras_2(path: &str) -> Option<String> {
    let path = path.strip_prefix("model_weights/").unwrap_or(path);
    let (layer, rest) = path.split_once('/')?;
    if ["optimizer_weights", "top_level_model_weights"].contains(&layer) {
        return None;
    }
    let last = rest.rsplit('/').next()?;
    Some(format!("{layer}.{}", last.split(':').next()?))
}
