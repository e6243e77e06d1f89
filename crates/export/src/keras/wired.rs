//! The layers of a model put into containers: chains, `Residual` and `Concatenate`.
//!
//! ```text
//! Chain        from the output back to the input, over the entry of each layer
//! Branches     of an Add or a Concatenate: the chains from its entry to each that it takes; one of
//!              nothing is the way around
//! Refused      a layer that two branches share behind their entry: it would stand twice
//! ```
//!
//! A layer is put into place once, so that it takes no longer than there are layers.

use super::described::Flaw;
use super::graph::{BUILD, Graph};
use super::leaves::Leaf;
use gradus_layers::{Activation, ActivationLayer, Concatenate, Layer, ReLU, Residual, Sequential};

/// Containers within containers: more than networks have, and no more than JSON is read to.
const DEPTH: usize = 32;

/// A layer of the model.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The layers inside, by their paths there; itself, without a path.
    pub(super) leaves: Vec<Leaf>,
}

/// What it is.
#[derive(Debug)]
pub(super) enum Kind {
    Layer(Box<dyn Layer>),
    /// A model inside the model, so many containers high.
    Model(Sequential, usize),
    Add,
    Concatenate,
    /// It stands where it belongs.
    Placed,
}

impl Node {
    /// One of that name, of which nothing else is known yet.
    pub(super) fn placeholder(name: String) -> Self {
        Self { name, kind: Kind::Placed, leaves: Vec::new() }
    }
}

/// A chain of layers, and what is in it.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) network: Sequential,
    pub(super) leaves: Vec<Leaf>,
    /// How many containers are in each other.
    pub(super) height: usize,
}

/// A link of a chain.
struct Link {
    name: String,
    layer: Made,
    leaves: Vec<Leaf>,
    height: usize,
}

enum Made {
    Layer(Box<dyn Layer>),
    /// An activation may still be put behind it.
    Sum(Residual),
}

/// The model's nodes, which go into containers one after another.
#[derive(Debug)]
pub(super) struct Wired<'a> {
    pub(super) graph: &'a Graph,
    pub(super) nodes: Vec<Node>,
}

impl Wired<'_> {
    /// All of them.
    pub(super) fn network(mut self) -> Result<Chain, Flaw> {
        self.chain(None, self.graph.last, 1)
    }

    /// What stands between those two, the second of which closes it.
    fn chain(
        &mut self,
        from: Option<usize>,
        to: Option<usize>,
        depth: usize,
    ) -> Result<Chain, Flaw> {
        let (mut links, mut at) = (Vec::new(), to);
        while at != from {
            let Some(i) = at else { break };
            links.push(self.link(i, depth)?);
            at = self.graph.entries[i];
        }
        links.reverse();
        let name = to.map_or("", |i| self.nodes[i].name.as_str());
        Chain::of(links, name)
    }

    fn link(&mut self, i: usize, depth: usize) -> Result<Link, Flaw> {
        let (graph, node) = (self.graph, &mut self.nodes[i]);
        let takes = graph.takes[i].len();
        let (name, leaves) = (node.name.clone(), std::mem::take(&mut node.leaves));
        let joins = matches!(node.kind, Kind::Add | Kind::Concatenate);
        if joins != (takes > 1) && !matches!(node.kind, Kind::Placed) {
            let reason = format!(
                "it takes the outputs of {takes}, expected {}",
                if joins { "2" } else { "1" }
            );
            return Err(Flaw::wired(&name, format!("{reason}: {BUILD}")));
        }
        let (layer, height) = match std::mem::replace(&mut node.kind, Kind::Placed) {
            Kind::Layer(layer) => (layer, 0),
            Kind::Model(network, height) => (Box::new(network) as Box<dyn Layer>, height),
            Kind::Add => return self.sum(i, &name, depth),
            Kind::Concatenate => return self.side_by_side(i, &name, depth),
            Kind::Placed => {
                let reason = "branches share it that are joined in different places, for which there \
                              is no container here";
                return Err(Flaw::wired(&name, format!("{reason}: {BUILD}")));
            }
        };
        let leaves = inside(leaves, &name);
        Ok(Link { name, layer: Made::Layer(layer), leaves, height })
    }

    /// The chains from the entry of a layer to each that it takes.
    fn branches(&mut self, i: usize, name: &str, depth: usize) -> Result<Vec<Chain>, Flaw> {
        let (graph, depth) = (self.graph, within(depth + 1, name)?);
        let takes = graph.takes[i].iter();
        takes.map(|taken| self.chain(graph.entries[i], *taken, depth)).collect()
    }

    /// The sum of two, and of that and the next, as Keras adds them.
    fn sum(&mut self, i: usize, name: &str, depth: usize) -> Result<Link, Flaw> {
        let branches = self.branches(i, name, depth)?;
        let (last, mut sum) = (branches.len() - 1, Chain::default());
        for (n, branch) in branches.into_iter().enumerate() {
            if n == 0 {
                sum = branch;
                continue;
            }
            let link = sum.plus(branch, if n == last { name } else { "residual" })?;
            if n == last {
                return Ok(link);
            }
            sum = Chain::of(vec![link], name)?;
        }
        Err(Flaw::wired(name, "it adds nothing"))
    }

    fn side_by_side(&mut self, i: usize, name: &str, depth: usize) -> Result<Link, Flaw> {
        let (mut all, mut leaves, mut height) = (Concatenate::new(), Vec::new(), 0);
        for (i, branch) in self.branches(i, name, depth)?.into_iter().enumerate() {
            let branch = branch.or_identity();
            let path = format!("{name}.branch_{}", i + 1);
            leaves.extend(inside(branch.leaves, &path));
            height = height.max(branch.height);
            all = all.branch(branch.network);
        }
        let (name, layer) = (name.to_owned(), Made::Layer(Box::new(all)));
        Ok(Link { height: within(height + 1, &name)?, name, layer, leaves })
    }
}

impl Chain {
    /// The links in their order; an activation behind a sum goes into its room, where it has one.
    fn of(links: Vec<Link>, name: &str) -> Result<Self, Flaw> {
        let (mut chain, mut links) = (Self::default(), links.into_iter().peekable());
        while let Some(Link { name: link, layer, leaves, height }) = links.next() {
            let layer: Box<dyn Layer> = match layer {
                Made::Layer(layer) => layer,
                Made::Sum(sum) => Box::new(match links.next_if(Link::is_relu) {
                    None => sum,
                    Some(_) => sum.activation(Activation::Relu),
                }),
            };
            chain.network = chain.network.add_named(&link, layer);
            chain.leaves.extend(leaves);
            chain.height = chain.height.max(within(height + 1, name)?);
        }
        Ok(chain)
    }

    /// Whether it gives what it takes.
    fn is_identity(&self) -> bool {
        self.height == 0
    }

    /// The same with a layer in it, where there is none.
    fn or_identity(mut self) -> Self {
        if self.is_identity() {
            let layer = ActivationLayer::new(Activation::Linear);
            self = Self { network: self.network.add(layer), height: 1, ..self };
        }
        self
    }

    /// Both added. The first is the body, in which order Keras numbers them, unless it is none.
    fn plus(self, other: Self, name: &str) -> Result<Link, Flaw> {
        let (body, shortcut) = match self.is_identity() {
            true => (other.or_identity(), self),
            false => (self, other),
        };
        let height = within(body.height.max(shortcut.height) + 1, name)?;
        let mut leaves = inside(body.leaves, &format!("{name}.body"));
        let mut sum = Residual::new(body.network);
        if shortcut.height > 0 {
            leaves.extend(inside(shortcut.leaves, &format!("{name}.shortcut")));
            sum = sum.shortcut(shortcut.network);
        }
        Ok(Link { name: name.to_owned(), layer: Made::Sum(sum), leaves, height })
    }
}

impl Link {
    /// Whether it is the activation that `Residual` has a room for, and nothing more.
    fn is_relu(&self) -> bool {
        let Made::Layer(layer) = &self.layer else { return false };
        let config = layer.config();
        let relu = [ReLU::new().config(), ActivationLayer::new(Activation::Relu).config()];
        relu.contains(&config)
    }
}

/// The leaves of a container, by their paths outside.
fn inside(leaves: Vec<Leaf>, container: &str) -> Vec<Leaf> {
    leaves.into_iter().map(|leaf| leaf.within(container)).collect()
}

/// So many containers, unless they are too many.
pub(super) fn within(containers: usize, name: &str) -> Result<usize, Flaw> {
    let reason = || format!("more than {DEPTH} containers would be in each other there: {BUILD}");
    (containers <= DEPTH).then_some(containers).ok_or_else(|| Flaw::wired(name, reason()))
}
