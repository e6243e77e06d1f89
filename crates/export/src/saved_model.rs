//! TensorFlow's SavedModel: a folder that TensorFlow, its servers and its converters read.
//!
//! ```text
//! Files        saved_model.pb                    the graph, and the weights as its constants
//!              variables/                        empty, or with `variables` the weights
//!              assets.extra/labels.txt           the classes, one a line
//!              assets.extra/metadata.json        labels, rescale, interpolation, and the notes
//! Signature    `serving_default`; x: N·H·W·C, the batch is free
//! Weights      as they are: Keras's orders are TensorFlow's
//! Words        of TensorFlow 1.15 and later. Padding in pixels and groups are composed, see `ops.rs`
//! Traps        an option with a default that is not ours is lost in silence where it is not
//!              written: `epsilon` and `is_training` of FusedBatchNormV3
//! Reference    <https://www.tensorflow.org/guide/saved_model>, "The SavedModel format on disk"
//! ```
//!
//! It is written without TensorFlow, and has no object graph: `tf.keras.models.load_model` of Keras
//! 2 asks for one, that of Keras 3 loads no SavedModel at all (its `TFSMLayer` does).

mod activation;
mod bundle;
mod messages;
mod ops;
mod pixels;
#[cfg(test)]
mod tests;
mod variables;
mod writer;

use crate::graph::{Graph, Weight};
use crate::{Error, Export};
use gradus_data::{Interpolation, WriteError, write_beside};
use messages::{
    Attr, GraphDef, MetaGraphDef, MetaInfoDef, SavedModelProto, SignatureDef, TensorInfo,
    TensorShape, VersionDef, dtype,
};
use prost::Message as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use writer::Writer;

/// The release whose operations are meant, and the number that its graphs bear.
const TENSORFLOW: (&str, i32) = ("2.21.0", 1395);

/// A network that becomes a SavedModel: [`Export::saved_model`].
#[derive(Clone, Debug)]
pub struct SavedModel<'a> {
    export: &'a Export<'a>,
    variables: bool,
    pixels: Option<Interpolation>,
}

impl Export<'_> {
    /// As TensorFlow's SavedModel.
    #[must_use]
    pub fn saved_model(&self) -> SavedModel<'_> {
        SavedModel { export: self, variables: false, pixels: None }
    }
}

/// What is written.
struct Written {
    model: SavedModelProto,
    /// Sorted by name.
    variables: Vec<(String, Weight)>,
}

impl SavedModel<'_> {
    /// Whether weights are variables, which other programs see by name and may move, and which may
    /// take more than 2 GiB. Default: no, they are constants, and there is one file.
    #[must_use]
    pub fn variables(mut self, variables: bool) -> Self {
        self.variables = variables;
        self
    }

    /// Takes raw pixels in place of floats: bytes of shape (N, any height, any width, C), of which
    /// the graph itself makes what the network takes, resized and multiplied with
    /// [`Export::rescale`]. Default: floats.
    ///
    /// Filters are Pillow's; their sums are rounded once here, and there after each axis, which is
    /// a level of 255 in some pixels, and up to four in one of a thousand with `Bicubic` and `Lanczos`.
    /// `Nearest` is another pixel here than there in ties. `Box` and `Hamming` are refused: TensorFlow
    /// has no such filters.
    #[must_use]
    pub fn pixels(mut self, interpolation: Interpolation) -> Self {
        self.pixels = Some(interpolation);
        self
    }

    /// Writes the folder, which is made if it is not there: `saved_model.pb` last, so that there is
    /// none before all that it names.
    ///
    /// # Errors
    /// If a layer cannot be exported, an option does not fit the network, or a file cannot be
    /// written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        let folder = folder.as_ref();
        let Written { model, variables } = self.build()?;
        let bytes = model.encoded_len();
        if bytes >= 1 << 31 {
            let instead = "write the weights as variables";
            return Err(Error::TooLarge { format: "SavedModel", bytes, instead });
        }
        make(&folder.join("variables"))?;
        // OpenVINO reads no empty bundle.
        if !variables.is_empty() {
            bundle::write(&folder.join("variables"), &variables)?;
        }
        self.write_extra(&folder.join("assets.extra"))?;
        let bytes = model.encode_to_vec();
        let path = folder.join("saved_model.pb");
        Ok(write_beside(&path, |file| file.write_all(&bytes))?)
    }

    /// What a SavedModel has no words for.
    fn write_extra(&self, folder: &Path) -> Result<(), Error> {
        make(folder)?;
        let notes: serde_json::Map<_, _> =
            self.export.notes().into_iter().map(|(key, value)| (key, value.into())).collect();
        let notes = serde_json::Value::from(notes);
        write_beside(&folder.join("metadata.json"), |file| writeln!(file, "{notes:#}"))?;
        if !self.export.labels.is_empty() {
            self.export.write_labels(&folder.join("labels.txt"))?;
        }
        Ok(())
    }

    fn build(&self) -> Result<Written, Error> {
        let Graph { nodes, output: y, .. } = self.export.graph()?;
        let mut writer = Writer::new(self.variables);
        // The names of input and output come first: they stay as they are.
        let [input, output] = self.export.names();
        let names = [writer.take(&input), writer.take(&output)];
        let image = self.input(&mut writer, &names[0])?;
        nodes.into_iter().try_for_each(|node| writer.node(node))?;
        let result = writer.values[y.id].clone();
        let float = vec![("T", Attr::Type(dtype::FLOAT))];
        writer.push(&names[1], "Identity", &[&result], float);
        let mut variables = writer.variables.take().unwrap_or_default();
        variables.sort_by(|(a, _), (b, _)| a.cmp(b));

        let batch = || std::iter::once(-1);
        let extents = batch().chain(y.shape.dims()[1..].iter().map(|n| *n as i64));
        let result = TensorInfo {
            name: format!("{}:0", names[1]),
            dtype: dtype::FLOAT,
            tensor_shape: Some(TensorShape::new(extents)),
        };
        let signature = SignatureDef {
            inputs: [(input, image)].into(),
            outputs: [(output, result)].into(),
            method_name: "tensorflow/serving/predict".to_owned(),
        };
        let model = model(writer, signature, &variables);
        Ok(Written { model, variables })
    }

    /// The placeholder, and what makes an input of the network of it.
    fn input(&self, writer: &mut Writer, name: &str) -> Result<TensorInfo, Error> {
        let [h, w, c] = self.export.image.map(|n| n as i64);
        let (kind, extents) = match self.pixels {
            None => (dtype::FLOAT, [-1, h, w, c]),
            Some(_) => (dtype::UINT8, [-1, -1, -1, c]),
        };
        let shape = TensorShape::new(extents);
        let attr = vec![("dtype", Attr::Type(kind)), ("shape", Attr::Shape(shape.clone()))];
        writer.push(name, "Placeholder", &[], attr);
        let x = match self.pixels {
            None => name.to_owned(),
            Some(interpolation) => {
                let [h, w, _] = self.export.image;
                writer.pixels(name, [h, w], interpolation, self.export.rescale)?
            }
        };
        writer.values.push(x);
        Ok(TensorInfo { name: format!("{name}:0"), dtype: kind, tensor_shape: Some(shape) })
    }
}

/// The whole message.
fn model(
    mut writer: Writer,
    signature: SignatureDef,
    variables: &[(String, Weight)],
) -> SavedModelProto {
    let (version, producer) = TENSORFLOW;
    let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    let (saver_def, collection_def) = match names.is_empty() {
        true => (None, Default::default()),
        false => (Some(variables::restore(&mut writer, &names)), variables::collections(&names)),
    };
    let meta_info_def = MetaInfoDef {
        tags: vec!["serve".to_owned()],
        tensorflow_version: version.to_owned(),
        stripped_default_attrs: true,
    };
    let graph = GraphDef { node: writer.nodes, versions: Some(VersionDef { producer }) };
    let meta_graph = MetaGraphDef {
        meta_info_def: Some(meta_info_def),
        graph_def: Some(graph),
        saver_def,
        collection_def,
        signature_def: [("serving_default".to_owned(), signature)].into(),
    };
    SavedModelProto { saved_model_schema_version: 1, meta_graphs: vec![meta_graph] }
}

fn make(folder: &Path) -> Result<(), WriteError> {
    fs::create_dir_all(folder).map_err(|cause| WriteError { path: folder.to_owned(), cause })
}
