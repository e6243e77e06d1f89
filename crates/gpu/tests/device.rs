//! What a device does when things go wrong, and what it leaves behind. On the emulated device, whose
//! books are looked into: the tests take turns.

#![cfg(all(feature = "cuda", not(target_family = "wasm")))]

use gradus_cuda_emu::{Emulated, Schedule};
use gradus_gpu::{
    CudaError, DeviceBuffer, Gpu, GpuView, Grid, Kernel, Module, NumbersFeed, address,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The emulator's own module: it takes the kernel of that name.
static MODULE: Module = Module { path: "reduction", ptx: "// source", root: "" };
static FOLD: Kernel = Kernel { module: &MODULE, name: "emu_fold_f32" };

/// The emulated driver, with nothing wrong; none, saying why, where there is none.
fn emulated() -> Option<(&'static Emulated, MutexGuard<'static, ()>)> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    match gradus_cuda_emu::install() {
        Ok(emulated) => {
            emulated.recover();
            emulated.schedule(Schedule::default());
            Some((emulated, turn))
        }
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

/// Sums up `x` into the first number of `out`, on the device.
fn fold(gpu: &Gpu, x: &DeviceBuffer, out: &mut DeviceBuffer, n: i32) {
    let (x, out) = (x.view::<f32>(n as usize), out.view_mut::<f64>(8));
    let arguments = [address(&x), address(&out), address(&n)];
    // SAFETY: the arguments are the kernel's: n floats, and eight doubles.
    unsafe { gpu.launch(&FOLD, Grid::of([1, 1, 1], 32), &arguments) }
}

/// Four numbers and room for what is made of them.
fn numbers(gpu: &Gpu) -> [DeviceBuffer; 2] {
    let [mut x, out] = [16, 64].map(|bytes| DeviceBuffer::zeroed(gpu, bytes));
    x.upload(&[1.0f32, 2.0, 3.0, 4.0]);
    [x, out]
}

fn sum(out: &DeviceBuffer) -> f64 {
    let mut sums = [0.0f64];
    out.download(&mut sums);
    sums[0]
}

#[test]
fn after_a_panic_while_it_records_the_stream_works_and_records_again() {
    let Some((emulated, _turn)) = emulated() else { return };
    let gpu = Gpu::open(0).expect("a device");
    let [x, mut out] = numbers(&gpu);
    fold(&gpu, &x, &mut out, 4);
    let before = emulated.stats().graphs;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        gpu.capture(|| {
            fold(&gpu, &x, &mut out, 3);
            panic!("in the midst of a step");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(emulated.stats().graphs, before, "what was recorded is dropped");
    fold(&gpu, &x, &mut out, 2);
    gpu.synchronize().expect("the stream records no more");
    assert_eq!(sum(&out), 3.0);
    let mut graph = gpu.capture(|| fold(&gpu, &x, &mut out, 4)).expect("recorded again");
    assert_eq!(sum(&out), 3.0, "recording does nothing");
    graph.launch();
    assert_eq!(sum(&out), 10.0);
    gpu.check().expect("a sound device");
}

#[test]
fn a_recording_in_which_something_went_wrong_leaves_no_graph() {
    let Some((emulated, _turn)) = emulated() else { return };
    let gpu = Gpu::open(0).expect("a device");
    let [x, mut out] = numbers(&gpu);
    fold(&gpu, &x, &mut out, 4);
    let before = emulated.stats().graphs;
    let error = CudaError::NoDevice { ordinal: 7, found: 1 };
    let told = gpu.capture(|| {
        fold(&gpu, &x, &mut out, 4);
        gpu.report(error.clone());
    });
    assert_eq!(told.map(drop), Err(error));
    assert_eq!(emulated.stats().graphs, before);
    let refused = gpu.capture(|| drop(DeviceBuffer::zeroed(&gpu, 64))).map(drop);
    assert!(refused.is_err_and(|e| e.to_string().contains("STREAM_CAPTURE_UNSUPPORTED")));
    assert_eq!(emulated.stats().graphs, before);
    drop(gpu.capture(|| fold(&gpu, &x, &mut out, 4)).expect("a sound device"));
    assert_eq!(emulated.stats().graphs, before, "a graph that is dropped is destroyed");
}

#[test]
fn modules_and_memory_go_with_the_device() {
    let Some((emulated, _turn)) = emulated() else { return };
    let before = emulated.stats();
    let gpu = Gpu::open(0).expect("a device");
    let [x, mut out] = numbers(&gpu);
    fold(&gpu, &x, &mut out, 4);
    assert_eq!(emulated.stats().modules, before.modules + 1);
    drop(gpu);
    assert_eq!(emulated.stats().modules, before.modules + 1, "the buffers hold the device");
    drop((x, out));
    let after = emulated.stats();
    assert_eq!((after.modules, after.live), (before.modules, before.live));
    assert_eq!(emulated.faults(), []);
    let gpu = Gpu::open(0).expect("the device once more");
    let [x, mut out] = numbers(&gpu);
    fold(&gpu, &x, &mut out, 4);
    assert_eq!(sum(&out), 10.0);
}

#[test]
fn what_the_pool_keeps_can_be_had_again() {
    let Some((emulated, _turn)) = emulated() else { return };
    let gpu = Gpu::open(0).expect("a device");
    gpu.synchronize().expect("a sound device");
    let used = emulated.stats().used as usize;
    emulated.set_memory(used + 10_000);
    drop(DeviceBuffer::zeroed(&gpu, 8_000));
    gpu.synchronize().expect("room for it");
    let found = gpu.memory();
    let empty = DeviceBuffer::zeroed(&gpu, 12_000);
    let told = gpu.check();
    drop(empty);
    emulated.set_memory(1 << 30);
    let total = used + 10_000;
    assert_eq!(found, Ok((10_000, total)));
    assert_eq!(told, Err(CudaError::OutOfMemory { bytes: 12_000, free: 10_000, total }));
}

#[test]
fn a_device_that_will_not_do_is_refused_by_name() {
    let Some((emulated, _turn)) = emulated() else { return };
    emulated.set_memory_pools(false);
    let poor = Gpu::open(0).map(drop);
    emulated.set_memory_pools(true);
    emulated.set_capability((7, 0));
    let old = Gpu::open(0).map(drop);
    emulated.set_capability((7, 5));
    let turing = Gpu::open(0).map(|gpu| gpu.compute_capability());
    emulated.set_capability((9, 0));
    let none = Gpu::open(7).map(drop);
    let name = "gradus emulated device".to_owned();
    assert_eq!(poor, Err(CudaError::NoMemoryPools { name: name.clone() }));
    assert_eq!(old, Err(CudaError::OldDevice { name, found: "7.0".into(), needed: "7.5" }));
    assert_eq!(turing, Ok((7, 5)));
    assert_eq!(none, Err(CudaError::NoDevice { ordinal: 7, found: 1 }));
}

#[test]
fn numbers_arrive_in_order_however_far_the_host_is_ahead() {
    let Some((emulated, _turn)) = emulated() else { return };
    let gpu = Gpu::open(0).expect("a device");
    let mut feed = NumbersFeed::new(&gpu, 8);
    let mut scalars = DeviceBuffer::zeroed(&gpu, 8);
    let mut seen: Vec<DeviceBuffer> = (0..20).map(|_| DeviceBuffer::zeroed(&gpu, 8)).collect();
    gpu.synchronize().expect("a sound device");
    let before = (emulated.stats().spins, gpu.allocations());
    for (step, seen) in seen.iter_mut().enumerate() {
        feed.send(&[step as u64], &mut scalars);
        seen.copy_from(&scalars, 8);
    }
    for (step, seen) in seen.iter().enumerate() {
        let mut found = [0u64];
        seen.download(&mut found);
        assert_eq!(found, [step as u64]);
    }
    assert_eq!((emulated.stats().spins, gpu.allocations()), before, "nobody spins");
    drop(feed);
    gpu.check().expect("a sound device");
}

#[test]
fn a_tensor_map_is_of_what_lies_there_and_what_is_refused_is_told() {
    let Some((emulated, _turn)) = emulated() else { return };
    let gpu = Gpu::open(0).expect("a device");
    let extents = [2, 3, 5, 64];
    let len = extents.iter().product();
    let images = DeviceBuffer::zeroed(&gpu, len * size_of::<u16>());
    let view = images.view::<u16>(len);
    // A box may be larger than an extent.
    let _map = gpu.tensor_map(view, &extents, &[1, 8, 4, 64]);
    assert_eq!((gpu.check(), emulated.faults()), (Ok(()), vec![]));
    let _of_nothing = gpu.tensor_map(GpuView::none(), &extents, &[1, 8, 4, 64]);
    assert_eq!(gpu.check(), Ok(()), "memory that could not be had was told of before");
    let _misaligned = gpu.tensor_map(view.part(1, 64), &[1, 64], &[1, 64]);
    let told = gpu.check().expect_err("not at a multiple of 16 bytes").to_string();
    assert!(told.contains("mapping [1, 64] by boxes of [1, 64]"), "{told}");
    // SAFETY: nothing is read: there are not so many.
    let beyond = unsafe { GpuView::new(view.pointer(), 2 * len) };
    let _beyond = gpu.tensor_map(beyond, &[4, 3, 5, 64], &[1, 8, 4, 64]);
    assert!(gpu.check().is_err());
    assert_eq!(emulated.faults().len(), 1, "the emulated driver looks where it ends");
    emulated.recover();
}
