//! From class names to layers: what rebuilds a network from `model.json`.

use crate::{Config, ConfigError, Layer};
use std::collections::BTreeMap;

/// A layer that can be rebuilt from its [`Config`].
pub trait Described: Layer + Sized + 'static {
    /// Keras's name of the class.
    const CLASS_NAME: &'static str;

    /// The layer with these options, not yet built.
    ///
    /// # Errors
    /// If the options do not fit.
    fn from_config(config: &Config, registry: &Registry) -> Result<Self, ConfigError>;
}

type Builder = fn(&Config, &Registry) -> Result<Box<dyn Layer>, ConfigError>;

/// Class name → layer. The default has every layer of this crate: its list stands in `lib.rs`.
#[derive(Clone, Debug)]
pub struct Registry(BTreeMap<&'static str, Builder>);

impl Registry {
    /// No class at all.
    #[must_use]
    pub fn empty() -> Self {
        Self(BTreeMap::new())
    }

    /// The same registry with one more class: yours, perhaps.
    #[must_use]
    pub fn with<L: Described>(mut self) -> Self {
        self.0.insert(L::CLASS_NAME, |config, registry| {
            L::from_config(config, registry).map(|layer| Box::new(layer) as Box<dyn Layer>)
        });
        self
    }

    /// The layer that `config` describes, not yet built.
    ///
    /// # Errors
    /// If the class is not known or its options do not fit.
    pub fn layer(&self, config: &Config) -> Result<Box<dyn Layer>, ConfigError> {
        let Some(builder) = self.0.get(config.class_name.as_str()) else {
            let known = self.0.keys().copied().collect::<Vec<_>>().join(", ");
            let class_name = config.class_name.clone();
            return Err(ConfigError::UnknownClass { class_name, known });
        };
        if let Some(reason) = config.flaw_of_sizes() {
            return Err(ConfigError::Options { class_name: config.class_name.clone(), reason });
        }
        builder(config, self)
    }
}
