//! What each operation is in TensorFlow's words.

use super::messages::{Attr, dtype};
use super::writer::Writer;
use crate::Error;
use crate::compose::Compose as _;
use crate::graph::{Node, Op, Pool, Value, Weight, after_convolution, after_pooling};
use crate::names::scope;
use gradus_layers::{Padding, conv2d, pooling};
use gradus_tensor::Shape;

impl Writer {
    /// Writes one operation of the graph.
    pub(super) fn node(&mut self, node: Node) -> Result<(), Error> {
        let Node { path, op, inputs, output } = node;
        self.scope = scope(&path);
        let names: Vec<String> = inputs.iter().map(|x| self.values[x.id].clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let x = names[0];
        let name = match op {
            Op::Conv2D { geometry, padding, kernel, bias } => {
                self.conv2d(x, &geometry, padding, kernel, bias)
            }
            Op::Dense { kernel, bias } => {
                let kernel = self.weight(kernel);
                let z = self.op("MatMul", &[x, &kernel]);
                self.add_bias(z, bias)
            }
            Op::BatchNormalization { epsilon, gamma, beta, moving_mean, moving_variance } => {
                let weights = [gamma, beta, moving_mean, moving_variance].map(|w| self.weight(w));
                match inputs[0].shape.rank() {
                    4 => self.normalize_images(x, weights, epsilon),
                    _ => self.normalize_rows(x, weights, epsilon),
                }
            }
            Op::Pool { kind: Pool::Max, geometry, padding } => self.max(x, &geometry, padding),
            Op::Pool { geometry, padding, .. } => self.average(x, &geometry, padding),
            Op::GlobalPool { kind, keepdims } => self.global_pool(x, kind, keepdims),
            Op::ZeroPadding2D(borders) => self.zeros(x, borders),
            Op::Flatten => self.flatten(x, output),
            Op::Activation(activation) => self
                .activation(activation, x)
                .ok_or_else(|| Error::of_activation(path, activation, "TensorFlow"))?,
            Op::Add => self.op("AddV2", &names),
            Op::Concatenate => self.concatenate(&names, output.shape.rank()),
        };
        assert_eq!(output.id, self.values.len(), "values in the order of nodes");
        self.values.push(name);
        Ok(())
    }

    /// With a depthwise kernel by the operation made for it, with other groups one by one: there is
    /// no grouped convolution that all of TensorFlow's family has.
    fn conv2d(
        &mut self,
        x: &str,
        g: &conv2d::Geometry,
        padding: Padding,
        kernel: Weight,
        bias: Option<Weight>,
    ) -> String {
        // TFLite 2.21 takes wrong pixels with SAME where a stride is larger than the kernel.
        let leaps = g.strides[0] > g.r || g.strides[1] > g.s;
        let (x, padding) = match padding {
            Padding::Same if !leaps => (x.to_owned(), "SAME"),
            _ => (self.zeros(x, borders(g.before, after_convolution(g))), "VALID"),
        };
        let options = |[sh, sw]: [usize; 2]| {
            let ([dh, dw], padding) = (g.dilation, Attr::word(padding));
            let dilations = ("dilations", Attr::ints(&[1, dh, dw, 1]));
            vec![("strides", Attr::ints(&[1, sh, sw, 1])), ("padding", padding), dilations]
        };
        let (depthwise, even) = (g.groups == g.c, g.strides[0] == g.strides[1]);
        let z = if g.groups == 1 {
            let kernel = self.weight(kernel);
            self.op_with("Conv2D", &[&x, &kernel], options(g.strides))
        } else if depthwise && even && g.dilation == [1, 1] {
            // (R, S, 1, K) and (R, S, C, K/C) are the same numbers in the same order.
            let shape = Shape::new(&[g.r, g.s, g.c, g.k / g.c]);
            let kernel = self.weight(Weight { shape, ..kernel });
            self.op_with("DepthwiseConv2dNative", &[&x, &kernel], options(g.strides))
        } else {
            let kernel = self.weight(kernel);
            let (xs, kernels) = (self.split(&x, g.groups), self.split(&kernel, g.groups));
            let parts = xs.iter().zip(&kernels);
            let parts: Vec<String> = parts
                .map(|(x, kernel)| self.op_with("Conv2D", &[x, kernel], options(g.strides)))
                .collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            self.concatenate(&parts, 4)
        };
        self.add_bias(z, bias)
    }

    /// So many equal parts of the last of four axes.
    fn split(&mut self, x: &str, parts: usize) -> Vec<String> {
        let axis = self.integers("axis", &[], &[3]);
        let count = vec![("num_split", Attr::I(parts as i64))];
        let name = self.op_with("Split", &[&axis, x], count);
        (0..parts).map(|i| if i == 0 { name.clone() } else { format!("{name}:{i}") }).collect()
    }

    fn add_bias(&mut self, z: String, bias: Option<Weight>) -> String {
        match bias {
            None => z,
            Some(bias) => {
                let bias = self.weight(bias);
                self.op("BiasAdd", &[&z, &bias])
            }
        }
    }

    /// TensorFlow's own ε is 1e-4, and without `is_training` it would take the batch's statistics:
    /// in silence.
    fn normalize_images(&mut self, x: &str, weights: [String; 4], epsilon: f32) -> String {
        let [gamma, beta, mean, variance] = &weights;
        let options = vec![
            ("U", Attr::Type(dtype::FLOAT)),
            ("epsilon", Attr::F(epsilon)),
            ("is_training", Attr::B(false)),
        ];
        self.op_with("FusedBatchNormV3", &[x, gamma, beta, mean, variance], options)
    }

    /// x·scale + (β − mean·scale), scale = γ/√(variance + ε).
    fn normalize_rows(&mut self, x: &str, weights: [String; 4], epsilon: f32) -> String {
        let [gamma, beta, mean, variance] = &weights;
        let epsilon = self.number("epsilon", f64::from(epsilon));
        let variance = self.op("AddV2", &[variance, &epsilon]);
        let root = self.op("Rsqrt", &[&variance]);
        let scale = self.op("Mul", &[&root, gamma]);
        let mean = self.op("Mul", &[mean, &scale]);
        let shift = self.op("Sub", &[beta, &mean]);
        let scaled = self.op("Mul", &[x, &scale]);
        self.op("AddV2", &[&scaled, &shift])
    }

    /// What lies beside the image is never the largest.
    fn max(&mut self, x: &str, g: &pooling::Geometry, padding: Padding) -> String {
        let Padding::Explicit(_) = padding else { return self.pool("MaxPool", x, g, padding) };
        let paddings = self.paddings(borders(g.before, after_pooling(g)));
        let lowest = self.number("lowest", f64::NEG_INFINITY);
        let types = vec![("Tpaddings", Attr::Type(dtype::INT32))];
        let x = self.op_with("PadV2", &[x, &paddings, &lowest], types);
        self.pool("MaxPool", &x, g, Padding::Valid)
    }

    /// What lies beside the image does not count: the mean over a window with zeros in it is too
    /// small by the share of zeros.
    fn average(&mut self, x: &str, g: &pooling::Geometry, padding: Padding) -> String {
        let borders = borders(g.before, after_pooling(g));
        if !matches!(padding, Padding::Explicit(_)) || borders == [[0; 2]; 2] {
            let padding = if borders == [[0; 2]; 2] { Padding::Valid } else { padding };
            return self.pool("AvgPool", x, g, padding);
        }
        let x = self.zeros(x, borders);
        let mean = self.pool("AvgPool", &x, g, Padding::Valid);
        let seen = |p, q| (g.rows_met(p).len() * g.columns_met(q).len()) as f32;
        let shares = (0..g.p).flat_map(|p| (0..g.q).map(move |q| seen(p, q)));
        let factors: Vec<f32> = shares.map(|seen| (g.r * g.s) as f32 / seen).collect();
        let factors = self.table("factors", &[1, g.p, g.q, 1], &factors);
        self.op("Mul", &[&mean, &factors])
    }

    fn pool(&mut self, op: &str, x: &str, g: &pooling::Geometry, padding: Padding) -> String {
        let padding = if padding == Padding::Same { "SAME" } else { "VALID" };
        let options = vec![
            ("ksize", Attr::ints(&[1, g.r, g.s, 1])),
            ("strides", Attr::ints(&[1, g.strides[0], g.strides[1], 1])),
            ("padding", Attr::word(padding)),
        ];
        self.op_with(op, &[x], options)
    }

    fn global_pool(&mut self, x: &str, kind: Pool, keepdims: bool) -> String {
        let axes = self.integers("axes", &[2], &[1, 2]);
        let options = vec![("Tidx", Attr::Type(dtype::INT32)), ("keep_dims", Attr::B(keepdims))];
        self.op_with(if kind == Pool::Max { "Max" } else { "Mean" }, &[x, &axes], options)
    }

    fn zeros(&mut self, x: &str, borders: [[usize; 2]; 2]) -> String {
        if borders == [[0; 2]; 2] {
            return x.to_owned();
        }
        let paddings = self.paddings(borders);
        self.op_with("Pad", &[x, &paddings], vec![("Tpaddings", Attr::Type(dtype::INT32))])
    }

    /// Before and after, for each of the four axes.
    fn paddings(&mut self, [[top, bottom], [left, right]]: [[usize; 2]; 2]) -> String {
        let paddings = [0, 0, top, bottom, left, right, 0, 0].map(|n| n as i32);
        self.integers("paddings", &[4, 2], &paddings)
    }

    fn flatten(&mut self, x: &str, y: Value) -> String {
        let shape = self.integers("shape", &[2], &[-1, y.shape.last() as i32]);
        self.op_with("Reshape", &[x, &shape], vec![("Tshape", Attr::Type(dtype::INT32))])
    }

    /// Joined along the last axis.
    fn concatenate(&mut self, parts: &[&str], rank: usize) -> String {
        let axis = self.integers("axis", &[], &[rank as i32 - 1]);
        let inputs: Vec<&str> = parts.iter().copied().chain([axis.as_str()]).collect();
        let options = vec![("N", Attr::I(parts.len() as i64)), ("Tidx", Attr::Type(dtype::INT32))];
        self.op_with("ConcatV2", &inputs, options)
    }
}

/// Rows above and below, columns to the left and right.
fn borders(before: [usize; 2], after: [usize; 2]) -> [[usize; 2]; 2] {
    [[before[0], after[0]], [before[1], after[1]]]
}
