//! Every kind of mistake is found: the launch fails with an error that sticks, and the fault says what
//! was wrong in which kernel, block and thread.

mod common;

use common::{Device, config, device};
use cudarc::driver::{CudaFunction, DriverError, LaunchConfig, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;
use gradus_cuda_emu::{Fault, FaultKind, Schedule};
use sys::cudaError_enum as Code;

/// Launches `name` with a buffer of 64 zeros, and what is added by `more`.
fn launch(device: &Device, name: &str, cfg: LaunchConfig) -> Result<(), DriverError> {
    let f = device.function(name);
    let mut y = device.stream.alloc_zeros::<f32>(64)?;
    let mut launch = device.stream.launch_builder(&f);
    launch.arg(&mut y);
    // SAFETY: the kernel takes one pointer; what it does wrong stays within the emulation.
    unsafe { launch.launch(cfg) }?;
    device.stream.synchronize()
}

/// The same for kernels that take an input of 64 zeros as well, and its length if `counted`.
fn launch_with_input(
    device: &Device,
    f: &CudaFunction,
    cfg: LaunchConfig,
    counted: bool,
) -> Result<(), DriverError> {
    let x = device.stream.alloc_zeros::<f32>(64)?;
    let mut y = device.stream.alloc_zeros::<f32>(64)?;
    let n = 64i32;
    let mut launch = device.stream.launch_builder(f);
    launch.arg(&x).arg(&mut y);
    if counted {
        launch.arg(&n);
    }
    // SAFETY: as in `launch`.
    unsafe { launch.launch(cfg) }?;
    device.stream.synchronize()
}

/// The launch failed with this code, it sticks until `recover`, and this is the one fault.
#[track_caller]
fn expect(device: &Device, result: Result<(), DriverError>, kind: FaultKind, code: Code) -> Fault {
    let faults = device.emulated.faults();
    assert_eq!(faults.iter().map(|f| f.kind).collect::<Vec<_>>(), [kind], "{faults:?}");
    assert_eq!(result, Err(DriverError(code)));
    let again = device.stream.alloc_zeros::<f32>(1).map(drop);
    assert_eq!(again, Err(DriverError(code)), "the error sticks");
    device.emulated.recover();
    assert_eq!(device.emulated.faults(), []);
    let after = device.stream.alloc_zeros::<f32>(1).map(drop);
    // The first call after a failed Drop gets its error: cudarc stores it.
    assert!(after.is_ok() || device.stream.alloc_zeros::<f32>(1).is_ok(), "recovered: {after:?}");
    faults.into_iter().next().expect("just counted")
}

#[test]
fn an_access_past_the_end_says_which_thread_of_which_block() {
    let Some(device) = device(Schedule::checked()) else { return };
    let f = device.function("emu_broken_write_past_end");
    let mut x = device.stream.alloc_zeros::<f32>(64).unwrap();
    let n = 64i32;
    let mut launch = device.stream.launch_builder(&f);
    launch.arg(&mut x).arg(&n);
    // SAFETY: as in `launch`.
    unsafe { launch.launch(config(3, 32)) }.unwrap();
    let result = device.stream.synchronize();
    let fault = expect(&device, result, FaultKind::OutOfBounds, Code::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_eq!(fault.kernel, "emu_broken_write_past_end");
    assert_eq!((fault.block, fault.thread), ([1, 0, 0], [3, 0, 0]));
    assert!(fault.address.is_some());
    assert!(fault.what.contains("4 bytes 0 bytes past the end of an allocation of 256"), "{fault}");
}

#[test]
fn an_access_further_away_is_found_even_unchecked() {
    for schedule in [Schedule::default(), Schedule::checked()] {
        let Some(device) = device(schedule) else { return };
        let f = device.function("emu_broken_read_past_end");
        let result = launch_with_input(&device, &f, config(1, 32), true);
        let fault =
            expect(&device, result, FaultKind::OutOfBounds, Code::CUDA_ERROR_ILLEGAL_ADDRESS);
        assert_eq!(fault.thread, [5, 0, 0]);
        assert!(fault.what.contains("16384 bytes past the end of an allocation of 256"), "{fault}");
    }
}

#[test]
fn dynamic_shared_memory_ends_where_the_launch_said() {
    for schedule in [Schedule::default(), Schedule::checked()] {
        let Some(device) = device(schedule) else { return };
        let f = device.function("emu_broken_past_dynamic");
        let mut y = device.stream.alloc_zeros::<f32>(64).unwrap();
        let n = 64i32;
        let mut launch = device.stream.launch_builder(&f);
        launch.arg(&mut y).arg(&n);
        let cfg = LaunchConfig { shared_mem_bytes: 256, ..config(1, 64) };
        // SAFETY: as in `launch`.
        unsafe { launch.launch(cfg) }.unwrap();
        let result = device.stream.synchronize();
        expect(&device, result, FaultKind::OutOfBounds, Code::CUDA_ERROR_ILLEGAL_ADDRESS);
    }
}

#[test]
fn an_index_past_a_shared_array_is_found_with_its_line() {
    let Some(device) = device(Schedule::checked()) else { return };
    let f = device.function("emu_broken_index");
    let mut y = device.stream.alloc_zeros::<f32>(64).unwrap();
    let n = 64i32;
    let mut launch = device.stream.launch_builder(&f);
    launch.arg(&mut y).arg(&n);
    // SAFETY: as in `launch`.
    unsafe { launch.launch(config(1, 64)) }.unwrap();
    let result = device.stream.synchronize();
    let fault = expect(&device, result, FaultKind::OutOfBounds, Code::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_eq!(fault.thread, [9, 0, 0]);
    assert!(fault.what.contains("index 64") && fault.what.contains("broken.cu:"), "{fault}");
}

#[test]
fn a_stack_that_overflows_is_a_fault_of_its_thread() {
    let Some(device) = device(Schedule::default()) else { return };
    let f = device.function("emu_broken_stack");
    let mut x = device.stream.alloc_zeros::<i32>(1).unwrap();
    let n = 1i32 << 20;
    let mut launch = device.stream.launch_builder(&f);
    launch.arg(&mut x).arg(&n);
    // SAFETY: as in `launch`.
    unsafe { launch.launch(config(1, 1)) }.unwrap();
    let result = device.stream.synchronize();
    let fault = expect(&device, result, FaultKind::OutOfBounds, Code::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert!(fault.what.contains("stack"), "{fault}");
}

#[test]
fn races_are_found_within_a_warp_within_a_block_and_between_blocks() {
    let kernels = [
        ("emu_broken_no_barrier", config(1, 64)),
        ("emu_broken_overwritten_early", config(1, 64)),
        ("emu_broken_no_sync_warp", config(1, 32)),
        ("emu_broken_no_atomic", config(2, 32)),
    ];
    for (kernel, cfg) in kernels {
        let Some(device) = device(Schedule::checked()) else { return };
        let result = launch(&device, kernel, cfg);
        let faults = device.emulated.faults();
        // Whoever comes first reads what nobody has written yet, or races with who did.
        let kind = faults.first().map_or(FaultKind::Race, |f| f.kind);
        assert!(matches!(kind, FaultKind::Race | FaultKind::Uninitialised), "{kernel}: {kind:?}");
        let fault = expect(&device, result, kind, Code::CUDA_ERROR_LAUNCH_FAILED);
        assert_eq!(fault.kernel, kernel);
        assert!(kind == FaultKind::Race || kernel != "emu_broken_overwritten_early", "{fault}");
        assert!(kind == FaultKind::Race || kernel != "emu_broken_no_atomic", "{fault}");
    }
}

#[test]
fn a_last_block_without_a_fence_races_with_the_others() {
    let Some(device) = device(Schedule::checked()) else { return };
    let f = device.function("emu_broken_no_fence");
    let mut parts = device.stream.alloc_zeros::<f32>(4).unwrap();
    let mut finished = device.stream.alloc_zeros::<u32>(1).unwrap();
    let mut out = device.stream.alloc_zeros::<f32>(1).unwrap();
    let mut launch = device.stream.launch_builder(&f);
    launch.arg(&mut parts).arg(&mut finished).arg(&mut out);
    // SAFETY: as in `launch`.
    unsafe { launch.launch(config(4, 1)) }.unwrap();
    let result = device.stream.synchronize();
    let fault = expect(&device, result, FaultKind::Race, Code::CUDA_ERROR_LAUNCH_FAILED);
    assert_eq!(fault.block, [3, 0, 0]);
    assert!(fault.what.contains("another block"), "{fault}");
}

#[test]
fn reads_of_what_nobody_wrote_are_found_in_both_memories() {
    let code = Code::CUDA_ERROR_LAUNCH_FAILED;
    let Some(device) = device(Schedule::checked()) else { return };
    let result = launch(&device, "emu_broken_unwritten_shared", config(1, 64));
    let fault = expect(&device, result, FaultKind::Uninitialised, code);
    assert_eq!(fault.thread, [63, 0, 0]);

    let f = device.function("emu_broken_unwritten_global");
    // SAFETY: that nobody writes it is the point.
    let x = unsafe { device.stream.alloc::<f32>(64) }.unwrap();
    let mut y = device.stream.alloc_zeros::<f32>(64).unwrap();
    let mut launch = device.stream.launch_builder(&f);
    launch.arg(&x).arg(&mut y);
    // SAFETY: as in `launch`.
    unsafe { launch.launch(config(1, 64)) }.unwrap();
    let result = device.stream.synchronize();
    let fault = expect(&device, result, FaultKind::Uninitialised, code);
    assert!(fault.what.contains("byte 0 of an allocation of 256"), "{fault}");
}

#[test]
fn a_forgotten_wait_for_an_asynchronous_copy_is_found() {
    let Some(device) = device(Schedule::checked()) else { return };
    let f = device.function("emu_broken_no_wait");
    let result = launch_with_input(&device, &f, config(1, 16), false);
    expect(&device, result, FaultKind::Uninitialised, Code::CUDA_ERROR_LAUNCH_FAILED);
}

#[test]
fn threads_that_wait_for_ever_are_a_deadlock() {
    for kernel in ["emu_broken_deadlock", "emu_broken_phase"] {
        for schedule in Schedule::several() {
            let Some(device) = device(schedule) else { return };
            let result = launch(&device, kernel, config(1, 32));
            let fault =
                expect(&device, result, FaultKind::Deadlock, Code::CUDA_ERROR_LAUNCH_TIMEOUT);
            assert!(fault.what.contains("of 32 threads"), "{fault}");
        }
    }
}

#[test]
fn lanes_that_are_not_where_a_warp_operation_needs_them_are_found() {
    for kernel in ["emu_broken_two_operations", "emu_broken_mask", "emu_broken_half_a_warp"] {
        for schedule in Schedule::several() {
            let Some(device) = device(schedule) else { return };
            let result = launch(&device, kernel, config(1, 32));
            let kind = FaultKind::Divergence;
            let fault = expect(&device, result, kind, Code::CUDA_ERROR_LAUNCH_FAILED);
            assert_eq!(fault.kernel, kernel);
        }
    }
}

#[test]
fn misaligned_vectors_and_copies_are_found() {
    let code = Code::CUDA_ERROR_MISALIGNED_ADDRESS;
    let Some(device) = device(Schedule::checked()) else { return };
    let result = launch(&device, "emu_broken_misaligned", config(1, 1));
    expect(&device, result, FaultKind::Misaligned, code);
    let f = device.function("emu_broken_misaligned_copy");
    let result = launch_with_input(&device, &f, config(1, 1), false);
    expect(&device, result, FaultKind::Misaligned, code);
}

#[test]
fn traps_divisions_by_zero_and_impossible_arguments_are_faults() {
    let Some(device) = device(Schedule::default()) else { return };
    for kernel in ["emu_broken_trap", "emu_broken_division"] {
        let result = launch(&device, kernel, config(1, 1));
        expect(&device, result, FaultKind::Trap, Code::CUDA_ERROR_ILLEGAL_INSTRUCTION);
    }
    device.emulated.schedule(Schedule::checked());
    let result = launch(&device, "emu_broken_shift", config(1, 1));
    let fault = expect(&device, result, FaultKind::Trap, Code::CUDA_ERROR_ILLEGAL_INSTRUCTION);
    assert!(fault.what.contains("by 32") && fault.what.contains("broken.cu:"), "{fault}");
    let f = device.function("emu_broken_copy_size");
    let result = launch_with_input(&device, &f, config(1, 1), false);
    expect(&device, result, FaultKind::BadCall, Code::CUDA_ERROR_LAUNCH_FAILED);
}

#[test]
fn a_launch_beyond_the_limits_is_refused_and_does_not_stick() {
    let Some(device) = device(Schedule::default()) else { return };
    let much = LaunchConfig { shared_mem_bytes: 60_000, ..config(1, 32) };
    for cfg in [config(1, 65), config(1, 2000), config(0, 32), much] {
        let result = launch(&device, "emu_broken_bounds", cfg);
        assert_eq!(result, Err(DriverError(Code::CUDA_ERROR_INVALID_VALUE)));
        let faults = device.emulated.faults();
        assert_eq!((faults.len(), faults[0].kind), (1, FaultKind::BadLaunch), "{faults:?}");
        device.emulated.recover();
    }
    launch(&device, "emu_broken_bounds", config(1, 64)).unwrap();
    let f = device.function("emu_broken_bounds");
    let most = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    assert!(f.set_attribute(most, 232_448).is_ok());
    assert!(f.set_attribute(most, 232_449).is_err());
}

#[test]
fn ptx_must_declare_the_kernel_with_the_same_parameters() {
    let Some(device) = device(Schedule::default()) else { return };
    let load = |text: &str| {
        let module = device.context.load_module(Ptx::from_src(text)).unwrap();
        module.load_function("emu_broken_write_past_end").map(drop)
    };
    let entry = |parameters: &str| {
        format!(".version 7.0\n.visible .entry emu_broken_write_past_end({parameters})\n{{ ret; }}")
    };
    assert!(load(&entry("\n.param .u64 .ptr .align 1 a,\n.param .u32 b\n")).is_ok());
    assert!(load("// source").is_ok());
    for wrong in [entry(".param .u64 a"), entry(".param .u64 a,\n.param .u64 b")] {
        assert_eq!(load(&wrong), Err(DriverError(Code::CUDA_ERROR_NOT_FOUND)));
    }
    let other = entry(".param .u64 a").replace("past_end", "elsewhere");
    assert_eq!(load(&other), Err(DriverError(Code::CUDA_ERROR_NOT_FOUND)));
    let faults = device.emulated.faults();
    assert_eq!(faults.iter().map(|f| f.kind).collect::<Vec<_>>(), [FaultKind::BadCall; 3]);
    assert_eq!(faults[0].kernel, "emu_broken_write_past_end");
}
