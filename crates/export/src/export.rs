//! What all formats are told alike.

use crate::Error;
use crate::graph::Graph;
use gradus_data::{Interpolation, WriteError, write_beside};
use gradus_layers::{Layer as _, Sequential};
use gradus_tensor::Shape;
use gradus_train::Model;
use std::io::Write as _;
use std::path::Path;

/// A network on its way out, and what its users shall know of it.
///
/// A [`Model`](gradus_train::Model) knows all of it: [`Export::of`]. Of a network alone:
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
    interpolation: Option<Interpolation>,
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
        let (rescale, interpolation, input, output) = (1.0, None, None, None);
        Self { network, image, labels, rescale, interpolation, input, output, notes }
    }

    /// The network of a model, with what the model knows of it: the names of the classes, what pixels
    /// are multiplied with, and how images are resized.
    #[must_use]
    pub fn of(model: &'a Model) -> Self {
        Self::new(model.network(), model.image_shape())
            .labels(model.classes())
            .rescale(model.rescale())
            .interpolation(model.interpolation())
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

    /// How clients resize images to what the network takes. Written down for them, by Keras's name.
    /// Default: nothing is said.
    #[must_use]
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = Some(interpolation);
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

    /// What is to be remembered: labels, as JSON, rescale, and interpolation; then the notes.
    pub(crate) fn notes(&self) -> Vec<(String, String)> {
        let mut notes = Vec::new();
        if !self.labels.is_empty() {
            notes.push(("labels".to_owned(), serde_json::json!(self.labels).to_string()));
        }
        notes.push(("rescale".to_owned(), self.rescale.to_string()));
        if let Some(interpolation) = self.interpolation {
            notes.push(("interpolation".to_owned(), interpolation.name().to_owned()));
        }
        let known = |key: &str| {
            ["labels", "rescale"].contains(&key) || notes.iter().any(|(known, _)| known == key)
        };
        let others = self.notes.iter().filter(|(key, _)| !known(key)).cloned().collect::<Vec<_>>();
        notes.extend(others);
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_layers::{Dense, Flatten};
    use gradus_tensor::{Context, Device};

    #[test]
    fn a_model_brings_along_what_it_knows() {
        let network = Sequential::new().add(Flatten).add(Dense::new(2));
        let model = Model::build(network, [2, 3, 1], Context::new(Device::Cpu, 1), 0).unwrap();
        let model = model
            .with_classes(&["cat", "dog"].map(str::to_owned))
            .with_rescale(0.5)
            .with_interpolation(Interpolation::Bilinear);
        let of = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let export = Export::of(&model).note("rescale", "7").note("interpolation", "other");
        let (labels, rescale) = (of("labels", r#"["cat","dog"]"#), of("rescale", "0.5"));
        let bilinear = of("interpolation", "bilinear");
        assert_eq!(export.notes(), [labels, rescale, bilinear]);
        // Whoever says nothing may note it.
        let alone = Export::new(model.network(), [2, 3, 1]).note("interpolation", "other");
        assert_eq!(alone.notes(), [of("rescale", "1"), of("interpolation", "other")]);
        // Raw pixels are multiplied with the model's rescale.
        let folder = tempfile::tempdir().unwrap();
        let pixels = |export: &Export<'_>, name: &str| {
            let path = folder.path().join(name);
            let form = export.saved_model().pixels(model.interpolation());
            form.write(&path).unwrap();
            std::fs::read(path.join("saved_model.pb")).unwrap()
        };
        let by_hand = Export::new(model.network(), [2, 3, 1]).rescale(0.5);
        let of_model = pixels(&Export::of(&model), "of");
        assert_eq!(of_model, pixels(&by_hand, "by hand"));
        assert_ne!(of_model, pixels(&alone, "alone"));
    }
}
