//! Activations as layers of their own: `Activation`, `ReLU`, `LeakyReLU`, `ELU`, `Softmax`.
//!
//! One layer; its options are what Keras's class takes.

use super::Activation;
use crate::{Config, ConfigError, Described, Init, Layer, Mode, Plan, Registry, Saved, ShapeError};
use gradus_tensor::{Context, Field, FieldMut, Fields, Path, Shape, Spec, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::fmt::Debug;

/// What a class of Keras takes, and which activation that means.
pub trait Options: Serialize + DeserializeOwned + Debug + Clone + Send + Sync + 'static {
    /// Keras's name of the class.
    const CLASS_NAME: &'static str;

    /// The activation.
    ///
    /// # Errors
    /// If there is none: what was found, and what would do.
    fn activation(&self) -> Result<Activation, String>;
}

/// A layer that is nothing but an activation, as the class with the options `O`.
#[derive(Clone, Debug)]
pub struct AsLayer<O> {
    options: O,
    activation: Activation,
}

/// Options of Keras's `Activation`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct ByName {
    activation: Activation,
}

/// Keras's `Activation`: a layer for any of them. In PyTorch: `nn.ReLU` and its like.
pub type ActivationLayer = AsLayer<ByName>;
/// Keras's `ReLU`. In PyTorch: `nn.ReLU`, `nn.ReLU6`.
pub type ReLU = AsLayer<ReLUOptions>;
/// Keras's `LeakyReLU`. In PyTorch: `nn.LeakyReLU`, whose default is 0.01.
pub type LeakyReLU = AsLayer<LeakyReLUOptions>;
/// Keras's `ELU`. In PyTorch: `nn.ELU`.
pub type ELU = AsLayer<ELUOptions>;
/// Keras's `Softmax` over the last axis. In PyTorch: `nn.Softmax(dim=-1)`.
pub type Softmax = AsLayer<SoftmaxOptions>;

/// The activation of a layer that is nothing else.
pub(crate) fn only_activation(layer: &dyn Layer) -> Option<Activation> {
    fn of<O: Options>(layer: &dyn Layer) -> Option<Activation> {
        (layer as &dyn Any).downcast_ref::<AsLayer<O>>().map(|layer| layer.activation)
    }
    of::<ByName>(layer)
        .or_else(|| of::<ReLUOptions>(layer))
        .or_else(|| of::<LeakyReLUOptions>(layer))
        .or_else(|| of::<ELUOptions>(layer))
        .or_else(|| of::<SoftmaxOptions>(layer))
}

/// Options of Keras's `ReLU`.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ReLUOptions {
    max_value: Option<f64>,
    negative_slope: f64,
    threshold: f64,
}

/// Options of Keras's `LeakyReLU`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct LeakyReLUOptions {
    /// Keras 2 calls it alpha.
    #[serde(alias = "alpha")]
    negative_slope: f64,
}

impl Default for LeakyReLUOptions {
    fn default() -> Self {
        Self { negative_slope: 0.3 }
    }
}

/// Options of Keras's `ELU`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ELUOptions {
    alpha: f64,
}

impl Default for ELUOptions {
    fn default() -> Self {
        Self { alpha: 1.0 }
    }
}

/// Options of Keras's `Softmax`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct SoftmaxOptions {
    axis: i64,
}

impl Default for SoftmaxOptions {
    fn default() -> Self {
        Self { axis: -1 }
    }
}

impl Options for ByName {
    const CLASS_NAME: &'static str = "Activation";

    fn activation(&self) -> Result<Activation, String> {
        Ok(self.activation)
    }
}

impl Options for ReLUOptions {
    const CLASS_NAME: &'static str = "ReLU";

    fn activation(&self) -> Result<Activation, String> {
        match (self.max_value, self.negative_slope, self.threshold) {
            (None, 0.0, 0.0) => Ok(Activation::Relu),
            (Some(6.0), 0.0, 0.0) => Ok(Activation::Relu6),
            (None, negative_slope, 0.0) => LeakyReLUOptions { negative_slope }.activation(),
            _ => Err(format!("{self:?} is not known, only max_value 6 or a negative_slope")),
        }
    }
}

impl Options for LeakyReLUOptions {
    const CLASS_NAME: &'static str = "LeakyReLU";

    fn activation(&self) -> Result<Activation, String> {
        let Self { negative_slope } = *self;
        match negative_slope >= 0.0 && negative_slope.is_finite() {
            true => Ok(Activation::LeakyRelu { negative_slope }),
            false => Err(format!("negative_slope {negative_slope} is not a number of at least 0")),
        }
    }
}

impl Options for ELUOptions {
    const CLASS_NAME: &'static str = "ELU";

    fn activation(&self) -> Result<Activation, String> {
        let Self { alpha } = *self;
        match alpha > 0.0 && alpha.is_finite() {
            true => Ok(Activation::Elu { alpha }),
            false => Err(format!("alpha {alpha} is not a number above 0")),
        }
    }
}

impl Options for SoftmaxOptions {
    const CLASS_NAME: &'static str = "Softmax";

    fn activation(&self) -> Result<Activation, String> {
        match self.axis {
            -1 => Ok(Activation::Softmax),
            axis => Err(format!("axis {axis} is not known, only -1, the channels")),
        }
    }
}

impl ActivationLayer {
    /// A layer that applies `activation`.
    #[must_use]
    pub fn new(activation: Activation) -> Self {
        Self { options: ByName { activation }, activation }
    }
}

macro_rules! with_defaults {
    ($($layer:ident: $doc:literal),+) => {
        $(impl $layer {
            #[doc = $doc]
            #[must_use]
            #[allow(clippy::new_without_default, reason = "as all layers are made")]
            pub fn new() -> Self {
                Self::of(Default::default()).expect("Keras's defaults")
            }
        })+
    };
}

with_defaults! {
    ReLU: "max(x, 0).",
    LeakyReLU: "Slope 0.3 below zero, as in Keras.",
    ELU: "α = 1, as in Keras.",
    Softmax: "Over the last axis."
}

impl ReLU {
    /// The most that y can be. Default: no limit.
    ///
    /// # Panics
    /// If it is not 6.
    #[must_use]
    pub fn max_value(self, max_value: f64) -> Self {
        self.with(|options| options.max_value = Some(max_value))
    }
}

impl LeakyReLU {
    /// The slope below zero. Default: 0.3.
    ///
    /// # Panics
    /// If it is negative or no number.
    #[must_use]
    pub fn negative_slope(self, negative_slope: f64) -> Self {
        self.with(|options| options.negative_slope = negative_slope)
    }
}

impl ELU {
    /// Minus the least that y can be. Default: 1.
    ///
    /// # Panics
    /// If it is not above 0.
    #[must_use]
    pub fn alpha(self, alpha: f64) -> Self {
        self.with(|options| options.alpha = alpha)
    }
}

impl<O: Options> AsLayer<O> {
    fn of(options: O) -> Result<Self, String> {
        let activation = options.activation()?;
        Ok(Self { options, activation })
    }

    fn with(mut self, change: impl FnOnce(&mut O)) -> Self {
        change(&mut self.options);
        Self::of(self.options).unwrap_or_else(|flaw| panic!("{}: {flaw}", O::CLASS_NAME))
    }

    /// What the layer applies; [`Activation::Linear`] once its softmax was taken off.
    #[must_use]
    pub fn activation(&self) -> Activation {
        self.activation
    }
}

impl<O> Fields for AsLayer<O> {
    fn visit(&self, _: &mut Path, _: &mut dyn FnMut(&Path, Field<'_>)) {}

    fn visit_mut(&mut self, _: &mut Path, _: &mut dyn FnMut(&Path, FieldMut<'_>)) {}
}

impl<O: Options> Described for AsLayer<O> {
    const CLASS_NAME: &'static str = O::CLASS_NAME;

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        let options: O = config.sound_options(|options: &O| options.activation().err())?;
        let activation = options.activation().expect("sound options");
        Ok(Self { options, activation })
    }
}

impl<O: Options> Layer for AsLayer<O> {
    fn config(&self) -> Config {
        Config::new(O::CLASS_NAME, &self.options)
    }

    fn closing_activation(&mut self) -> Option<&mut Activation> {
        Some(&mut self.activation)
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        match x.rank() {
            0 => Err(ShapeError::new(x, "expected a batch: (N, …)")),
            _ => Ok(x),
        }
    }

    fn build(&mut self, x: Shape, _: &mut Init<'_>) -> Result<(), ShapeError> {
        self.output_shape(x).map(|_| ())
    }

    fn plan(&self, x: Spec, _: Mode) -> Result<Plan, ShapeError> {
        Ok(Plan::new(Spec::f32(self.output_shape(x.shape)?)))
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        y.copy_from(x);
        self.activation.forward(cx, y);
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        self.infer(cx, x, y, saved);
    }

    fn backward(
        &mut self,
        cx: &mut Context,
        x: &Tensor,
        y: &Tensor,
        dy: &mut Tensor,
        dx: Option<&mut Tensor>,
        _: &mut Saved,
    ) {
        let Some(dx) = dx else { return };
        dx.copy_from(dy);
        let kept = if self.activation.needs_z() { x } else { y };
        self.activation.backward(cx, kept, dx);
    }
}
