//! What a network comes to, and what is refused.

use super::*;
use gradus_layers::{
    BatchNormalization, Concatenate, ConfigError, Conv2D, Dense, Described, Dropout, Flatten, Init,
    MaxPooling2D, Mode, Plan, Registry, Residual, Saved, ShapeError,
};
use gradus_models::{Stem, dogs_vs_cats, inception_like, resnet18};
use gradus_tensor::{Context, Device, Spec, Tensor, fields};

const IMAGES: [usize; 4] = [1, 8, 8, 3];

fn built(mut network: Sequential, x: [usize; 4]) -> Sequential {
    network.build_on(Shape::new(&x), &Device::Cpu, 0).expect("the shapes fit");
    network
}

fn graph(network: Sequential, x: [usize; 4]) -> Result<Graph, Error> {
    Graph::of(&built(network, x), Shape::new(&x))
}

/// The kinds of operations, in order.
fn words(graph: &Graph) -> Vec<String> {
    let word = |node: &Node| {
        let text = format!("{:?}", node.op);
        text.split([' ', '(', '{']).next().expect("a name").to_owned()
    };
    graph.nodes.iter().map(word).collect()
}

/// A layer of someone else's.
#[derive(Debug, Default)]
struct Mine {
    scale: Tensor,
}

fields! { Mine: buffer scale }

impl Layer for Mine {
    fn config(&self) -> Config {
        Config { class_name: "Mine".to_owned(), config: serde_json::Map::new() }
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        Ok(x)
    }

    fn build(&mut self, _: Shape, _: &mut Init<'_>) -> Result<(), ShapeError> {
        Ok(())
    }

    fn plan(&self, x: Spec, _: Mode) -> Result<Plan, ShapeError> {
        Ok(Plan::new(x))
    }

    fn infer(&self, _: &mut Context, _: &Tensor, _: &mut Tensor, _: &mut Saved) {}

    fn forward(&mut self, _: &mut Context, _: &Tensor, _: &mut Tensor, _: &mut Saved) {}

    fn backward(
        &mut self,
        _: &mut Context,
        _: &Tensor,
        _: &Tensor,
        _: &mut Tensor,
        _: Option<&mut Tensor>,
        _: &mut Saved,
    ) {
    }
}

#[test]
fn every_class_of_the_registry_is_known() {
    let unknown = Config { class_name: "?".to_owned(), config: serde_json::Map::new() };
    let Err(ConfigError::UnknownClass { known, .. }) = Registry::default().layer(&unknown) else {
        panic!("no layer is called ?");
    };
    let classes: Vec<&str> = known.split(", ").collect();
    assert!(classes.len() >= 18, "{known}");
    let x = Value { id: 0, shape: Shape::new(&IMAGES) };
    for class in classes {
        // A layer without fields, called by that class: what is refused is refused for its options.
        let config = Config { class_name: class.to_owned(), config: serde_json::Map::new() };
        let mut walk = Walk { nodes: Vec::new(), path: Path::default() };
        if let Err(error) = walk.layer(&Flatten, &config, x) {
            let error = error.to_string();
            assert!(!error.contains("do not know this class"), "{error}");
        }
    }
}

#[test]
fn a_class_that_nobody_else_knows_is_refused_by_path_and_name() {
    let body = Sequential::new().add(Dropout::new(0.1)).add(Mine::default());
    let error = graph(Sequential::new().add(Residual::new(body)), IMAGES).unwrap_err();
    assert!(matches!(&error, Error::Layer { layer, class_name, .. }
        if layer == "residual.body.mine" && class_name == "Mine"));
    let text = error.to_string();
    assert!(text.starts_with("residual.body.mine: this Mine cannot be exported: "), "{text}");
}

#[test]
fn a_network_without_weights_is_refused() {
    let error = Graph::of(&dogs_vs_cats(), Shape::new(&[1, 128, 128, 3])).unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "conv2d: this Conv2D cannot be exported: it has no weights; build or load the network"
    );
}

#[test]
fn images_that_the_network_was_not_built_for_are_refused_by_the_layer() {
    let network = built(dogs_vs_cats(), [1, 64, 64, 3]);
    let error = Graph::of(&network, Shape::new(&[1, 128, 128, 3])).unwrap_err();
    let expected = "dense: input has shape (1, 25088), expected (N, 4608), for which it was built";
    assert_eq!(error.to_string(), expected);
    let error = Graph::of(&network, Shape::new(&[1, 64, 64, 1])).unwrap_err();
    assert!(error.to_string().starts_with("conv2d: input has shape (1, 64, 64, 1)"), "{error}");
    let error = Graph::of(&network, Shape::new(&[1, 3, 3, 3])).unwrap_err();
    assert!(error.to_string().starts_with("max_pooling2d: input has shape"), "{error}");
}

#[test]
fn a_chain_becomes_its_operations_and_dropout_none() {
    let graph = graph(dogs_vs_cats(), [1, 128, 128, 3]).unwrap();
    let block = ["Conv2D", "Activation", "BatchNormalization", "Pool"];
    let end = ["Flatten", "Dense", "Activation", "BatchNormalization", "Dense", "Activation"];
    assert_eq!(words(&graph), [&block[..], &block, &block, &end].concat());
    let last = graph.nodes.last().unwrap();
    assert!(matches!(last.op, Op::Activation(Activation::Softmax)));
    assert_eq!((last.path.as_str(), last.output), ("dense_1", graph.output));
    assert_eq!(graph.output.shape, Shape::new(&[1, 2]));
}

#[test]
fn a_softmax_that_training_took_off_is_there() {
    let mut network = built(dogs_vs_cats(), [1, 128, 128, 3]);
    network.split_head(|head| head == Activation::Softmax);
    assert_eq!(network.head(), Activation::Softmax);
    let graph = Graph::of(&network, Shape::new(&[1, 128, 128, 3])).unwrap();
    let last = &graph.nodes.last().unwrap().op;
    assert!(matches!(last, Op::Activation(Activation::Softmax)));
}

#[test]
fn both_ways_of_a_residual_are_added() {
    let graph = graph(resnet18(Stem::Cifar, 10), [1, 32, 32, 3]).unwrap();
    let adds: Vec<&Node> = graph.nodes.iter().filter(|n| matches!(n.op, Op::Add)).collect();
    assert_eq!(adds.len(), 8);
    // The first block goes around itself: what it adds is what its body takes.
    let first = graph.nodes.iter().find(|n| n.path == "residual.body.conv2d").unwrap();
    assert_eq!(adds[0].inputs[1], first.inputs[0]);
    assert_eq!(adds[0].path, "residual");
    // The third has a convolution on the other way.
    let other = adds[2].inputs[1];
    let other = &graph.nodes[other.id - 1];
    assert_eq!(other.path, "residual_2.shortcut.batch_normalization");
    let relu = |n: &&Node| matches!(n.op, Op::Activation(Activation::Relu));
    assert_eq!(graph.nodes.iter().filter(relu).count(), 1 + 8 * 2);
}

#[test]
fn branches_are_joined_in_their_order() {
    let graph = graph(inception_like(10), [1, 32, 32, 3]).unwrap();
    let join = graph.nodes.iter().find(|n| matches!(n.op, Op::Concatenate)).unwrap();
    let channels: Vec<usize> = join.inputs.iter().map(|part| part.shape.last()).collect();
    assert_eq!((channels, join.output.shape.last()), (vec![8, 16, 8, 8], 40));
    // Each way begins at the same value.
    let begin = |path: &str| graph.nodes.iter().find(|n| n.path == path).unwrap().inputs[0];
    assert_eq!(begin("concatenate.branch_1"), begin("concatenate.branch_4.max_pooling2d"),);
}

#[test]
fn a_normalization_without_gamma_and_beta_has_ones_and_zeros() {
    let layer = BatchNormalization::new().center(false).scale(false);
    let graph = graph(Sequential::new().add(layer), IMAGES).unwrap();
    let Op::BatchNormalization { gamma, beta, epsilon, .. } = &graph.nodes[0].op else {
        panic!("{:?}", graph.nodes[0].op);
    };
    assert_eq!((gamma.values.as_slice(), beta.values.as_slice()), (&[1.0; 3][..], &[0.0; 3][..]));
    assert_eq!(*epsilon, 1e-3);
}

#[test]
fn a_layer_that_pretends_to_be_another_loses_no_weight() {
    let layer = Mine { scale: Tensor::from_slice(Shape::new(&[1]), &[2.0f32]) };
    let config = Dense::new(2).config();
    let mut walk = Walk { nodes: Vec::new(), path: Path::default() };
    let x = Value { id: 0, shape: Shape::new(&[1, 3]) };
    let error = walk.layer(&layer, &config, x).unwrap_err().to_string();
    assert!(error.contains("its weight scale is not known"), "{error}");
}

#[test]
fn an_activation_written_as_a_layer_is_read() {
    let config = serde_json::json!({"class_name": "ReLU", "config": {"negative_slope": 0.1}});
    let config: Config = serde_json::from_value(config).unwrap();
    let layer = gradus_layers::ReLU::from_config(&config, &Registry::empty()).unwrap();
    let chain = Sequential::new().add(layer).add(MaxPooling2D::new(2));
    let graph = graph(chain.add(Concatenate::new().branch(Conv2D::new(2, 1))), IMAGES).unwrap();
    let Op::Activation(activation) = graph.nodes[0].op else { panic!("{:?}", graph.nodes[0].op) };
    assert_eq!(activation, Activation::LeakyRelu { negative_slope: 0.1 });
}
