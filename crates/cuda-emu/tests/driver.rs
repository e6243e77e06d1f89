//! The driver behaves as the real one does where gradus relies on it: streams, events, graphs, memory,
//! attributes, errors.

mod common;

use common::{config, device};
use cudarc::driver::{CudaContext, DriverError, PushKernelArg, result, sys};
use gradus_cuda_emu::{FaultKind, Schedule};
use sys::CUdevice_attribute_enum as Attribute;
use sys::cudaError_enum as Code;

#[test]
fn there_is_one_device_and_it_says_what_it_is() {
    let Some(device) = device(Schedule::default()) else { return };
    assert_eq!(CudaContext::device_count().unwrap(), 1);
    assert_eq!(CudaContext::new(1).err(), Some(DriverError(Code::CUDA_ERROR_INVALID_DEVICE)));
    assert_eq!(device.context.name().unwrap(), "gradus emulated device");
    assert_eq!(device.context.compute_capability().unwrap(), (9, 0));
    let attribute = |which| device.context.attribute(which).unwrap();
    assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT), 4);
    assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_WARP_SIZE), 32);
    assert_eq!(
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
        232_448
    );
}

#[test]
fn errors_have_their_names_and_sentences() {
    let Some(_device) = device(Schedule::default()) else { return };
    let error = DriverError(Code::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_eq!(error.error_name().unwrap().to_str().unwrap(), "CUDA_ERROR_ILLEGAL_ADDRESS");
    let text = error.error_string().unwrap();
    assert_eq!(text.to_str().unwrap(), "an illegal memory access was encountered");
}

#[test]
fn a_graph_is_captured_without_running_and_replays() {
    for schedule in Schedule::several() {
        let Some(device) = device(schedule) else { return };
        let stream = &device.stream;
        let f = device.function("emu_scatter_f32");
        let indices = stream.clone_htod(&[0i32, 2, 2, 1]).unwrap();
        let gy = stream.clone_htod(&[1f32, 2., 3., 4., 5., 6., 7., 8.]).unwrap();
        let mut gw = stream.alloc_zeros::<f32>(6).unwrap();
        let (rows, columns) = (4i32, 2i32);
        let before = device.emulated.stats();
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        stream.begin_capture(mode).unwrap();
        let mut launch = stream.launch_builder(&f);
        launch.arg(&indices).arg(&gy).arg(&mut gw).arg(&rows).arg(&columns);
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(config(2, 32)) }.unwrap();
        let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0)).unwrap().unwrap();
        assert_eq!(stream.clone_dtoh(&gw).unwrap(), [0.0; 6], "capturing does not run");
        for _ in 0..3 {
            graph.launch().unwrap();
        }
        assert_eq!(stream.clone_dtoh(&gw).unwrap(), [3., 6., 21., 24., 24., 30.]);
        let after = device.emulated.stats();
        assert_eq!(after.graph_launches - before.graph_launches, 3);
        assert_eq!(after.launches - before.launches, 3);
    }
}

#[test]
fn what_may_not_be_captured_is_refused() {
    let Some(device) = device(Schedule::default()) else { return };
    let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    let unsupported = Some(DriverError(Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED));
    assert_eq!(device.context.default_stream().begin_capture(mode).err(), unsupported);
    device.stream.begin_capture(mode).unwrap();
    assert_eq!(device.stream.alloc_zeros::<f32>(4).err(), unsupported);
    assert_eq!(device.stream.synchronize().err(), unsupported);
    let ended = device.stream.end_capture(sys::CUgraphInstantiate_flags(0)).map(drop);
    assert_eq!(ended, Err(DriverError(Code::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)));
}

#[test]
fn memory_runs_out_where_it_was_set_to_and_comes_back() {
    let Some(device) = device(Schedule::default()) else { return };
    device.stream.synchronize().unwrap();
    let used = device.emulated.stats().used as usize;
    device.emulated.set_memory(used + 10_000);
    assert_eq!(device.context.mem_get_info().unwrap(), (10_000, used + 10_000));
    let first = device.stream.alloc_zeros::<u8>(6_000).unwrap();
    let second = device.stream.alloc_zeros::<u8>(6_000);
    assert_eq!(second.err(), Some(DriverError(Code::CUDA_ERROR_OUT_OF_MEMORY)));
    drop(first);
    let third = device.stream.alloc_zeros::<u8>(6_000).expect("what was freed, in stream order");
    assert_eq!(device.stream.clone_dtoh(&third).unwrap(), vec![0; 6_000]);
    assert_eq!(device.emulated.faults(), []);
}

#[test]
fn work_waits_until_somebody_waits_for_it() {
    let Some(device) = device(Schedule::default()) else { return };
    let stream = &device.stream;
    let x = stream.clone_htod(&[1f32, 2., 3.]).unwrap();
    // SAFETY: it is written below before it is read.
    let mut host = unsafe { device.context.alloc_pinned_with_flags::<f32>(3, 0) }.unwrap();
    let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
    let (before, after) =
        (device.context.new_event(flags).unwrap(), device.context.new_event(flags).unwrap());
    host.as_mut_slice().unwrap().fill(7.0);
    before.record(stream).unwrap();
    let (at, from) =
        (host.as_mut_ptr().unwrap(), cudarc::driver::DevicePtr::device_ptr(&x, stream).0);
    // SAFETY: three floats on both sides, both alive until the stream is waited for.
    unsafe { sys::cuMemcpyDtoHAsync_v2(at.cast(), from, 12, stream.cu_stream()) }.result().unwrap();
    after.record(stream).unwrap();
    // SAFETY: nothing else uses the pinned memory.
    assert_eq!(unsafe { std::slice::from_raw_parts(at, 3) }, [7.0; 3], "nobody waited yet");
    after.synchronize().unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { std::slice::from_raw_parts(at, 3) }, [1., 2., 3.]);
    assert!(before.elapsed_ms(&after).unwrap() >= 0.0);
}

#[test]
fn one_stream_waits_for_an_event_of_another() {
    let Some(device) = device(Schedule::default()) else { return };
    let other = device.context.new_stream().unwrap();
    let mut x = device.stream.alloc_zeros::<u32>(8).unwrap();
    device.stream.memcpy_htod(&[5u32; 8], &mut x).unwrap();
    let event = device.stream.record_event(None).unwrap();
    other.wait(&event).unwrap();
    let mut y = other.alloc_zeros::<u32>(8).unwrap();
    other.memcpy_dtod(&x, &mut y).unwrap();
    assert_eq!(other.clone_dtoh(&y).unwrap(), [5; 8]);
}

#[test]
fn words_are_filled_and_copies_stay_inside_their_allocation() {
    let Some(device) = device(Schedule::default()) else { return };
    let x = device.stream.alloc_zeros::<u32>(8).unwrap();
    let (at, _guard) = cudarc::driver::DevicePtr::device_ptr(&x, &device.stream);
    let stream = device.stream.cu_stream();
    // SAFETY: seven words from the second on are inside.
    unsafe { sys::cuMemsetD32Async(at + 4, 9, 7, stream) }.result().unwrap();
    assert_eq!(device.stream.clone_dtoh(&x).unwrap(), [0, 9, 9, 9, 9, 9, 9, 9]);
    // SAFETY: the driver refuses it: that is the point.
    let outside = unsafe { sys::cuMemsetD32Async(at + 4, 9, 8, stream) }.result();
    assert_eq!(outside, Err(DriverError(Code::CUDA_ERROR_INVALID_VALUE)));
    let faults = device.emulated.faults();
    assert_eq!((faults.len(), faults[0].kind), (1, FaultKind::BadCall), "{faults:?}");
    // SAFETY: nothing at this address was allocated: that is the point.
    let freed = unsafe { result::free_sync(at + 4) };
    assert_eq!(freed, Err(DriverError(Code::CUDA_ERROR_INVALID_VALUE)));
    device.emulated.recover();
}

#[test]
fn a_kernel_may_run_on_memory_that_is_freed_after_it_and_not_before() {
    let Some(device) = device(Schedule::default()) else { return };
    let f = device.function("emu_fold_f32");
    let mut out = device.stream.alloc_zeros::<f64>(8).unwrap();
    let launch = |x: sys::CUdeviceptr, out: &mut cudarc::driver::CudaSlice<f64>| {
        let n = 4i32;
        let mut launch = device.stream.launch_builder(&f);
        launch.arg(&x).arg(out).arg(&n);
        // SAFETY: the arguments are the kernel's; whether x is alive is the question.
        unsafe { launch.launch(config(1, 32)) }.unwrap();
    };
    let x = device.stream.clone_htod(&[1f32, 2., 3., 4.]).unwrap();
    let at = cudarc::driver::DevicePtr::device_ptr(&x, &device.stream).0;
    launch(at, &mut out);
    drop(x);
    assert_eq!(device.stream.clone_dtoh(&out).unwrap()[..3], [10., 4., 10.]);
    launch(at, &mut out);
    let late = device.stream.synchronize();
    assert_eq!(late, Err(DriverError(Code::CUDA_ERROR_ILLEGAL_ADDRESS)));
    assert_eq!(device.emulated.faults()[0].kind, FaultKind::OutOfBounds);
    device.emulated.recover();
}

#[test]
fn an_unknown_kernel_is_not_found_and_all_of_this_crate_are() {
    let Some(device) = device(Schedule::default()) else { return };
    let kernels = device.emulated.kernels();
    for kernel in ["emu_matmul_f32", "emu_moments_f32", "emu_matmul_wgmma"] {
        assert!(kernels.iter().any(|k| k == kernel), "{kernel} is not among {kernels:?}");
    }
    let module = device.context.load_module(cudarc::nvrtc::Ptx::from_src("// source")).unwrap();
    let missing = module.load_function("emu_no_such_kernel").err();
    assert_eq!(missing, Some(DriverError(Code::CUDA_ERROR_NOT_FOUND)));
    device.emulated.recover();
}

/// The code of a call of the driver.
fn code(result: Result<(), DriverError>) -> Option<Code> {
    result.err().map(|DriverError(code)| code)
}

#[test]
fn a_thread_without_a_context_is_told_so() {
    let Some(device) = device(Schedule::default()) else { return };
    let stream = device.stream.cu_stream() as usize;
    let without = move || {
        let mut pointer = 0;
        let stream = stream as sys::CUstream;
        // SAFETY: addresses to write to; the calls are refused, which is the point.
        unsafe {
            [
                code(sys::cuMemAllocAsync(&raw mut pointer, 16, stream).result()),
                code(sys::cuMemAlloc_v2(&raw mut pointer, 16).result()),
                code(sys::cuStreamSynchronize(stream).result()),
                code(sys::cuMemFreeAsync(16, stream).result()),
                code(result::mem_get_info().map(drop)),
            ]
        }
    };
    let found = std::thread::spawn(without).join().expect("no panic");
    assert_eq!(found, [Some(Code::CUDA_ERROR_INVALID_CONTEXT); 5]);
    assert!(result::mem_get_info().is_ok(), "this thread has one");
}

#[test]
fn a_thread_that_records_may_not_do_what_is_unsafe_and_others_may() {
    let Some(device) = device(Schedule::default()) else { return };
    let module = device.context.load_module(cudarc::nvrtc::Ptx::from_src("// source")).unwrap();
    // SAFETY: addresses to write to; a few bytes are left to the process.
    let calls = |i: usize| unsafe {
        let (mut pointer, mut host) = (0, std::ptr::null_mut());
        match i {
            0 => result::module::load_data(c"// source".as_ptr().cast()).map(drop),
            1 => module.load_function("emu_fold_f32").map(drop),
            2 => sys::cuMemAlloc_v2(&raw mut pointer, 16).result(),
            _ => sys::cuMemHostAlloc(&raw mut host, 16, 0).result(),
        }
    };
    let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    for call in 0..4 {
        device.stream.begin_capture(mode).unwrap();
        let refused = Some(Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert_eq!(code(calls(call)), refused, "call {call}");
        let ended = device.stream.end_capture(sys::CUgraphInstantiate_flags(0)).map(drop);
        assert_eq!(code(ended), Some(Code::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED), "call {call}");
        assert_eq!(code(calls(call)), None, "call {call}, after it");
    }
    device.stream.begin_capture(mode).unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            device.context.bind_to_thread().unwrap();
            (0..4).map(|call| code(calls(call))).collect::<Vec<_>>()
        });
        assert_eq!(other.join().expect("no panic"), [None; 4]);
    });
    assert!(device.stream.end_capture(sys::CUgraphInstantiate_flags(0)).is_ok());
}

#[test]
fn an_older_device_says_so_and_refuses_newer_code() {
    let Some(device) = device(Schedule::default()) else { return };
    let attribute = |which| device.context.attribute(which).unwrap();
    let optin = Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
    let load = |target: &str| {
        let ptx = format!("//\n.version 7.0\n.target {target}\n.address_size 64\n");
        code(device.context.load_module(cudarc::nvrtc::Ptx::from_src(ptx)).map(drop))
    };
    let refused = Some(Code::CUDA_ERROR_INVALID_PTX);
    device.emulated.set_capability((7, 5));
    let older = (device.context.compute_capability().unwrap(), attribute(optin));
    let loads = ["sm_75", "sm_80", "sm_90a"].map(load);
    device.emulated.set_capability((9, 0));
    assert_eq!((older, loads), (((7, 5), 65_536), [None, refused, refused]));
    assert_eq!(["sm_75", "sm_80", "sm_90a", "sm_100"].map(load), [None, None, None, refused]);
}

#[test]
fn static_and_dynamic_shared_memory_share_one_limit() {
    let Some(device) = device(Schedule::default()) else { return };
    let entry = ".visible .entry emu_fold_f32(\n.param .u64 a,\n.param .u64 b,\n.param .u32 c\n)";
    let ptx = format!(
        "//\n.version 7.0\n.target sm_75\n.shared .align 8 .b8 outside[256];\n{entry}\n{{\n\t.shared \
         .align 4 .b8 inside[1024];\n\tmov.u32 %r1, outside;\n}}\n"
    );
    let module = device.context.load_module(cudarc::nvrtc::Ptx::from_src(ptx)).unwrap();
    let f = module.load_function("emu_fold_f32").unwrap();
    let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
    assert_eq!(f.get_attribute(attribute).unwrap(), 1280);
    let x = device.stream.clone_htod(&[1f32; 4]).unwrap();
    let mut out = device.stream.alloc_zeros::<f64>(8).unwrap();
    let mut launch = |bytes| {
        let mut launch = device.stream.launch_builder(&f);
        launch.arg(&x).arg(&mut out).arg(&4i32);
        // SAFETY: the arguments are the kernel's.
        let launched = unsafe {
            launch.launch(cudarc::driver::LaunchConfig { shared_mem_bytes: bytes, ..config(1, 32) })
        };
        code(launched.map(drop))
    };
    let refused = Some(Code::CUDA_ERROR_INVALID_VALUE);
    assert_eq!([launch(49_152 - 1280), launch(49_152 - 1279)], [None, refused]);
    let most = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    assert_eq!(code(f.set_attribute(most, 232_448 - 1279)), refused);
    assert_eq!(code(f.set_attribute(most, 232_448 - 1280)), None);
    assert_eq!(launch(232_448 - 1280), None);
    device.stream.synchronize().unwrap();
    device.emulated.recover();
}
