//! The options of the layers that a file of Keras's describes, and lists of layers, read without
//! making much of them: what a file from anywhere says beyond what layers here know is passed over.

use super::config::CLASSES;
use gradus_layers::Config;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::fmt;

/// The options that any of [`CLASSES`] knows, and what is asked of all of them; sorted.
const OPTIONS: [&str; 36] = [
    "activation",
    "alpha",
    "axis",
    "batch_input_shape",
    "batch_shape",
    "beta_initializer",
    "beta_regularizer",
    "bias_initializer",
    "bias_regularizer",
    "center",
    "data_format",
    "dilation_rate",
    "epsilon",
    "filters",
    "gamma_initializer",
    "gamma_regularizer",
    "groups",
    "keepdims",
    "kernel_initializer",
    "kernel_regularizer",
    "kernel_size",
    "max_value",
    "momentum",
    "moving_mean_initializer",
    "moving_variance_initializer",
    "name",
    "negative_slope",
    "padding",
    "pool_size",
    "rate",
    "scale",
    "strides",
    "threshold",
    "trainable",
    "units",
    "use_bias",
];
/// The longest text of an option, several times that of any that Keras writes.
const OPTION: usize = 1 << 10;
/// Several times as many layers as any network of Keras's has.
pub(super) const LAYERS: usize = 5000;

/// Elements of a list, each as its text; more than [`LAYERS`] are refused before they are kept.
#[derive(Debug)]
pub(super) struct List<'a>(pub(super) Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(OfList)
    }
}

struct OfList;

impl<'a> Visitor<'a> for OfList {
    type Value = List<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of layers")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut all: A) -> Result<List<'a>, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = all.next_element()? {
            if list.len() == LAYERS {
                return Err(A::Error::custom(format!("more than {LAYERS} layers")));
            }
            list.push(one);
        }
        Ok(List(list))
    }
}

/// The options of a layer that are of interest.
#[derive(Debug, Default)]
pub(super) struct Options(pub(super) Map<String, Value>);

impl<'a> Deserialize<'a> for Options {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(OfMap)
    }
}

struct OfMap;

impl<'a> Visitor<'a> for OfMap {
    type Value = Options;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the options of a layer")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut all: A) -> Result<Options, A::Error> {
        let mut options = Map::new();
        while let Some(name) = all.next_key::<String>()? {
            if OPTIONS.binary_search(&name.as_str()).is_err() {
                all.next_value::<IgnoredAny>()?;
                continue;
            }
            let text = all.next_value::<&RawValue>()?.get();
            if text.len() > OPTION {
                let length = text.len();
                let reason = format!("{name} of a layer is described in {length} bytes");
                return Err(A::Error::custom(reason));
            }
            options.insert(name, serde_json::from_str(text).map_err(A::Error::custom)?);
        }
        Ok(Options(options))
    }
}

impl Options {
    /// Of an element of a list of layers.
    pub(super) fn of(text: &RawValue) -> Result<Self, String> {
        serde_json::from_str(text.get()).map_err(|e| format!("a layer: {e}"))
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.0.get("name").and_then(Value::as_str)
    }

    /// Height, width and channels, where a layer says what it takes.
    pub(super) fn image(&self) -> Option<[usize; 3]> {
        let shape = self.0.get("batch_shape").or_else(|| self.0.get("batch_input_shape"))?;
        let [_, h, w, c] = shape.as_array()?.as_slice() else { return None };
        let extent = |value: &Value| value.as_u64().and_then(|extent| extent.try_into().ok());
        Some([extent(h)?, extent(w)?, extent(c)?])
    }

    /// Whether it works along the last of so many extents, which Keras 2 counts from the front, and
    /// writes as a list.
    pub(super) fn is_along_the_last(&self, rank: usize) -> bool {
        let last = json!(rank.saturating_sub(1));
        let axis = self.0.get("axis");
        axis.is_some_and(|axis| *axis == json!(-1) || *axis == last || *axis == json!([last]))
    }

    /// The config of a layer that takes tensors of so many extents, and how many has what it gives.
    /// What would be passed over and change the numbers is refused; `old` is Keras 2 or older.
    pub(super) fn config(
        mut self,
        class: &str,
        rank: usize,
        old: bool,
    ) -> Result<(Config, usize), String> {
        if !CLASSES.contains(&class) {
            let class: String = class.chars().take(80).collect();
            return Err(format!("a layer of class {class:?}, which gradus does not have"));
        }
        let format = self.0.get("data_format").and_then(Value::as_str);
        if format.is_some_and(|format| format != "channels_last") {
            return Err(format!("data_format is {format:?}, expected channels_last"));
        }
        if old && self.0.get("activation").is_some_and(|it| it == "hard_sigmoid") {
            return Err(HARD_SIGMOID.to_owned());
        }
        if self.is_along_the_last(rank) {
            self.0.insert("axis".to_owned(), json!(-1));
        }
        let flat = class == "Flatten" || class.starts_with("Global");
        let flat = flat && self.0.get("keepdims") != Some(&Value::Bool(true));
        let config = Config { class_name: class.to_owned(), config: self.0 };
        Ok((config, if flat { 2 } else { rank }))
    }
}

const HARD_SIGMOID: &str = "hard_sigmoid is clip(0.2 x + 0.5, 0, 1) in Keras 2, which wrote the file, \
                            and relu6(x + 3) / 6 in Keras 3 and here: save it with Keras 3 once it \
                            answers there as it should";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_sorted() {
        assert!(OPTIONS.is_sorted());
    }

    #[test]
    fn no_more_is_kept_than_is_of_use() {
        let many = |count| format!("[{}]", vec!["0"; count].join(","));
        assert_eq!(serde_json::from_str::<List<'_>>(&many(LAYERS)).unwrap().0.len(), LAYERS);
        let error = serde_json::from_str::<List<'_>>(&many(LAYERS + 1)).unwrap_err();
        assert!(error.to_string().contains("more than 5000 layers"), "{error}");
        let Options(options) =
            serde_json::from_str(r#"{"x": [[1]], "axis": 1, "axis": 2}"#).unwrap();
        assert_eq!(options, *json!({"axis": 2}).as_object().unwrap());
        let long = format!(r#"{{"units": [{}]}}"#, vec!["0"; OPTION].join(","));
        assert!(serde_json::from_str::<Options>(&long).is_err());
    }
}
