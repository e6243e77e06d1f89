//! A layer as data.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Class and options in the words of Keras's `get_config`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    /// Keras's name of the class, such as `Conv2D`.
    pub class_name: String,
    /// The options, such as `{"filters": 32, "kernel_size": [3, 3]}`.
    pub config: Map<String, Value>,
}

impl Config {
    /// The config of a class with these options.
    ///
    /// # Panics
    /// If the options are not a struct of plain values.
    #[must_use]
    pub fn new(class_name: &str, options: &impl Serialize) -> Self {
        let value = serde_json::to_value(options).expect("options are plain values");
        let Value::Object(config) = value else { panic!("options are a struct, got {value}") };
        Self { class_name: class_name.to_owned(), config }
    }

    /// The options as the layer's own type. What the type does not know is passed over: Keras
    /// writes much that only Keras needs.
    ///
    /// # Errors
    /// If an option is missing or has a value that the layer does not know.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        serde_json::from_value(Value::Object(self.config.clone())).map_err(|e| {
            ConfigError::Options { class_name: self.class_name.clone(), reason: e.to_string() }
        })
    }

    /// The options as [`Config::options`], unless `flaw` finds something wrong with them.
    ///
    /// # Errors
    /// As [`Config::options`], and with what `flaw` found.
    pub(crate) fn sound_options<T: DeserializeOwned>(
        &self,
        flaw: impl FnOnce(&T) -> Option<String>,
    ) -> Result<T, ConfigError> {
        let options = self.options()?;
        match flaw(&options) {
            None => Ok(options),
            Some(reason) => {
                Err(ConfigError::Options { class_name: self.class_name.clone(), reason })
            }
        }
    }

    /// What is wrong with the order of axes that Keras writes into each config of images, if
    /// anything.
    pub(crate) fn flaw_of_data_format(&self) -> Option<String> {
        let format = self.config.get("data_format")?;
        (format != "channels_last")
            .then(|| format!("data_format {format} is not known, only \"channels_last\""))
    }

    /// The name that Keras gives to the first layer of the class: `max_pooling2d`.
    #[must_use]
    pub fn default_name(&self) -> String {
        crate::sequential::snake_case(&self.class_name)
    }

    /// What is too large to be the size of anything, if anything is: no product of two that are not
    /// overflows.
    pub(crate) fn flaw_of_sizes(&self) -> Option<String> {
        self.config.iter().find_map(|(name, value)| {
            let size = first_above(value, i32::MAX as u64)?;
            Some(format!("{name} has {size}, which is more than {}", i32::MAX))
        })
    }

    /// The name that the container gave to the layer, if any.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.config.get("name")?.as_str()
    }
}

/// The first whole number above the limit; layers inside are looked at when they are made.
fn first_above(value: &Value, limit: u64) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().filter(|number| *number > limit),
        Value::Array(values) => values.iter().find_map(|value| first_above(value, limit)),
        _ => None,
    }
}

/// Why a network could not be rebuilt from its description.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No layer of that class is known.
    #[error("no layer of class {class_name:?} is known: register it, or use one of {known}")]
    UnknownClass {
        /// The class that was asked for.
        class_name: String,
        /// The classes that are known.
        known: String,
    },
    /// The options do not fit the class.
    #[error("the config of {class_name} does not fit: {reason}")]
    Options {
        /// The class.
        class_name: String,
        /// Which option, and what was found.
        reason: String,
    },
}
