//! How activations are written: Keras's strings, or Keras's layer where the string says too little.

use super::Activation;
use super::layer::{ELU, LeakyReLU, ReLU, Softmax};
use crate::{Config, Described, Layer, Registry};

/// Keras's names.
const NAMES: [(&str, Activation); 17] = [
    ("linear", Activation::Linear),
    ("relu", Activation::Relu),
    ("relu6", Activation::Relu6),
    ("leaky_relu", Activation::LEAKY_RELU),
    ("elu", Activation::ELU),
    ("selu", Activation::Selu),
    ("gelu", Activation::Gelu),
    ("gelu_tanh", Activation::GeluTanh),
    ("silu", Activation::Silu),
    ("mish", Activation::Mish),
    ("sigmoid", Activation::Sigmoid),
    ("hard_sigmoid", Activation::HardSigmoid),
    ("tanh", Activation::Tanh),
    ("softmax", Activation::Softmax),
    ("softplus", Activation::Softplus),
    ("softsign", Activation::Softsign),
    ("exponential", Activation::Exponential),
];

/// A name, or a layer with its options.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Words {
    Name(String),
    Layer(Config),
}

impl From<Activation> for Words {
    fn from(activation: Activation) -> Self {
        match (NAMES.iter().find(|(_, named)| *named == activation), activation) {
            (Some((name, _)), _) => Self::Name((*name).to_owned()),
            (_, Activation::LeakyRelu { negative_slope }) => {
                Self::Layer(LeakyReLU::new().negative_slope(negative_slope).config())
            }
            (_, Activation::Elu { alpha }) => Self::Layer(ELU::new().alpha(alpha).config()),
            _ => unreachable!("{activation:?} has a name"),
        }
    }
}

impl TryFrom<Words> for Activation {
    type Error = String;

    fn try_from(words: Words) -> Result<Self, String> {
        match words {
            Words::Name(name) => name.parse(),
            Words::Layer(config) => {
                let none = Registry::empty();
                let activation = match config.class_name.as_str() {
                    "ELU" => ELU::from_config(&config, &none).map(|layer| layer.activation()),
                    "ReLU" => ReLU::from_config(&config, &none).map(|layer| layer.activation()),
                    "LeakyReLU" => {
                        LeakyReLU::from_config(&config, &none).map(|layer| layer.activation())
                    }
                    "Softmax" => {
                        Softmax::from_config(&config, &none).map(|layer| layer.activation())
                    }
                    other => return Err(format!("no activation is of class {other}")),
                };
                activation.map_err(|e| e.to_string())
            }
        }
    }
}

impl std::str::FromStr for Activation {
    type Err = String;

    /// The activation that Keras calls so; `swish` is another name of `silu`.
    fn from_str(name: &str) -> Result<Self, String> {
        let name = if name == "swish" { "silu" } else { name };
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, activation)| *activation).ok_or_else(|| {
            let known = NAMES.map(|(known, _)| known).join(", ");
            format!("no activation is called {name:?}: use one of {known}")
        })
    }
}
