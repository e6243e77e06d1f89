//! What each operation is in ONNX's words.

use super::Layout;
use super::messages::{Attribute, FLOAT, INT64, NodeProto, TensorProto};
use crate::Error;
use crate::compose::Compose;
use crate::graph::{Node, Op, Pool, Value, Weight, after_convolution, after_pooling};
use crate::names::{Names, scope};
use gradus_layers::{conv2d, pooling};

/// Writes nodes down, one behind the other.
#[derive(Debug)]
pub(super) struct Writer {
    names: Names,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    /// What the values of the graph are called here, by number.
    values: Vec<String>,
    /// The layer that is written: what names begin with.
    scope: String,
    /// The network's own.
    output: String,
}

impl Writer {
    /// Nothing yet, between an input and an output of these names.
    pub(super) fn new(input: &str, output: &str) -> Self {
        let mut names = Names::default();
        let (input, output) = (names.take(input), names.take(output));
        let (nodes, initializers, scope) = (Vec::new(), Vec::new(), String::new());
        Self { names, nodes, initializers, values: vec![input], scope, output }
    }

    /// Nodes and weights.
    pub(super) fn finish(self) -> (Vec<NodeProto>, Vec<TensorProto>) {
        (self.nodes, self.initializers)
    }

    /// From the order of the input to N·C·H·W.
    pub(super) fn input(&mut self, layout: Layout) {
        if layout == Layout::Nhwc {
            self.scope = "input".to_owned();
            let x = self.values[0].clone();
            self.values[0] = self.transpose(&x, &[0, 3, 1, 2]);
        }
    }

    /// Gives y the name of the output, and its order of extents.
    pub(super) fn output(&mut self, layout: Layout, y: Value) {
        self.scope = "output".to_owned();
        let name = self.values[y.id].clone();
        let (op, attributes) = match (layout, y.shape.rank()) {
            (Layout::Nhwc, 4) => ("Transpose", vec![Attribute::ints("perm", &[0, 2, 3, 1])]),
            _ => ("Identity", vec![]),
        };
        let output = self.output.clone();
        self.push(op, &[&name], attributes, output);
    }

    /// Writes one operation of the graph.
    pub(super) fn node(&mut self, node: Node) -> Result<(), Error> {
        let Node { path, op, inputs, output } = node;
        self.scope = scope(&path);
        let names: Vec<String> = inputs.iter().map(|x| self.values[x.id].clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let x = names[0];
        let name = match op {
            Op::Conv2D { geometry, kernel, bias, .. } => self.conv(x, &geometry, kernel, bias),
            Op::Dense { kernel, bias } => {
                let (kernel, bias) = (self.weight(kernel), bias.map(|bias| self.weight(bias)));
                let inputs: Vec<&str> = [x, &kernel].into_iter().chain(bias.as_deref()).collect();
                self.op("Gemm", &inputs)
            }
            Op::BatchNormalization { epsilon, gamma, beta, moving_mean, moving_variance } => {
                let weights = [gamma, beta, moving_mean, moving_variance].map(|w| self.weight(w));
                let inputs: Vec<&str> =
                    std::iter::once(x).chain(weights.iter().map(String::as_str)).collect();
                let epsilon = Attribute::float("epsilon", epsilon);
                self.op_with("BatchNormalization", &inputs, vec![epsilon])
            }
            Op::Pool { kind, geometry, .. } => self.pool(x, kind, &geometry),
            Op::GlobalPool { kind, keepdims } => self.global_pool(x, kind, keepdims),
            Op::ZeroPadding2D(borders) => self.zero_padding(x, borders),
            Op::Flatten => self.flatten(x, inputs[0]),
            Op::Activation(activation) => self
                .activation(activation, x)
                .ok_or_else(|| Error::of_activation(path, activation, "ONNX"))?,
            Op::Add => self.op("Add", &names),
            Op::Concatenate => {
                self.op_with("Concat", &names, vec![Attribute::int("axis", CHANNELS)])
            }
        };
        assert_eq!(output.id, self.values.len(), "values in the order of nodes");
        self.values.push(name);
        Ok(())
    }

    fn conv(
        &mut self,
        x: &str,
        g: &conv2d::Geometry,
        kernel: Weight,
        bias: Option<Weight>,
    ) -> String {
        let name = self.names.take(&format!("{}/kernel", self.scope));
        let kernel =
            self.floats(name, &[g.k, g.c / g.groups, g.r, g.s], &channels_first(g, &kernel.values));
        let bias = bias.map(|bias| self.weight(bias));
        let inputs: Vec<&str> = [x, &kernel].into_iter().chain(bias.as_deref()).collect();
        let attributes = vec![
            Attribute::ints("dilations", &g.dilation),
            Attribute::int("group", g.groups as i64),
            Attribute::ints("kernel_shape", &[g.r, g.s]),
            Attribute::ints("pads", &pads(g.before, after_convolution(g))),
            Attribute::ints("strides", &g.strides),
        ];
        self.op_with("Conv", &inputs, attributes)
    }

    /// An average is over the pixels that a window sees: ONNX's default too.
    fn pool(&mut self, x: &str, kind: Pool, g: &pooling::Geometry) -> String {
        let op = if kind == Pool::Max { "MaxPool" } else { "AveragePool" };
        let pads = pads(g.before, after_pooling(g));
        let attributes = vec![
            Attribute::ints("kernel_shape", &[g.r, g.s]),
            Attribute::ints("pads", &pads),
            Attribute::ints("strides", &g.strides),
        ];
        self.op_with(op, &[x], attributes)
    }

    fn global_pool(&mut self, x: &str, kind: Pool, keepdims: bool) -> String {
        let op = if kind == Pool::Max { "GlobalMaxPool" } else { "GlobalAveragePool" };
        let pooled = self.op(op, &[x]);
        if keepdims {
            return pooled;
        }
        self.op_with("Flatten", &[&pooled], vec![Attribute::int("axis", 1)])
    }

    fn zero_padding(&mut self, x: &str, [[top, bottom], [left, right]]: [[usize; 2]; 2]) -> String {
        let pads = self.names.take(&format!("{}/pads", self.scope));
        let numbers = [0, 0, top, left, 0, 0, bottom, right].map(|n| n as i64);
        self.initializers.push(TensorProto {
            dims: vec![8],
            data_type: Some(INT64),
            name: Some(pads.clone()),
            raw_data: Some(numbers.iter().flat_map(|n| n.to_le_bytes()).collect()),
        });
        self.op("Pad", &[x, &pads])
    }

    fn flatten(&mut self, x: &str, value: Value) -> String {
        let x = match *value.shape.dims() {
            [_, h, w, c] if h * w > 1 && c > 1 => self.transpose(x, &[0, 2, 3, 1]),
            _ => x.to_owned(),
        };
        self.op_with("Flatten", &[&x], vec![Attribute::int("axis", 1)])
    }

    fn transpose(&mut self, x: &str, order: &[usize]) -> String {
        self.op_with("Transpose", &[x], vec![Attribute::ints("perm", order)])
    }

    /// Appends an operation; the name of what it gives.
    pub(super) fn op_with(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> String {
        let name = self.names.take(&format!("{}/{op}", self.scope));
        self.push(op, inputs, attributes, name.clone());
        name
    }

    fn push(&mut self, op: &str, inputs: &[&str], attribute: Vec<Attribute>, output: String) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            name: Some(output.clone()),
            output: vec![output],
            op_type: Some(op.to_owned()),
            attribute,
        });
    }

    /// Appends a weight as it is; its name.
    fn weight(&mut self, weight: Weight) -> String {
        let name = self.names.take(&format!("{}/{}", self.scope, weight.name));
        self.floats(name, weight.shape.dims(), &weight.values)
    }

    fn floats(&mut self, name: String, dims: &[usize], values: &[f32]) -> String {
        self.initializers.push(TensorProto {
            dims: dims.iter().map(|d| *d as i64).collect(),
            data_type: Some(FLOAT),
            name: Some(name.clone()),
            raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        });
        name
    }
}

impl Compose for Writer {
    const ADD: &'static str = "Add";

    fn op(&mut self, op: &str, inputs: &[&str]) -> String {
        self.op_with(op, inputs, vec![])
    }

    fn number(&mut self, name: &str, value: f64) -> String {
        let name = self.names.take(&format!("{}/{name}", self.scope));
        self.floats(name, &[], &[value as f32])
    }
}

/// The axis of channels, of rows too.
pub(super) const CHANNELS: i64 = 1;

/// A kernel of shape (R, S, C/groups, K) as (K, C/groups, R, S).
fn channels_first(g: &conv2d::Geometry, kernel: &[f32]) -> Vec<f32> {
    let (taps, channels) = (g.r * g.s, g.c / g.groups);
    let places = (0..g.k).flat_map(|k| (0..channels).map(move |c| (k, c)));
    let index = |(k, c)| (0..taps).map(move |tap| (tap * channels + c) * g.k + k);
    places.flat_map(index).map(|i| kernel[i]).collect()
}

/// Top, left, bottom, right: as much as the windows reach beyond the image.
fn pads(before: [usize; 2], after: [usize; 2]) -> [usize; 4] {
    [before[0], before[1], after[0], after[1]]
}
