//! burn's side of `cargo xtask rivals`: the tutorial's network on its back end `flex`.
//!
//! `rivals_burn train --batch 15 --threads 2 --seconds 3`, or `infer`. The number of threads is
//! rayon's: `RAYON_NUM_THREADS`.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::{GradientsParams, RmsPropConfig};
use burn::prelude::*;
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Distribution, Int, Tensor};
use serde_json::json;
use std::time::Instant;

#[derive(Module, Debug)]
struct Network {
    convolutions: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    pool: MaxPool2d,
    drop: Dropout,
    hidden: Linear,
    norm: BatchNorm,
    hidden_drop: Dropout,
    top: Linear,
}

impl Network {
    fn new(device: &Device) -> Self {
        let norm = |k| BatchNormConfig::new(k).with_epsilon(1e-3).with_momentum(0.01).init(device);
        let filters = [[3, 32], [32, 64], [64, 128]];
        let convolution = |&channels| Conv2dConfig::new(channels, [3, 3]).init(device);
        Self {
            convolutions: filters.iter().map(convolution).collect(),
            norms: filters.iter().map(|[_, k]| norm(*k)).collect(),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            drop: DropoutConfig::new(0.25).init(),
            hidden: LinearConfig::new(25_088, 512).init(device),
            norm: norm(512),
            hidden_drop: DropoutConfig::new(0.5).init(),
            top: LinearConfig::new(512, 2).init(device),
        }
    }

    /// Logits.
    fn forward(&self, mut x: Tensor<4>) -> Tensor<2> {
        for (convolution, norm) in self.convolutions.iter().zip(&self.norms) {
            x = self.pool.forward(norm.forward(relu(convolution.forward(x))));
            x = self.drop.forward(x);
        }
        let x: Tensor<2> = x.flatten(1, 3);
        let x = self.norm.forward(relu(self.hidden.forward(x)));
        self.top.forward(self.hidden_drop.forward(x))
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = words.iter().position(|word| word == name).expect(name);
        words[at + 1].parse::<f64>().expect("a number")
    };
    let (n, threads) = (option("--batch") as usize, option("--threads") as usize);
    let seconds = option("--seconds");
    // Dropout and the batch's statistics are on where gradients are kept.
    let train = words[1] == "train";
    let device = if train { Device::flex().autodiff() } else { Device::flex() };
    let mut network = Network::new(&device);
    // burn counts moving means and variances among them.
    let count = network.num_params();
    println!("{}", json!({ "version": "burn 0.23.0-pre.1", "parameters": count, "threads": threads }));
    let x: Tensor<4> = Tensor::random([n, 3, 128, 128], Distribution::Default, &device);
    if !train {
        return report("infer", n, seconds, || {
            let _ = softmax(network.forward(x.clone()), 1).into_data();
        });
    }
    let classes: Vec<i32> = (0..n as i32).map(|i| i % 2).collect();
    let y: Tensor<1, Int> = Tensor::from_ints(classes.as_slice(), &device);
    let loss = CrossEntropyLossConfig::new().init(&device);
    let mut optimizer =
        RmsPropConfig::new().with_alpha(0.9).with_momentum(0.0).with_epsilon(1e-7).init();
    report("train", n, seconds, || {
        let loss = loss.forward(network.forward(x.clone()), y.clone());
        let _: f32 = loss.clone().into_scalar::<f32>();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(1e-3, network.clone(), gradients);
        device.sync().expect("a device that works");
    });
}

fn report(measure: &str, images: usize, seconds: f64, mut call: impl FnMut()) {
    (0..2).for_each(|_| call());
    let (mut times, begin) = (Vec::new(), Instant::now());
    while times.len() < 3 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        call();
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let rate = images as f64 / times[times.len() / 2];
    println!("{}", json!({ "measure": measure, "rate": rate }));
}
