//! What the tests of the emulated device share: one device, taken in turns, and a stream on it.

#![allow(dead_code, reason = "each test file uses its own part of this one")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{CudaContext, CudaFunction, CudaStream, LaunchConfig};
use cudarc::nvrtc::Ptx;
use gradus_cuda_emu::{Emulated, Schedule, Unavailable};

/// The device with nothing wrong yet, for as long as it is held.
pub(crate) struct Device {
    pub(crate) emulated: &'static Emulated,
    pub(crate) context: Arc<CudaContext>,
    pub(crate) stream: Arc<CudaStream>,
    _turn: MutexGuard<'static, ()>,
}

/// Schedules and faults belong to the process: tests take turns. None where there is no emulation.
pub(crate) fn device(schedule: Schedule) -> Option<Device> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let emulated = match gradus_cuda_emu::install() {
        Ok(emulated) => emulated,
        Err(why @ Unavailable::NotBuilt { .. }) => {
            eprintln!("skipped: {why}");
            return None;
        }
        Err(why) => panic!("{why}"),
    };
    emulated.recover();
    emulated.schedule(schedule);
    emulated.set_memory(1 << 30);
    let context = CudaContext::new(0).expect("the emulated device");
    // SAFETY: every test uses one stream, so that nothing is to be ordered by events.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream().expect("a stream");
    Some(Device { emulated, context, stream, _turn: turn })
}

impl Device {
    pub(crate) fn function(&self, name: &str) -> CudaFunction {
        let module = self.context.load_module(Ptx::from_src("// source")).expect("a module");
        module.load_function(name).expect("a kernel of this crate")
    }
}

pub(crate) fn config(grid: u32, block: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (grid, 1, 1), block_dim: (block, 1, 1), shared_mem_bytes: 0 }
}

/// Numbers in (-1, 1) that are the same every time.
pub(crate) fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// The bits of a bf16, towards zero, and the number that they stand for.
pub(crate) fn bf16(v: f32) -> u16 {
    (v.to_bits() >> 16) as u16
}

pub(crate) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}
