//! Activations in ONNX's words, and what opset 13 has no word for, composed.

use super::messages::Attribute;
use super::ops::{CHANNELS, Writer};
use gradus_layers::Activation;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

impl Writer {
    /// y from z; none for an activation that has no words here.
    pub(super) fn activation(&mut self, activation: Activation, z: &str) -> Option<String> {
        Some(match activation {
            Activation::Linear => z.to_owned(),
            Activation::Relu => self.op("Relu", &[z]),
            Activation::Relu6 => {
                let (low, high) = (self.number("low", 0.0), self.number("high", 6.0));
                self.op("Clip", &[z, &low, &high])
            }
            Activation::LeakyRelu { negative_slope } => {
                self.op_with("LeakyRelu", &[z], vec![alpha(negative_slope)])
            }
            Activation::Elu { alpha: scale } => self.op_with("Elu", &[z], vec![alpha(scale)]),
            // The constants that are not given are ours: 1.67326 and 1.0507.
            Activation::Selu => self.op("Selu", &[z]),
            Activation::Gelu => self.gelu(z),
            Activation::GeluTanh => self.gelu_tanh(z),
            Activation::Silu => {
                let sigmoid = self.op("Sigmoid", &[z]);
                self.op("Mul", &[z, &sigmoid])
            }
            Activation::Mish => {
                let softplus = self.op("Softplus", &[z]);
                let tanh = self.op("Tanh", &[&softplus]);
                self.op("Mul", &[z, &tanh])
            }
            Activation::Sigmoid => self.op("Sigmoid", &[z]),
            // ONNX's own slope is 0.2.
            Activation::HardSigmoid => {
                let options = vec![alpha(1.0 / 6.0), Attribute::float("beta", 0.5)];
                self.op_with("HardSigmoid", &[z], options)
            }
            Activation::Tanh => self.op("Tanh", &[z]),
            Activation::Softmax => {
                self.op_with("Softmax", &[z], vec![Attribute::int("axis", CHANNELS)])
            }
            Activation::Softplus => self.op("Softplus", &[z]),
            Activation::Softsign => self.op("Softsign", &[z]),
            Activation::Exponential => self.op("Exp", &[z]),
            _ => return None,
        })
    }

    /// z · (1 + erf(z/√2)) · 1/2.
    fn gelu(&mut self, z: &str) -> String {
        let root = self.number("root", FRAC_1_SQRT_2);
        let scaled = self.op("Mul", &[z, &root]);
        let erf = self.op("Erf", &[&scaled]);
        self.half_of(z, &erf)
    }

    /// z · (1 + tanh u) · 1/2, u = √(2/π) · (z + 0.044715 z³).
    fn gelu_tanh(&mut self, z: &str) -> String {
        let (cubic, root) =
            (self.number("cubic", 0.044_715), self.number("root", FRAC_2_SQRT_PI * FRAC_1_SQRT_2));
        let square = self.op("Mul", &[z, z]);
        let cube = self.op("Mul", &[&square, z]);
        let cube = self.op("Mul", &[&cube, &cubic]);
        let sum = self.op("Add", &[z, &cube]);
        let u = self.op("Mul", &[&sum, &root]);
        let tanh = self.op("Tanh", &[&u]);
        self.half_of(z, &tanh)
    }

    /// z · (1 + share) · 1/2.
    fn half_of(&mut self, z: &str, share: &str) -> String {
        let (one, half) = (self.number("one", 1.0), self.number("half", 0.5));
        let sum = self.op("Add", &[share, &one]);
        let product = self.op("Mul", &[z, &sum]);
        self.op("Mul", &[&product, &half])
    }
}

fn alpha(value: f64) -> Attribute {
    Attribute::float("alpha", value as f32)
}
