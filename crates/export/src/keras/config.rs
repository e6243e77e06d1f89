//! The layers of a model as Keras describes them: written; `described` reads them.

use super::unfold::{Node, Unfolded};
use crate::Error;
use gradus_layers::Config;
use serde_json::{Value, json};

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
