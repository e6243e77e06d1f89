//! What is written is read again.

use super::messages::{Attribute, INT64, NodeProto, TensorProto};
use super::*;
use gradus_layers::{
    Activation, ActivationLayer, BatchNormalization, Conv2D, Dense, Flatten, MaxPooling2D, Padding,
    Sequential, ZeroPadding2D,
};
use gradus_models::{Stem, dogs_vs_cats, inception_like, resnet18};
use gradus_tensor::{Device, FieldMut, Fields as _, Path as FieldPath, Shape};
use std::collections::HashSet;

fn built(mut network: Sequential, [h, w, c]: [usize; 3]) -> Sequential {
    network.build_on(Shape::new(&[1, h, w, c]), &Device::Cpu, 0).expect("the shapes fit");
    network
}

/// What was written, read.
fn read(export: &Export<'_>, layout: Layout) -> ModelProto {
    let bytes = export.onnx().layout(layout).encode().expect("it can be exported");
    ModelProto::decode(&bytes[..]).expect("it can be read")
}

fn written(network: Sequential, image: [usize; 3], layout: Layout) -> GraphProto {
    let network = built(network, image);
    read(&Export::new(&network, image), layout).graph.expect("a graph")
}

fn words(graph: &GraphProto) -> Vec<&str> {
    graph.node.iter().map(NodeProto::op_type).collect()
}

fn node<'a>(graph: &'a GraphProto, name: &str) -> &'a NodeProto {
    let names: Vec<&str> = graph.node.iter().map(NodeProto::name).collect();
    graph.node.iter().find(|n| n.name() == name).unwrap_or_else(|| panic!("no {name}: {names:?}"))
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> &'a Attribute {
    node.attribute.iter().find(|a| a.name() == name).expect("such an attribute")
}

fn tensor<'a>(graph: &'a GraphProto, name: &str) -> &'a TensorProto {
    graph.initializer.iter().find(|t| t.name() == name).expect("such a tensor")
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
    tensor.raw_data().chunks(4).map(number).collect()
}

/// The extents of what goes in or out; 0 for one that is known later.
fn extents(info: &ValueInfo) -> Vec<i64> {
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).expect("a tensor");
    assert_eq!(tensor.elem_type, Some(FLOAT));
    let dims = &tensor.shape.as_ref().expect("a shape").dim;
    assert_eq!((dims[0].dim_param(), dims[0].dim_value), ("N", None));
    dims.iter().map(|dim| dim.dim_value()).collect()
}

#[test]
fn the_tutorial_s_network_has_keras_2_s_names_and_what_clients_need() {
    let network = built(dogs_vs_cats(), [128, 128, 3]);
    let export = Export::new(&network, [128, 128, 3]);
    let export = export.labels(&["cat", "dog"]).rescale(0.5).note("run", "runs/1").note("run", "2");
    let model = read(&export, Layout::Nhwc);
    assert_eq!((model.ir_version(), model.producer_name()), (7, "gradus"));
    assert_eq!(model.opset_import[0].version, Some(13));
    let metadata: Vec<_> = model.metadata_props.iter().map(|p| (p.key(), p.value())).collect();
    assert_eq!(metadata, [("labels", "[\"cat\",\"dog\"]"), ("rescale", "0.5"), ("run", "2")]);

    let graph = model.graph.expect("a graph");
    let ([input], [output]) = (&graph.input[..], &graph.output[..]) else { panic!("one of each") };
    assert_eq!((input.name(), extents(input)), ("conv2d_input", vec![0, 128, 128, 3]));
    assert_eq!((output.name(), extents(output)), ("dense_1", vec![0, 2]));
    let block = ["Conv", "Relu", "BatchNormalization", "MaxPool"];
    let end = ["Flatten", "Gemm", "Relu", "BatchNormalization", "Gemm", "Softmax", "Identity"];
    let expected = [&["Transpose"][..], &block, &block, &block, &["Transpose"], &end].concat();
    assert_eq!(words(&graph), expected);
    assert_eq!(tensor(&graph, "dense/kernel").dims, [25_088, 512]);
    assert_eq!(tensor(&graph, "conv2d_2/kernel").dims, [128, 64, 3, 3]);
    let epsilon = attribute(node(&graph, "batch_normalization/BatchNormalization"), "epsilon");
    assert_eq!((epsilon.f, epsilon.r#type), (Some(1e-3), Some(1)));
    let numbers: usize = graph.initializer.iter().map(|t| t.raw_data().len() / 4).sum();
    assert_eq!(numbers, 12_942_786);
}

#[test]
fn names_are_what_one_sets() {
    let network = built(dogs_vs_cats(), [64, 64, 3]);
    let export = Export::new(&network, [64, 64, 3]).input_name("conv2d/Conv").output_name("y");
    let graph = read(&export, Layout::Nhwc).graph.expect("a graph");
    assert_eq!((graph.input[0].name(), graph.output[0].name()), ("conv2d/Conv", "y"));
    // The name that it would have is taken.
    assert_eq!(node(&graph, "conv2d/Relu").input, ["conv2d/Conv_1"]);
    sound(&graph);
}

#[test]
fn channels_first_is_transposed_before_flattening_alone() {
    let graph = written(dogs_vs_cats(), [64, 64, 3], Layout::Nchw);
    assert_eq!(extents(&graph.input[0]), [0, 3, 64, 64]);
    let transposes: Vec<&str> =
        graph.node.iter().filter(|n| n.op_type() == "Transpose").map(NodeProto::name).collect();
    assert_eq!(transposes, ["flatten/Transpose"]);
    assert_eq!(attribute(node(&graph, "flatten/Transpose"), "perm").ints, [0, 2, 3, 1]);
}

#[test]
fn images_that_come_out_have_the_order_of_those_that_go_in() {
    let network = || Sequential::new().add(Conv2D::new(5, 3));
    let graph = written(network(), [8, 9, 2], Layout::Nhwc);
    assert_eq!(extents(&graph.output[0]), [0, 6, 7, 5]);
    assert_eq!(words(&graph), ["Transpose", "Conv", "Transpose"]);
    let graph = written(network(), [8, 9, 2], Layout::Nchw);
    assert_eq!(extents(&graph.output[0]), [0, 5, 6, 7]);
    assert_eq!(words(&graph), ["Conv", "Identity"]);
}

#[test]
fn a_grouped_kernel_is_turned_filter_by_filter() {
    let layer = Conv2D::new(6, [2, 3]).groups(2).strides([2, 1]).dilation_rate([1, 2]);
    let mut network = built(Sequential::new().add(layer.padding(Padding::Same)), [7, 8, 4]);
    // Each number says where it stands: r, s, c, k.
    network.visit_mut(&mut FieldPath::default(), &mut |path, field| {
        if let (true, FieldMut::Param(param)) = (path.as_str().ends_with("kernel"), field) {
            let kernel = param.value.slice_mut::<f32>();
            kernel.iter_mut().enumerate().for_each(|(i, value)| *value = i as f32);
        }
    });
    let graph = read(&Export::new(&network, [7, 8, 4]), Layout::Nchw).graph.expect("a graph");
    let kernel = tensor(&graph, "conv2d/kernel");
    assert_eq!(kernel.dims, [6, 2, 2, 3]);
    let values = floats(kernel);
    for (k, c, r, s) in [(0, 0, 0, 0), (5, 1, 1, 2), (3, 0, 1, 1), (2, 1, 0, 2)] {
        let ours = ((r * 3 + s) * 2 + c) * 6 + k;
        assert_eq!(values[((k * 2 + c) * 2 + r) * 3 + s], ours as f32, "{k} {c} {r} {s}");
    }
    let conv = node(&graph, "conv2d/Conv");
    assert_eq!(attribute(conv, "group").i, Some(2));
    assert_eq!(attribute(conv, "dilations").ints, [1, 2]);
    assert_eq!(attribute(conv, "strides").ints, [2, 1]);
    // 7 rows, windows of 2 in steps of 2: one row of zeros, below; 8 columns, reach 5: 4, 2 a side.
    assert_eq!(attribute(conv, "pads").ints, [0, 2, 1, 2]);
}

#[test]
fn windows_reach_no_further_than_they_do() {
    let pool = MaxPooling2D::new(3).strides(2).padding(Padding::from(1));
    let zeros = ZeroPadding2D::new([[1, 2], [0, 3]]);
    let graph = written(Sequential::new().add(pool).add(zeros), [8, 7, 2], Layout::Nchw);
    // In 8 rows the last window ends with the image: nothing is needed below.
    assert_eq!(attribute(node(&graph, "max_pooling2d/MaxPool"), "pads").ints, [1, 1, 0, 1]);
    let pads = tensor(&graph, "zero_padding2d/pads");
    let numbers: Vec<u8> = pads.raw_data().iter().copied().step_by(8).collect();
    assert_eq!((pads.data_type(), numbers), (INT64, vec![0, 0, 1, 0, 0, 0, 2, 3]));
}

#[test]
fn what_has_no_word_is_composed_of_those_that_have() {
    let words_of = |activation| {
        let network = Sequential::new().add(ActivationLayer::new(activation));
        let graph = written(network, [2, 2, 2], Layout::Nchw);
        let mut words: Vec<String> = words(&graph).into_iter().map(str::to_owned).collect();
        assert_eq!(words.pop().as_deref(), Some("Identity"));
        words.join(" ")
    };
    assert_eq!(words_of(Activation::Gelu), "Mul Erf Mul Add Mul");
    assert_eq!(words_of(Activation::GeluTanh), "Mul Mul Mul Add Mul Tanh Mul Add Mul");
    assert_eq!(words_of(Activation::Mish), "Softplus Tanh Mul");
    assert_eq!(words_of(Activation::Silu), "Sigmoid Mul");
    assert_eq!(words_of(Activation::Linear), "");
    let hard = Sequential::new().add(ActivationLayer::new(Activation::HardSigmoid));
    let graph = written(hard, [2, 2, 2], Layout::Nchw);
    let alpha = attribute(node(&graph, "activation/HardSigmoid"), "alpha");
    assert_eq!(alpha.f, Some(1.0 / 6.0));
}

/// Every input was given before, nothing twice, and the output at the end.
fn sound(graph: &GraphProto) {
    let mut known = HashSet::from([graph.input[0].name()]);
    for tensor in &graph.initializer {
        assert!(known.insert(tensor.name()), "{} twice", tensor.name());
        let numbers: i64 = tensor.dims.iter().product();
        let bytes = if tensor.data_type() == FLOAT { 4 } else { 8 };
        assert_eq!(tensor.raw_data().len() as i64, bytes * numbers, "{}", tensor.name());
    }
    for node in &graph.node {
        node.input.iter().for_each(|x| assert!(known.contains(x.as_str()), "{x} is not there"));
        node.output.iter().for_each(|y| assert!(known.insert(y), "{y} twice"));
    }
    assert!(known.contains(graph.output[0].name()));
}

#[test]
fn every_published_network_is_sound() {
    for layout in [Layout::Nhwc, Layout::Nchw] {
        sound(&written(dogs_vs_cats(), [128, 128, 3], layout));
        let residual = written(resnet18(Stem::ImageNet, 10), [64, 64, 3], layout);
        assert_eq!(words(&residual).iter().filter(|word| **word == "Add").count(), 8);
        assert_eq!(residual.output[0].name(), "dense");
        sound(&residual);
        let branches = written(inception_like(10), [32, 32, 3], layout);
        assert_eq!(attribute(node(&branches, "concatenate/Concat"), "axis").i, Some(1));
        sound(&branches);
    }
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let network = built(dogs_vs_cats(), [64, 64, 3]);
    let export = Export::new(&network, [64, 64, 3]);
    let refused = |export: Export<'_>| export.onnx().encode().unwrap_err().to_string();
    assert_eq!(refused(export.clone().labels(&["cat"])), "labels: 1 names for 2 outputs");
    let text = refused(export.clone().input_name("dense_1"));
    assert!(text.contains("\"dense_1\" and \"dense_1\": expected two different names"), "{text}");
    assert!(refused(export.clone().output_name("")).contains("expected two different names"));
    assert!(refused(export.rescale(f32::NAN)).starts_with("rescale: NaN"));
}

#[test]
fn a_folder_that_is_not_there_is_an_error_that_names_the_file() {
    let network = built(Sequential::new().add(Flatten).add(Dense::new(2)), [2, 2, 1]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("missing").join("model.onnx");
    let error = Export::new(&network, [2, 2, 1]).onnx().write(&path).unwrap_err();
    assert!(matches!(&error, Error::Write(error) if error.path == path), "{error}");
    Export::new(&network, [2, 2, 1]).onnx().write(folder.path().join("model.onnx")).unwrap();
}

#[test]
fn rows_are_normalized_along_their_only_axis() {
    let network = Sequential::new().add(Flatten).add(BatchNormalization::new());
    let graph = written(network, [2, 2, 2], Layout::Nhwc);
    let layer = node(&graph, "batch_normalization/BatchNormalization");
    assert_eq!(layer.input[0], "flatten/Flatten");
    assert_eq!(tensor(&graph, "batch_normalization/moving_variance").dims, [8]);
}
