//! Points in a stream that the host or another stream waits for.

use super::said;
use super::symbols::{dotted, driver_version};
use crate::CudaError;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

/// What tells the time between two is called since CUDA 12.8, and was before. `cudarc` knows the
/// first alone.
const ELAPSED: [&str; 2] = ["cuEventElapsedTime_v2", "cuEventElapsedTime"];
type Elapsed = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> sys::CUresult;

/// A point in a stream. Whoever waits for it sleeps: by itself the driver would have the thread ask
/// again and again, and keep a core from those that read images.
#[derive(Debug)]
pub(super) struct Event(sys::CUevent);

// SAFETY: a handle of the driver, which may be used from any thread that has the context.
unsafe impl Send for Event {}
// SAFETY: as above; the driver's calls for an event may be made by several threads.
unsafe impl Sync for Event {}

impl Event {
    /// An event that has come. The context is the thread's, and whoever holds the event destroys it.
    pub(super) fn new() -> Result<Self, CudaError> {
        use sys::CUevent_flags_enum as Flags;
        Self::with(Flags::CU_EVENT_DISABLE_TIMING as u32 | Flags::CU_EVENT_BLOCKING_SYNC as u32)
    }

    /// The same, and it remembers when it came. The context is the thread's.
    pub(super) fn timed() -> Result<Self, CudaError> {
        Self::with(sys::CUevent_flags_enum::CU_EVENT_BLOCKING_SYNC as u32)
    }

    fn with(flags: u32) -> Result<Self, CudaError> {
        let mut event = std::ptr::null_mut();
        // SAFETY: an address to write to, and flags that go together.
        let made = unsafe { sys::cuEventCreate(&raw mut event, flags).result() };
        made.map(|()| Self(event)).map_err(|e| said("making an event", e))
    }

    /// It comes when the stream has done all that it was given so far.
    ///
    /// # Safety
    /// The stream is open.
    pub(super) unsafe fn record(&self, stream: sys::CUstream) -> Result<(), DriverError> {
        // SAFETY: the event is alive, and the caller promises that the stream is.
        unsafe { result::event::record(self.0, stream) }
    }

    /// The host waits for it.
    pub(super) fn wait(&self) -> Result<(), DriverError> {
        // SAFETY: the event is alive.
        unsafe { result::event::synchronize(self.0) }
    }

    /// Seconds from another one to this one: both are timed, and have come.
    pub(super) fn since(&self, begin: &Self) -> Result<f64, CudaError> {
        // SAFETY: the function has had this type under both names.
        let find = |name: &&str| unsafe { sys::culib().get::<Elapsed>(name.as_bytes()) }.ok();
        let Some(elapsed) = ELAPSED.iter().find_map(find) else {
            let found = dotted(driver_version()?);
            return Err(CudaError::NoFunction { function: ELAPSED[0], found });
        };
        let mut milliseconds = 0.0;
        // SAFETY: an f32 to write to, and two events that are alive.
        let outcome = unsafe { elapsed(&raw mut milliseconds, begin.0, self.0) }.result();
        outcome.map_err(|e| said("measuring time", e))?;
        Ok(f64::from(milliseconds) / 1e3)
    }

    /// The stream waits for it.
    ///
    /// # Safety
    /// The stream is open.
    pub(super) unsafe fn hold(&self, stream: sys::CUstream) -> Result<(), DriverError> {
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: the event is alive, and the caller promises that the stream is.
        unsafe { result::stream::wait_event(stream, self.0, flags) }
    }

    /// Gives it back. It is not to be used again. What goes wrong is of no consequence.
    ///
    /// # Safety
    /// It was not destroyed before.
    pub(super) unsafe fn destroy(&self) {
        // SAFETY: destroyed once, as the caller promises.
        let _ = unsafe { result::event::destroy(self.0) };
    }
}
