//! Numbers from the files of other programs.
//!
//! What is wrong is told at once, before anything is changed: what is missing, unexpected, or of
//! another shape or type.

use crate::Error;
use crate::places::{Kept, Place};
use gradus_layers::{ConfigError, ShapeError};
use gradus_train::{Model, TensorsError, TensorsFile};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// Why a file of another program cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is missing or cannot be read.
    #[error("{}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is not what its name says.
    #[error("{}: not {expected}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It has other tensors than the network. All differences at once.
    #[error("{}: the tensors are not those of this network:{}", path.display(), lines(problems))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// One line each.
        problems: Vec<String>,
    },
    /// A safetensors file cannot be used.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// The other program has no words for a layer of the network.
    #[error("{}", on_the_way_in(.0))]
    Layer(#[from] Error),
    /// The network that the file describes cannot be rebuilt.
    #[error("{}: {cause}", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// Which layer, and why.
        cause: ConfigError,
    },
    /// What a layer takes cannot be had of a network here.
    #[error("{}: {layer}: {reason}", path.display())]
    Branches {
        /// The file.
        path: PathBuf,
        /// The layer, by its name in the file.
        layer: String,
        /// What it takes, and what to do.
        reason: String,
    },
    /// The layers that the file describes do not fit together.
    #[error("{}: {cause}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Which layer, and why.
        cause: ShapeError,
    },
}

/// The words of an error that is told on both ways.
fn on_the_way_in(error: &Error) -> String {
    match error {
        Error::Layer { layer, class_name, reason } => {
            format!("{layer}: this {class_name} cannot be filled: {reason}")
        }
        other => other.to_string(),
    }
}

fn lines(problems: &[String]) -> String {
    problems.iter().map(|p| format!("\n  {p}")).collect()
}

/// Weights of other programs for a model that is built here.
///
/// ```no_run
/// use gradus_export::{Import, ModuleNames};
/// use gradus_models::{Stem, layers::tensor::{Context, Device}, resnet18};
/// use gradus_train::Model;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network = resnet18(Stem::ImageNet, 1000);
/// let mut model = Model::build(network, [224, 224, 3], Context::new(Device::Cpu, 0), 0)?;
/// Import::into(&mut model).pytorch("resnet18.safetensors", ModuleNames::Torchvision)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Import<'a> {
    pub(crate) model: &'a mut Model,
}

/// A file of named tensors.
pub(crate) trait Source {
    fn path(&self) -> &Path;
    fn names(&self) -> Vec<String>;
    /// The extents of one that has floats of 32 bits, and what it has otherwise.
    fn shape(&self, name: &str) -> Option<Result<Vec<usize>, String>>;
    /// The numbers of one, of which there are as many.
    fn read(&self, name: &str, into: &mut [f32]) -> Result<(), LoadError>;
}

impl Source for TensorsFile {
    fn path(&self) -> &Path {
        self.path()
    }

    fn names(&self) -> Vec<String> {
        self.names().map(str::to_owned).collect()
    }

    fn shape(&self, name: &str) -> Option<Result<Vec<usize>, String>> {
        self.shape(name).map(|shape| shape.map(<[usize]>::to_vec))
    }

    fn read(&self, name: &str, into: &mut [f32]) -> Result<(), LoadError> {
        Ok(self.read_into(name, into)?)
    }
}

impl<'a> Import<'a> {
    /// Fills that model.
    #[must_use]
    pub fn into(model: &'a mut Model) -> Self {
        Self { model }
    }

    /// A bare safetensors file, with the names and layouts of the tensors here: `conv2d_1.kernel`,
    /// (R, S, C, K) and (in, units), as in Keras. `Model::save` and `Model::save_file` write such files;
    /// what a run adds to them is passed over.
    ///
    /// # Errors
    /// If the file is not such a file, or has not exactly the tensors of the network; then nothing is
    /// changed.
    pub fn safetensors(&mut self, path: impl AsRef<Path>) -> Result<(), LoadError> {
        let places = Place::all_of(self.model.network());
        let file = TensorsFile::open(path)?;
        let of_a_run =
            |name: &str| ["optim.", "callbacks."].iter().any(|start| name.starts_with(start));
        self.fill(&places, &file, of_a_run)
    }

    /// Fills the model from the file, once it was found to fit.
    pub(crate) fn fill(
        &mut self,
        places: &[Place],
        source: &dyn Source,
        ignored: fn(&str) -> bool,
    ) -> Result<(), LoadError> {
        let mut problems = differences(places, source, ignored);
        if problems.is_empty() {
            problems = constants(places, source)?;
        }
        if !problems.is_empty() {
            return Err(LoadError::Mismatch { path: source.path().to_owned(), problems });
        }
        let fields = places.iter().filter_map(|place| match &place.source {
            Kept::Field(field) => Some((field.as_str(), place)),
            Kept::Always(_) => None,
        });
        let (fields, mut filled): (BTreeMap<&str, &Place>, _) = (fields.collect(), Ok(()));
        self.model.fields_mut().visit_mut(&mut Default::default(), &mut |path, field| {
            let tensor = field.into_value();
            if filled.is_ok()
                && let Some(place) = fields.get(path.as_str())
            {
                tensor.edit(|here| filled = place.read(source, here));
            }
        });
        filled
    }
}

/// All in which the file differs.
pub(crate) fn differences(
    places: &[Place],
    source: &dyn Source,
    ignored: fn(&str) -> bool,
) -> Vec<String> {
    let difference = |Place { name, shape, .. }: &Place| match source.shape(name) {
        None => Some(format!("{name} is missing")),
        Some(Ok(found)) if found == *shape => None,
        Some(Ok(found)) => Some(format!("{name} is F32 {found:?}, expected F32 {shape:?}")),
        Some(Err(found)) => Some(format!("{name} is {found}, expected F32 {shape:?}")),
    };
    let mut problems: Vec<String> = places.iter().filter_map(difference).collect();
    let expected: BTreeSet<&str> = places.iter().map(|place| place.name.as_str()).collect();
    let others = source.names();
    let others = others.iter().filter(|name| !expected.contains(name.as_str()) && !ignored(name));
    problems.extend(others.map(|name| format!("{name} is unexpected")));
    problems
}

/// Numbers that the network has no place for, unless they are what it does without.
fn constants(places: &[Place], source: &dyn Source) -> Result<Vec<String>, LoadError> {
    let mut problems = Vec::new();
    for Place { name, shape, source: kept, .. } in places {
        let Kept::Always(value) = kept else { continue };
        let mut found = vec![0.0; shape.iter().product()];
        source.read(name, &mut found)?;
        if found.iter().any(|found| found != value) {
            problems.push(format!("{name} is not {value} everywhere, and the layer does without"));
        }
    }
    Ok(problems)
}
