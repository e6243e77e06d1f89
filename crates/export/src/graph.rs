//! A network as a list of operations: what every format begins with.
//!
//! Containers are unfolded and what does nothing in inference is left out, so that a format has to
//! know ten operations and no layer. What a class of layers comes to stands once, in
//! `graph/classes.rs`. Shapes are ours: N·H·W·C, with a batch of one.

mod classes;
#[cfg(test)]
mod tests;

use crate::Error;
use gradus_layers::{Activation, Config, Layer, Padding, Sequential, conv2d, pooling};
use gradus_tensor::{Path, Shape};

/// The operations of a network, each after those that it needs.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) input: Value,
    pub(crate) nodes: Vec<Node>,
    pub(crate) output: Value,
}

/// What flows from one operation to others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Value {
    /// 0 is the network's input, i what node i − 1 gives.
    pub(crate) id: usize,
    pub(crate) shape: Shape,
}

/// One operation.
#[derive(Debug)]
pub(crate) struct Node {
    /// The path of the layer that it belongs to: `residual.body.conv2d`.
    pub(crate) path: String,
    pub(crate) op: Op,
    pub(crate) inputs: Vec<Value>,
    pub(crate) output: Value,
}

/// What is done.
#[derive(Debug)]
pub(crate) enum Op {
    /// A kernel of shape (R, S, C/groups, K).
    Conv2D {
        geometry: conv2d::Geometry,
        padding: Padding,
        kernel: Weight,
        bias: Option<Weight>,
    },
    /// A kernel of shape (in, units).
    Dense {
        kernel: Weight,
        bias: Option<Weight>,
    },
    BatchNormalization {
        epsilon: f32,
        gamma: Weight,
        beta: Weight,
        moving_mean: Weight,
        moving_variance: Weight,
    },
    Pool {
        kind: Pool,
        geometry: pooling::Geometry,
        padding: Padding,
    },
    /// Over all of H and W, which are kept as extents of 1 if so asked.
    GlobalPool {
        kind: Pool,
        keepdims: bool,
    },
    /// Rows above and below, columns to the left and right.
    ZeroPadding2D([[usize; 2]; 2]),
    /// In the order H, W, C.
    Flatten,
    /// Never linear.
    Activation(Activation),
    Add,
    /// Along the channels.
    Concatenate,
}

/// What a window makes of what it sees. Padding is not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    Max,
    Average,
}

/// A parameter or a moving statistic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weight {
    /// Keras's word: `kernel`, `moving_mean`.
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) values: Vec<f32>,
}

impl Graph {
    /// The operations that `network` comes to for x of this shape.
    pub(crate) fn of(network: &Sequential, x: Shape) -> Result<Self, Error> {
        let input = Value { id: 0, shape: x.with_batch(1) };
        let mut walk = Walk { nodes: Vec::new(), path: Path::default() };
        let output = walk.layer(network, &network.config(), input)?;
        Ok(Self { input, nodes: walk.nodes, output })
    }
}

/// A walk through a network.
struct Walk {
    nodes: Vec<Node>,
    path: Path,
}

impl Walk {
    /// Appends an operation, which gives y of this shape.
    fn push(&mut self, op: Op, inputs: Vec<Value>, y: Shape) -> Value {
        let output = Value { id: self.nodes.len() + 1, shape: y };
        let path = self.path.as_str().to_owned();
        self.nodes.push(Node { path, op, inputs, output });
        output
    }

    /// Appends an activation, unless it is none.
    fn activate(&mut self, activation: Activation, x: Value) -> Value {
        match activation {
            Activation::Linear => x,
            activation => self.push(Op::Activation(activation), vec![x], x.shape),
        }
    }

    /// The layer called `name` in here.
    fn within(
        &mut self,
        name: &str,
        layer: &dyn Layer,
        config: &Config,
        x: Value,
    ) -> Result<Value, Error> {
        let mut path = std::mem::take(&mut self.path);
        let y = path.within(name, |path| {
            self.path = path.clone();
            self.layer(layer, config, x)
        });
        self.path = path;
        y
    }

    /// The error of the layer where the walk stands.
    fn refuse(&self, config: &Config, reason: impl Into<String>) -> Error {
        let class_name = config.class_name.clone();
        Error::Layer { layer: self.path.as_str().to_owned(), class_name, reason: reason.into() }
    }
}

/// Rows of padding below the image and columns to its right, as far as the windows reach.
pub(crate) fn after_convolution(g: &conv2d::Geometry) -> [usize; 2] {
    after([g.h, g.w], [g.p, g.q], g.strides, g.reach(), g.before)
}

/// As [`after_convolution`], of a pooling.
pub(crate) fn after_pooling(g: &pooling::Geometry) -> [usize; 2] {
    after([g.h, g.w], [g.p, g.q], g.strides, [g.r, g.s], g.before)
}

fn after(
    image: [usize; 2],
    windows: [usize; 2],
    strides: [usize; 2],
    reach: [usize; 2],
    before: [usize; 2],
) -> [usize; 2] {
    [0, 1].map(|i| ((windows[i] - 1) * strides[i] + reach[i]).saturating_sub(image[i] + before[i]))
}
