//! Activations in place: bytes a second, read and written.
//!
//! `cargo bench --bench activation`. Compare with `copy` of `cargo bench --bench peaks`.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use gradus::layers::Activation;
use gradus::layers::activation::cpu;

const ACTIVATIONS: [(&str, Activation); 8] = [
    ("relu", Activation::Relu),
    ("leaky_relu", Activation::LeakyRelu { negative_slope: 0.2 }),
    ("elu", Activation::Elu { alpha: 1.0 }),
    ("gelu", Activation::Gelu),
    ("silu", Activation::Silu),
    ("sigmoid", Activation::Sigmoid),
    ("tanh", Activation::Tanh),
    ("mish", Activation::Mish),
];
/// Name, rows, columns: the largest map of the reference network, and one that fits no vector.
const CASES: [(&str, usize, usize); 2] =
    [("reference conv1", 15 * 126 * 126, 32), ("odd", 1001, 37)];

fn passes(c: &mut Criterion) {
    let mut group = common::group(c, "activation");
    let context = common::context();
    let pool = &context.workspace.pool;
    for (case, rows, columns) in CASES {
        let (mut y, mut dy) = (common::array2(rows, columns), common::array2(rows, columns));
        for (name, activation) in ACTIVATIONS {
            group.throughput(common::bytes(2 * y.len()));
            group.bench_function(format!("{name}, {case}, forward"), |b| {
                b.iter(|| cpu::forward(pool, activation, y.view_mut()));
            });
            group.throughput(common::bytes(3 * y.len()));
            group.bench_function(format!("{name}, {case}, backward"), |b| {
                b.iter(|| cpu::backward(pool, activation, y.view(), dy.view_mut()));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, passes);
criterion_main!(benches);
