//! Keras's own files: `.keras`, `.weights.h5`, and the `.h5` of Keras 2.
//!
//! ```text
//! .keras        a zip of metadata.json, config.json (the layers) and model.weights.h5
//! .weights.h5   HDF5: layers/conv2d_1/vars/0, …; layers are numbered by class in the order in which
//!               Keras has them, whatever their names
//! .h5           HDF5: model_weights/conv2d_1/…/kernel:0, and the layers as JSON in the attribute
//!               model_config of the root
//! Conventions   containers are unfolded: what is a chain of layers becomes Keras's Sequential, all
//!               else a Functional model with Add and Concatenate, of which containers are made again
//! Reference     Keras 3.15, `saving/saving_lib.py` and `ops/function.py`; tf_keras 2.21,
//!               `saving/legacy/hdf5_format.py`
//! ```

mod config;
mod described;
mod graph;
mod group;
mod h5;
mod leaves;
mod load;
mod options;
mod order;
mod stored;
mod unfold;
mod wired;

use crate::places::values;
use crate::{Error, Export};
use gradus_data::{WriteError, write_beside};
use group::Group;
use serde_json::json;
use std::io::{self, Write as _};
use std::path::Path;
use unfold::Unfolded;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

pub use load::load_keras;

/// The version whose format is written.
const KERAS: &str = "3.15.1";

/// The network as Keras's files. Made by [`Export::keras`].
#[derive(Clone, Debug)]
pub struct Keras<'a> {
    export: Export<'a>,
    optimizer: (String, f64),
    loss: Option<String>,
}

impl<'a> Export<'a> {
    /// As a model that Keras 3 loads, compiled and ready to be trained on.
    #[must_use]
    pub fn keras(&self) -> Keras<'a> {
        Keras { export: self.clone(), optimizer: ("RMSprop".to_owned(), 1e-3), loss: None }
    }
}

impl Keras<'_> {
    /// Which optimizer it is compiled with, by Keras's name, and its learning rate; otherwise with
    /// Keras's defaults. Default: RMSprop with 0.001, the tutorial's.
    #[must_use]
    pub fn optimizer(mut self, class_name: impl Into<String>, learning_rate: f64) -> Self {
        self.optimizer = (class_name.into(), learning_rate);
        self
    }

    /// Which loss it is compiled with, by Keras's name. Default: `binary_crossentropy` for one output,
    /// `categorical_crossentropy` for several.
    #[must_use]
    pub fn loss(mut self, name: impl Into<String>) -> Self {
        self.loss = Some(name.into());
        self
    }

    /// Writes a `.keras` file, beside and renamed.
    ///
    /// ```text
    /// model = keras.models.load_model("model.keras")
    /// ```
    ///
    /// # Errors
    /// If a layer has what Keras has no word for, or the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let unfolded = Unfolded::of(self.export.network, self.export.image)?;
        let config = config::of(&unfolded, self.export.image, &self.compiled(&unfolded))?;
        let weights = self.weights(&unfolded).map_err(|e| at(path, e))?;
        let metadata = json!({"keras_version": KERAS, "date_saved": ""});
        let parts = [
            ("metadata.json", metadata.to_string().into_bytes()),
            ("config.json", config.to_string().into_bytes()),
            (WEIGHTS, weights),
        ];
        Ok(write_beside(path, |file| {
            let mut archive = zip::ZipWriter::new(file);
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .large_file(parts[2].1.len() > u32::MAX as usize);
            for (name, bytes) in &parts {
                archive.start_file(*name, options).map_err(io::Error::other)?;
                archive.write_all(bytes)?;
            }
            archive.finish().map(|_| ()).map_err(io::Error::other)
        })?)
    }

    /// Writes the weights alone, for `model.load_weights("model.weights.h5")` of the same layers in
    /// Keras 3.
    ///
    /// # Errors
    /// As [`Keras::write`].
    pub fn write_weights(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let unfolded = Unfolded::of(self.export.network, self.export.image)?;
        let weights = self.weights(&unfolded).map_err(|e| at(path, e))?;
        Ok(write_beside(path, |file| file.write_all(&weights))?)
    }

    fn weights(&self, unfolded: &Unfolded) -> io::Result<Vec<u8>> {
        let (values, mut root) = (values(self.export.network), Group::default());
        for place in unfolded.places() {
            let here = place.field().and_then(|field| values.get(field));
            let numbers = here.cloned().unwrap_or_default();
            root.insert(&place.name, place.shape.clone(), numbers);
        }
        root.into_bytes()
    }

    /// What `model.compile` was told.
    fn compiled(&self, unfolded: &Unfolded) -> serde_json::Value {
        let (class_name, learning_rate) = &self.optimizer;
        let loss = self.loss.as_deref().unwrap_or(match unfolded.outputs {
            1 => "binary_crossentropy",
            _ => "categorical_crossentropy",
        });
        json!({
            "optimizer": {"module": "keras.optimizers", "class_name": class_name,
                "config": {"learning_rate": learning_rate}, "registered_name": null},
            "loss": loss,
            "loss_weights": null,
            "metrics": ["accuracy"],
            "weighted_metrics": null,
            "run_eagerly": false,
            "steps_per_execution": 1,
            "jit_compile": false,
        })
    }
}

/// Where a layer's number `i` of its variables stands in a file of Keras 3.
fn var(saved: &str, i: usize) -> String {
    format!("layers/{saved}/vars/{i}")
}

/// Where the weights lie in a `.keras` file.
const WEIGHTS: &str = "model.weights.h5";

fn at(path: &Path, cause: io::Error) -> WriteError {
    WriteError { path: path.to_owned(), cause }
}
