//! The device, through `cudarc`. Nothing here panics where there is no driver: `cudarc` would, at
//! the first call, and so [`driver_version`] asks for the library, and whether all is in it, before
//! anything else does.

mod buffer;
mod devices;
mod event;
mod feed;
mod graph;
mod launch;
mod numbers;
mod pinned;
mod pool;
mod source;
mod symbols;
mod tensor_map;
mod timer;

pub use buffer::DeviceBuffer;
pub use devices::{DeviceInfo, devices};
pub use feed::Feed;
pub use graph::Graph;
pub use numbers::NumbersFeed;

use event::Event;
use pinned::Pinned;
use symbols::driver_version;

use crate::CudaError;
use cudarc::driver::result::DriverError;
use cudarc::driver::{CudaContext, CudaStream, result, sys};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The lowest compute capability the kernels are compiled for: Turing, such as a T4.
const LOWEST: (i32, i32) = (7, 5);

/// A CUDA device that is open: its context, one stream on which all work goes in order, and the
/// kernels loaded so far. A handle: clones are the same device.
#[derive(Clone)]
pub struct Gpu(Arc<Inner>);

struct Inner {
    info: DeviceInfo,
    /// Whether kernels are compiled from their sources.
    from_source: bool,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// Kernels that were launched before, by the address of their declaration.
    loaded: Mutex<HashMap<usize, launch::Function>>,
    /// Modules, by the address of theirs. They live as long as the device is open.
    modules: Mutex<HashMap<usize, launch::LoadedModule>>,
    /// What the host waits for, asleep.
    reached: Event,
    pool: pool::Pool,
    /// The first thing that went wrong where nobody could be told.
    fault: Mutex<Option<CudaError>>,
    allocations: AtomicU64,
}

impl Gpu {
    /// Opens the device with that ordinal, counted from 0 as `nvidia-smi` does.
    ///
    /// # Errors
    /// If there is no driver, it is too old, there is no such device, it is too old, the driver
    /// refuses to open it, or `GRADUS_KERNELS` says something that has no meaning.
    pub fn open(ordinal: usize) -> Result<Self, CudaError> {
        driver_version()?;
        let found = devices::count()?;
        if ordinal >= found {
            return Err(CudaError::NoDevice { ordinal, found });
        }
        let from_source = source::wanted()?;
        let context = CudaContext::new(ordinal).map_err(|e| said("opening the device", e))?;
        let info = DeviceInfo::of(ordinal)?;
        if info.compute_capability < LOWEST {
            let found = info.capability();
            return Err(CudaError::OldDevice { name: info.name, found, needed: "7.5" });
        }
        // SAFETY: with one stream there is nothing for events to order; they would break capture.
        unsafe { context.disable_event_tracking() };
        let pool = pool::Pool::of(&context, &info)?;
        let stream = context.new_stream().map_err(|e| said("making a stream", e))?;
        let reached = Event::new()?;
        Ok(Self(Arc::new(Inner {
            info,
            from_source,
            reached,
            pool,
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

    /// Bytes of memory that can be had now, and that there are. What was freed and stays with the
    /// process can be had again.
    ///
    /// # Errors
    /// If the driver does not say.
    pub fn memory(&self) -> Result<(usize, usize), CudaError> {
        self.bind();
        let (free, total) =
            result::mem_get_info().map_err(|e| said("asking for free memory", e))?;
        Ok((free + self.0.pool.idle()?, total))
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

    /// Waits until all work is done. What went wrong, the next [`Gpu::check`] tells. The thread
    /// sleeps meanwhile: its core may be wanted by those that read images.
    pub fn wait(&self) {
        self.bind();
        let reached = &self.0.reached;
        // SAFETY: the stream and the event live as long as the device is open. If two threads wait at
        // once, one of them waits for what the other has asked for too.
        let waited = unsafe { reached.record(self.stream()) }.and_then(|()| reached.wait());
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

impl Drop for Inner {
    /// Gives back what belongs to the context, as long as it lives: events, graphs and memory hold
    /// the device, so that nothing but the stream comes after this.
    fn drop(&mut self) {
        let modules = self.modules.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the stream is open; modules are unloaded once, after the last kernel. Of what
        // goes wrong there is nobody to tell.
        unsafe {
            let bound = self.context.bind_to_thread();
            let _ = bound.and_then(|()| self.reached.record(self.stream.cu_stream()));
            let _ = self.reached.wait();
            self.reached.destroy();
            for (_, module) in modules.drain() {
                module.unload();
            }
        }
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

/// The driver's error in our words.
fn said(doing: &str, error: DriverError) -> CudaError {
    let words = |text: Result<&std::ffi::CStr, DriverError>| {
        text.map_or(String::new(), |text| text.to_string_lossy().into_owned())
    };
    let (name, text) = (words(error.error_name()), words(error.error_string()));
    CudaError::Driver { doing: doing.to_owned(), code: error.0 as i32, name, text }
}
