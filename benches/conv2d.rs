//! Convolution: FLOP/s ("elements") of its three passes, counted as if each were direct.
//!
//! `cargo bench --bench conv2d`. Compare with `fma` of `cargo bench --bench peaks`.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use gradus::layers::Padding::{self, Same, Valid};
use gradus::layers::conv2d::Geometry;
use gradus::layers::conv2d::cpu::{self, Epilogue};
use gradus::tensor::Shape;

/// Name, x (N, H, W, C), kernel (R, S, K), stride, padding.
type Case = (&'static str, [usize; 4], [usize; 3], usize, Padding);
const CASES: [Case; 12] = [
    ("reference conv1", [15, 128, 128, 3], [3, 3, 32], 1, Valid),
    ("reference conv2", [15, 63, 63, 32], [3, 3, 64], 1, Valid),
    ("reference conv3", [15, 30, 30, 64], [3, 3, 128], 1, Valid),
    ("resnet stem", [4, 224, 224, 3], [7, 7, 64], 2, Same),
    ("resnet18 56", [4, 56, 56, 64], [3, 3, 64], 1, Same),
    ("resnet18 56 to 28", [4, 56, 56, 64], [3, 3, 128], 2, Same),
    ("resnet18 14", [4, 14, 14, 256], [3, 3, 256], 1, Same),
    ("resnet18 7", [4, 7, 7, 512], [3, 3, 512], 1, Same),
    ("resnet50 56 reduce", [4, 56, 56, 256], [1, 1, 64], 1, Valid),
    ("resnet50 14 expand", [4, 14, 14, 256], [1, 1, 1024], 1, Valid),
    ("odd", [3, 37, 41, 17], [3, 3, 23], 1, Same),
    ("odd 5x5", [2, 29, 31, 5], [5, 5, 7], 1, Valid),
];

fn passes(c: &mut Criterion) {
    let mut group = common::group(c, "conv2d");
    let mut context = common::context();
    let ws = &mut context.workspace;
    for (name, x, [r, s, k], stride, padding) in CASES {
        let kernel = Shape::new(&[r, s, x[3], k]);
        let g = Geometry::new(Shape::new(&x), kernel, [stride; 2], padding, [1, 1]);
        let g = g.expect("a convolution that fits");
        ws.reserve(cpu::scratch(&g), cpu::desk(&g));
        let [x, kernel, dz] = [g.x(), g.kernel(), g.y()].map(common::array4);
        let [mut dx, mut dkernel, mut y] = [&x, &kernel, &dz].map(Clone::clone);
        group.throughput(common::flops(2 * g.y().len() * g.taps()));
        group.bench_function(format!("{name}, forward"), |b| {
            b.iter(|| {
                let epilogue = Epilogue::default();
                cpu::forward(ws, &g, x.view(), kernel.view(), epilogue, y.view_mut());
            });
        });
        group.bench_function(format!("{name}, dx"), |b| {
            b.iter(|| cpu::backward_input(ws, &g, dz.view(), kernel.view(), dx.view_mut()));
        });
        group.bench_function(format!("{name}, dW"), |b| {
            b.iter(|| cpu::backward_weight(ws, &g, x.view(), dz.view(), dkernel.view_mut()));
        });
    }
    group.finish();
}

criterion_group!(benches, passes);
criterion_main!(benches);
