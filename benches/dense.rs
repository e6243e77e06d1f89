//! Dense layers: forward, backward, and backward with the update, apart and in one pass.
//!
//! ```text
//! cargo bench --bench dense -- "25088 x 512"
//! ```
//!
//! Throughput is in bytes of weights that have to be moved, at the least: W once in `forward`; W and
//! dW in `backward`; W and RMSprop's velocity, both read and written, in `apart` and `together`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gradus::layers::{Layer, Mode, Saved};
use gradus::optim::Optimizer;
use gradus::prelude::*;
use gradus::tensor::{Shape, Spec, Tensor};
use std::time::Duration;

fn dense(c: &mut Criterion) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for [inputs, units] in [[25088, 512], [25088, 4096], [512, 2], [2048, 1000]] {
        let mut group = c.benchmark_group(format!("dense {inputs} x {units}"));
        group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
        group.sample_size(20);
        let bytes = 4 * (inputs * units) as u64;
        for (batch, threads) in [(1, cores), (15, 1), (15, cores), (64, cores)] {
            let mut layer = Trained::new([batch, inputs, units], threads);
            let mut bench = |what, passes, f: &mut dyn FnMut(&mut Trained)| {
                group.throughput(Throughput::Bytes(passes * bytes));
                let id = BenchmarkId::new(what, format!("batch {batch}, {threads} threads"));
                group.bench_function(id, |b| b.iter(|| f(&mut layer)));
            };
            bench("forward", 1, &mut |layer| layer.forward());
            bench("backward", 2, &mut |layer| layer.backward());
            for (what, fused) in [("apart", false), ("together", true)] {
                bench(what, 4, &mut |layer| layer.backward_and_update(fused));
            }
        }
        group.finish();
    }
}

/// A layer and what a step of it needs.
struct Trained {
    layer: Dense,
    optimizer: RMSprop,
    context: Context,
    saved: Saved,
    /// x, y, dy and dx.
    tensors: [Tensor; 4],
}

impl Trained {
    fn new([batch, inputs, units]: [usize; 3], threads: usize) -> Self {
        let x = Spec::f32(Shape::new(&[batch, inputs]));
        let mut layer = Dense::new(units);
        layer.build(x.shape, &mut gradus::layers::Init::new(&Device::Cpu, 0)).expect("fits");
        let plan = layer.plan(x, Mode::Train).expect("fits");
        let mut context = Context::new(Device::Cpu, threads);
        plan.reserve(&mut context);
        context.step.learning_rate = 1e-6;
        let mut optimizer = RMSprop::new();
        optimizer.build(&layer, &Device::Cpu);
        let tensors = [x, plan.output, plan.output, x].map(|spec| {
            let mut tensor = Tensor::zeros(spec, &Device::Cpu);
            for (i, value) in tensor.slice_mut::<f32>().iter_mut().enumerate() {
                *value = (i * 7919 % 1013) as f32 / 1013.0 - 0.5;
            }
            tensor
        });
        Self { layer, optimizer, context, saved: Saved::allocate(&plan, &Device::Cpu), tensors }
    }

    fn forward(&mut self) {
        let [x, y, ..] = &mut self.tensors;
        self.layer.forward(&mut self.context, x, y, &mut self.saved);
    }

    /// Without an activation dy stays as it is.
    fn backward(&mut self) {
        let [x, y, dy, dx] = &mut self.tensors;
        self.layer.backward(&mut self.context, x, y, dy, Some(dx), &mut self.saved);
    }

    fn backward_and_update(&mut self, fused: bool) {
        self.context.fused = fused;
        self.optimizer.offer(&self.context, &mut self.layer);
        self.backward();
        self.optimizer.step(&mut self.context, &mut self.layer);
    }
}

criterion_group!(benches, dense);
criterion_main!(benches);
