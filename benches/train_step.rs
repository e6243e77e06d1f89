//! The reference training step: the tutorial's network, batch 15 of 128×128×3, dropout on, RMSprop.
//!
//! ```text
//! cargo bench --bench train_step
//! ```
//!
//! Throughput is in images a second ("elements"). The batch lies in memory: reading and
//! augmenting images is not part of a step. `inference` is the same network with frozen
//! statistics.

#[path = "common/reference.rs"]
mod reference;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use reference::Reference;
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

criterion_group!(benches, step);
criterion_main!(benches);
