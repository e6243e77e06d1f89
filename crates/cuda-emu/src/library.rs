//! The library that `build.rs` made, opened once in a process, and what a test may ask of it.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::path::Path;
use std::sync::OnceLock;

use libloading::Library;

use crate::fault::{Fault, FaultKind};
use crate::schedule::{Order, Schedule};

/// Why there is no emulated device.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unavailable {
    /// This machine could not build it.
    #[error("the emulated CUDA driver was not built: {why}")]
    NotBuilt {
        /// What was missing.
        why: &'static str,
    },
    /// It was built, but cannot be opened.
    #[error("the emulated CUDA driver {path} cannot be opened: {why}")]
    NotOpened {
        /// Where it lies.
        path: String,
        /// What the loader says.
        why: String,
    },
}

/// What the driver has counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stats {
    /// Kernels run, those of graphs included.
    pub launches: i64,
    /// Graphs launched.
    pub graph_launches: i64,
    /// Allocations of device memory ever made.
    pub allocations: i64,
    /// Allocations not yet given back.
    pub live: i64,
    /// Their bytes.
    pub used: i64,
    /// The most bytes at any time.
    pub peak: i64,
    /// Modules loaded and not yet unloaded.
    pub modules: i64,
    /// Graphs, recorded and executable ones, that were not yet destroyed.
    pub graphs: i64,
    /// Waits for work that was not over by which a core spins: for a stream, or for an event without
    /// `CU_EVENT_BLOCKING_SYNC`.
    pub spins: i64,
}

/// The emulated driver of this process. Everything here is shared by all threads of it: tests that
/// set a schedule, limit the memory or expect faults take turns.
#[derive(Debug)]
pub struct Emulated {
    library: Library,
}

/// Opens the emulated driver, so that `cudarc` finds it in the place of the real one.
///
/// Call it before the first call of the CUDA driver in this process. It is opened once; later calls
/// return the same. `GRADUS_CUDA_EMU_LIBRARY` names another library than that of the build script,
/// made by it out of other kernels.
///
/// # Errors
/// [`Unavailable`] where it could not be built (no C++ compiler, not x86-64 Linux) or opened.
pub fn install() -> Result<&'static Emulated, Unavailable> {
    static OPENED: OnceLock<Result<Emulated, Unavailable>> = OnceLock::new();
    OPENED.get_or_init(open).as_ref().map_err(Unavailable::clone)
}

/// Where the emulated driver lies, if it was built: for a program that shall find it by
/// `LD_LIBRARY_PATH`.
#[must_use]
pub fn library() -> Option<&'static Path> {
    option_env!("GRADUS_CUDA_EMU").map(Path::new)
}

fn open() -> Result<Emulated, Unavailable> {
    let other = std::env::var("GRADUS_CUDA_EMU_LIBRARY").ok();
    let Some(path) = other.or(option_env!("GRADUS_CUDA_EMU").map(String::from)) else {
        let why = option_env!("GRADUS_CUDA_EMU_MISSING").unwrap_or("the build script did not run");
        return Err(Unavailable::NotBuilt { why });
    };
    // SAFETY: the library is ours; what it runs when it is opened enters the kernels in a table.
    unsafe { Library::new(&path) }
        .map(|library| Emulated { library })
        .map_err(|e| Unavailable::NotOpened { path, why: e.to_string() })
}

#[repr(C)]
struct RawFault {
    kind: c_int,
    block: [c_uint; 3],
    thread: [c_uint; 3],
    address: u64,
    kernel: [c_char; 128],
    what: [c_char; 400],
}

impl Emulated {
    /// One of the library's functions.
    ///
    /// # Safety
    /// `F` is the function pointer type of that name in `emu/driver_context.cpp`.
    unsafe fn function<F: Copy>(&self, name: &str) -> F {
        // SAFETY: the caller names the right type.
        let found = unsafe { self.library.get::<F>(name) };
        *found
            .unwrap_or_else(|e| panic!("{name} is missing in the library that build.rs made: {e}"))
    }

    /// What the driver has counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        // SAFETY: the type of emu_counts; Stats has its fields.
        unsafe { self.function::<unsafe extern "C" fn(*mut Stats)>("emu_counts")(&raw mut stats) };
        stats
    }

    /// Sets how launches are carried out from now on. What was launched before is finished first.
    pub fn schedule(&self, schedule: Schedule) {
        let (order, seed) = match schedule.order {
            Order::Forward => (0, 1),
            Order::Reverse => (1, 1),
            Order::Shuffled { seed } => (2, seed),
        };
        type Set = unsafe extern "C" fn(c_int, c_int, c_int, c_int, c_uint, u64);
        let Schedule { warp_greedy, lazy_copies, checked, preempt, .. } = schedule;
        let [greedy, lazy, checked] = [warp_greedy, lazy_copies, checked].map(c_int::from);
        // SAFETY: the type of emu_schedule.
        unsafe {
            self.function::<Set>("emu_schedule")(order, greedy, lazy, checked, preempt, seed)
        };
    }

    /// Everything that was found to be wrong, in order, since the last [`recover`](Self::recover).
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        // SAFETY: the type of emu_fault_count.
        let count =
            unsafe { self.function::<unsafe extern "C" fn() -> usize>("emu_fault_count")() };
        (0..count).filter_map(|i| self.fault(i)).collect()
    }

    fn fault(&self, i: usize) -> Option<Fault> {
        let mut raw = RawFault {
            kind: 0,
            block: [0; 3],
            thread: [0; 3],
            address: 0,
            kernel: [0; 128],
            what: [0; 400],
        };
        type Get = unsafe extern "C" fn(usize, *mut RawFault) -> c_int;
        // SAFETY: the type of emu_fault; RawFault has its fields.
        let found = unsafe { self.function::<Get>("emu_fault")(i, &raw mut raw) } != 0;
        found.then(|| Fault {
            kind: FaultKind::from_code(raw.kind),
            kernel: text(&raw.kernel),
            block: raw.block,
            thread: raw.thread,
            address: (raw.address != 0).then_some(raw.address),
            what: text(&raw.what),
        })
    }

    /// Forgets the faults, and the error that sticks to the context after one.
    pub fn recover(&self) {
        // SAFETY: the type of emu_recover.
        unsafe { self.function::<unsafe extern "C" fn()>("emu_recover")() };
    }

    /// Sets how much memory the device has. The default is 4 GiB, or as many bytes as
    /// `GRADUS_CUDA_EMU_MEMORY` says.
    pub fn set_memory(&self, bytes: usize) {
        // SAFETY: the type of emu_set_memory.
        unsafe { self.function::<unsafe extern "C" fn(usize)>("emu_set_memory")(bytes) };
    }

    /// Sets the device's compute capability, and what goes with it: a kernel whose PTX is for a
    /// newer one is not loaded. The default is 9.0, or what `GRADUS_CUDA_EMU_CAPABILITY` says, 75
    /// for 7.5.
    pub fn set_capability(&self, (major, minor): (i32, i32)) {
        type Set = unsafe extern "C" fn(c_int);
        // SAFETY: the type of emu_set_capability.
        unsafe { self.function::<Set>("emu_set_capability")(10 * major + minor) };
    }

    /// Sets whether the device has memory pools. The default is that it has.
    pub fn set_memory_pools(&self, supported: bool) {
        type Set = unsafe extern "C" fn(c_int);
        // SAFETY: the type of emu_set_memory_pools.
        unsafe { self.function::<Set>("emu_set_memory_pools")(supported.into()) };
    }

    /// The names of all kernels that were compiled in, in no order.
    #[must_use]
    pub fn kernels(&self) -> Vec<String> {
        type Name = unsafe extern "C" fn(usize) -> *const c_char;
        // SAFETY: the types of emu_kernel_count and emu_kernel_name.
        let (count, name) = unsafe {
            let count = self.function::<unsafe extern "C" fn() -> usize>("emu_kernel_count")();
            (count, self.function::<Name>("emu_kernel_name"))
        };
        // SAFETY: below the count, it returns a literal of the library, which is never closed.
        let of = |i| unsafe { CStr::from_ptr(name(i)) }.to_string_lossy().into_owned();
        (0..count).map(of).collect()
    }
}

fn text(bytes: &[c_char]) -> String {
    let bytes: Vec<u8> = bytes.iter().take_while(|&&b| b != 0).map(|&b| b as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
