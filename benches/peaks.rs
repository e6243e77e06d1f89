//! What this machine can do at most: multiply-adds ("elements" are FLOP), and bytes from caches
//! and memory. What the other benches reach is to be held against it.
//!
//! `cargo bench --bench peaks`, on one thread and on all.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use gradus::tensor::simd::{Isa, V};
use gradus::tensor::{Chunks, Context, Device};
use std::hint::black_box;

/// Sums in registers: enough that none waits for another on any machine that we know.
const SUMS: usize = 10;
const ROUNDS: usize = 100_000;
/// Pieces for each thread, so that the threads end together.
const PIECES: usize = 4;

#[inline(always)]
fn fma_body<const L: usize, const FMA: bool>(factor: f32) -> f32 {
    let mut sums = [V::<L, FMA>::splat(0.0); SUMS];
    let (a, b) = (V::splat(factor), V::splat(black_box(0.5)));
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = sum.mul_add(a, b);
        }
    }
    sums.into_iter().map(V::sum).sum()
}

#[inline(always)]
fn read_body<const L: usize, const FMA: bool>(x: &[f32]) -> f32 {
    let mut sums = [V::<L, FMA>::splat(0.0); 8];
    for block in x.chunks_exact(8 * L) {
        for (sum, x) in sums.iter_mut().zip(block.chunks_exact(L)) {
            *sum = *sum + V::load(x);
        }
    }
    sums.into_iter().map(V::sum).sum()
}

gradus::tensor::vectorize! {
    fn fma(factor: f32) -> f32 = fma_body;
    fn read(x: &[f32]) -> f32 = read_body;
}

fn peaks(c: &mut Criterion) {
    let mut group = common::group(c, "peaks");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, cores] {
        let context = Context::new(Device::Cpu, threads);
        let (pool, pieces) = (&context.workspace.pool, PIECES * threads);
        for isa in Isa::available() {
            group.throughput(common::flops(2 * pieces * ROUNDS * SUMS * isa.lanes()));
            group.bench_function(format!("fma, {isa:?}, {threads} threads"), |b| {
                b.iter(|| {
                    pool.run(pieces, &|_| _ = black_box(fma(isa, black_box(0.5))));
                });
            });
        }
        // Of each thread: in its first cache, in its second, beyond all.
        for (place, kib, repeats) in
            [("16 KiB", 16, 1024), ("512 KiB", 512, 64), ("128 MiB", 128 << 10, 1)]
        {
            let (len, isa) = (kib << 8, Isa::detect());
            let x = common::floats(len * threads);
            let mut y = x.clone();
            group.throughput(common::bytes(repeats * x.len()));
            group.bench_function(format!("read, {place}, {threads} threads"), |b| {
                b.iter(|| {
                    pool.run(threads, &|i| {
                        let x = &x[i * len..(i + 1) * len];
                        (0..repeats).for_each(|_| _ = black_box(read(isa, black_box(x))));
                    });
                });
            });
            group.throughput(common::bytes(2 * repeats * x.len()));
            group.bench_function(format!("copy, {place}, {threads} threads"), |b| {
                b.iter(|| {
                    pool.each(Chunks::new(&mut y, len), |i, y| {
                        let x = &x[i * len..(i + 1) * len];
                        (0..repeats).for_each(|_| black_box(&mut *y).copy_from_slice(black_box(x)));
                    });
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, peaks);
criterion_main!(benches);
