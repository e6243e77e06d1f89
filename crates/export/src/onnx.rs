//! ONNX: one file that most runtimes read.
//!
//! ```text
//! Versions     ir 7, opset 13: the widest reach; nothing newer is needed
//! Shapes       x: N·H·W·C, as in Keras, or N·C·H·W; the batch is free. Inside images are N·C·H·W,
//!              which is all that ONNX knows: x is transposed at the door
//! Weights      kernels (R, S, C/groups, K) become (K, C/groups, R, S); all others stay. Flatten
//!              counts channels last: images are transposed before it, and not the rows of the dense
//!              kernel behind, which would be wrong where a normalization stands between
//! Words        opset 13 has no gelu, mish, silu: they are composed, see `activation.rs`
//! Metadata     `labels` (a list in JSON), `rescale`, `interpolation`, and the notes
//! Reference    <https://onnx.ai/onnx/operators/>
//! ```

mod activation;
mod messages;
mod ops;
#[cfg(test)]
mod tests;

use crate::graph::{Graph, Value};
use crate::{Error, Export};
use gradus_data::write_beside;
use messages::{
    Dim, FLOAT, GraphProto, ModelProto, OperatorSetId, StringStringEntry, TensorShape, TensorType,
    TypeProto, ValueInfo,
};
use ops::Writer;
use prost::Message as _;
use std::io::Write as _;
use std::path::Path;

/// In which order an image's extents come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Height, width, channels, as in Keras. The default.
    #[default]
    Nhwc,
    /// Channels, height, width, as in PyTorch.
    Nchw,
}

/// A network that becomes an ONNX file: [`Export::onnx`].
#[derive(Clone, Debug)]
pub struct Onnx<'a> {
    pub(crate) export: &'a Export<'a>,
    layout: Layout,
}

impl Export<'_> {
    /// As ONNX.
    #[must_use]
    pub fn onnx(&self) -> Onnx<'_> {
        Onnx { export: self, layout: Layout::default() }
    }
}

impl Onnx<'_> {
    /// In which order the extents of input images come, and of output images if there are any.
    /// Default: [`Layout::Nhwc`].
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Writes `path`, such as `model.onnx`.
    ///
    /// # Errors
    /// If a layer cannot be exported, an option does not fit the network, or the file cannot be
    /// written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let bytes = self.encode()?;
        Ok(write_beside(path.as_ref(), |file| file.write_all(&bytes))?)
    }

    /// What [`Onnx::write`] writes.
    ///
    /// # Errors
    /// As [`Onnx::write`].
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let model = self.model()?;
        let bytes = model.encoded_len();
        if bytes >= 1 << 31 {
            let instead = "write a SavedModel with variables instead";
            return Err(Error::TooLarge { format: "ONNX", bytes, instead });
        }
        Ok(model.encode_to_vec())
    }

    fn model(&self) -> Result<ModelProto, Error> {
        let entry = |(key, value)| StringStringEntry { key: Some(key), value: Some(value) };
        Ok(ModelProto {
            ir_version: Some(7),
            producer_name: Some("gradus".to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            graph: Some(self.graph()?),
            opset_import: vec![OperatorSetId { domain: None, version: Some(13) }],
            metadata_props: self.export.notes().into_iter().map(entry).collect(),
        })
    }

    fn graph(&self) -> Result<GraphProto, Error> {
        let [input, output] = self.export.names();
        let Graph { input: x, nodes, output: y } = self.export.graph()?;
        let mut writer = Writer::new(&input, &output);
        writer.input(self.layout);
        nodes.into_iter().try_for_each(|node| writer.node(node))?;
        writer.output(self.layout, y);
        let (node, initializer) = writer.finish();
        Ok(GraphProto {
            node,
            name: Some("gradus".to_owned()),
            initializer,
            input: vec![self.info(input, x)],
            output: vec![self.info(output, y)],
        })
    }

    /// Name, type and shape of what goes in or out.
    fn info(&self, name: String, value: Value) -> ValueInfo {
        let known = |n: usize| Dim { dim_value: Some(n as i64), dim_param: None };
        let batch = Dim { dim_value: None, dim_param: Some("N".to_owned()) };
        let dim =
            std::iter::once(batch).chain(self.extents(value).into_iter().map(known)).collect();
        let tensor_type = TensorType { elem_type: Some(FLOAT), shape: Some(TensorShape { dim }) };
        let r#type = Some(TypeProto { tensor_type: Some(tensor_type) });
        ValueInfo { name: Some(name), r#type }
    }

    /// The extents of what goes in or out, without the batch.
    pub(crate) fn extents(&self, value: Value) -> Vec<usize> {
        let mut extents = value.shape.dims()[1..].to_vec();
        if self.layout == Layout::Nchw {
            extents.rotate_right(1);
        }
        extents
    }
}
