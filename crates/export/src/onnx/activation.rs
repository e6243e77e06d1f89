//! Activations in ONNX's words.

use super::messages::Attribute;
use super::ops::{CHANNELS, Writer};
use crate::compose::Compose as _;
use gradus_layers::Activation;

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
            Activation::Silu => self.silu(z),
            Activation::Mish => self.mish(z),
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
}

fn alpha(value: f64) -> Attribute {
    Attribute::float("alpha", value as f32)
}
