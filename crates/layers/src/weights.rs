//! The options that all layers with a kernel and a bias share.

use crate::{Init, Initializer, regularizer};
use gradus_tensor::{Param, Regularizer, Shape};

/// In Keras's words. What is Keras's default is not written.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Weights {
    #[serde(skip_serializing_if = "is_glorot_uniform")]
    pub(crate) kernel_initializer: Initializer,
    #[serde(skip_serializing_if = "is_zeros")]
    pub(crate) bias_initializer: Initializer,
    #[serde(with = "regularizer::words", skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_regularizer: Option<Regularizer>,
    #[serde(with = "regularizer::words", skip_serializing_if = "Option::is_none")]
    pub(crate) bias_regularizer: Option<Regularizer>,
    #[serde(skip_serializing_if = "is_true")]
    pub(crate) trainable: bool,
}

fn is_glorot_uniform(rule: &Initializer) -> bool {
    *rule == Initializer::GlorotUniform
}

pub(crate) fn is_zeros(rule: &Initializer) -> bool {
    *rule == Initializer::Zeros
}

pub(crate) fn is_ones(rule: &Initializer) -> bool {
    *rule == Initializer::Ones
}

pub(crate) fn is_true(yes: &bool) -> bool {
    *yes
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            trainable: true,
        }
    }
}

impl Weights {
    /// What is wrong with them for a kernel of that rank, if anything.
    pub(crate) fn flaw(&self, rank: usize) -> Option<String> {
        let kernel = self.kernel_initializer.flaw("kernel_initializer", rank);
        kernel.or_else(|| self.bias_initializer.flaw("bias_initializer", 1))
    }

    /// A kernel of that shape.
    pub(crate) fn kernel(&self, init: &mut Init<'_>, shape: Shape) -> Param {
        let param = init.param("kernel", shape, self.kernel_initializer);
        Param { frozen: !self.trainable, regularizer: self.kernel_regularizer, ..param }
    }

    /// A bias for that many units or filters.
    pub(crate) fn bias(&self, init: &mut Init<'_>, units: usize) -> Param {
        let param = init.param("bias", Shape::new(&[units]), self.bias_initializer);
        Param { frozen: !self.trainable, regularizer: self.bias_regularizer, ..param }
    }
}

/// Gives a layer, which has `options.weights` and checks its options in `of`, their five methods.
macro_rules! weight_options {
    ($layer:ident) => {
        impl $layer {
            /// How the kernel's first values are drawn. Default:
            /// [`GlorotUniform`](crate::Initializer::GlorotUniform).
            ///
            /// # Panics
            /// If the rule makes matrices and the kernel is none.
            #[must_use]
            pub fn kernel_initializer(mut self, rule: $crate::Initializer) -> Self {
                self.options.weights.kernel_initializer = rule;
                Self::of(self.options)
            }

            /// What the bias is at first. Default: [`Zeros`](crate::Initializer::Zeros).
            ///
            /// # Panics
            /// If the rule makes matrices.
            #[must_use]
            pub fn bias_initializer(mut self, rule: $crate::Initializer) -> Self {
                self.options.weights.bias_initializer = rule;
                Self::of(self.options)
            }

            /// What the size of the kernel adds to the loss. Default: nothing.
            #[must_use]
            pub fn kernel_regularizer(mut self, price: gradus_tensor::Regularizer) -> Self {
                self.options.weights.kernel_regularizer = Some(price);
                self
            }

            /// What the size of the bias adds to the loss. Default: nothing.
            #[must_use]
            pub fn bias_regularizer(mut self, price: gradus_tensor::Regularizer) -> Self {
                self.options.weights.bias_regularizer = Some(price);
                self
            }

            /// Whether an optimizer moves the layer. Default: yes.
            #[must_use]
            pub fn trainable(mut self, trainable: bool) -> Self {
                self.options.weights.trainable = trainable;
                self
            }
        }
    };
}
pub(crate) use weight_options;
