//! Dropout, its random numbers included: bytes a second of x, y and the mask.
//!
//! `cargo bench --bench dropout`. Compare with `copy` of `cargo bench --bench peaks`.

mod common;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gradus::layers::dropout::{Draw, cpu};
use gradus::tensor::StepScalars;

/// Name, numbers.
const CASES: [(&str, usize); 5] = [
    ("reference drop1", 15 * 63 * 63 * 32),
    ("reference drop2", 15 * 30 * 30 * 64),
    ("reference drop3", 15 * 14 * 14 * 128),
    ("reference drop4", 15 * 512),
    ("odd", 100_003),
];

fn passes(c: &mut Criterion) {
    let mut group = common::group(c, "dropout");
    let context = common::context();
    let pool = &context.workspace.pool;
    let draw = Draw { rate: 0.25, layer: 0, step: StepScalars::default() };
    for (name, len) in CASES {
        let (x, mut y, mut mask) = (common::floats(len), vec![0.0; len], vec![0; len]);
        group.throughput(Throughput::Bytes(9 * len as u64));
        group.bench_function(format!("{name}, forward"), |b| {
            b.iter(|| cpu::forward(pool, &draw, &x, &mut y, &mut mask));
        });
        group.bench_function(format!("{name}, backward"), |b| {
            b.iter(|| cpu::backward(pool, &draw, &x, &mask, &mut y));
        });
    }
    group.finish();
}

criterion_group!(benches, passes);
criterion_main!(benches);
