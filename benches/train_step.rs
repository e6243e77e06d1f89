//! The reference training step: the tutorial's network, batch 15 of 128×128×3, dropout on, RMSprop.
//!
//! ```text
//! cargo bench --bench train_step
//! ```
//!
//! Throughput is in images a second ("elements"). The batch lies in memory: reading and
//! augmenting images is not part of a step. `inference` is the same network with frozen
//! statistics.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gradus::layers::{Loss, Tally};
use gradus::prelude::*;
use gradus::tensor::Shape;
use gradus::train::{Batch, Step};
use ndarray::{Array2, Array4};
use std::time::Duration;

fn step(c: &mut Criterion) {
    let mut group = c.benchmark_group("train_step");
    group.measurement_time(Duration::from_secs(10)).sample_size(20);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, cores] {
        for batch_size in [15, 64] {
            let mut reference = Reference::new(batch_size, threads);
            group.throughput(Throughput::Elements(batch_size as u64));
            let id = format!("batch {batch_size}, {threads} threads");
            group.bench_function(BenchmarkId::new("train", &id), |b| b.iter(|| reference.train()));
            group.bench_function(BenchmarkId::new("infer", &id), |b| b.iter(|| reference.infer()));
        }
    }
    group.finish();
}

/// The tutorial's network with a batch in memory.
struct Reference {
    network: Sequential,
    context: Context,
    step: Step,
    images: Array4<f32>,
    targets: Array2<f32>,
}

impl Reference {
    fn new(n: usize, threads: usize) -> Self {
        let input = Shape::new(&[n, 128, 128, 3]);
        let mut network = models::dogs_vs_cats();
        network.build_on(input, &Device::Cpu, 0).expect("the layers fit");
        let mut context = Context::new(Device::Cpu, threads);
        context.step.learning_rate = 1e-3;
        let mut loss = CategoricalCrossentropy::new();
        network.split_head(|head| loss.take_logits(head));
        let optimizer = Box::new(RMSprop::default());
        let step = Step::new(&network, input, &mut context, Box::new(loss), optimizer);
        let images = Array4::from_shape_fn((n, 128, 128, 3), |(n, h, w, c)| {
            ((n * 7 + h * 3 + w * 5 + c * 11) % 256) as f32 / 255.0
        });
        let targets = Array2::from_shape_fn((n, 2), |(i, k)| f32::from(u8::from(i % 2 == k)));
        Self { network, context, step: step.expect("a plan"), images, targets }
    }

    fn train(&mut self) {
        let batch = Batch::new(self.images.view(), self.targets.view());
        let mut tally = Tally::default();
        self.step.train(&mut self.network, &mut self.context, &batch, &mut tally);
    }

    fn infer(&mut self) {
        let batch = Batch::new(self.images.view(), self.targets.view());
        let mut tally = Tally::default();
        self.step.evaluate(&self.network, &mut self.context, &batch, &mut tally);
    }
}

criterion_group!(benches, step);
criterion_main!(benches);
