//! Passes that are bound by memory, in bytes that they have to move at least, beside a plain copy.

use crate::convolutions::numbers;
use crate::rows::Rows;
use crate::tutorial::tutorial;
use anyhow::Result;
use gradus::augment::input;
use gradus::layers::{
    Activation, ActivationLayer, AveragePooling2D, BatchNormalization, CategoricalCrossentropy,
    Conv2D, Dropout, GlobalAveragePooling2D, GlobalMaxPooling2D, Init, Layer, Loss, MaxPooling2D,
    Mode, Saved, Sequential, Tally, Target, ZeroPadding2D, concatenate, residual,
};
use gradus::optim::{Adam, Clip, Ema, Optimizer, RMSprop};
use gradus::prelude::*;
use gradus::random::{Key, OnDevice as _, PixelMap};
use gradus::tensor::gpu::{DeviceBuffer, Gpu};
use gradus::tensor::{Field, Fields, Path, Shape, Spec, Tensor};

/// Bytes of a float.
const FLOAT: f64 = 4.0;

/// All of them.
pub(crate) fn measure(gpu: &Gpu, rows: &mut Rows) -> Result<()> {
    let x = Shape::new(if rows.quick { &[1, 8, 8, 32] } else { &[128, 126, 126, 32] });
    copy(gpu, rows, x)?;
    // How many numbers, for each of x, forward and backward read and write at least. What training
    // remembers besides, a byte for each number of y, is counted where it is more than nothing.
    let quarter = 0.25;
    let byte = 1.0 / FLOAT;
    layer(gpu, rows, "relu", x, ActivationLayer::new(Activation::Relu), [2.0, 3.0])?;
    layer(gpu, rows, "batch normalization", x, BatchNormalization::new(), [3.0, 5.0])?;
    let pooled = 1.0 + quarter * (1.0 + byte);
    layer(gpu, rows, "max pooling 2x2", x, MaxPooling2D::new(2), [pooled, pooled])?;
    layer(gpu, rows, "average pooling 2x2", x, AveragePooling2D::new(2), [1.25, 1.25])?;
    layer(gpu, rows, "global average pooling", x, GlobalAveragePooling2D::new(), [1.0, 1.0])?;
    // Some passes read more than they have to: this one x twice, to count those that share a winner.
    layer(gpu, rows, "global max pooling", x, GlobalMaxPooling2D::new(), [1.0, 2.0])?;
    let &[_, h, w, _] = x.dims() else { unreachable!("images") };
    let framed = ((h + 2) * (w + 2)) as f64 / (h * w) as f64;
    layer(gpu, rows, "zero padding", x, ZeroPadding2D::new(1), [1.0 + framed, 2.0])?;
    layer(gpu, rows, "dropout", x, Dropout::new(0.25), [2.0 + byte, 2.0 + byte])?;
    sums(gpu, rows, x)?;
    channels(gpu, rows, x)?;
    crossentropy(gpu, rows, x.len())?;
    pictures(gpu, rows)?;
    block(gpu, rows, "a block's layers one by one", false)?;
    block(gpu, rows, "a block's layers together", true)?;
    optimizer(gpu, rows, "RMSprop", Box::new(RMSprop::default()), 5.0)?;
    optimizer(gpu, rows, "Adam", Box::new(Adam::default()), 7.0)?;
    // The norm reads each gradient once more, and all of them are short enough: they are zeros.
    let clipped = RMSprop::default().clip(Clip::GlobalNorm(1.0));
    optimizer(gpu, rows, "RMSprop, global norm clipped", Box::new(clipped), 6.0)?;
    let averaged = RMSprop::default().use_ema(Ema::new());
    optimizer(gpu, rows, "RMSprop, weights averaged", Box::new(averaged), 8.0)
}

/// A residual's own passes: two ways added and a relu; and its gradient, once for each way.
fn sums(gpu: &Gpu, rows: &mut Rows, x: Shape) -> Result<()> {
    let [body, shortcut, mut y, mut dz] = [(); 4].map(|()| numbers(gpu, x));
    let bytes = |times: f64| times * FLOAT * x.len() as f64;
    rows.device(gpu, ["memory", "residual, forward", "bytes"], bytes(3.0), || {
        residual::cuda::forward(gpu, true, body.gpu(), shortcut.gpu(), y.gpu_mut());
    })?;
    let mut dy = body;
    rows.device(gpu, ["memory", "residual, backward", "bytes"], bytes(4.0), || {
        residual::cuda::backward(gpu, y.gpu(), dy.gpu_mut(), dz.gpu_mut());
    })
}

/// Two branches, each with half of the channels, side by side; and their gradients.
fn channels(gpu: &Gpu, rows: &mut Rows, x: Shape) -> Result<()> {
    let half = x.last() / 2;
    let mut part = numbers(gpu, Shape::new(&[x.len() / x.last(), half]));
    let (mut y, bytes) = (numbers(gpu, x), 2.0 * FLOAT * x.len() as f64);
    let columns = [0, half].map(|offset| [offset, half, x.last()]);
    rows.device(gpu, ["memory", "concatenate, forward", "bytes"], bytes, || {
        for of in columns {
            concatenate::cuda::forward(gpu, of, part.gpu(), y.gpu_mut());
        }
    })?;
    rows.device(gpu, ["memory", "concatenate, backward", "bytes"], bytes, || {
        for of in columns {
            concatenate::cuda::backward(gpu, of, y.gpu(), part.gpu_mut());
        }
    })
}

/// Softmax, crossentropy and their gradient in one: logits and targets are read, the gradient written.
fn crossentropy(gpu: &Gpu, rows: &mut Rows, len: usize) -> Result<()> {
    const CLASSES: usize = 1000;
    let shape = Shape::new(&[len / CLASSES, CLASSES]);
    let [logits, targets, mut gradient] = [(); 3].map(|()| numbers(gpu, shape));
    let mut cx = Context::new(Device::Cuda(gpu.clone()), 1);
    let loss = CategoricalCrossentropy::new().from_logits(true);
    let bytes = 3.0 * FLOAT * shape.len() as f64;
    rows.device(gpu, ["memory", "softmax and crossentropy", "bytes"], bytes, || {
        let (targets, mut tally) = (Target::new(&targets), Tally::default());
        loss.evaluate(&mut cx, &logits, targets, Some(&mut gradient), &mut tally);
    })
}

/// What the others are held against.
fn copy(gpu: &Gpu, rows: &mut Rows, x: Shape) -> Result<()> {
    let (from, mut to) = (numbers(gpu, x), numbers(gpu, x));
    let bytes = 2.0 * FLOAT * x.len() as f64;
    rows.device(gpu, ["memory", "copy", "bytes"], bytes, || to.copy_from(&from))
}

/// The tutorial's augmentation of a batch, of bytes that were uploaded: each is read, and makes a
/// float. Coordinates and weights are f64, of which some devices compute little.
fn pictures(gpu: &Gpu, rows: &mut Rows) -> Result<()> {
    let [n, side] = if rows.quick { [1, 8] } else { [128, 128] };
    let (size, values) = ([side, side, 3], n * side * side * 3);
    let augment = tutorial().build()?;
    let map = |index| augment.pixel_map(Key { seed: 0, epoch: 0, index }.into(), [side, side]);
    let maps: Vec<PixelMap> = (0..n as u32).map(map).collect();
    let pixels: Vec<u8> = (0..values).map(|i| (i * 37 % 251) as u8).collect();
    let mut table = DeviceBuffer::zeroed(gpu, size_of_val(&maps[..]));
    let mut bytes = DeviceBuffer::zeroed(gpu, values);
    table.upload(&maps);
    bytes.upload(&pixels);
    let x = Spec::f32(Shape::new(&[n, side, side, 3]));
    let mut x = Tensor::zeros(x, &Device::Cuda(gpu.clone()));
    let moved = (1.0 + FLOAT) * values as f64;
    rows.device(gpu, ["memory", "augmentation of a batch", "bytes"], moved, || {
        input::cuda::apply(gpu, size, table.view(n), bytes.view(values), x.gpu_mut());
    })
}

/// The tutorial's first block, whose convolution of three channels computes little. Both ways are
/// counted as what has to be moved together, so that the rates compare as the times do.
fn block(gpu: &Gpu, rows: &mut Rows, name: &str, together: bool) -> Result<()> {
    let x = Shape::new(if rows.quick { &[1, 10, 10, 3] } else { &[128, 128, 128, 3] });
    let mut chain = Sequential::new()
        .add(Conv2D::new(32, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.25));
    chain.set_fused(together);
    // How many numbers the convolution writes for each that it reads. Forward they are written, read
    // for the statistics and read; backward read, written, and read for both of the convolution's
    // gradients. A quarter of them is pooled: y and the winners with a byte each, dy and the same.
    let &[_, h, w, c] = x.dims() else { unreachable!("images") };
    let z = (32 * (h - 2) * (w - 2)) as f64 / (c * h * w) as f64;
    let pooled = 0.25 * (2.0 + 1.0 / FLOAT);
    let numbers = [1.0 + z * (3.0 + pooled), 2.0 + z * (4.0 + pooled)];
    layer(gpu, rows, name, x, chain, numbers)
}

fn layer<L: Layer>(
    gpu: &Gpu,
    rows: &mut Rows,
    name: &str,
    x: Shape,
    mut layer: L,
    [forward, backward]: [f64; 2],
) -> Result<()> {
    let device = Device::Cuda(gpu.clone());
    layer.build(x, &mut Init::new(&device, 0))?;
    let plan = layer.plan(Spec::f32(x), Mode::Train)?;
    let mut cx = Context::new(device.clone(), 1);
    plan.reserve(&mut cx);
    let mut saved = Saved::allocate(&plan, &device);
    cx.publish_step();
    let input = numbers(gpu, x);
    let mut y = Tensor::zeros(Spec::f32(saved.output()), &device);
    let bytes = |times: f64| times * FLOAT * x.len() as f64;
    rows.device(gpu, ["memory", &format!("{name}, forward"), "bytes"], bytes(forward), || {
        layer.forward(&mut cx, &input, &mut y, &mut saved);
    })?;
    let (mut dy, mut dx) = (numbers(gpu, y.shape()), input.clone());
    rows.device(gpu, ["memory", &format!("{name}, backward"), "bytes"], bytes(backward), || {
        layer.backward(&mut cx, &input, &y, &mut dy, Some(&mut dx), &mut saved);
    })
}

/// A step over the tutorial's parameters, of each of which so many numbers are moved.
fn optimizer(
    gpu: &Gpu,
    rows: &mut Rows,
    name: &str,
    mut optimizer: Box<dyn Optimizer>,
    numbers: f64,
) -> Result<()> {
    let device = Device::Cuda(gpu.clone());
    let side = if rows.quick { 22 } else { 128 };
    let mut network = models::dogs_vs_cats();
    network.build_on(Shape::new(&[1, side, side, 3]), &device, 0)?;
    optimizer.build(&network, &device);
    let mut cx = Context::new(device, 1);
    cx.step.learning_rate = 1e-3;
    let mut parameters = 0;
    network.visit(&mut Path::default(), &mut |_, field| {
        parameters += if let Field::Param(param) = field { param.value.len() } else { 0 };
    });
    let bytes = numbers * FLOAT * parameters as f64;
    optimizer.prepare(&mut cx);
    rows.device(gpu, ["memory", &format!("{name} step"), "bytes"], bytes, || {
        optimizer.step(&mut cx, &mut network);
    })
}
