//! Batch normalization: bytes a second of what each pass has to read and write at least.
//!
//! `cargo bench --bench batch_normalization`. Compare with `read` and `copy` of
//! `cargo bench --bench peaks`.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use gradus::layers::batch_normalization::{Normalization, cpu};
use gradus::tensor::simd::Isa;

/// Name, rows (the batch and its pixels), channels.
const CASES: [(&str, usize, usize); 7] = [
    ("reference bn1", 15 * 126 * 126, 32),
    ("reference bn2", 15 * 61 * 61, 64),
    ("reference bn3", 15 * 28 * 28, 128),
    ("reference bn4", 15, 512),
    ("resnet 56", 4 * 56 * 56, 256),
    ("resnet 7", 4 * 7 * 7, 2048),
    ("odd", 4001, 17),
];

fn passes(c: &mut Criterion) {
    let mut group = common::group(c, "batch_normalization");
    let mut context = common::context();
    let (isa, ws) = (Isa::detect(), &mut context.workspace);
    for (name, rows, channels) in CASES {
        ws.scratch.reserve(cpu::scratch(rows, channels).max(4 * channels));
        let (x, dy, mut y) = (
            common::array2(rows, channels),
            common::array2(rows, channels),
            common::array2(rows, channels),
        );
        let [mut mean, mut rest, mut variance] = [(); 3].map(|()| vec![0.0; channels]);
        group.throughput(common::bytes(x.len()));
        group.bench_function(format!("{name}, statistics"), |b| {
            let into = [&mut mean, &mut rest, &mut variance];
            let [mean, rest, variance] = into.map(Vec::as_mut_slice);
            b.iter(|| cpu::statistics(isa, ws, x.view(), [mean, rest, variance]));
        });
        let (gamma, beta) = (vec![1.0; channels], vec![0.0; channels]);
        let n = Normalization {
            mean: &mean,
            rest: &rest,
            variance: &variance,
            epsilon: 1e-3,
            gamma: &gamma,
            beta: &beta,
        };
        group.throughput(common::bytes(2 * x.len()));
        group.bench_function(format!("{name}, forward"), |b| {
            b.iter(|| cpu::forward(isa, ws, x.view(), &n, y.view_mut()));
        });
        let [mut dgamma, mut dbeta] = [(); 2].map(|()| vec![0.0; channels]);
        group.bench_function(format!("{name}, dgamma and dbeta"), |b| {
            b.iter(|| {
                let into = [&mut dgamma[..], &mut dbeta[..]];
                cpu::backward_parameters(isa, ws, x.view(), &n, dy.view(), into);
            });
        });
        group.throughput(common::bytes(3 * x.len()));
        group.bench_function(format!("{name}, dx"), |b| {
            let sums = [&dgamma[..], &dbeta[..]];
            b.iter(|| cpu::backward_input(isa, ws, x.view(), &n, dy.view(), sums, y.view_mut()));
        });
    }
    group.finish();
}

criterion_group!(benches, passes);
criterion_main!(benches);
