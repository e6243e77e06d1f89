//! Models and weights of Keras, read.

use super::WEIGHTS;
use super::described::{Described, Description};
use super::h5::H5;
use super::leaves::by_first_group;
use super::stored::Bytes;
use super::unfold::Unfolded;
use crate::import::differences;
use crate::places::Place;
use crate::{Import, LoadError};
use gradus_layers::Wanted;
use gradus_tensor::Context;
use gradus_train::Model;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// The longest description of layers that is read; Keras takes about 1.3 KiB a layer.
const DESCRIPTION: usize = 1 << 22;
/// Far more than Keras says of the file itself.
const METADATA: u64 = 1 << 16;
/// By how much weights may be larger than the file in which they are deflated.
const UNPACKED: u64 = 16 << 20;

/// Loads a `.keras` file, or the `.h5` that Keras 2's `model.save` wrote: the layers and their
/// weights, to predict with, or to compile and train on. What it was compiled with is not read, and
/// Keras does not know the names of the classes: see [`Model::with_classes`].
///
/// Branches that come together again become `Residual` and `Concatenate`, called as Keras's `Add` and
/// `Concatenate` are, whose branches are chains: `conv2_block1_add.body.conv2_block1_1_conv`. A model
/// inside the model is a chain of its name.
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
/// the network has several inputs or outputs, a layer in several places, or branches that are not
/// joined where they began: then build the network here, and take the weights with
/// [`Import::keras`].
pub fn load_keras(path: impl AsRef<Path>, context: Context) -> Result<Model, LoadError> {
    let path = path.as_ref();
    let (description, mut h5, three) = open(path, true)?;
    let description = description.ok_or_else(|| LoadError::Format {
        path: path.to_owned(),
        expected: "a model of Keras",
        reason: "it has weights and no layers".to_owned(),
    })?;
    let Described { network, image, leaves } = description.read(path)?;
    match three {
        true => h5.look(&of_keras_3)?,
        false => h5.look(&leaves.naming())?,
    }
    let wanted = Wanted::at_most(h5.numbers());
    let mut model = Model::build_to_be_filled(network, image, context, &wanted)
        .map_err(|cause| LoadError::Shape { path: path.to_owned(), cause })?;
    let places = leaves.places(model.network(), &wanted.params(), three);
    if !wanted.is_met() {
        let problems = too_few(&places, &wanted, &h5);
        return Err(LoadError::Mismatch { path: path.to_owned(), problems });
    }
    Import::into(&mut model).fill(&places, &h5, |_| false)?;
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
        let (_, mut h5, three) = open(path.as_ref(), false)?;
        h5.look(if three { &of_keras_3 } else { &by_first_group })?;
        let places = match three {
            true => Unfolded::of(self.model.network(), self.model.image_shape())?.places(),
            false => of_the_same_names(self.model),
        };
        self.fill(&places, &h5, |_| false)
    }
}

/// The description of the layers if there is one and it is asked for, the weights, and whether they
/// are Keras 3's.
fn open(path: &Path, layers: bool) -> Result<(Option<Description>, H5, bool), LoadError> {
    let read = |cause| LoadError::Read { path: path.to_owned(), cause };
    let mut file = File::open(path).map_err(read)?;
    let mut magic = [0; 4];
    let length = file.read(&mut magic).map_err(read)?;
    if magic[..length] == *b"PK\x03\x04" {
        file.seek(SeekFrom::Start(0)).map_err(read)?;
        let (description, weights) = unzip(file, layers).map_err(|reason| LoadError::Format {
            path: path.to_owned(),
            expected: "a .keras file",
            reason,
        })?;
        return Ok((description, H5::of(path, weights)?, true));
    }
    drop(file);
    let h5 = H5::open(path)?;
    let three = h5.has_group("layers")? && !h5.has_group("model_weights")?;
    let text = if three || !layers { None } else { h5.text("model_config")? };
    let Some(text) = text else { return Ok((None, h5, three)) };
    if text.len() > DESCRIPTION {
        let reason = format!("its layers are described in {} bytes", text.len());
        let expected = "a model of Keras";
        return Err(LoadError::Format { path: path.to_owned(), expected, reason });
    }
    // What says nothing is older than what says so.
    let keras = h5.text("keras_version")?.unwrap_or_else(|| "1".to_owned());
    Ok((Some(Description { text, keras: Some(keras) }), h5, three))
}

/// The layers, if they are asked for, and where the weights lie: Keras stores them as they are, and
/// there they stay. What is deflated is unpacked, and is then not much larger than the file.
fn unzip(file: File, layers: bool) -> Result<(Option<Description>, Bytes), String> {
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(|e| e.to_string())?;
    let description = match layers {
        true => Some(unzip_description(&mut archive)?),
        false => None,
    };
    match stored(&mut archive, size)? {
        None => Ok((description, Bytes::Memory(part(&mut archive, WEIGHTS, size + UNPACKED)?))),
        Some((start, length)) => {
            let file = archive.into_inner().into_inner();
            Ok((description, Bytes::Disk { file, start, length }))
        }
    }
}

/// `config.json`, and of `metadata.json` the version.
fn unzip_description(archive: &mut Archive) -> Result<Description, String> {
    #[derive(serde::Deserialize)]
    struct Metadata {
        keras_version: Option<String>,
    }
    let config = part(archive, "config.json", DESCRIPTION as u64)?;
    let text = String::from_utf8(config).map_err(|e| format!("config.json: {e}"))?;
    let metadata = part(archive, "metadata.json", METADATA)?;
    let metadata: Metadata =
        serde_json::from_slice(&metadata).map_err(|e| format!("metadata.json: {e}"))?;
    Ok(Description { text, keras: metadata.keras_version })
}

type Archive = ZipArchive<io::BufReader<File>>;

/// The bytes of a part, in no more memory than it says that it has, which is at most `limit`.
fn part(archive: &mut Archive, name: &str, limit: u64) -> Result<Vec<u8>, String> {
    let entry = archive.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    let length = entry.size();
    if length > limit {
        return Err(format!("{name} has {length} bytes, of at most {limit}"));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    entry.take(length + 1).read_to_end(&mut bytes).map_err(|e| format!("{name}: {e}"))?;
    match bytes.len() as u64 == length {
        true => Ok(bytes),
        false => Err(format!("{name} has not the {length} bytes that it says")),
    }
}

/// From where on the weights lie in a file of that size, and how long they are, unless they are
/// compressed. They are read once, because a checksum stands beside them.
fn stored(archive: &mut Archive, size: u64) -> Result<Option<(u64, u64)>, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("{WEIGHTS}: {e}");
    let mut entry = archive.by_name(WEIGHTS).map_err(|e| wrong(&e))?;
    let (start, length) = (entry.data_start(), entry.size());
    let start = start.filter(|_| entry.compression() == CompressionMethod::Stored);
    let Some(start) = start else { return Ok(None) };
    if start.checked_add(length).is_none_or(|end| end > size) {
        return Err(format!("{WEIGHTS} ends behind the file"));
    }
    let read = io::copy(&mut entry, &mut io::sink()).map_err(|e| wrong(&e))?;
    match read == length {
        true => Ok(Some((start, length))),
        false => Err(format!("{WEIGHTS} has {read} bytes, and says {length}")),
    }
}

/// Where the tensors of the model stand in a file of Keras 2: under the names of their layers, which
/// are those in their containers where no two are the same.
fn of_the_same_names(model: &Model) -> Vec<Place> {
    let (mut places, mut names) = (Place::all_of(model.network()), BTreeSet::new());
    let own = |path: &str| path.rsplitn(3, '.').take(2).collect::<Vec<_>>().join("\n");
    if places.iter().all(|place| names.insert(own(&place.name))) {
        for place in &mut places {
            let start = place.name.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
            place.name.drain(..start);
        }
    }
    places
}

/// All in which the file differs from a network that has more numbers than it: one that was not made
/// in full.
fn too_few(places: &[Place], wanted: &Wanted, h5: &H5) -> Vec<String> {
    let mut problems = differences(places, h5, |_| false);
    let (found, wanted) = (h5.numbers(), wanted.numbers());
    problems.push(format!("the layers have {wanted} numbers, the file at most {found}"));
    problems
}

/// Keras 3's names as they are; what optimizers and generators of random numbers keep is not asked
/// for.
fn of_keras_3(path: &str) -> Option<String> {
    let ours = path.starts_with("layers/") && !path.contains("/seed_generator/");
    ours.then(|| path.to_owned())
}
