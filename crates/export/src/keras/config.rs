//! The layers of a model as Keras describes them, there and back.

use super::unfold::{Node, Unfolded};
use crate::Error;
use gradus_layers::Config;
use serde_json::{Map, Value, json};

/// The classes that Keras and gradus both have, with the same options.
pub(super) const CLASSES: [&str; 15] = [
    "Activation",
    "AveragePooling2D",
    "BatchNormalization",
    "Conv2D",
    "Dense",
    "Dropout",
    "ELU",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "LeakyReLU",
    "MaxPooling2D",
    "ReLU",
    "Softmax",
    "ZeroPadding2D",
];

/// What Keras has no word for in a layer that is none of a container.
pub(super) fn unknown(config: &Config) -> Option<&'static str> {
    let above_one = |name: &str| {
        let both = config.config.get(name).and_then(Value::as_array);
        both.is_some_and(|both| both.iter().any(|n| n.as_u64() > Some(1)))
    };
    if !CLASSES.contains(&config.class_name.as_str()) {
        return Some("Keras has no such class");
    }
    if config.config.get("activation").is_some_and(|activation| activation == "gelu_tanh") {
        return Some("Keras has no name for this activation");
    }
    let both = above_one("strides") && above_one("dilation_rate");
    both.then_some("Keras does not step and dilate at once")
}

/// Options that are ours alone.
const OURS: [&str; 1] = ["moving_variance"];

/// `config.json` of the model.
pub(super) fn of(unfolded: &Unfolded, image: [usize; 3], compile: &Value) -> Result<Value, Error> {
    let [h, w, c] = image;
    let shape = json!([null, h, w, c]);
    let input = json!({"module": "keras.layers", "class_name": "InputLayer", "registered_name": null,
        "config": {"batch_shape": shape, "dtype": "float32", "sparse": false, "name": INPUT}});
    let chain = unfolded.is_chain();
    let mut layers = vec![input];
    if !chain {
        layers[0]["name"] = INPUT.into();
        layers[0]["inbound_nodes"] = json!([]);
    }
    for node in &unfolded.nodes {
        let mut layer = layer(node);
        if !chain {
            layer["name"] = node.name.clone().into();
            layer["inbound_nodes"] =
                json!([{"args": inputs(node, unfolded, &shape), "kwargs": {}}]);
        }
        layers.push(layer);
    }
    let config = match chain {
        true => json!({"name": "sequential", "trainable": true, "dtype": "float32",
            "layers": layers, "build_input_shape": shape}),
        false => {
            let last = unfolded.nodes.last().map_or(INPUT, |node| node.name.as_str());
            json!({"name": "functional", "trainable": true, "layers": layers,
                "input_layers": [[INPUT, 0, 0]], "output_layers": [[last, 0, 0]]})
        }
    };
    let (module, class_name) = match chain {
        true => ("keras", "Sequential"),
        false => ("keras.src.models.functional", "Functional"),
    };
    Ok(json!({"module": module, "class_name": class_name, "config": config,
        "registered_name": if chain { Value::Null } else { "Functional".into() },
        "build_config": {"input_shape": shape}, "compile_config": compile}))
}

/// What Keras calls the input.
const INPUT: &str = "input_layer";

fn layer(node: &Node) -> Value {
    let mut options = node.config.config.clone();
    OURS.iter().for_each(|name| _ = options.remove(*name));
    for (name, value) in &mut options {
        // An object in an option says where Keras finds its class.
        let module = match name.as_str() {
            "activation" => "keras.layers",
            name if name.ends_with("_initializer") => "keras.initializers",
            name if name.ends_with("_regularizer") => "keras.regularizers",
            _ => continue,
        };
        if let Some(object) = value.as_object_mut() {
            object.insert("module".to_owned(), module.into());
            object.insert("registered_name".to_owned(), Value::Null);
        }
    }
    json!({"module": "keras.layers", "class_name": node.config.class_name, "config": options,
        "registered_name": null})
}

/// The arguments that a layer is called with.
fn inputs(node: &Node, unfolded: &Unfolded, shape: &Value) -> Value {
    let tensor = |taken: &Option<usize>| {
        let name = taken.map_or(INPUT, |i| unfolded.nodes[i].name.as_str());
        json!({"class_name": "__keras_tensor__",
            "config": {"shape": shape, "dtype": "float32", "keras_history": [name, 0, 0]}})
    };
    let tensors: Vec<Value> = node.takes.iter().map(tensor).collect();
    match node.config.class_name.as_str() {
        // These take a list.
        "Add" | "Concatenate" => json!([tensors]),
        _ => Value::Array(tensors),
    }
}

/// A model that was read: its layers in a chain, and the images that it takes.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) chain: Config,
    pub(super) image: [usize; 3],
}

/// The layers that `config.json`, or the attribute of Keras 2, describes; what is in the way
/// otherwise.
pub(super) fn read(model: &Value) -> Result<Read, String> {
    let class = model["class_name"].as_str().unwrap_or_default();
    if !["Sequential", "Functional", "Model"].contains(&class) {
        return Err(format!("a model of class {class:?}, expected Sequential or Functional"));
    }
    // Long ago the layers of a Sequential stood here themselves.
    let layers = model["config"]["layers"].as_array().or(model["config"].as_array());
    let layers = layers.ok_or("it has no layers")?;
    let (mut image, mut chain, mut before, mut rank) = (None, Vec::new(), None, 4);
    for layer in layers {
        let layer = layer.as_object().ok_or("a layer is no object")?;
        let class = layer.get("class_name").and_then(Value::as_str).unwrap_or_default();
        let empty = Map::new();
        let options = layer.get("config").and_then(Value::as_object).unwrap_or(&empty);
        let name = options.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        image = image.or_else(|| {
            let shape = options.get("batch_shape").or_else(|| options.get("batch_input_shape"))?;
            serde_json::from_value::<(Value, usize, usize, usize)>(shape.clone()).ok()
        });
        follows(layer, before.as_deref()).map_err(|reason| format!("{name}: {reason}"))?;
        before = Some(name);
        if class != "InputLayer" {
            check(class, options)?;
            let mut config = Value::Object(options.clone());
            // Keras 2 counts the axis from the front, and writes it as a list.
            if config["axis"] == json!([rank - 1]) || config["axis"] == json!(rank - 1) {
                config["axis"] = json!(-1);
            }
            let flat = class == "Flatten" || class.starts_with("Global");
            if flat && config["keepdims"] != json!(true) {
                rank = 2;
            }
            chain.push(json!({"class_name": class, "config": config}));
        }
    }
    let (_, h, w, c) = image.ok_or("it does not say what images it takes: (None, H, W, C)")?;
    let chain = Config::new("Sequential", &json!({"layers": chain}));
    Ok(Read { chain, image: [h, w, c] })
}

/// Whether the layer takes what the one before it gives.
fn follows(layer: &Map<String, Value>, before: Option<&str>) -> Result<(), String> {
    let Some(inbound) = layer.get("inbound_nodes") else { return Ok(()) };
    let mut taken = Vec::new();
    histories(inbound, &mut taken, 0);
    match (taken.as_slice(), before) {
        ([], None) => Ok(()),
        ([one], Some(before)) if *one == before => Ok(()),
        _ => Err(format!(
            "takes {taken:?}, and only chains of layers are rebuilt: build the network here and take \
             its weights with Import::keras"
        )),
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

/// Refuses what would be passed over and change the numbers.
fn check(class: &str, options: &Map<String, Value>) -> Result<(), String> {
    if ["Sequential", "Functional", "Model"].contains(&class) {
        return Err(
            "a model inside a model, of which only chains of layers are rebuilt: build the \
                    network here and take its weights with Import::keras"
                .to_owned(),
        );
    }
    if !CLASSES.contains(&class) {
        return Err(format!("a layer of class {class:?}, which gradus does not have"));
    }
    let name = options.get("name").and_then(Value::as_str).unwrap_or_default();
    let format = options.get("data_format").and_then(Value::as_str);
    if format.is_some_and(|format| format != "channels_last") {
        return Err(format!("{name}: data_format is {format:?}, expected channels_last"));
    }
    Ok(())
}
