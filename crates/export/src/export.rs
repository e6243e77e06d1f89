//! What all formats are told alike.

use crate::Error;
use crate::graph::Graph;
use gradus_data::{WriteError, write_beside};
use gradus_layers::{Layer as _, Sequential};
use gradus_tensor::Shape;
use std::io::Write as _;
use std::path::Path;

/// A network on its way out, and what its users shall know of it.
///
/// ```
/// use gradus_export::Export;
/// use gradus_models::{dogs_vs_cats, layers::tensor::{Device, Shape}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut network = dogs_vs_cats();
/// network.build_on(Shape::new(&[1, 128, 128, 3]), &Device::Cpu, 42)?;
/// let export = Export::new(&network, [128, 128, 3]).labels(&["cat", "dog"]).rescale(1.0 / 255.0);
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.onnx");
/// export.onnx().write(&path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Export<'a> {
    pub(crate) network: &'a Sequential,
    pub(crate) image: [usize; 3],
    pub(crate) labels: Vec<String>,
    pub(crate) rescale: f32,
    input: Option<String>,
    output: Option<String>,
    notes: Vec<(String, String)>,
}

impl<'a> Export<'a> {
    /// The network, for images of that height, width and number of channels. It is written as it
    /// answers: without dropout, normalized by the moving statistics, with the closing activation
    /// that training may have taken off.
    #[must_use]
    pub fn new(network: &'a Sequential, image: [usize; 3]) -> Self {
        let (labels, notes) = (Vec::new(), Vec::new());
        Self { network, image, labels, rescale: 1.0, input: None, output: None, notes }
    }

    /// The names of the classes, in the order of the outputs; of a network with one output two: what
    /// it says no and yes to. Default: none.
    #[must_use]
    pub fn labels<S: AsRef<str>>(mut self, labels: &[S]) -> Self {
        self.labels = labels.iter().map(|label| label.as_ref().to_owned()).collect();
        self
    }

    /// What pixels (0 to 255) are multiplied with before the network sees them. Written down for
    /// clients, and done in the graph where that takes raw pixels. Default: 1.
    #[must_use]
    pub fn rescale(mut self, rescale: f32) -> Self {
        self.rescale = rescale;
        self
    }

    /// What clients call the input. Default: Keras 2's name, that of the first layer with `_input`
    /// behind it, such as `conv2d_input`.
    #[must_use]
    pub fn input_name(mut self, name: impl Into<String>) -> Self {
        self.input = Some(name.into());
        self
    }

    /// What clients call the output. Default: Keras 2's name, that of the last layer, such as
    /// `dense_1`.
    #[must_use]
    pub fn output_name(mut self, name: impl Into<String>) -> Self {
        self.output = Some(name.into());
        self
    }

    /// Something to be remembered with the model, such as the run that it comes from. The last
    /// word on a key is the one that counts.
    #[must_use]
    pub fn note(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let key = key.into();
        self.notes.retain(|(known, _)| *known != key);
        self.notes.push((key, value.into()));
        self
    }

    /// The network as operations, once the options fit it.
    pub(crate) fn graph(&self) -> Result<Graph, Error> {
        let [h, w, c] = self.image;
        let graph = Graph::of(self.network, Shape::new(&[1, h, w, c]))?;
        let (labels, outputs) = (self.labels.len(), graph.output.shape.last());
        let of_one = outputs == 1 && labels == 2;
        if labels > 0 && labels != outputs && !of_one {
            let two = if outputs == 1 { ", expected two: no and yes" } else { "" };
            let reason = format!("{labels} names for {outputs} outputs{two}");
            return Err(Error::Option { option: "labels", reason });
        }
        if !self.rescale.is_finite() {
            let reason = format!("{} is no number to multiply with", self.rescale);
            return Err(Error::Option { option: "rescale", reason });
        }
        let [input, output] = self.names();
        if input.is_empty() || output.is_empty() || input == output {
            let reason = format!("{input:?} and {output:?}: expected two different names");
            return Err(Error::Option { option: "names of input and output", reason });
        }
        Ok(graph)
    }

    /// What clients call input and output.
    pub(crate) fn names(&self) -> [String; 2] {
        let layers = self.network.children();
        let [first, last] = [layers.first(), layers.last()].map(|child| match child {
            Some((name, _)) => *name,
            None => "network",
        });
        let input = self.input.clone().unwrap_or_else(|| format!("{first}_input"));
        [input, self.output.clone().unwrap_or_else(|| last.to_owned())]
    }

    /// Writes the labels, one a line. A line break within one becomes a space.
    pub(crate) fn write_labels(&self, path: &Path) -> Result<(), WriteError> {
        write_beside(path, |file| {
            let mut labels = self.labels.iter();
            labels.try_for_each(|label| writeln!(file, "{}", label.replace(['\r', '\n'], " ")))
        })
    }

    /// What is to be remembered: labels, as JSON, and rescale; then the notes.
    pub(crate) fn notes(&self) -> Vec<(String, String)> {
        let mut notes = Vec::new();
        if !self.labels.is_empty() {
            notes.push(("labels".to_owned(), serde_json::json!(self.labels).to_string()));
        }
        notes.push(("rescale".to_owned(), self.rescale.to_string()));
        let is_known = |(key, _): &&(String, String)| key != "labels" && key != "rescale";
        notes.extend(self.notes.iter().filter(is_known).cloned());
        notes
    }
}
