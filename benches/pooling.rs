//! Pooling: bytes a second of x and y, each counted once, for max and average.
//!
//! `cargo bench --bench pooling`. Compare with `copy` of `cargo bench --bench peaks`.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use gradus::layers::Padding::{self, Same, Valid};
use gradus::layers::pooling::Geometry;
use gradus::layers::{average_pooling2d, max_pooling2d};
use gradus::tensor::Shape;
use gradus::tensor::simd::Isa;
use ndarray::Array4;

/// Name, x (N, H, W, C), window, stride, padding.
type Case = (&'static str, [usize; 4], usize, usize, Padding);
const CASES: [Case; 6] = [
    ("reference pool1", [15, 126, 126, 32], 2, 2, Valid),
    ("reference pool2", [15, 61, 61, 64], 2, 2, Valid),
    ("reference pool3", [15, 28, 28, 128], 2, 2, Valid),
    ("resnet stem", [4, 112, 112, 64], 3, 2, Same),
    ("odd", [3, 37, 41, 17], 3, 2, Same),
    ("odd, overlapping", [3, 37, 41, 33], 3, 1, Valid),
];

fn pooling(c: &mut Criterion) {
    let mut group = common::group(c, "pooling");
    let context = common::context();
    let (isa, pool) = (Isa::detect(), &context.workspace.pool);
    for (name, x, window, stride, padding) in CASES {
        let g = Geometry::new(Shape::new(&x), [window; 2], [stride; 2], padding);
        let g = g.expect("a pooling that fits");
        let (x, dy) = (common::array4(g.x()), common::array4(g.y()));
        let (mut y, mut dx, mut argmax) = (dy.clone(), x.clone(), Array4::zeros(dy.raw_dim()));
        group.throughput(common::bytes(x.len() + y.len()));
        group.bench_function(format!("{name}, max, forward"), |b| {
            let (x, y) = (x.view(), &mut y);
            b.iter(|| {
                max_pooling2d::cpu::forward(isa, pool, &g, x, y.view_mut(), argmax.view_mut());
            });
        });
        group.bench_function(format!("{name}, max, backward"), |b| {
            let (dy, argmax) = (dy.view(), argmax.view());
            b.iter(|| max_pooling2d::cpu::backward(isa, pool, &g, dy, argmax, dx.view_mut()));
        });
        group.bench_function(format!("{name}, average, forward"), |b| {
            b.iter(|| average_pooling2d::cpu::forward(isa, pool, &g, x.view(), y.view_mut()));
        });
        group.bench_function(format!("{name}, average, backward"), |b| {
            b.iter(|| average_pooling2d::cpu::backward(isa, pool, &g, dy.view(), dx.view_mut()));
        });
    }
    group.finish();
}

criterion_group!(benches, pooling);
criterion_main!(benches);
