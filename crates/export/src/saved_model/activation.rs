//! Activations in TensorFlow's words, and what it has no operation for, composed.

use super::messages::Attr;
use super::writer::Writer;
use crate::compose::Compose as _;
use gradus_layers::Activation;

impl Writer {
    /// y from z; none for an activation that has no words here.
    pub(super) fn activation(&mut self, activation: Activation, z: &str) -> Option<String> {
        Some(match activation {
            Activation::Linear => z.to_owned(),
            Activation::Relu => self.op("Relu", &[z]),
            Activation::Relu6 => self.op("Relu6", &[z]),
            Activation::LeakyRelu { negative_slope } => {
                self.op_with("LeakyRelu", &[z], vec![("alpha", Attr::F(negative_slope as f32))])
            }
            Activation::ELU => self.op("Elu", &[z]),
            Activation::Elu { alpha } => self.elu(z, alpha),
            Activation::Selu => self.op("Selu", &[z]),
            Activation::Gelu => self.gelu(z),
            Activation::GeluTanh => self.gelu_tanh(z),
            Activation::Silu => self.silu(z),
            Activation::Mish => self.mish(z),
            Activation::Sigmoid => self.op("Sigmoid", &[z]),
            Activation::HardSigmoid => self.hard_sigmoid(z),
            Activation::Tanh => self.op("Tanh", &[z]),
            Activation::Softmax => self.op("Softmax", &[z]),
            Activation::Softplus => self.op("Softplus", &[z]),
            Activation::Softsign => self.op("Softsign", &[z]),
            Activation::Exponential => self.op("Exp", &[z]),
            _ => return None,
        })
    }

    /// max(z, 0) + α·elu(min(z, 0)): TensorFlow's elu has an α of 1.
    fn elu(&mut self, z: &str, alpha: f64) -> String {
        let (zero, alpha) = (self.number("zero", 0.0), self.number("alpha", alpha));
        let positive = self.op("Relu", &[z]);
        let negative = self.op("Minimum", &[z, &zero]);
        let negative = self.op("Elu", &[&negative]);
        let negative = self.op("Mul", &[&negative, &alpha]);
        self.op("AddV2", &[&positive, &negative])
    }

    /// relu6(z + 3)/6.
    fn hard_sigmoid(&mut self, z: &str) -> String {
        let (three, sixth) = (self.number("three", 3.0), self.number("sixth", 1.0 / 6.0));
        let moved = self.op("AddV2", &[z, &three]);
        let cut = self.op("Relu6", &[&moved]);
        self.op("Mul", &[&cut, &sixth])
    }
}
