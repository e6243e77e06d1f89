//! Every optimizer over as many values as the reference network has.
//!
//! ```text
//! cargo bench --bench optimizers
//! ```
//!
//! Throughput is in bytes: the value and its slots are read and written, the gradient is read.
//! `AdamW` decays the weights on the way.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gradus::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Descent, Formula, Lion, Nadam, Optimizer,
};
use gradus::prelude::*;
use gradus::tensor::{Fields, Param, Path, Shape, fields};
use std::time::Duration;

/// The large kernel of the tutorial's network.
const VALUES: usize = 25_088 * 512;

struct Model {
    kernel: Param,
}

fields! { Model: param kernel }

fn optimizers(c: &mut Criterion) {
    one(c, SGD::new());
    one(c, SGD::new().momentum(0.9));
    one(c, RMSprop::new());
    one(c, Adam::new());
    one(c, AdamW::new());
    one(c, Nadam::new());
    one(c, Adamax::new());
    one(c, Adagrad::new());
    one(c, Adadelta::new());
    one(c, Lion::new());
}

fn one<F: Formula<N>, const N: usize>(c: &mut Criterion, mut optimizer: Descent<F, N>) {
    let mut model = Model { kernel: Param::zeros(Shape::new(&[VALUES]), &Device::Cpu) };
    for (i, g) in model.kernel.grad.slice_mut::<f32>().iter_mut().enumerate() {
        *g = (i * 7919 % 1013) as f32 / 1013.0 - 0.5;
    }
    optimizer.build(&model, &Device::Cpu);
    let mut slots = 0;
    optimizer.visit(&mut Path::default(), &mut |path, _| {
        slots += u64::from(path.as_str().ends_with("kernel"));
    });
    let mut group = c.benchmark_group("optimizers");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    group.sample_size(20).throughput(Throughput::Bytes((12 + 8 * slots) * VALUES as u64));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, cores] {
        let mut context = Context::new(Device::Cpu, threads);
        context.step.learning_rate = 1e-6;
        let name = format!("{} with {slots} slots", optimizer.name());
        group.bench_function(BenchmarkId::new(name, format!("{threads} threads")), |b| {
            b.iter(|| optimizer.step(&mut context, &mut model));
        });
    }
    group.finish();
}

criterion_group!(benches, optimizers);
criterion_main!(benches);
