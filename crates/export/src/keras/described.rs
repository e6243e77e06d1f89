//! The network that a file of Keras's describes, read.
//!
//! A description from anywhere is read without making much of it: only options that layers here know,
//! each layer is made before the next one is looked at, and there are so many of them and so deep.

use super::graph::{self, Graph, Named};
use super::leaves::{Leaf, Leaves};
use super::options::{LAYERS, List, Options};
use super::order;
use super::wired::{Chain, Kind, Node, Wired, within};
use crate::LoadError;
use gradus_layers::{Config, ConfigError, Registry, Sequential};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::path::Path;

/// What a file says of its layers.
#[derive(Debug)]
pub(super) struct Description {
    /// `config.json`, or the attribute of Keras 2.
    pub(super) text: String,
    /// The version of Keras that wrote it, if that is said.
    pub(super) keras: Option<String>,
}

/// What is made of it.
#[derive(Debug)]
pub(super) struct Described {
    /// Not yet built.
    pub(super) network: Sequential,
    /// The images that it takes.
    pub(super) image: [usize; 3],
    pub(super) leaves: Leaves,
}

/// Why nothing is made of it.
#[derive(Debug)]
pub(super) enum Flaw {
    /// It is no description of a model.
    Format(String),
    /// What a layer takes cannot be had here.
    Wired { layer: String, reason: String },
    /// A layer that does not exist like that.
    Layer(ConfigError),
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(default)]
    class_name: String,
    #[serde(borrow)]
    config: &'a RawValue,
}

#[derive(Deserialize)]
struct Layers<'a> {
    #[serde(borrow)]
    layers: List<'a>,
    #[serde(borrow, default)]
    output_layers: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Layer<'a> {
    #[serde(default)]
    class_name: String,
    #[serde(borrow)]
    config: Option<&'a RawValue>,
    #[serde(borrow)]
    inbound_nodes: Option<&'a RawValue>,
    #[serde(default)]
    name: Option<String>,
}

/// What is read, and what may still be.
struct Reader {
    image: Option<[usize; 3]>,
    /// Whether Keras 2 or an older one wrote them.
    old: bool,
    layers_left: usize,
}

/// A model's layers but for its input.
struct Parts<'a> {
    layers: Vec<Layer<'a>>,
    names: Vec<String>,
    graph: Graph,
}

impl Flaw {
    pub(super) fn wired(layer: &str, reason: impl Into<String>) -> Self {
        Self::Wired { layer: layer.to_owned(), reason: reason.into() }
    }

    /// The error of that file.
    fn of(self, path: &Path) -> LoadError {
        let path = path.to_owned();
        match self {
            Self::Format(reason) => {
                LoadError::Format { path, expected: "a model of Keras", reason }
            }
            Self::Wired { layer, reason } => LoadError::Branches { path, layer, reason },
            Self::Layer(cause) => LoadError::Network { path, cause },
        }
    }
}

impl Description {
    /// The network, and where its weights are.
    pub(super) fn read(&self, path: &Path) -> Result<Described, LoadError> {
        self.describe().map_err(|flaw| flaw.of(path))
    }

    fn describe(&self) -> Result<Described, Flaw> {
        let Model { class_name, config } = parsed(&self.text)?;
        if !is_model(&class_name) {
            let reason =
                format!("a model of class {class_name:?}, expected Sequential or Functional");
            return Err(Flaw::Format(reason));
        }
        let old = self.keras.as_ref().is_some_and(|keras| keras.starts_with(['1', '2']));
        let mut reader = Reader { image: None, old, layers_left: LAYERS };
        let (Chain { network, leaves, .. }, _) = reader.model(&class_name, config, 4, 1)?;
        let leaves = Leaves(leaves);
        if let Some(Leaf { name, .. }) = leaves.same(old) {
            let reason = "the file or the network does not tell it from another one of that name";
            return Err(Flaw::wired(name, format!("{reason}: give it another")));
        }
        let said = "it does not say what images it takes: (None, H, W, C)";
        let image = reader.image.ok_or_else(|| Flaw::Format(said.to_owned()))?;
        Ok(Described { network, image, leaves })
    }
}

fn is_model(class: &str) -> bool {
    ["Sequential", "Functional", "Model"].contains(&class)
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Flaw> {
    serde_json::from_str(text).map_err(|e| Flaw::Format(e.to_string()))
}

impl Reader {
    /// The chain of a model's layers, in so many others, and how many extents has what it gives.
    fn model(
        &mut self,
        class: &str,
        config: &RawValue,
        rank: usize,
        depth: usize,
    ) -> Result<(Chain, usize), Flaw> {
        let Parts { layers, names, graph } = self.parts(class, config)?;
        let saved = order::names(&graph.takes, graph.last, |i| {
            let class_name = layers[i].class_name.clone();
            Config { class_name, config: Map::new() }.default_name()
        });
        let mut ranks = vec![rank; layers.len()];
        let mut nodes: Vec<Node> = names.into_iter().map(Node::placeholder).collect();
        for &i in &graph.order {
            let before = graph.takes[i].first().copied().flatten();
            let rank = before.map_or(rank, |before| ranks[before]);
            ranks[i] = self.node(&mut nodes[i], &layers[i], &saved[i], rank, depth)?;
        }
        let rank = graph.last.map_or(rank, |last| ranks[last]);
        Ok((Wired { graph: &graph, nodes }.network()?, rank))
    }

    /// The layers of a model, as texts, and who takes whom.
    fn parts<'a>(&mut self, class: &str, config: &'a RawValue) -> Result<Parts<'a>, Flaw> {
        let (texts, output_layers) = listed(config)?;
        let left = self.layers_left.checked_sub(texts.len());
        let many = || Flaw::Format(format!("more than {LAYERS} layers"));
        self.layers_left = left.ok_or_else(many)?;
        let (mut layers, mut named) = (Vec::new(), Named::default());
        for text in texts {
            let layer: Layer<'a> = serde_json::from_str(text.get())
                .map_err(|e| Flaw::Format(format!("a layer: {e}")))?;
            let name = self.look(&layer)?;
            if layer.class_name == "InputLayer" {
                named.begin(name)?;
                continue;
            }
            let taken = layer.inbound_nodes.map_or(Ok(Vec::new()), graph::taken);
            named.layers.push((name.clone(), taken.map_err(|it| Flaw::wired(&name, it))?));
            layers.push(layer);
        }
        match (class, output_layers) {
            ("Sequential", _) => named.chain(),
            (_, Some(outputs)) => named.outputs = graph::outputs(outputs).map_err(Flaw::Format)?,
            (_, None) => {}
        }
        let graph = Graph::of(&named)?;
        Ok(Parts { layers, names: named.layers.into_iter().map(|(name, _)| name).collect(), graph })
    }

    /// The name of a layer; it may say what images it takes.
    fn look(&mut self, layer: &Layer<'_>) -> Result<String, Flaw> {
        let options = options(layer)?;
        self.image = self.image.or(options.image());
        let name = layer.name.clone().or_else(|| options.name().map(str::to_owned));
        Ok(name.unwrap_or_default())
    }

    /// Makes the layer, which takes tensors of so many extents, and says how many has what it gives.
    fn node(
        &mut self,
        node: &mut Node,
        layer: &Layer<'_>,
        saved: &str,
        rank: usize,
        depth: usize,
    ) -> Result<usize, Flaw> {
        match (layer.class_name.as_str(), layer.config) {
            (class, Some(config)) if is_model(class) => {
                let depth = within(depth + 1, &node.name)?;
                let (chain, rank) = self.model(class, config, rank, depth)?;
                node.leaves = of_a_model(chain.leaves, saved, &node.name);
                node.kind = Kind::Model(chain.network, chain.height);
                return Ok(rank);
            }
            ("Add", _) => node.kind = Kind::Add,
            ("Concatenate", _) => node.kind = concatenate(&node.name, &options(layer)?, rank)?,
            (class, _) => {
                let made = options(layer)?.config(class, rank, self.old);
                let named = |reason| Flaw::Format(format!("{}: {reason}", node.name));
                let (config, rank) = made.map_err(named)?;
                node.kind = Kind::Layer(Registry::default().layer(&config).map_err(Flaw::Layer)?);
                let (saved, name) = (saved.to_owned(), node.name.clone());
                node.leaves = vec![Leaf { saved, name, ..Leaf::default() }];
                return Ok(rank);
            }
        }
        Ok(rank)
    }
}

/// The layers of a model, each as its text, and what it says of its outputs.
fn listed<'a>(config: &'a RawValue) -> Result<(Vec<&'a RawValue>, Option<&'a RawValue>), Flaw> {
    // Long ago the layers of a Sequential stood here themselves.
    if config.get().starts_with('[') {
        let List(layers) = parsed(config.get())?;
        return Ok((layers, None));
    }
    let found: Result<Layers<'a>, _> = serde_json::from_str(config.get());
    let found = found.map_err(|e| Flaw::Format(format!("it has no layers: {e}")))?;
    Ok((found.layers.0, found.output_layers))
}

/// What puts channels beside each other, which is all that a network here knows.
fn concatenate(name: &str, options: &Options, rank: usize) -> Result<Kind, Flaw> {
    if options.is_along_the_last(rank) {
        return Ok(Kind::Concatenate);
    }
    let axis = options.0.get("axis").cloned().unwrap_or(Value::Null);
    Err(Flaw::Format(format!("{name}: it joins along axis {axis}, expected -1: the channels")))
}

fn options(layer: &Layer<'_>) -> Result<Options, Flaw> {
    layer.config.map_or(Ok(Options::default()), Options::of).map_err(Flaw::Format)
}

/// The leaves of a model, seen from the model that it is in.
fn of_a_model(leaves: Vec<Leaf>, saved: &str, name: &str) -> Vec<Leaf> {
    let leaf = |leaf: Leaf| Leaf {
        saved: format!("{saved}/layers/{}", leaf.saved),
        model: Some(name.to_owned()),
        ..leaf
    };
    leaves.into_iter().map(leaf).collect()
}

#[cfg(test)]
mod tests;
