//! What the benches of the rooms share: arrays with something in them, and one way to measure.

#![allow(dead_code, reason = "each bench takes what it needs")]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use gradus::tensor::{Context, Device, Shape};
use ndarray::{Array2, Array4};
use std::time::Duration;

/// A group whose benches take a second each.
pub(crate) fn group<'a>(c: &'a mut Criterion, room: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(room);
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(1)).sample_size(10);
    group
}

/// All cores.
pub(crate) fn context() -> Context {
    Context::new(Device::Cpu, 0)
}

/// Bytes that floats take: what a pass over them reads or writes at least.
pub(crate) fn bytes(floats: usize) -> Throughput {
    Throughput::Bytes(4 * floats as u64)
}

/// Multiplications and additions.
pub(crate) fn flops(count: usize) -> Throughput {
    Throughput::Elements(count as u64)
}

/// Numbers from −1 to 1.
pub(crate) fn floats(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1009) as f32 / 504.0 - 1.0).collect()
}

/// Images, or a kernel.
pub(crate) fn array4(shape: Shape) -> Array4<f32> {
    let &[a, b, c, d] = shape.dims() else { panic!("{shape} has not four extents") };
    Array4::from_shape_vec((a, b, c, d), floats(a * b * c * d)).expect("of that size")
}

/// Rows of channels.
pub(crate) fn array2(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, columns), floats(rows * columns)).expect("of that size")
}
