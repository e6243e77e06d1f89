//! The proof: names, the chain rule, batches of any size, links of several layers.

use super::*;
use crate::{BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D};
use gradus_testing::Cases;

fn small() -> Sequential {
    Sequential::new()
        .add(Conv2D::new(4, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.0))
        .add(Conv2D::new(3, 3))
        .add(Flatten)
        .add(Dense::new(2).activation(Activation::Softmax))
}

#[test]
fn names_are_numbered_as_in_keras() {
    let chain = small().add(BatchNormalization::new()).add(Dense::new(1));
    let names = [
        "conv2d",
        "batch_normalization",
        "max_pooling2d",
        "dropout",
        "conv2d_1",
        "flatten",
        "dense",
        "batch_normalization_1",
        "dense_1",
    ];
    assert_eq!(chain.names, names);
    assert_eq!(snake_case("GlobalAveragePooling2D"), "global_average_pooling2d");
    assert_eq!(snake_case("ReLU"), "re_lu");
}

#[test]
fn a_shape_that_does_not_fit_names_the_layer() {
    let error = small().build_on(Shape::new(&[1, 6, 6, 3]), &Device::Cpu, 0).unwrap_err();
    assert_eq!(error.layer, "conv2d_1");
}

#[test]
fn the_description_rebuilds_the_chain_with_its_softmax() {
    let mut chain = small();
    chain.split_head(|head| head == Activation::Softmax);
    assert_eq!(chain.head(), Activation::Softmax);
    let config = chain.config();
    let again = Sequential::from_config(&config, &Registry::default()).unwrap();
    assert_eq!(again.config(), config);
    assert_eq!(again.names, chain.names);
    let last = &config.config["layers"][6];
    assert_eq!(last["config"]["activation"], "softmax");
}

#[test]
fn a_head_goes_back_where_the_next_loss_does_not_absorb_it() {
    let (mut chain, whole) = (small(), small().config());
    chain.split_head(|_| true);
    chain.split_head(|head| {
        assert_eq!(head, Activation::Softmax, "the loss is asked for the activation itself");
        false
    });
    assert_eq!((chain.head(), chain.config()), (Activation::Linear, whole));
    let last = chain.layers.last_mut().unwrap();
    assert_eq!(last.closing_activation(), Some(&mut Activation::Softmax));
}

/// The chain as a function of one image batch: loss = Σ r·y, by training's forward.
fn run(chain: &mut Sequential, x: &Tensor, r: &[f32]) -> (f64, Tensor) {
    let mut cx = Context::new(Device::Cpu, 1);
    let plan = chain.plan(x.spec(), Mode::Train).unwrap();
    plan.reserve(&mut cx);
    let mut saved = Saved::allocate(&plan, &Device::Cpu);
    let mut y = Tensor::zeros(plan.output, &Device::Cpu);
    chain.forward(&mut cx, x, &mut y, &mut saved);
    let loss = y.slice::<f32>().iter().zip(r).map(|(y, r)| f64::from(y * r)).sum();
    let mut dx = Tensor::zeros(x.spec(), &Device::Cpu);
    let mut dy = Tensor::from_slice(y.shape(), r);
    chain.backward(&mut cx, x, &y, &mut dy, Some(&mut dx), &mut saved);
    (loss, dx)
}

/// Every room's gradient is proved in f64; here the chain rule is: in f32, along the gradient
/// itself, where the change of the loss is largest.
#[test]
fn the_chain_rule_reaches_the_first_input() {
    let mut cases = Cases::new("chain rule", 0);
    let shape = Shape::new(&[2, 10, 9, 3]);
    let (x, r) = (cases.normal(shape.len()), cases.normal(4));
    let mut chain = small();
    chain.build_on(shape, &Device::Cpu, 5).unwrap();
    let (_, dx) = run(&mut chain, &Tensor::from_slice(shape, &x), &r);
    let dx = dx.slice::<f32>();
    let norm2: f64 = dx.iter().map(|d| f64::from(d * d)).sum();
    assert!(norm2 > 1e-6, "a gradient that vanishes proves nothing");
    let mut at = |h: f32| {
        let moved: Vec<f32> = x.iter().zip(dx).map(|(x, d)| x + h * d).collect();
        run(&mut chain, &Tensor::from_slice(shape, &moved), &r).0
    };
    let h = 1e-3 / norm2.sqrt();
    let slope = (at(h as f32) - at(-h as f32)) / (2.0 * h);
    assert!((slope / norm2 - 1.0).abs() < 1e-2, "slope {slope}, ‖dx‖² {norm2}");
}

#[test]
fn inference_of_a_smaller_batch_gives_the_same_rows() {
    let mut cases = Cases::new("smaller batch", 0);
    let shape = Shape::new(&[3, 10, 9, 3]);
    let x = Tensor::from_slice(shape, &cases.normal(shape.len()));
    let mut chain = small();
    chain.build_on(shape, &Device::Cpu, 5).unwrap();
    let mut cx = Context::new(Device::Cpu, 2);
    let plan = chain.plan(x.spec(), Mode::Infer).unwrap();
    plan.reserve(&mut cx);
    let mut saved = Saved::allocate(&plan, &Device::Cpu);
    let mut y = Tensor::zeros(plan.output, &Device::Cpu);
    chain.infer(&mut cx, &x, &mut y, &mut saved);
    let whole = y.slice::<f32>().to_vec();
    let mut part = x.clone();
    part.set_shape(shape.with_batch(2));
    saved.set_batch(2);
    y.set_shape(saved.output());
    chain.infer(&mut cx, &part, &mut y, &mut saved);
    assert_eq!(y.slice::<f32>(), &whole[..4]);
}

/// What the chain answers with a context and memory of its own.
fn answer(chain: &Sequential, x: &Tensor, threads: usize) -> Vec<f32> {
    let mut cx = Context::new(Device::Cpu, threads);
    let plan = chain.plan(x.spec(), Mode::Infer).unwrap();
    plan.reserve(&mut cx);
    let mut saved = Saved::allocate(&plan, &Device::Cpu);
    let mut y = Tensor::zeros(plan.output, &Device::Cpu);
    chain.infer(&mut cx, x, &mut y, &mut saved);
    y.slice::<f32>().to_vec()
}

#[test]
fn threads_that_share_a_chain_get_the_bits_that_one_gets() {
    let mut cases = Cases::new("shared chain", 0);
    let mut chain = small();
    chain.build_on(Shape::new(&[1, 10, 9, 3]), &Device::Cpu, 5).unwrap();
    let batches: Vec<Tensor> = [3, 1, 5, 2]
        .map(|n| Shape::new(&[n, 10, 9, 3]))
        .map(|shape| Tensor::from_slice(shape, &cases.normal(shape.len())))
        .into();
    let expected: Vec<Vec<f32>> = batches.iter().map(|x| answer(&chain, x, 1)).collect();
    let (chain, start) = (&chain, std::sync::Barrier::new(4));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (batches, expected, start) = (&batches, &expected, &start);
            scope.spawn(move || {
                start.wait();
                // Each begins at another batch: at no time do all compute the same.
                for i in (0..20).map(|i| (i + thread) % batches.len()) {
                    let found = answer(chain, &batches[i], 1 + thread % 2);
                    assert_eq!(found, expected[i], "thread {thread}, batch {i}");
                }
            });
        }
    });
}

#[test]
fn a_layer_is_frozen_by_name_and_stays_so() {
    let shape = Shape::new(&[1, 10, 9, 3]);
    let frozen = |chain: &Sequential| {
        let mut frozen = Vec::new();
        chain.visit(&mut Path::default(), &mut |path, field| match field {
            Field::Param(param) if param.frozen => frozen.push(path.to_string()),
            _ => {}
        });
        frozen
    };
    let mut chain = Sequential::new().add_named("block", Box::new(small()));
    assert!(chain.layer_mut("block.dense_7").is_none() && chain.layer_mut("conv2d").is_none());
    let layer = chain.layer_mut("block.conv2d_1").expect("a convolution");
    layer.set_trainable(false);
    let names = ["block.conv2d_1.kernel", "block.conv2d_1.bias"];
    let unbuilt = chain.config();
    chain.build_on(shape, &Device::Cpu, 5).unwrap();
    assert_eq!(frozen(&chain), names, "building keeps it");
    let mut again = Sequential::from_config(&unbuilt, &Registry::default()).unwrap();
    again.build_on(shape, &Device::Cpu, 5).unwrap();
    assert_eq!((frozen(&again), again.config()), (frozen(&chain), unbuilt));
    chain.set_trainable(false);
    assert_eq!(frozen(&chain).len(), 8);
    chain.set_trainable(true);
    assert_eq!(frozen(&chain), [""; 0]);
}

#[test]
fn on_a_gpu_links_are_those_of_the_cpu() {
    let Some(gpu) = gradus_testing::gpu() else { return };
    let shape = Shape::new(&[2, 10, 9, 3]);
    let links = |device: &Device, fused: bool| {
        let mut chain = small();
        chain.set_fused(fused);
        chain.build_on(shape, device, 5).unwrap();
        let plans = [Mode::Train, Mode::Infer].map(|mode| chain.plan(Spec::f32(shape), mode));
        plans.map(|plan| plan.unwrap().inner.len())
    };
    for device in [Device::Cuda(gpu), Device::Cpu] {
        assert_eq!(links(&device, true), [4, 4], "{device:?}");
        assert_eq!(links(&device, false), [7, 7], "{device:?}");
    }
}
