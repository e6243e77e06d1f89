//! Inference with the reference network: images a second ("elements"), batch 1 and 64.
//!
//! `cargo bench --bench inference`.

mod common;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gradus::prelude::*;
use gradus::tensor::Shape;

fn inference(c: &mut Criterion) {
    let mut group = common::group(c, "inference");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, cores] {
        for batch in [1, 64] {
            let context = Context::new(Device::Cpu, threads);
            let model = Model::build(models::dogs_vs_cats(), [128, 128, 3], context, 0);
            let mut model = model.expect("the layers fit");
            let images = common::array4(Shape::new(&[batch, 128, 128, 3]));
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(format!("batch {batch}, {threads} threads"), |b| {
                b.iter(|| model.predict(images.view()).expect("a plan"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, inference);
criterion_main!(benches);
