//! The device, through `cudarc`. Nothing here panics where there is no driver: `cudarc` would, at
//! the first call, and so [`driver_version`] asks for the library before anything else does.

mod buffer;
mod devices;
mod feed;
mod graph;
mod launch;
mod source;
mod timer;

pub use buffer::DeviceBuffer;
pub use devices::{DeviceInfo, devices};
pub use feed::Feed;
pub use graph::Graph;

use buffer::Pinned;

use crate::CudaError;
use cudarc::driver::result::DriverError;
use cudarc::driver::{CudaContext, CudaStream, result, sys};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The oldest driver that will do: memory pools, graphs and PTX 8.0 are in it.
const OLDEST: i32 = 12_000;
/// The lowest compute capability the kernels are compiled for: Turing, such as a T4.
const LOWEST: (i32, i32) = (7, 5);

/// A CUDA device that is open: its context, one stream on which all work goes in order, and the
/// kernels loaded so far. A handle: clones are the same device.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

struct Inner {
    info: DeviceInfo,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// Kernels that were launched before, by the address of their declaration.
    loaded: Mutex<HashMap<usize, launch::Function>>,
    /// Modules, by the address of theirs. They live as long as the device is open.
    modules: Mutex<HashMap<usize, launch::LoadedModule>>,
    /// The first thing that went wrong where nobody could be told.
    fault: Mutex<Option<CudaError>>,
    allocations: AtomicU64,
}

impl Gpu {
    /// Opens the device with that ordinal, counted from 0 as `nvidia-smi` does.
    ///
    /// # Errors
    /// If there is no driver, it is too old, there is no such device, it is too old, or the driver
    /// refuses to open it.
    pub fn open(ordinal: usize) -> Result<Self, CudaError> {
        driver_version()?;
        let found = devices::count()?;
        if ordinal >= found {
            return Err(CudaError::NoDevice { ordinal, found });
        }
        let context = CudaContext::new(ordinal).map_err(|e| said("opening the device", e))?;
        let info = DeviceInfo::of(ordinal)?;
        if info.compute_capability < LOWEST {
            let found = info.capability();
            return Err(CudaError::OldDevice { name: info.name, found, needed: "7.5" });
        }
        // SAFETY: with one stream there is nothing for events to order; they would break capture.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(|e| said("making a stream", e))?;
        keep_freed_memory(&context)?;
        Ok(Self(Arc::new(Inner {
            info,
            context,
            stream,
            loaded: Mutex::default(),
            modules: Mutex::default(),
            fault: Mutex::default(),
            allocations: AtomicU64::new(0),
        })))
    }

    /// Name, memory and the like.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        &self.0.info
    }

    /// Which generation the device is: (9, 0) is Hopper, (8, 0) Ampere, (7, 5) Turing.
    #[must_use]
    pub fn compute_capability(&self) -> (i32, i32) {
        self.0.info.compute_capability
    }

    /// What the device is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.info.name
    }

    /// Bytes of memory that are free now, and that there are.
    ///
    /// # Errors
    /// If the driver does not say.
    pub fn memory(&self) -> Result<(usize, usize), CudaError> {
        self.bind();
        result::mem_get_info().map_err(|e| said("asking for free memory", e))
    }

    /// How many blocks of memory were made since the device was opened: what a test of steps that
    /// allocate nothing compares.
    #[must_use]
    pub fn allocations(&self) -> u64 {
        self.0.allocations.load(Ordering::Relaxed)
    }

    /// What went wrong since the last call, if anything. The verbs of a step return nothing, so
    /// this is asked once a step. It does not wait: what a kernel does wrong may show a step later.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub fn check(&self) -> Result<(), CudaError> {
        self.fault().take().map_or(Ok(()), Err)
    }

    /// Waits until all work is done, and tells what went wrong.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.wait();
        self.check()
    }

    /// Waits until all work is done. What went wrong, the next [`Gpu::check`] tells.
    pub fn wait(&self) {
        self.bind();
        // SAFETY: the stream lives as long as the device is open.
        let waited = unsafe { result::stream::synchronize(self.stream()) };
        self.note("waiting for the device", waited);
    }

    fn stream(&self) -> sys::CUstream {
        self.0.stream.cu_stream()
    }

    fn fault(&self) -> MutexGuard<'_, Option<CudaError>> {
        self.0.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an error for the next [`Gpu::check`], for whoever has nobody to tell.
    pub fn report(&self, error: CudaError) {
        self.keep(error);
    }

    /// Keeps the first error that nobody could be told.
    fn keep(&self, error: CudaError) {
        self.fault().get_or_insert(error);
    }

    fn note(&self, doing: &str, outcome: Result<(), DriverError>) {
        if let Err(error) = outcome {
            self.keep(said(doing, error));
        }
    }

    /// Makes the device the one that this thread's calls are for.
    fn bind(&self) {
        self.note("turning to the device", self.0.context.bind_to_thread());
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gpu").field(&self.0.info).finish()
    }
}

impl PartialEq for Gpu {
    /// Whether both are handles of one opened device.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Gpu {}

/// The version of CUDA that the driver is for, 1000 · major + 10 · minor.
///
/// # Errors
/// If there is no driver, or it is older than [`OLDEST`].
fn driver_version() -> Result<i32, CudaError> {
    // SAFETY: opens the library if it is there, which runs the driver's initialisers and no more.
    if !unsafe { sys::is_culib_present() } {
        let library = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
        return Err(CudaError::NoDriver { library });
    }
    let mut version = 0;
    // SAFETY: an i32 to write to; the function is in every driver.
    let asked = unsafe { sys::cuDriverGetVersion(&raw mut version).result() };
    asked.map_err(|e| said("asking for the driver's version", e))?;
    if version < OLDEST {
        let found = format!("{}.{}", version / 1000, version % 1000 / 10);
        return Err(CudaError::OldDriver { found, needed: "12.0" });
    }
    Ok(version)
}

/// Freed memory stays with the process, so that the next block is made without the system.
fn keep_freed_memory(context: &CudaContext) -> Result<(), CudaError> {
    // SAFETY: the device of an open context.
    let pool = unsafe { result::device::get_default_mem_pool(context.cu_device()) };
    let pool = pool.map_err(|e| said("asking for the memory pool", e))?;
    let mut threshold = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the attribute is a u64, and one is given.
    let set =
        unsafe { result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast()) };
    set.map_err(|e| said("setting up the memory pool", e))
}

/// The driver's error in our words.
fn said(doing: &str, error: DriverError) -> CudaError {
    let words = |text: Result<&std::ffi::CStr, DriverError>| {
        text.map_or(String::new(), |text| text.to_string_lossy().into_owned())
    };
    let (name, text) = (words(error.error_name()), words(error.error_string()));
    CudaError::Driver { doing: doing.to_owned(), code: error.0 as i32, name, text }
}
