//! A device before 8.0, such as a T4: exact in f32, and without tensor cores for more. Emulated, in a
//! process of its own.

use gradus::layers::Sequential;
use gradus::layers::conv2d::Geometry;
use gradus::layers::conv2d::cuda::ladder::{self, Rung};
use gradus::layers::{Loss as _, Tally};
use gradus::prelude::*;
use gradus::tensor::gpu::{CudaError, Gpu};
use gradus::tensor::{Fields as _, Path, Shape, Spec, Tensor};
use gradus::train::{Batch, Step};
use gradus_testing::{Cases, older_gpu};
use ndarray::{Array2, Array4};

const SIDE: usize = 12;
const BATCH: usize = 6;

fn network() -> Sequential {
    Sequential::new()
        .add(Conv2D::new(8, 3).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(16).activation(Activation::Relu))
        .add(Dense::new(2).activation(Activation::Softmax))
}

/// Losses of five steps, of which a GPU records the later ones, and the bits of the network.
fn train(device: &Device, precision: Precision) -> (Vec<f64>, Vec<u32>) {
    let mut cases = Cases::new("before tensor cores", 0);
    let images = cases.normal(BATCH * SIDE * SIDE * 3);
    let images = Array4::from_shape_vec((BATCH, SIDE, SIDE, 3), images).expect("as many pixels");
    let targets = Array2::from_shape_fn((BATCH, 2), |(i, k)| f32::from(u8::from(i % 2 == k)));
    let (mut network, input) = (network(), Shape::new(&[BATCH, SIDE, SIDE, 3]));
    network.build_on(input, device, 1).expect("the layers fit");
    let mut context = Context::new(device.clone(), 1);
    context.precision = precision;
    context.step.learning_rate = 1e-2;
    let mut loss = CategoricalCrossentropy::new();
    network.split_head(|head| loss.take_logits(head));
    let optimizer = Box::new(RMSprop::default());
    let mut step =
        Step::new(&network, input, &mut context, Box::new(loss), optimizer).expect("it fits");
    let (mut tally, mut losses) = (Tally::default(), Vec::new());
    for _ in 0..5 {
        let batch = Batch::new(images.view(), targets.view());
        step.train(&mut network, &mut context, &batch, &mut tally);
        context.check().expect("a sound device");
    }
    tally.collect(&mut context);
    losses.push(tally.loss());
    let mut bits = Vec::new();
    network.visit(&mut Path::default(), &mut |_, field| {
        bits.extend(field.value().numbers::<f32>().iter().map(|v| v.to_bits()));
    });
    (losses, bits)
}

/// What the rungs of the ladder say.
fn climb(gpu: &Gpu) -> Vec<Result<(), CudaError>> {
    let device = Device::Cuda(gpu.clone());
    let [x, kernel] = [[1, 4, 4, 64], [3, 3, 64, 64]].map(|shape| Shape::new(&shape));
    let g = Geometry::new(x, kernel, [1, 1], Padding::Valid, [1, 1]).expect("it fits");
    let [x, kernel] = [x, kernel].map(|shape| Tensor::zeros(Spec::f32(shape), &device));
    let mut y = Tensor::zeros(Spec::f32(g.y()), &device);
    let mut scratch = Tensor::zeros(Spec::f32(Shape::new(&[Rung::Hopper.scratch(&g)])), &device);
    let climbed = Rung::ALL.into_iter().map(|rung| {
        let of = [x.gpu(), kernel.gpu()];
        ladder::forward(gpu, rung, &g, of, scratch.gpu_mut(), y.gpu_mut());
        gpu.synchronize()
    });
    climbed.collect()
}

#[test]
fn a_device_without_tensor_cores_learns_in_f32_whatever_it_is_told() {
    let Some(gpu) = older_gpu((7, 5)) else { return };
    assert_eq!(gpu.compute_capability(), (7, 5));
    let device = Device::Cuda(gpu.clone());
    let (losses, bits) = train(&device, Precision::F32);
    let (expected, _) = train(&Device::Cpu, Precision::F32);
    for (found, expected) in losses.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-4 * expected, "{found} {expected}");
    }
    // As `Context::precision` says: such a device stays exact.
    for precision in [Precision::Tf32, Precision::Bf16] {
        assert!(train(&device, precision) == (losses.clone(), bits.clone()), "{precision}");
    }
    let climbed = climb(&gpu);
    assert_eq!(climbed[..3], [const { Ok(()) }; 3]);
    for (rung, told) in Rung::ALL.into_iter().zip(climbed).skip(3) {
        let text = told.expect_err("no tensor cores").to_string();
        let needed = if rung == Rung::Hopper { "9.0 alone" } else { "8.0 or newer" };
        assert!(text.contains(&format!("{rung:?}")) && text.contains(needed), "{text}");
    }
}
