//! Losses with their gradients: samples a second ("elements").
//!
//! `cargo bench --bench loss`.

mod common;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gradus::layers::{
    BinaryCrossentropy, CategoricalCrossentropy, Loss, MeanSquaredError, Tally, Target,
};
use gradus::tensor::{Device, Shape, Spec, Tensor};

/// Samples and outputs: the tutorial's, ImageNet's, odd ones.
const CASES: [(usize, usize); 4] = [(15, 2), (128, 2), (32, 1000), (33, 7)];

fn losses(c: &mut Criterion) {
    let mut group = common::group(c, "loss");
    let mut context = common::context();
    let losses: [Box<dyn Loss>; 3] = [
        Box::new(CategoricalCrossentropy::new().from_logits(true)),
        Box::new(BinaryCrossentropy::new()),
        Box::new(MeanSquaredError),
    ];
    for (samples, outputs) in CASES {
        let of = |value: fn(usize, usize) -> f32| {
            let mut t = Tensor::zeros(Spec::f32(Shape::new(&[samples, outputs])), &Device::Cpu);
            let numbers = t.slice_mut::<f32>().iter_mut().enumerate();
            numbers.for_each(|(i, v)| *v = value(i / outputs, i % outputs));
            t
        };
        let predictions = of(|i, k| 0.1 + (i * 7 + k * 3) as f32 % 10.0 / 12.0);
        let (targets, mut gradient) = (of(|i, k| f32::from(u8::from(k == i % 2))), of(|_, _| 0.0));
        for loss in &losses {
            group.throughput(Throughput::Elements(samples as u64));
            group.bench_function(format!("{}, {samples}·{outputs}", loss.name()), |b| {
                b.iter(|| {
                    let (target, mut tally) = (Target::new(&targets), Tally::default());
                    let gradient = Some(&mut gradient);
                    loss.evaluate(&mut context, &predictions, target, gradient, &mut tally);
                    tally
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, losses);
criterion_main!(benches);
