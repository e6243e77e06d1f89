//! Descriptions as Keras writes them, and as it never would.

use super::super::config::CLASSES;
use super::*;
use gradus_layers::{
    Activation, ActivationLayer, AveragePooling2D, BatchNormalization, Conv2D, Dense, Dropout, ELU,
    Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D, Initializer, Layer as _, LeakyReLU,
    MaxPooling2D, ReLU, Regularizer, Softmax, ZeroPadding2D,
};
use std::collections::BTreeSet;

fn read(keras: Option<&str>, layers: &str) -> Result<Sequential, String> {
    let text = format!(
        r#"{{"class_name": "Sequential", "config": {{"layers": [{{"class_name": "InputLayer",
            "config": {{"batch_shape": [null, 2, 2, 1]}}}}, {layers}]}}}}"#
    );
    let read = Description { text, keras: keras.map(str::to_owned) }.read(Path::new("it"));
    read.map(|read| read.network).map_err(|e| e.to_string())
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

/// A Functional model for images of 4 x 4 x 2, whose layers are class, name, options and what each
/// takes, as Keras 3 has it.
fn functional(layers: &[(&str, &str, &str, &[&str])], outputs: &[&str]) -> String {
    let mut texts = vec![
        r#"{"class_name": "InputLayer", "name": "in", "inbound_nodes": [],
            "config": {"batch_shape": [null, 4, 4, 2], "name": "in"}}"#
            .to_owned(),
    ];
    for (class, name, options, takes) in layers {
        let taken = takes
            .iter()
            .map(|taken| format!(r#"{{"config": {{"keras_history": ["{taken}", 0, 0]}}}}"#));
        let taken = taken.collect::<Vec<_>>().join(",");
        texts.push(format!(
            r#"{{"class_name": "{class}", "name": "{name}", "config": {{"name": "{name}"{options}}},
                "inbound_nodes": [{{"args": [[{taken}]], "kwargs": {{"mask": null}}}}]}}"#
        ));
    }
    let outputs: Vec<String> = outputs.iter().map(|name| format!(r#"["{name}", 0, 0]"#)).collect();
    format!(
        r#"{{"class_name": "Functional", "config": {{"layers": [{}], "output_layers": [{}]}}}}"#,
        texts.join(","),
        outputs.join(",")
    )
}

const UNITS: &str = r#", "units": 2"#;

fn described(text: String) -> Result<Described, LoadError> {
    Description { text, keras: None }.read(Path::new("it"))
}

/// Every leaf: its path here, and its name among the weights.
fn leaves(text: String) -> Vec<(String, String)> {
    let leaves = described(text).unwrap().leaves.0.into_iter();
    leaves.map(|leaf| (leaf.path, leaf.saved)).collect()
}

#[test]
fn branches_become_containers_and_weights_keep_their_numbers() {
    let text = functional(
        &[
            ("Dense", "a", UNITS, &["in"]),
            ("Dense", "short", UNITS, &["a"]),
            ("Dense", "long", UNITS, &["a"]),
            ("Dense", "longer", UNITS, &["long"]),
            ("Add", "sum", "", &["short", "longer"]),
            ("ReLU", "relu", "", &["sum"]),
            ("Concatenate", "both", r#", "axis": -1"#, &["relu", "more"]),
            ("Dense", "more", UNITS, &["relu"]),
            ("Add", "three", "", &["c", "both", "d"]),
            ("Dense", "c", r#", "units": 4"#, &["both"]),
            ("Dense", "d", r#", "units": 4"#, &["both"]),
        ],
        &["three"],
    );
    let expected = [
        ("a", "dense"),
        ("sum.body.short", "dense_2"),
        ("sum.shortcut.long", "dense_1"),
        ("sum.shortcut.longer", "dense_3"),
        ("both.branch_2.more", "dense_4"),
        ("three.body.residual.body.c", "dense_5"),
        ("three.shortcut.d", "dense_6"),
    ];
    let expected = expected.map(|(path, saved)| (path.to_owned(), saved.to_owned()));
    assert_eq!(leaves(text.clone()), expected);
    let network = described(text).unwrap().network;
    let names: Vec<&str> = network.children().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["a", "sum", "both", "three"]);
    assert_eq!(network.children()[1].1.config().config["activation"], "relu");
    // A layer to itself is two of it.
    let text = functional(&[("Add", "twice", "", &["in", "in"])], &[]);
    let children = described(text).unwrap().network.config();
    assert_eq!(children.config["layers"][0]["config"]["body"]["class_name"], "Sequential");
}

#[test]
fn an_activation_that_is_more_than_relu_stays_a_layer() {
    let names = |options: &str| {
        let layers = [("Add", "sum", "", &["in", "in"][..]), ("ReLU", "r", options, &["sum"])];
        described(functional(&layers, &["r"])).unwrap().network.children().len()
    };
    assert_eq!(names(""), 1);
    assert_eq!(names(r#", "max_value": 6.0"#), 2);
    assert_eq!(names(r#", "negative_slope": 0.1"#), 2);
}

/// What is refused names the layer, and says what to do.
#[test]
fn what_has_no_container_is_told_by_name() {
    let has = |layers: &[(&str, &str, &str, &[&str])], outputs: &[&str], what: [&str; 2]| {
        match described(functional(layers, outputs)).unwrap_err() {
            LoadError::Branches { layer, reason, .. } => {
                assert!(layer == what[0] && reason.contains(what[1]), "{layer}: {reason}");
            }
            other => panic!("{other}"),
        }
    };
    let dense = |name: &'static str, takes: &'static [&'static str]| ("Dense", name, UNITS, takes);
    let (a, b) = (dense("a", &["in"]), dense("b", &["in"]));
    // b goes into both sums.
    let sum = ("Add", "sum", "", &["a", "b"][..]);
    has(&[a, b, sum, ("Add", "top", "", &["sum", "b"])], &["top"], ["b", "Import::keras"]);
    has(&[a, b], &["a", "b"], ["b", "an output beside \"a\""]);
    has(&[a, b, sum], &["sum", "a"], ["a", "an output beside \"sum\""]);
    has(
        &[a, dense("wide", &["in", "a"])],
        &["wide"],
        ["wide", "it takes the outputs of 2, expected 1"],
    );
    has(&[("Add", "alone", "", &["in"])], &[], ["alone", "it takes the outputs of 1, expected 2"]);
    has(&[dense("round", &["round"])], &[], ["round", "it takes what it gives"]);
    has(&[dense("lost", &["nothing"])], &[], ["lost", "\"nothing\", which is not there"]);
    let input = ("InputLayer", "second", "", &[][..]);
    has(&[a, input], &["a"], ["second", "an input beside \"in\""]);
    let twice = functional(&[a], &["a"]).replace(
        r#"[{"args""#,
        r#"[{"args": [[{"config": {"keras_history": ["in", 0, 0]}}]]}, {"args""#,
    );
    let error = described(twice).unwrap_err();
    assert!(error.to_string().contains("a: it stands in 2 places"), "{error}");
    let many: Vec<&str> = vec!["in"; 20];
    has(&[("Add", "many", "", &many)], &[], ["many", "more than 32 containers"]);
    for (layer, text) in [
        (("Multiply", "m", "", &["a", "b"][..]), "m: a layer of class \"Multiply\", which gradus"),
        (("Concatenate", "m", r#", "axis": 1"#, &["a", "b"]), "m: it joins along axis 1"),
    ] {
        let error = described(functional(&[a, b, layer], &["m"])).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}

/// Branches within branches and models within models, which nobody is to follow without end.
#[test]
fn depth_has_an_end() {
    let names: Vec<[String; 2]> = (0..400).map(|i| [format!("c{i}"), format!("s{i}")]).collect();
    let mut layers = Vec::new();
    let mut takes = Vec::new();
    // s(i) adds the input of all to a dense layer of s(i - 1).
    for i in 0..names.len() {
        let before = if i == 0 { "in" } else { names[i - 1][1].as_str() };
        takes.push(([before], ["in", names[i][0].as_str()]));
    }
    let nested = |depth: usize, layers: &mut Vec<_>| {
        for (name, (before, both)) in names.iter().zip(&takes).take(depth) {
            layers.push(("Dense", name[0].as_str(), UNITS, &before[..]));
            layers.push(("Add", name[1].as_str(), "", &both[..]));
        }
    };
    nested(15, &mut layers);
    let network = described(functional(&layers, &["s14"])).unwrap().network;
    // As deep as it may be, it is still written and read.
    let text = serde_json::to_string(&network.config()).unwrap();
    assert!(serde_json::from_str::<Config>(&text).is_ok());
    for depth in [17, 400] {
        layers.clear();
        nested(depth, &mut layers);
        let error = described(functional(&layers, &[])).unwrap_err();
        assert!(error.to_string().contains("more than 32 containers"), "{error}");
    }
    let models = |depth: usize| {
        let start = r#"{"class_name": "Sequential", "config": {"name": "m", "layers": ["#;
        let text = format!("{}{}", start.repeat(depth), "]}}".repeat(depth));
        described(text).unwrap_err().to_string()
    };
    assert!(models(20).contains("what images it takes"), "{}", models(20));
    for depth in [40, 10_000] {
        let error = models(depth);
        assert!(error.contains("more than 32 containers"), "{error}");
    }
}

#[test]
fn a_million_layers_are_refused_and_thousands_are_not() {
    let layer = r#"{"class_name": "ReLU", "config": {"name": "N"}}"#;
    let chain = |many: usize| {
        let layers: Vec<String> = (0..many).map(|i| layer.replace('N', &format!("r{i}"))).collect();
        let input = r#"{"class_name": "InputLayer", "config": {"batch_shape": [null, 2, 2, 1]}}"#;
        let layers = layers.join(",");
        described(format!(
            r#"{{"class_name": "Sequential", "config": {{"layers": [{input}, {layers}]}}}}"#
        ))
    };
    assert_eq!(chain(LAYERS - 1).unwrap().network.children().len(), LAYERS - 1);
    let error = chain(1_000_000).unwrap_err();
    assert!(error.to_string().contains("more than 5000 layers"), "{error}");
}
