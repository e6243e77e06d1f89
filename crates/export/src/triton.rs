//! What Triton is told of a model: `config.pbtxt`.
//!
//! ```text
//! models/dogs_vs_cats/
//!   config.pbtxt    names, types and shapes, without the batch
//!   labels.txt      the classes, one a line, if there are any
//!   1/model.onnx    the versions
//! ```
//!
//! Triton takes a line of `labels.txt` for each output and answers with that of the largest. Of one
//! output that says no or yes it would always be the first: then the file is there for clients, and the
//! config does not name it.
//!
//! Reference: the schema `model_config.proto` of Triton's.

use crate::{Error, Onnx};
use gradus_data::{WriteError, write_beside};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

impl Onnx<'_> {
    /// Writes `config.pbtxt` and `labels.txt` into the model's folder, in which its versions lie
    /// as `<number>/model.onnx`. The config names the labels unless they are two of one output, of
    /// which Triton would always answer with the first. Triton makes batches of up to `max_batch_size` images of what
    /// comes at the same time.
    ///
    /// # Errors
    /// If an option does not fit the network, or a file cannot be written.
    pub fn write_triton_config(
        &self,
        folder: impl AsRef<Path>,
        max_batch_size: u32,
    ) -> Result<(), Error> {
        let (folder, config) = (folder.as_ref(), self.triton_config(max_batch_size)?);
        fs::create_dir_all(folder)
            .map_err(|cause| WriteError { path: folder.to_owned(), cause })?;
        if !self.export.labels.is_empty() {
            self.export.write_labels(&folder.join("labels.txt"))?;
        }
        let path = folder.join("config.pbtxt");
        Ok(write_beside(&path, |file| file.write_all(config.as_bytes()))?)
    }

    /// The text of `config.pbtxt`.
    fn triton_config(&self, max_batch_size: u32) -> Result<String, Error> {
        if max_batch_size == 0 {
            let reason = "0, expected 1 or more images".to_owned();
            return Err(Error::Option { option: "max_batch_size", reason });
        }
        let [input, output] = self.export.names();
        let graph = self.export.graph()?;
        // None of them, where there are none.
        let labels = self.export.labels.len() == graph.output.shape.last();
        let mut text = format!(
            "platform: \"onnxruntime_onnx\"\nmax_batch_size: {max_batch_size}\n\
             dynamic_batching {{ }}\n"
        );
        let ends = [("input", input, graph.input, false), ("output", output, graph.output, labels)];
        for (end, name, value, labels) in ends {
            let (name, dims) = (quoted(&name), self.extents(value));
            let labels = if labels { "\n    label_filename: \"labels.txt\"" } else { "" };
            let _ = write!(
                text,
                "{end} [\n  {{\n    name: {name}\n    data_type: TYPE_FP32\n    dims: {dims:?}\
                 {labels}\n  }}\n]\n"
            );
        }
        Ok(text)
    }
}

/// A string as protobuf's text writes it.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Export, Layout};
    use gradus_layers::{Activation, Dense, Flatten, Sequential};
    use gradus_models::dogs_vs_cats;
    use gradus_tensor::{Device, Shape};

    #[test]
    fn the_config_says_names_types_and_shapes() {
        let mut network = dogs_vs_cats();
        network.build_on(Shape::new(&[1, 64, 48, 3]), &Device::Cpu, 0).unwrap();
        let export =
            Export::new(&network, [64, 48, 3]).labels(&["cat", "dog"]).input_name("a \"b\"");
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("pets");
        export.onnx().layout(Layout::Nchw).write_triton_config(&models, 32).unwrap();
        let text = fs::read_to_string(models.join("config.pbtxt")).unwrap();
        let expected = "\
platform: \"onnxruntime_onnx\"
max_batch_size: 32
dynamic_batching { }
input [
  {
    name: \"a \\\"b\\\"\"
    data_type: TYPE_FP32
    dims: [3, 64, 48]
  }
]
output [
  {
    name: \"dense_1\"
    data_type: TYPE_FP32
    dims: [2]
    label_filename: \"labels.txt\"
  }
]
";
        assert_eq!(text, expected);
        assert_eq!(fs::read_to_string(models.join("labels.txt")).unwrap(), "cat\ndog\n");
        let error = export.onnx().write_triton_config(&models, 0).unwrap_err();
        assert!(error.to_string().starts_with("max_batch_size: 0"), "{error}");
    }

    #[test]
    fn two_labels_of_one_output_are_there_for_clients() {
        let sigmoid = Dense::new(1).activation(Activation::Sigmoid);
        let mut network = Sequential::new().add(Flatten).add(sigmoid);
        network.build_on(Shape::new(&[1, 2, 2, 1]), &Device::Cpu, 0).unwrap();
        let export = Export::new(&network, [2, 2, 1]).labels(&["cat", "dog"]);
        let folder = tempfile::tempdir().unwrap();
        export.onnx().write_triton_config(folder.path(), 1).unwrap();
        export.saved_model().write(folder.path().join("1")).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(!read("config.pbtxt").contains("label_filename"));
        assert_eq!(read("labels.txt"), "cat\ndog\n");
        assert_eq!(read("1/assets.extra/labels.txt"), "cat\ndog\n");
        let error = export.labels(&["a", "b", "c"]).onnx().write_triton_config(&folder, 1);
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "labels: 3 names for 1 outputs, expected two: no and yes");
    }
}
