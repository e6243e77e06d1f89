//! What batch normalization can be told, in Keras's words.

use super::BatchNormalization;
use crate::weights::{is_ones, is_true, is_zeros};
use crate::{Initializer, regularizer};
use gradus_tensor::{Regularizer, Shape};

/// Which variance of the batch moves the moving variance. The unbiased one is N/(N − 1) times the
/// biased one; for a single row, where it is not defined, both are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MovingVariance {
    /// The biased one, as Keras 3. The default.
    #[default]
    Biased,
    /// The unbiased one, as PyTorch.
    Unbiased,
    /// Unbiased for images, biased for rows, as Keras 2.
    Keras2,
}

impl MovingVariance {
    /// What the biased variance is multiplied with before it is stored.
    pub(super) fn factor(self, x: Shape) -> f64 {
        let unbiased = match self {
            MovingVariance::Biased => false,
            MovingVariance::Unbiased => true,
            MovingVariance::Keras2 => x.rank() == 4,
        };
        let rows = x.len() / x.last();
        if unbiased && rows > 1 { rows as f64 / (rows - 1) as f64 } else { 1.0 }
    }
}

/// In Keras's words and order; `moving_variance` is ours. From there on, what is Keras 3's default
/// is not written.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct Options {
    pub(super) axis: i64,
    pub(super) momentum: f64,
    pub(super) epsilon: f64,
    pub(super) center: bool,
    pub(super) scale: bool,
    #[serde(skip_serializing_if = "is_zeros")]
    pub(super) beta_initializer: Initializer,
    #[serde(skip_serializing_if = "is_ones")]
    pub(super) gamma_initializer: Initializer,
    #[serde(skip_serializing_if = "is_zeros")]
    pub(super) moving_mean_initializer: Initializer,
    #[serde(skip_serializing_if = "is_ones")]
    pub(super) moving_variance_initializer: Initializer,
    #[serde(with = "regularizer::words", skip_serializing_if = "Option::is_none")]
    pub(super) beta_regularizer: Option<Regularizer>,
    #[serde(with = "regularizer::words", skip_serializing_if = "Option::is_none")]
    pub(super) gamma_regularizer: Option<Regularizer>,
    #[serde(skip_serializing_if = "is_true")]
    pub(super) trainable: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) moving_variance: MovingVariance,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            axis: -1,
            momentum: 0.99,
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta_initializer: Initializer::Zeros,
            gamma_initializer: Initializer::Ones,
            moving_mean_initializer: Initializer::Zeros,
            moving_variance_initializer: Initializer::Ones,
            beta_regularizer: None,
            gamma_regularizer: None,
            trainable: true,
            moving_variance: MovingVariance::default(),
        }
    }
}

impl Options {
    /// What is wrong with them, if anything.
    pub(super) fn flaw(&self) -> Option<String> {
        let Self { axis, momentum, epsilon, .. } = self;
        if *axis != -1 {
            return Some(format!("axis {axis} is not known, only -1, the channels"));
        }
        if !(0.0..=1.0).contains(momentum) {
            return Some(format!("momentum {momentum} is not between 0 and 1"));
        }
        if !(*epsilon > 0.0 && epsilon.is_finite()) {
            return Some(format!("epsilon {epsilon} is not a small positive number"));
        }
        let rules = [
            ("beta_initializer", self.beta_initializer),
            ("gamma_initializer", self.gamma_initializer),
            ("moving_mean_initializer", self.moving_mean_initializer),
            ("moving_variance_initializer", self.moving_variance_initializer),
        ];
        rules.into_iter().find_map(|(option, rule)| rule.flaw(option, 1))
    }
}

fn is_default(moving_variance: &MovingVariance) -> bool {
    *moving_variance == MovingVariance::default()
}

impl BatchNormalization {
    /// The share of the moving statistics that a batch leaves in place. Default: 0.99.
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        self.with(|options| options.momentum = momentum)
    }

    /// What is added to the variance. Default: 1e-3.
    ///
    /// # Panics
    /// If it is not positive.
    #[must_use]
    pub fn epsilon(self, epsilon: f64) -> Self {
        self.with(|options| options.epsilon = epsilon)
    }

    /// Whether beta is added. Default: yes.
    #[must_use]
    pub fn center(self, center: bool) -> Self {
        self.with(|options| options.center = center)
    }

    /// Whether x̂ is multiplied with gamma. Default: yes.
    #[must_use]
    pub fn scale(self, scale: bool) -> Self {
        self.with(|options| options.scale = scale)
    }

    /// Which variance is stored. Default: [`MovingVariance::Biased`].
    #[must_use]
    pub fn moving_variance(self, moving_variance: MovingVariance) -> Self {
        self.with(|options| options.moving_variance = moving_variance)
    }

    /// What gamma is at first; zeros for the last one of a residual block. Default:
    /// [`Initializer::Ones`].
    ///
    /// # Panics
    /// If the rule makes matrices.
    #[must_use]
    pub fn gamma_initializer(self, rule: Initializer) -> Self {
        self.with(|options| options.gamma_initializer = rule)
    }

    /// What beta is at first. Default: [`Initializer::Zeros`].
    ///
    /// # Panics
    /// If the rule makes matrices.
    #[must_use]
    pub fn beta_initializer(self, rule: Initializer) -> Self {
        self.with(|options| options.beta_initializer = rule)
    }

    /// What the moving mean is at first. Default: [`Initializer::Zeros`].
    ///
    /// # Panics
    /// If the rule makes matrices.
    #[must_use]
    pub fn moving_mean_initializer(self, rule: Initializer) -> Self {
        self.with(|options| options.moving_mean_initializer = rule)
    }

    /// What the moving variance is at first. Default: [`Initializer::Ones`].
    ///
    /// # Panics
    /// If the rule makes matrices.
    #[must_use]
    pub fn moving_variance_initializer(self, rule: Initializer) -> Self {
        self.with(|options| options.moving_variance_initializer = rule)
    }

    /// What the size of gamma adds to the loss. Default: nothing.
    #[must_use]
    pub fn gamma_regularizer(self, price: Regularizer) -> Self {
        self.with(|options| options.gamma_regularizer = Some(price))
    }

    /// What the size of beta adds to the loss. Default: nothing.
    #[must_use]
    pub fn beta_regularizer(self, price: Regularizer) -> Self {
        self.with(|options| options.beta_regularizer = Some(price))
    }

    /// Whether an optimizer moves the layer, and batches move its statistics. Default: yes.
    #[must_use]
    pub fn trainable(self, trainable: bool) -> Self {
        self.with(|options| options.trainable = trainable)
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        if let Some(flaw) = self.options.flaw() {
            panic!("batch normalization: {flaw}");
        }
        self
    }
}
