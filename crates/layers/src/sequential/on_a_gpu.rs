//! Whole networks on a GPU are the networks on the CPU: small ones of the kinds that are published.

use super::Sequential;
use crate::trial::{Trial, kernels_agree};
use crate::{
    Activation, ActivationLayer, AveragePooling2D, BatchNormalization, Concatenate, Conv2D, Dense,
    Dropout, Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D, Layer, MaxPooling2D, Padding,
    Residual, ZeroPadding2D,
};
use gradus_tensor::gpu::Gpu;
use gradus_tensor::{Device, Shape, Spec, Tensor};
use gradus_testing::Cases;

fn conv(filters: usize, size: usize) -> Conv2D {
    Conv2D::new(filters, size).padding(Padding::Same)
}

/// The reference network with fewer filters.
fn dogs_vs_cats() -> Sequential {
    let block = |chain: Sequential, filters: usize| {
        chain
            .add(Conv2D::new(filters, 3).activation(Activation::Relu))
            .add(BatchNormalization::new())
            .add(MaxPooling2D::new(2))
            .add(Dropout::new(0.25))
    };
    block(block(Sequential::new(), 4), 8)
        .add(Flatten)
        .add(Dense::new(16).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(Dropout::new(0.5))
        .add(Dense::new(2).activation(Activation::Softmax))
}

#[test]
fn the_reference_network_in_miniature() {
    // The longest sums go over 4 · 14 · 15 pixels.
    kernels_agree("dogs_vs_cats", dogs_vs_cats, Shape::new(&[4, 16, 17, 3]), 840);
}

/// A network of residual blocks, one with a shortcut of its own.
fn resnet() -> Sequential {
    let normalized = |chain: Sequential, conv: Conv2D| {
        chain.add(conv.use_bias(false)).add(BatchNormalization::new())
    };
    let relu = || ActivationLayer::new(Activation::Relu);
    let body = |filters: usize, stride: usize| {
        let first = normalized(Sequential::new(), conv(filters, 3).strides(stride));
        normalized(first.add(relu()), conv(filters, 3))
    };
    let shortcut = normalized(Sequential::new(), conv(6, 1).strides(2));
    normalized(Sequential::new(), conv(4, 3))
        .add(relu())
        .add(Residual::new(body(4, 1)).activation(Activation::Relu))
        .add(Residual::new(body(6, 2)).shortcut(shortcut).activation(Activation::Relu))
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(3))
}

#[test]
fn residual_blocks() {
    kernels_agree("resnet", resnet, Shape::new(&[3, 8, 7, 3]), 3 * 8 * 7);
}

/// Branches side by side, and every layer that the other networks lack.
fn inception() -> Sequential {
    let pool = MaxPooling2D::new(3).strides(1).padding(Padding::Same);
    let block = Concatenate::new()
        .branch(conv(4, 1).activation(Activation::Relu))
        .branch(Sequential::new().add(conv(3, 1)).add(conv(5, 3)).add(BatchNormalization::new()))
        .branch(Sequential::new().add(pool).add(conv(4, 1)))
        .branch(AveragePooling2D::new(3).strides(1).padding(Padding::Same));
    Sequential::new()
        .add(ZeroPadding2D::new(1))
        .add(Conv2D::new(4, 3).strides(2).activation(Activation::Relu))
        .add(block)
        .add(GlobalMaxPooling2D::new())
        .add(Dense::new(3).activation(Activation::Softmax))
}

#[test]
fn branches() {
    kernels_agree("inception", inception, Shape::new(&[3, 9, 8, 3]), 3 * 9 * 8);
}

#[test]
fn a_recorded_step_allocates_nothing_and_drops_anew_in_every_update() {
    if gradus_testing::gpu().is_none() {
        return;
    }
    // A stream and a count of its own: other tests work at the same time.
    let gpu = Gpu::open(0).expect("the device that just opened");
    let (device, shape) = (Device::Cuda(gpu.clone()), Shape::new(&[4, 16, 17, 3]));
    let mut cases = Cases::new("recorded step", 0);
    let x = Tensor::from_slice(shape, &cases.normal(shape.len())).on(&device);
    let [mut recorded, mut single] = [(); 2].map(|()| Trial::on(&device, dogs_vs_cats(), shape, 1));
    let step = |Trial { layer, cx, saved }: &mut Trial<Sequential>, tensors: &mut [Tensor; 3]| {
        let [y, dy, dx] = tensors;
        layer.forward(cx, &x, y, saved);
        dy.copy_from(y);
        layer.backward(cx, &x, y, dy, Some(dx), saved);
    };
    let y = Tensor::zeros(Spec::f32(Shape::new(&[4, 2])), &device);
    let [mut of_graph, mut of_kernels] = [(); 2].map(|()| [y.clone(), y.clone(), x.clone()]);
    // Kernels are loaded when they first run.
    step(&mut recorded, &mut of_graph);
    step(&mut single, &mut of_kernels);
    let allocations = gpu.allocations();
    let mut graph = gpu.capture(|| step(&mut recorded, &mut of_graph)).expect("a recorded step");
    let mut seen = Vec::new();
    for update in 1..4 {
        for trial in [&mut recorded, &mut single] {
            (trial.cx.step.step, trial.cx.step.seed) = (update, 7);
            trial.cx.publish_step();
        }
        graph.launch();
        step(&mut single, &mut of_kernels);
        assert_eq!(gpu.allocations(), allocations, "update {update}");
        let bits = |[y, _, dx]: &[Tensor; 3]| {
            let mut bits = Vec::new();
            for tensor in [y, dx] {
                let mut numbers = vec![0.0f32; tensor.len()];
                tensor.read(&mut numbers);
                bits.extend(numbers.iter().map(|number| number.to_bits()));
            }
            bits
        };
        assert_eq!(bits(&of_graph), bits(&of_kernels), "update {update}");
        seen.push(bits(&of_graph));
    }
    assert!(seen[0] != seen[1] && seen[1] != seen[2], "each update drops others");
    gpu.synchronize().expect("a sound device");
}
