//! A network as Keras has it: layers without containers, and what each takes.

use super::order::{self, Takes};
use super::var;
use crate::Error;
use crate::names::Names;
use crate::places::{Place, joined};
use gradus_layers::{Activation, Config, Flow, Layer, Sequential};
use gradus_tensor::{Path, Shape};
use serde_json::json;

/// A layer of Keras.
#[derive(Debug)]
pub(super) struct Node {
    /// Its path here; that of its container, where it is none of ours.
    pub(super) path: String,
    /// Its name there.
    pub(super) name: String,
    pub(super) config: Config,
    /// The nodes that it takes, of which `None` is the input.
    pub(super) takes: Takes,
    /// What it owns, by name.
    fields: Vec<(String, Shape)>,
    /// What Keras calls it among the weights: `conv2d_1`.
    pub(super) saved: String,
}

/// All of them, each behind those that it takes.
#[derive(Debug)]
pub(super) struct Unfolded {
    pub(super) nodes: Vec<Node>,
    /// Outputs of the last.
    pub(super) outputs: usize,
}

impl Unfolded {
    pub(super) fn of(network: &Sequential, image: [usize; 3]) -> Result<Self, Error> {
        let [h, w, c] = image;
        let outputs = network.output_shape(Shape::new(&[1, h, w, c]))?.last();
        let mut walk = Walk { nodes: Vec::new(), path: Path::default(), names: Names::default() };
        let last = walk.layer(network, &network.config(), None)?;
        let mut unfolded = Self { nodes: walk.nodes, outputs };
        unfolded.number(last);
        Ok(unfolded)
    }

    /// Whether each takes what the one before it gives.
    pub(super) fn is_chain(&self) -> bool {
        self.nodes.iter().enumerate().all(|(i, node)| node.takes == [i.checked_sub(1)])
    }

    /// Where the weights stand in Keras's file.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for node in &self.nodes {
            for (i, (field, shape)) in node.fields.iter().enumerate() {
                let name = var(&node.saved, i);
                places.push(Place::same(name, joined(&node.path, field), *shape));
            }
        }
        places
    }

    /// Numbers the layers of each class in the order in which Keras has them.
    fn number(&mut self, last: Option<usize>) {
        let takes: Vec<Takes> = self.nodes.iter().map(|node| node.takes.clone()).collect();
        let names = order::names(&takes, last, |i| self.nodes[i].config.default_name());
        self.nodes.iter_mut().zip(names).for_each(|(node, name)| node.saved = name);
    }
}

/// Whether what the layer gives is nowhere below 0.
fn is_never_negative(config: &Config) -> bool {
    let relu = serde_json::to_value(Activation::Relu).ok();
    match config.class_name.as_str() {
        "ReLU" => ["negative_slope", "threshold"].iter().all(|name| {
            let option = config.config.get(*name).and_then(serde_json::Value::as_f64);
            option.is_none_or(|option| option == 0.0)
        }),
        _ => config.config.get("activation").cloned() == relu,
    }
}

struct Walk {
    nodes: Vec<Node>,
    path: Path,
    names: Names,
}

impl Walk {
    /// Appends what the layer is, and gives the node whose output is its own.
    fn layer(
        &mut self,
        layer: &dyn Layer,
        config: &Config,
        x: Option<usize>,
    ) -> Result<Option<usize>, Error> {
        let children = layer.children();
        match config.class_name.as_str() {
            "Sequential" => {
                // The container alone knows of a closing activation that was split off.
                let inner: Vec<Config> = config
                    .config
                    .get("layers")
                    .and_then(|layers| serde_json::from_value(layers.clone()).ok())
                    .unwrap_or_default();
                children
                    .into_iter()
                    .zip(&inner)
                    .try_fold(x, |x, ((name, layer), config)| self.within(name, layer, config, x))
            }
            "Residual" | "Concatenate" => self.branches(layer, config, x),
            _ if !children.is_empty() => Err(self.refuse(config, "Keras has no such container")),
            _ => self.leaf(layer, config, x),
        }
    }

    fn within(
        &mut self,
        name: &str,
        layer: &dyn Layer,
        config: &Config,
        x: Option<usize>,
    ) -> Result<Option<usize>, Error> {
        let mut path = std::mem::take(&mut self.path);
        let y = path.within(name, |path| {
            self.path = path.clone();
            self.layer(layer, config, x)
        });
        self.path = path;
        y
    }

    fn branches(
        &mut self,
        layer: &dyn Layer,
        config: &Config,
        x: Option<usize>,
    ) -> Result<Option<usize>, Error> {
        let mut takes = Vec::new();
        for (name, inner) in layer.children() {
            takes.push(self.within(name, inner, &inner.config(), x)?);
        }
        if layer.flow() == (Flow::Branches { identity: true }) {
            takes.push(x);
        }
        if config.class_name == "Concatenate" {
            return Ok(self.push(Config::new("Concatenate", &json!({"axis": -1})), takes));
        }
        let sum = self.push(Config::new("Add", &json!({})), takes);
        let activation = config.config.get("activation").cloned();
        let linear = serde_json::to_value(Activation::Linear).ok();
        match activation {
            None => Ok(sum),
            activation if activation == linear => Ok(sum),
            Some(activation) => {
                let config = Config::new("Activation", &json!({"activation": activation}));
                Ok(self.push(config, vec![sum]))
            }
        }
    }

    fn leaf(
        &mut self,
        layer: &dyn Layer,
        config: &Config,
        x: Option<usize>,
    ) -> Result<Option<usize>, Error> {
        if let Some(reason) = super::config::unknown(config) {
            return Err(self.refuse(config, reason));
        }
        let (config, x) = self.padded(config, x)?;
        let node = self.push(config, vec![x]);
        let mut fields = Vec::new();
        layer.visit(&mut Path::default(), &mut |name, field| {
            fields.push((name.to_string(), field.value().shape()));
        });
        if let Some(node) = self.nodes.last_mut() {
            node.fields = fields;
        }
        Ok(node)
    }

    /// Keras pads by words only: other padding is a layer of zeros before this one, where zeros do no
    /// harm. Among numbers that are not negative they are never the largest.
    fn padded(
        &mut self,
        config: &Config,
        x: Option<usize>,
    ) -> Result<(Config, Option<usize>), Error> {
        let padding = config.config.get("padding").filter(|padding| !padding.is_string());
        let Some(padding) = padding.filter(|_| config.class_name != "ZeroPadding2D") else {
            return Ok((config.clone(), x));
        };
        let before = x.map(|i| &self.nodes[i].config);
        match config.class_name.as_str() {
            "Conv2D" => {}
            "MaxPooling2D" if before.is_some_and(is_never_negative) => {}
            _ => {
                let reason = "Keras pads only \"valid\" or \"same\", and zeros would count here";
                return Err(self.refuse(config, reason));
            }
        }
        let zeros = Config::new("ZeroPadding2D", &json!({"padding": padding}));
        let mut config = config.clone();
        config.config.insert("padding".into(), "valid".into());
        Ok((config, self.push(zeros, vec![x])))
    }

    /// Appends a node of that config, under a name that no other has.
    fn push(&mut self, mut config: Config, takes: Vec<Option<usize>>) -> Option<usize> {
        let path = self.path.as_str().to_owned();
        let wanted = match path.rsplit_once('.') {
            _ if config.class_name == "ZeroPadding2D" && !path.contains("padding") => {
                format!("{}_zeros", path.replace('.', "_"))
            }
            _ if config.class_name == "Add" => format!("{}_add", path.replace('.', "_")),
            _ if config.class_name == "Activation" && !path.ends_with("activation") => {
                format!("{}_out", path.replace('.', "_"))
            }
            None => path.clone(),
            Some(_) => path.replace('.', "_"),
        };
        let name = self.names.take(&wanted);
        config.config.insert("name".into(), name.clone().into());
        let (fields, saved) = (Vec::new(), String::new());
        self.nodes.push(Node { path, name, config, takes, fields, saved });
        Some(self.nodes.len() - 1)
    }

    fn refuse(&self, config: &Config, reason: &str) -> Error {
        let (layer, class_name) = (self.path.as_str().to_owned(), config.class_name.clone());
        Error::Layer { layer, class_name, reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_layers::{Concatenate, Conv2D, Dense, Flatten, Padding, Residual};

    fn convolution(filters: usize, size: usize) -> Conv2D {
        Conv2D::new(filters, size).padding(Padding::Same)
    }

    #[test]
    fn a_chain_of_chains_is_a_chain() {
        let inner = Sequential::new().add(convolution(2, 3)).add(Flatten);
        let network = Sequential::new().add(convolution(3, 1)).add(inner).add(Dense::new(2));
        let unfolded = Unfolded::of(&network, [4, 4, 1]).unwrap();
        let names: Vec<&str> = unfolded.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["conv2d", "sequential_conv2d", "sequential_flatten", "dense"]);
        let saved: Vec<&str> = unfolded.nodes.iter().map(|node| node.saved.as_str()).collect();
        assert_eq!(saved, ["conv2d", "conv2d_1", "flatten", "dense"]);
        assert!(unfolded.is_chain() && unfolded.outputs == 2);
    }

    /// As Keras 3.15.1 orders `model.layers` of the same model: by the distance from the output.
    #[test]
    fn branches_are_numbered_by_their_distance_from_the_output() {
        let long = Sequential::new().add(convolution(2, 1)).add(convolution(2, 3));
        let branches = Concatenate::new().branch(convolution(2, 5)).branch(long);
        let body = Residual::new(convolution(4, 3));
        let network = Sequential::new().add(branches).add(body).add(Flatten).add(Dense::new(2));
        let unfolded = Unfolded::of(&network, [4, 4, 1]).unwrap();
        let saved = |path: &str| {
            let node = unfolded.nodes.iter().find(|node| node.path == path).unwrap();
            node.saved.as_str()
        };
        assert_eq!(saved("concatenate.branch_2.conv2d"), "conv2d");
        assert_eq!(saved("concatenate.branch_1"), "conv2d_1");
        assert_eq!(saved("concatenate.branch_2.conv2d_1"), "conv2d_2");
        assert_eq!(saved("residual.body"), "conv2d_3");
        assert!(!unfolded.is_chain());
    }
}
