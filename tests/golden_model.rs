//! The whole network against Keras: three steps of training from the same first values on the same
//! batch, held against Keras in float64, with the thresholds that the golden vectors' manifest
//! gives. What is compared and what is not stands in docs/goldens.md.

use gradus::layers::tensor::{Context, Device, Fields, Path, Shape, Tensor};
use gradus::layers::{Layer, Sequential, Tally};
use gradus::prelude::*;
use gradus::train::{Batch, Planned, Step};
use gradus_testing::Golden;
use ndarray::{Array2, Array4, ArrayD};
use std::collections::BTreeMap;

/// The tutorial's network for images of `size`, with that many units before the last layer, and no
/// dropout.
fn network(units: usize) -> Sequential {
    let conv = |filters| Conv2D::new(filters, 3).activation(Activation::Relu);
    let mut chain = Sequential::new();
    for filters in [32, 64, 128] {
        chain = chain.add(conv(filters)).add(BatchNormalization::new()).add(MaxPooling2D::new(2));
        chain = chain.add(Dropout::new(0.0));
    }
    chain
        .add(Flatten)
        .add(Dense::new(units).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(Dropout::new(0.0))
        .add(Dense::new(2).activation(Activation::Softmax))
}

/// Our name of a tensor, from the golden file's: `conv2.kernel` → `conv2d_1.kernel`.
fn ours(golden: &str) -> String {
    let (layer, tensor) = golden.split_once('.').expect("layer.tensor");
    let (kind, number) = layer.split_at(layer.len() - 1);
    let class = match kind {
        "conv" => "conv2d",
        "bn" => "batch_normalization",
        _ => "dense",
    };
    match number {
        "1" => format!("{class}.{tensor}"),
        n => format!("{class}_{}.{tensor}", n.parse::<usize>().expect("a number") - 1),
    }
}

/// Every tensor (or every gradient) of the network by name.
fn tensors(network: &Sequential, gradients: bool) -> BTreeMap<String, Vec<f32>> {
    use gradus::tensor::Field;
    let mut all = BTreeMap::new();
    network.visit(&mut Path::default(), &mut |path, field| {
        let tensor = match (&field, gradients) {
            (Field::Param(p), true) => &p.grad,
            (Field::Buffer(_), true) => return,
            _ => field.value(),
        };
        all.insert(path.to_string(), tensor.slice::<f32>().to_vec());
    });
    all
}

fn set(network: &mut Sequential, values: &BTreeMap<String, Vec<f32>>) {
    network.visit_mut(&mut Path::default(), &mut |path, field| {
        field.into_value().slice_mut::<f32>().copy_from_slice(&values[path.as_str()]);
    });
}

/// ‖a − e‖ / ‖e‖.
fn relative(actual: impl Iterator<Item = f64>, expected: impl Iterator<Item = f64>) -> f64 {
    let (mut off, mut size) = (0.0, 0.0);
    for (a, e) in actual.zip(expected) {
        off += (a - e) * (a - e);
        size += e * e;
    }
    (off / size).sqrt()
}

fn largest_difference(actual: &[f32], expected: &ArrayD<f32>) -> f64 {
    let expected = expected.as_slice().expect("contiguous");
    assert_eq!(actual.len(), expected.len());
    let off = actual.iter().zip(expected).map(|(a, e)| f64::from((a - e).abs()));
    off.fold(0.0, f64::max)
}

fn softmax(logits: &Tensor) -> Vec<f32> {
    let mut y = logits.clone();
    Activation::Softmax.forward(&Context::new(Device::Cpu, 1), &mut y);
    y.slice().to_vec()
}

/// A network, its batch, and the memory of three steps.
struct Trial {
    network: Sequential,
    images: Array4<f32>,
    targets: Array2<f32>,
    context: Context,
    step: Step,
}

impl Trial {
    fn new(
        units: usize,
        images: Array4<f32>,
        targets: Array2<f32>,
        init: &BTreeMap<String, Vec<f32>>,
    ) -> Self {
        let mut network = network(units);
        let (n, h, w, c) = images.dim();
        let input = Shape::new(&[n, h, w, c]);
        network.build_on(input, &Device::Cpu, 0).expect("the layers fit");
        set(&mut network, init);
        let mut context = Context::new(Device::Cpu, 2);
        context.step.learning_rate = 1e-3;
        let mut loss = CategoricalCrossentropy::new();
        network.split_head(|head| gradus::layers::Loss::take_logits(&mut loss, head));
        let (loss, optimizer) = (Box::new(loss), Box::new(RMSprop::default()));
        let step = Step::new(&network, input, &mut context, loss, optimizer).expect("a plan");
        Self { network, images, targets, context, step }
    }

    /// Loss and probabilities of the next step.
    fn train(&mut self) -> (f64, Vec<f32>) {
        let mut tally = Tally::default();
        let batch = Batch::new(self.images.view(), self.targets.view());
        self.step.train(&mut self.network, &mut self.context, &batch, &mut tally);
        (tally.loss(), softmax(self.step.output()))
    }

    fn probabilities(&mut self) -> Vec<f32> {
        let batch = Batch::new(self.images.view(), self.targets.view());
        let mut tally = Tally::default();
        self.step.evaluate(&self.network, &mut self.context, &batch, &mut tally);
        self.step.evaluated().slice::<f32>().to_vec()
    }
}

#[test]
fn the_small_model_trains_as_in_keras() {
    let Some(golden) = Golden::open("model_small") else { return };
    let order = golden.params("_inputs")["order"].as_array().expect("order").clone();
    let names: Vec<&str> = order.iter().map(|n| n.as_str().expect("a name")).collect();
    let read = |case: &str, field: &str| golden.tensor(case, field).into_raw_vec_and_offset().0;
    let init: BTreeMap<String, Vec<f32>> =
        names.iter().map(|n| (ours(n), read("_inputs", &format!("init.{n}")))).collect();
    let images = golden.tensor("_inputs", "X").into_dimensionality().expect("N H W C");
    let targets = golden.tensor("_inputs", "Y").into_dimensionality().expect("N classes");
    let mut trial = Trial::new(64, images, targets, &init);

    let losses = &golden.params("f64")["loss_f64"];
    let probabilities = golden.tensor("f64", "probs");
    let off = largest_difference(&trial.probabilities(), &golden.tensor("f64", "infer_before"));
    assert!(off <= 1e-6, "inference before training: {off:.2e}");

    for (step, allowed) in [1e-5, 1e-4, 5e-4].into_iter().enumerate() {
        let (loss, probs) = trial.train();
        let off = (loss - losses[step].as_f64().expect("a loss")).abs();
        eprintln!("loss of step {}: off by {off:.2e} of {allowed:.0e}", step + 1);
        assert!(off <= allowed, "loss of step {}: {off:.2e}", step + 1);
        if step > 0 {
            continue;
        }
        let expected = probabilities.index_axis(ndarray::Axis(0), 0).to_owned();
        let off = largest_difference(&probs, &expected);
        assert!(off <= 5e-5, "probabilities of step 1: {off:.2e}");
        let (gradients, values) = (tensors(&trial.network, true), tensors(&trial.network, false));
        for name in &names {
            let (name, first) = (ours(name), &init[&ours(name)]);
            let field = |what: &str| read("f64", &format!("{what}.{}", golden_name(&names, &name)));
            let as_f64 = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
            if let Some(gradient) = gradients.get(&name) {
                let off = relative(
                    as_f64(gradient).into_iter(),
                    as_f64(&field("grad_step1")).into_iter(),
                );
                assert!(off <= 2e-4, "gradient of {name}: {off:.2e}");
            }
            let update = |after: &[f32]| -> Vec<f64> {
                after.iter().zip(first).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect()
            };
            let off =
                relative(update(&values[&name]).into_iter(), update(&field("after1")).into_iter());
            assert!(off <= 3e-3, "update of {name}: {off:.2e}");
        }
    }
}

fn golden_name<'a>(names: &[&'a str], name: &str) -> &'a str {
    names.iter().find(|n| ours(n) == name).expect("a golden tensor of that name")
}

/// u[i] of the manifest: splitmix64's finaliser over a Weyl sequence, its upper 24 bits as a
/// fraction.
fn hash_uniform(seed: u64, n: usize) -> impl Iterator<Item = f32> {
    const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
    (0..n as u64).map(move |i| {
        let mut z = seed.wrapping_mul(GOLDEN_RATIO);
        z = z.wrapping_add((i + 1).wrapping_mul(GOLDEN_RATIO));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 / (1u32 << 24) as f32
    })
}

/// X = (u_pixel/4 + u_block/2) + u_image/4, blocks of an eighth of the side.
fn formula_images(n: usize, size: usize) -> Array4<f32> {
    let pixel: Vec<f32> = hash_uniform(2000, n * size * size * 3).collect();
    let block: Vec<f32> = hash_uniform(2002, n * 8 * 8 * 3).collect();
    let image: Vec<f32> = hash_uniform(2003, n * 3).collect();
    let side = size / 8;
    Array4::from_shape_fn((n, size, size, 3), |(i, h, w, c)| {
        let p = pixel[((i * size + h) * size + w) * 3 + c];
        let b = block[((i * 8 + h / side) * 8 + w / side) * 3 + c];
        (0.25 * p + 0.5 * b) + 0.25 * image[i * 3 + c]
    })
}

#[test]
fn the_full_model_trains_as_in_keras() {
    let Some(golden) = Golden::open("model_full") else { return };
    let inputs = golden.params("_inputs").clone();
    let images = formula_images(15, 128);
    let sum: f64 = images.iter().map(|&v| f64::from(v)).sum();
    let expected = inputs["check"]["X_sum_f64"].as_f64().expect("a sum");
    assert!((sum - expected).abs() < 1e-6, "the images are not those of the manifest: {sum}");
    let targets = golden.tensor("_inputs", "Y").into_dimensionality().expect("N classes");
    let mut init = BTreeMap::new();
    let mut lengths = BTreeMap::new();
    let mut sized = network(512);
    sized.build_on(Shape::new(&[1, 128, 128, 3]), &Device::Cpu, 0).expect("the layers fit");
    for (name, values) in tensors(&sized, false) {
        lengths.insert(name, values.len());
    }
    for (name, rule) in inputs["weights"].as_object().expect("weights") {
        let n = lengths[&ours(name)];
        let values = match (rule["constant"].as_f64(), rule["seed"].as_u64()) {
            (Some(value), _) => vec![value as f32; n],
            (None, seed) => {
                let limit = rule["limit_f32"].as_f64().expect("a limit") as f32;
                hash_uniform(seed.expect("a seed"), n).map(|u| (2.0 * u - 1.0) * limit).collect()
            }
        };
        init.insert(ours(name), values);
    }
    let mut trial = Trial::new(512, images, targets, &init);

    let off = largest_difference(&trial.probabilities(), &golden.tensor("f64", "infer_before"));
    assert!(off <= 1e-6, "inference before training: {off:.2e}");
    let losses = &golden.params("f64")["loss_f64"];
    for (step, allowed) in [5e-5, 5e-3, 1e-2].into_iter().enumerate() {
        let (loss, probs) = trial.train();
        let off = (loss - losses[step].as_f64().expect("a loss")).abs();
        eprintln!("loss of step {}: off by {off:.2e} of {allowed:.0e}", step + 1);
        assert!(off <= allowed, "loss of step {}: {off:.2e}", step + 1);
        if step > 0 {
            continue;
        }
        let expected = golden.tensor("f64", "probs").index_axis(ndarray::Axis(0), 0).to_owned();
        let off = largest_difference(&probs, &expected);
        assert!(off <= 3e-4, "probabilities of step 1: {off:.2e}");
        let mut compared = 0;
        for (name, gradient) in tensors(&trial.network, true) {
            let order = inputs["order"].as_array().expect("order");
            let names: Vec<&str> = order.iter().filter_map(|n| n.as_str()).collect();
            let field = format!("grad_step1.{}", golden_name(&names, &name));
            if !golden.has("f64", &field) {
                continue; // the two largest are stored as samples
            }
            let expected = golden.tensor("f64", &field);
            let off = relative(
                gradient.iter().map(|&v| f64::from(v)),
                expected.iter().map(|&v| f64::from(v)),
            );
            assert!(off <= 3e-2, "gradient of {name}: {off:.2e}");
            compared += 1;
        }
        assert!(compared >= 16, "{compared} gradients compared");
    }
}

/// A plan that does not fit is refused before any memory is made.
#[test]
fn a_network_that_does_not_end_in_classes_cannot_be_trained() {
    let mut chain = Sequential::new().add(Conv2D::new(2, 3));
    let input = Shape::new(&[1, 8, 8, 3]);
    chain.build_on(input, &Device::Cpu, 0).expect("the layers fit");
    let error = Planned::new(&chain, input, gradus::layers::Mode::Train).unwrap_err();
    assert!(error.to_string().contains("(N, classes)"), "{error}");
    assert!(chain.output_shape(input).is_ok());
}
