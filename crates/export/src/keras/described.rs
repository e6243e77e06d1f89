//! The layers that a file of Keras's describes, read.
//!
//! A description from anywhere is read without making much of it: only options that layers here know,
//! and each layer is made before the next one is looked at.

use super::config::CLASSES;
use crate::LoadError;
use gradus_layers::{Config, Registry, Sequential};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The options that any of [`CLASSES`] knows, and what is asked of all of them.
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
/// More than Keras says of what a layer of a chain takes.
const INBOUND: usize = 1 << 14;

/// What a file says of its layers.
#[derive(Debug)]
pub(super) struct Description {
    /// `config.json`, or the attribute of Keras 2.
    pub(super) text: String,
    /// The version of Keras that wrote it, if that is said.
    pub(super) keras: Option<String>,
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(default)]
    class_name: String,
    #[serde(borrow)]
    config: &'a RawValue,
}

#[derive(Deserialize)]
struct Layers<'a> {
    #[serde(borrow)]
    layers: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Layer<'a> {
    #[serde(default)]
    class_name: String,
    #[serde(borrow, default)]
    config: BTreeMap<String, &'a RawValue>,
    #[serde(borrow)]
    inbound_nodes: Option<&'a RawValue>,
}

/// What is made of the layers, one after another.
#[derive(Default)]
struct Chain {
    network: Sequential,
    names: BTreeSet<String>,
    image: Option<[usize; 3]>,
    /// The name of the layer before, and how many extents its outputs have.
    before: Option<String>,
    rank: usize,
    /// Whether Keras 2 or an older one wrote them.
    old: bool,
}

impl Description {
    /// The network, not yet built, and the images that it takes.
    pub(super) fn read(&self, path: &Path) -> Result<(Sequential, [usize; 3]), LoadError> {
        let wrong = |reason: String| LoadError::Format {
            path: path.to_owned(),
            expected: "a model of Keras",
            reason,
        };
        let old = self.keras.as_ref().is_some_and(|keras| keras.starts_with(['1', '2']));
        let mut chain = Chain { rank: 4, old, ..Chain::default() };
        for layer in layers(&self.text).map_err(wrong)? {
            let layer: Layer<'_> =
                serde_json::from_str(layer.get()).map_err(|e| wrong(format!("a layer: {e}")))?;
            if let Some((name, config)) = chain.config(layer).map_err(wrong)? {
                let layer = Registry::default()
                    .layer(&config)
                    .map_err(|cause| LoadError::Network { path: path.to_owned(), cause })?;
                chain.network = std::mem::take(&mut chain.network).add_named(&name, layer);
            }
        }
        let said = "it does not say what images it takes: (None, H, W, C)";
        let image = chain.image.ok_or_else(|| wrong(said.to_owned()))?;
        Ok((chain.network, image))
    }
}

/// The layers of a model, each as its text.
fn layers(text: &str) -> Result<Vec<&RawValue>, String> {
    let wrong = |e: serde_json::Error| e.to_string();
    let Model { class_name, config } = serde_json::from_str(text).map_err(wrong)?;
    if !["Sequential", "Functional", "Model"].contains(&class_name.as_str()) {
        return Err(format!("a model of class {class_name:?}, expected Sequential or Functional"));
    }
    // Long ago the layers of a Sequential stood here themselves.
    if config.get().starts_with('[') {
        return serde_json::from_str(config.get()).map_err(wrong);
    }
    let layers: Result<Layers<'_>, _> = serde_json::from_str(config.get());
    layers.map(|layers| layers.layers).map_err(|e| format!("it has no layers: {e}"))
}

impl Chain {
    /// The config of the next layer, and its name; none of the input.
    fn config(&mut self, layer: Layer<'_>) -> Result<Option<(String, Config)>, String> {
        let Layer { class_name: class, config, inbound_nodes } = layer;
        let mut options = known(config)?;
        let name = options.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.image = self.image.or_else(|| image(&options));
        follows(inbound_nodes, self.before.as_deref())
            .map_err(|reason| format!("{name}: {reason}"))?;
        self.before = Some(name.clone());
        if class == "InputLayer" {
            return Ok(None);
        }
        self.check(&class, &options, &name)?;
        // Keras 2 counts the axis from the front, and writes it as a list.
        let last = json!(self.rank - 1);
        if options.get("axis").is_some_and(|axis| *axis == last || *axis == json!([last])) {
            options.insert("axis".to_owned(), json!(-1));
        }
        let flat = class == "Flatten" || class.starts_with("Global");
        if flat && options.get("keepdims") != Some(&Value::Bool(true)) {
            self.rank = 2;
        }
        Ok(Some((name, Config { class_name: class, config: options })))
    }

    /// Refuses what would be passed over and change the numbers.
    fn check(
        &mut self,
        class: &str,
        options: &Map<String, Value>,
        name: &str,
    ) -> Result<(), String> {
        if ["Sequential", "Functional", "Model"].contains(&class) {
            return Err(format!("{name}: a model inside a model, {ONLY_CHAINS}"));
        }
        if !CLASSES.contains(&class) {
            return Err(format!("{name}: a layer of class {class:?}, which gradus does not have"));
        }
        if name.is_empty() || !self.names.insert(name.to_owned()) {
            return Err(format!("{name:?} is no name for layer {}", self.names.len() + 1));
        }
        let format = options.get("data_format").and_then(Value::as_str);
        if format.is_some_and(|format| format != "channels_last") {
            return Err(format!("{name}: data_format is {format:?}, expected channels_last"));
        }
        if self.old && options.get("activation").is_some_and(|it| it == "hard_sigmoid") {
            return Err(format!(
                "{name}: hard_sigmoid is clip(0.2 x + 0.5, 0, 1) in Keras 2, which wrote the file, \
                 and relu6(x + 3) / 6 in Keras 3 and here: save it with Keras 3 once it answers \
                 there as it should"
            ));
        }
        Ok(())
    }
}

/// What to do with a network that is no chain.
const ONLY_CHAINS: &str = "and only chains of layers are rebuilt: build the network here and take its \
                           weights with Import::keras";

/// The options that are of interest.
fn known(all: BTreeMap<String, &RawValue>) -> Result<Map<String, Value>, String> {
    let mut options = Map::new();
    for (name, text) in all {
        if !OPTIONS.contains(&name.as_str()) {
            continue;
        }
        let (text, length) = (text.get(), text.get().len());
        if length > OPTION {
            return Err(format!("{name} of a layer is described in {length} bytes"));
        }
        options.insert(name, serde_json::from_str(text).map_err(|e| e.to_string())?);
    }
    Ok(options)
}

/// Height, width and channels, where a layer says what it takes.
fn image(options: &Map<String, Value>) -> Option<[usize; 3]> {
    let shape = options.get("batch_shape").or_else(|| options.get("batch_input_shape"))?;
    let [_, h, w, c] = shape.as_array()?.as_slice() else { return None };
    let extent = |value: &Value| value.as_u64().and_then(|extent| extent.try_into().ok());
    Some([extent(h)?, extent(w)?, extent(c)?])
}

/// Whether the layer takes what the one before it gives.
fn follows(inbound: Option<&RawValue>, before: Option<&str>) -> Result<(), String> {
    let Some(inbound) = inbound else { return Ok(()) };
    if inbound.get().len() > INBOUND {
        return Err(format!("takes more than one layer, {ONLY_CHAINS}"));
    }
    let inbound: Value = serde_json::from_str(inbound.get()).map_err(|e| e.to_string())?;
    let mut taken = Vec::new();
    histories(&inbound, &mut taken, 0);
    match (taken.as_slice(), before) {
        ([], None) => Ok(()),
        ([one], Some(before)) if *one == before => Ok(()),
        _ => Err(format!("takes {taken:?}, {ONLY_CHAINS}")),
    }
}

/// The names in `keras_history` of Keras 3, and in the lists of Keras 2.
fn histories<'a>(value: &'a Value, found: &mut Vec<&'a str>, depth: usize) {
    match value {
        Value::Array(values) => match values.as_slice() {
            [Value::String(name), Value::Number(_), Value::Number(_), ..] => found.push(name),
            _ if depth < 16 => values.iter().for_each(|v| histories(v, found, depth + 1)),
            _ => {}
        },
        Value::Object(map) if depth < 16 => {
            map.values().for_each(|v| histories(v, found, depth + 1));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_layers::{
        Activation, ActivationLayer, AveragePooling2D, BatchNormalization, Conv2D, Dense, Dropout,
        ELU, Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D, Initializer, Layer as _,
        LeakyReLU, MaxPooling2D, ReLU, Regularizer, Softmax, ZeroPadding2D,
    };

    fn read(keras: Option<&str>, layers: &str) -> Result<Sequential, String> {
        let text = format!(
            r#"{{"class_name": "Sequential", "config": {{"layers": [{{"class_name": "InputLayer",
                "config": {{"batch_shape": [null, 2, 2, 1]}}}}, {layers}]}}}}"#
        );
        let read = Description { text, keras: keras.map(str::to_owned) }.read(Path::new("it"));
        read.map(|(network, _)| network).map_err(|e| e.to_string())
    }

    #[test]
    fn no_option_of_a_layer_is_passed_over() {
        let network = Sequential::new()
            .add(Conv2D::new(2, 1).groups(2).bias_initializer(Initializer::Ones))
            .add(BatchNormalization::new().scale(false))
            .add(MaxPooling2D::new(1))
            .add(AveragePooling2D::new(1))
            .add(ZeroPadding2D::new(1))
            .add(ReLU::new().max_value(6.0))
            .add(LeakyReLU::new())
            .add(ELU::new())
            .add(Softmax::new())
            .add(ActivationLayer::new(Activation::Tanh))
            .add(Dropout::new(0.5))
            .add(GlobalMaxPooling2D::new().keepdims(true))
            .add(GlobalAveragePooling2D::new())
            .add(Flatten)
            .add(Dense::new(3).kernel_regularizer(Regularizer::l2(0.5)));
        let layers = network.config().config["layers"].as_array().unwrap().clone();
        let classes: BTreeSet<&str> =
            layers.iter().map(|layer| layer["class_name"].as_str().unwrap()).collect();
        assert_eq!(classes, CLASSES.into());
        let text: Vec<String> = layers.iter().map(ToString::to_string).collect();
        let again = read(None, &text.join(",")).unwrap();
        assert_eq!(again.config(), network.config());
    }

    #[test]
    fn a_hard_sigmoid_of_keras_2_is_refused() {
        let last = r#"{"class_name": "Dense", "config": {"name": "last", "units": 1,
                       "activation": "hard_sigmoid"}}"#;
        for keras in ["2.13.1", "1.2.2"] {
            let error = read(Some(keras), last).unwrap_err();
            assert!(error.contains("last: hard_sigmoid is clip(0.2 x + 0.5, 0, 1)"), "{error}");
        }
        assert!(read(Some("3.0.0"), last).is_ok() && read(None, last).is_ok());
        assert!(read(Some("2.13.1"), &last.replace("hard_", "")).is_ok());
    }
}
