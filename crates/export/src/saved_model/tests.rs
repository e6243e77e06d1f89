//! What is written is read again.

use super::messages::{BundleEntry, Dim, NodeDef, TensorProto, VariableDef};
use super::*;
use gradus_layers::{
    Activation, ActivationLayer, AveragePooling2D, BatchNormalization, Conv2D, Dense, Flatten,
    GlobalAveragePooling2D, MaxPooling2D, Padding, Sequential,
};
use gradus_models::{Stem, dogs_vs_cats, inception_like, resnet18};
use gradus_tensor::{Device, Shape};
use std::collections::HashSet;

fn built(mut network: Sequential, [h, w, c]: [usize; 3]) -> Sequential {
    network.build_on(Shape::new(&[1, h, w, c]), &Device::Cpu, 0).expect("the shapes fit");
    network
}

/// What is written, read.
fn read(model: &SavedModel<'_>) -> MetaGraphDef {
    let bytes = model.build().expect("it can be exported").model.encode_to_vec();
    let mut model = SavedModelProto::decode(&bytes[..]).expect("it can be read");
    assert_eq!((model.saved_model_schema_version, model.meta_graphs.len()), (1, 1));
    model.meta_graphs.remove(0)
}

fn nodes_of(network: Sequential, image: [usize; 3]) -> Vec<NodeDef> {
    let network = built(network, image);
    read(&Export::new(&network, image).saved_model()).graph_def.expect("a graph").node
}

fn words(nodes: &[NodeDef]) -> Vec<&str> {
    nodes.iter().filter(|node| node.op != "Const").map(|node| node.op.as_str()).collect()
}

fn node<'a>(nodes: &'a [NodeDef], name: &str) -> &'a NodeDef {
    let names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
    nodes.iter().find(|n| n.name == name).unwrap_or_else(|| panic!("no {name}: {names:?}"))
}

fn attr<'a>(node: &'a NodeDef, name: &str) -> &'a Attr {
    node.attr.get(name).and_then(|value| value.value.as_ref()).expect("such an option")
}

fn ints(node: &NodeDef, name: &str) -> Vec<i64> {
    let Attr::List(list) = attr(node, name) else { panic!("{name} is no list") };
    list.i.clone()
}

fn tensor<'a>(nodes: &'a [NodeDef], name: &str) -> &'a TensorProto {
    let Attr::Tensor(tensor) = attr(node(nodes, name), "value") else { panic!("no tensor") };
    tensor
}

fn extents(shape: Option<&TensorShape>) -> Vec<i64> {
    shape.expect("a shape").dim.iter().map(|Dim { size }| *size).collect()
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
    tensor.tensor_content.chunks(4).map(number).collect()
}

fn numbers(tensor: &TensorProto) -> Vec<i32> {
    let number = |bytes: &[u8]| i32::from_le_bytes(bytes.try_into().expect("four bytes"));
    tensor.tensor_content.chunks(4).map(number).collect()
}

#[test]
fn the_tutorial_s_network_has_keras_2_s_signature() {
    let network = built(dogs_vs_cats(), [128, 128, 3]);
    let graph = read(&Export::new(&network, [128, 128, 3]).saved_model());
    let meta = graph.meta_info_def.as_ref().expect("about it");
    assert_eq!(meta.tags, ["serve"]);
    assert!(graph.saver_def.is_none() && graph.collection_def.is_empty());
    let signature = &graph.signature_def["serving_default"];
    assert_eq!(signature.method_name, "tensorflow/serving/predict");
    let (input, output) = (&signature.inputs["conv2d_input"], &signature.outputs["dense_1"]);
    assert_eq!((input.name.as_str(), input.dtype), ("conv2d_input:0", dtype::FLOAT));
    assert_eq!(extents(input.tensor_shape.as_ref()), [-1, 128, 128, 3]);
    assert_eq!((output.name.as_str(), output.dtype), ("dense_1:0", dtype::FLOAT));
    assert_eq!(extents(output.tensor_shape.as_ref()), [-1, 2]);

    let nodes = graph.graph_def.expect("a graph").node;
    let block = ["Conv2D", "BiasAdd", "Relu", "FusedBatchNormV3", "MaxPool"];
    let rows = ["AddV2", "Rsqrt", "Mul", "Mul", "Sub", "Mul", "AddV2"];
    let end = ["MatMul", "BiasAdd", "Softmax", "Identity"];
    let expected = [
        &["Placeholder"][..],
        &block,
        &block,
        &block,
        &["Reshape", "MatMul", "BiasAdd", "Relu"],
        &rows,
        &end,
    ];
    assert_eq!(words(&nodes), expected.concat());
    assert_eq!(extents(tensor(&nodes, "conv2d_1/kernel").tensor_shape.as_ref()), [3, 3, 32, 64]);
    assert_eq!(numbers(tensor(&nodes, "flatten/shape")), [-1, 25_088]);
    sound(&nodes);
}

#[test]
fn options_with_other_defaults_are_written_even_where_they_are_nothing() {
    let layer = BatchNormalization::new().epsilon(1e-3);
    let nodes = nodes_of(Sequential::new().add(layer), [4, 4, 3]);
    let layer = node(&nodes, "batch_normalization/FusedBatchNormV3");
    assert_eq!(attr(layer, "is_training"), &Attr::B(false));
    assert_eq!(attr(layer, "epsilon"), &Attr::F(1e-3));
    assert_eq!(attr(layer, "U"), &Attr::Type(dtype::FLOAT));
    let mean = nodes_of(Sequential::new().add(GlobalAveragePooling2D::new()), [4, 4, 3]);
    let mean = node(&mean, "global_average_pooling2d/Mean");
    assert_eq!(attr(mean, "keep_dims"), &Attr::B(false));
}

#[test]
fn names_are_what_one_sets_in_letters_that_tensorflow_allows() {
    let layer = Box::new(Dense::new(2));
    let chain = Sequential::new().add(Flatten).add_named("die Köpfe", layer);
    let network = built(chain, [2, 2, 1]);
    let export = Export::new(&network, [2, 2, 1]).input_name("_ein Bild");
    let graph = read(&export.saved_model());
    let signature = &graph.signature_def["serving_default"];
    assert_eq!(signature.inputs["_ein Bild"].name, "._ein_Bild:0");
    assert_eq!(signature.outputs["die Köpfe"].name, "die_K_pfe:0");
    let nodes = graph.graph_def.expect("a graph").node;
    assert_eq!(node(&nodes, "die_K_pfe/MatMul").input[1], "die_K_pfe/kernel");
    sound(&nodes);
}

#[test]
fn windows_beside_the_image_see_nothing_there() {
    let max = MaxPooling2D::new(3).strides(2).padding(Padding::from(1));
    let average = AveragePooling2D::new(2).strides(2).padding(Padding::from(1));
    let nodes = nodes_of(Sequential::new().add(max).add(average), [8, 6, 2]);
    assert_eq!(
        words(&nodes),
        ["Placeholder", "PadV2", "MaxPool", "Pad", "AvgPool", "Mul", "Identity"]
    );
    assert_eq!(floats(tensor(&nodes, "max_pooling2d/lowest")), [f32::NEG_INFINITY]);
    // 8·6 → 4·3: the last window ends with the image.
    assert_eq!(numbers(tensor(&nodes, "max_pooling2d/paddings")), [0, 0, 1, 0, 1, 0, 0, 0]);
    // 4·3 → 3·2: a corner is one pixel of four, a side is two of them.
    let factors = tensor(&nodes, "average_pooling2d/factors");
    assert_eq!(extents(factors.tensor_shape.as_ref()), [1, 3, 2, 1]);
    assert_eq!(floats(factors), [4.0, 2.0, 2.0, 1.0, 4.0, 2.0]);
}

#[test]
fn words_for_padding_stay_words() {
    let network = Sequential::new()
        .add(Conv2D::new(2, 3).padding(Padding::Same).strides([1, 2]).dilation_rate([2, 1]))
        .add(AveragePooling2D::new(2).padding(Padding::Same))
        .add(AveragePooling2D::new(2).padding(Padding::from(0)));
    let nodes = nodes_of(network, [9, 9, 3]);
    let conv = node(&nodes, "conv2d/Conv2D");
    assert_eq!(attr(conv, "padding"), &Attr::word("SAME"));
    assert_eq!(
        (ints(conv, "strides"), ints(conv, "dilations")),
        (vec![1, 1, 2, 1], vec![1, 2, 1, 1])
    );
    let pools = ["average_pooling2d/AvgPool", "average_pooling2d_1/AvgPool"];
    let paddings = pools.map(|name| attr(node(&nodes, name), "padding").clone());
    assert_eq!(paddings, [Attr::word("SAME"), Attr::word("VALID")]);
}

#[test]
fn a_stride_that_leaps_over_pixels_has_its_padding_before_it() {
    let layer = |size| Conv2D::new(2, size).strides(3).padding(Padding::Same);
    // 9 rows: one of padding in all, below; 11 columns: none.
    let nodes = nodes_of(Sequential::new().add(layer([4, 1])), [9, 11, 2]);
    assert_eq!(words(&nodes), ["Placeholder", "Pad", "Conv2D", "BiasAdd", "Identity"]);
    assert_eq!(numbers(tensor(&nodes, "conv2d/paddings")), [0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(attr(node(&nodes, "conv2d/Conv2D"), "padding"), &Attr::word("VALID"));
    // Windows of two columns, three apart, end with the eleventh.
    let nodes = nodes_of(Sequential::new().add(layer([1, 2])), [9, 11, 2]);
    assert_eq!(words(&nodes), ["Placeholder", "Conv2D", "BiasAdd", "Identity"]);
}

#[test]
fn groups_are_a_depthwise_convolution_or_several() {
    let depthwise = Conv2D::new(6, 3).groups(3);
    let nodes = nodes_of(Sequential::new().add(depthwise), [5, 5, 3]);
    assert_eq!(words(&nodes), ["Placeholder", "DepthwiseConv2dNative", "BiasAdd", "Identity"]);
    assert_eq!(extents(tensor(&nodes, "conv2d/kernel").tensor_shape.as_ref()), [3, 3, 3, 2]);
    let groups = Conv2D::new(4, 3).groups(2).use_bias(false);
    let nodes = nodes_of(Sequential::new().add(groups), [5, 5, 4]);
    let expected = ["Placeholder", "Split", "Split", "Conv2D", "Conv2D", "ConcatV2", "Identity"];
    assert_eq!(words(&nodes), expected);
    assert_eq!(node(&nodes, "conv2d/Conv2D_1").input, ["conv2d/Split:1", "conv2d/Split_1:1"]);
    sound(&nodes);
}

#[test]
fn an_elu_of_another_alpha_is_composed() {
    let words_of = |activation| {
        let nodes = nodes_of(Sequential::new().add(ActivationLayer::new(activation)), [2, 2, 1]);
        words(&nodes)[1..].join(" ")
    };
    assert_eq!(words_of(Activation::ELU), "Elu Identity");
    let other = words_of(Activation::Elu { alpha: 0.5 });
    assert_eq!(other, "Relu Minimum Elu Mul AddV2 Identity");
    assert_eq!(words_of(Activation::HardSigmoid), "AddV2 Relu6 Mul Identity");
}

#[test]
fn variables_are_filled_from_a_bundle_that_has_them_all() {
    let network = built(inception_like(3), [32, 32, 3]);
    let export = Export::new(&network, [32, 32, 3]);
    let model = export.saved_model().variables(true);
    let Written { variables, .. } = model.build().expect("it can be exported");
    let numbers: usize = variables.iter().map(|(_, v)| v.values.len()).sum();
    assert_eq!(
        numbers,
        gradus_layers::Summary::of(&network, Shape::new(&[1, 32, 32, 3])).unwrap().total()
    );
    let graph = read(&model);
    let described = |collection: &str| -> Vec<VariableDef> {
        let list = graph.collection_def[collection].bytes_list.as_ref().expect("a list");
        list.value.iter().map(|bytes| VariableDef::decode(&bytes[..]).unwrap()).collect()
    };
    let (all, trainable) = (described("variables"), described("trainable_variables"));
    assert_eq!((all.len(), all.len() - trainable.len()), (variables.len(), 3 * 2));
    assert_eq!(
        graph.saver_def.as_ref().map(|s| s.restore_op_name.as_str()),
        Some("save/restore_all")
    );
    let nodes = graph.graph_def.expect("a graph").node;
    let restore = node(&nodes, "save/restore_all");
    assert_eq!(restore.input.len(), variables.len());
    for (i, (variable, (name, _))) in all.iter().zip(&variables).enumerate() {
        assert_eq!(variable.variable_name, format!("{name}:0"));
        let assign = node(&nodes, &variable.initializer_name);
        assert_eq!(assign.input[0], *name);
        let nth = assign.input[1].strip_prefix("save/RestoreV2").expect("restored");
        assert_eq!(nth, if i == 0 { String::new() } else { format!(":{i}") });
        node(&nodes, variable.snapshot_name.strip_suffix(":0").expect("a value"));
    }
    let names = tensor(&nodes, "save/names");
    assert!(names.string_val.is_sorted() && names.string_val.len() == variables.len());
    sound(&nodes);
}

#[test]
fn a_network_without_weights_has_no_bundle() {
    let network = built(Sequential::new().add(GlobalAveragePooling2D::new()), [2, 2, 1]);
    let export = Export::new(&network, [2, 2, 1]);
    let folder = tempfile::tempdir().expect("a folder");
    export.saved_model().variables(true).write(folder.path()).expect("it can be written");
    assert_eq!(std::fs::read_dir(folder.path().join("variables")).expect("a folder").count(), 0);
    assert!(read(&export.saved_model().variables(true)).saver_def.is_none());
}

#[test]
fn raw_pixels_are_resized_and_scaled_in_the_graph() {
    let network = built(dogs_vs_cats(), [64, 48, 3]);
    let export = Export::new(&network, [64, 48, 3]).rescale(1.0 / 255.0);
    let graph = read(&export.saved_model().pixels(Interpolation::Nearest));
    let input = &graph.signature_def["serving_default"].inputs["conv2d_input"];
    assert_eq!(input.dtype, dtype::UINT8);
    assert_eq!(extents(input.tensor_shape.as_ref()), [-1, -1, -1, 3]);
    let nodes = graph.graph_def.expect("a graph").node;
    assert_eq!(words(&nodes)[..4], ["Placeholder", "Cast", "ResizeNearestNeighbor", "Mul"]);
    assert_eq!(numbers(tensor(&nodes, "pixels/size")), [64, 48]);
    assert_eq!(floats(tensor(&nodes, "pixels/rescale")), [1.0 / 255.0]);
    assert_eq!(node(&nodes, "conv2d/Conv2D").input[0], "pixels/Mul");

    let filters = [
        (Interpolation::Bilinear, "triangle"),
        (Interpolation::Bicubic, "keyscubic"),
        (Interpolation::Lanczos, "lanczos3"),
    ];
    for (filter, name) in filters {
        let graph = read(&export.saved_model().pixels(filter));
        let nodes = graph.graph_def.expect("a graph").node;
        let scale = node(&nodes, "pixels/ScaleAndTranslate");
        assert_eq!(attr(scale, "kernel_type"), &Attr::word(name));
        assert_eq!(attr(scale, "antialias"), &Attr::B(true));
        sound(&nodes);
    }
    for (filter, why) in [
        (Interpolation::Hamming, "it has no filter Hamming"),
        (Interpolation::Box, "the edges of its box count otherwise"),
    ] {
        let error = export.saved_model().pixels(filter).build().err().expect("no such filter");
        let text = error.to_string();
        assert!(
            text.starts_with("interpolation: not in TensorFlow") && text.contains(why),
            "{text}"
        );
    }
}

/// Every input was given before, nothing twice.
fn sound(nodes: &[NodeDef]) {
    let mut known = HashSet::new();
    for node in nodes {
        for input in &node.input {
            let from = input.trim_start_matches('^').split(':').next().expect("a name");
            assert!(known.contains(from), "{input} of {} is not there", node.name);
        }
        assert!(known.insert(node.name.as_str()), "{} twice", node.name);
    }
}

#[test]
fn every_published_network_is_sound() {
    for network in [resnet18(Stem::ImageNet, 10), inception_like(10)] {
        sound(&nodes_of(network, [64, 64, 3]));
    }
}

#[test]
fn the_folder_holds_what_tensorflow_looks_for() {
    let network = built(inception_like(2), [32, 32, 3]);
    let export = Export::new(&network, [32, 32, 3]).labels(&["cat", "dog\n"]).note("run", "7");
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    export.saved_model().write(folder.path()).expect("it can be written");
    let bytes = std::fs::read(at("saved_model.pb")).expect("the graph");
    SavedModelProto::decode(&bytes[..]).expect("it can be read");
    assert_eq!(std::fs::read_dir(at("variables")).expect("a folder").count(), 0);
    let labels = std::fs::read_to_string(at("assets.extra/labels.txt")).expect("labels");
    assert_eq!(labels, "cat\ndog \n");
    let notes = std::fs::read(at("assets.extra/metadata.json")).expect("notes");
    let notes: serde_json::Value = serde_json::from_slice(&notes).expect("JSON");
    assert_eq!(notes["run"], "7");

    export.saved_model().variables(true).write(folder.path()).expect("it can be written");
    let graph = std::fs::metadata(at("saved_model.pb")).expect("the graph").len();
    let data =
        std::fs::metadata(at("variables/variables.data-00000-of-00001")).expect("data").len();
    assert!(graph < bytes.len() as u64 && data + graph > bytes.len() as u64);
    let index = std::fs::read(at("variables/variables.index")).expect("an index");
    // No part of a name before it, 13 letters, the length of the entry, the name.
    let name = b"conv2d/kernel";
    let is_it = |w: &[u8]| w[..2] == [0, 13] && w[3..] == *name;
    let place = index.windows(3 + name.len()).position(is_it).expect("its name");
    let (start, length) = (place + 3 + name.len(), usize::from(index[place + 2]));
    let entry = BundleEntry::decode(&index[start..start + length]).expect("an entry");
    assert_eq!(extents(entry.shape.as_ref()), [3, 3, 3, 16]);
}
