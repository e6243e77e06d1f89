//! How long the device is at work, by its own clock.

use super::symbols::driver_version;
use super::{Gpu, said};
use crate::CudaError;
use cudarc::driver::{result, sys};

/// What the function is called since CUDA 12.8, and was before. `cudarc` knows the first.
const ELAPSED: [&str; 2] = ["cuEventElapsedTime_v2", "cuEventElapsedTime"];
type Elapsed = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> sys::CUresult;

impl Gpu {
    /// Seconds that the device takes for what `work` launches, after what was launched before. Waits
    /// until it is done. An event's clock ticks every half microsecond or so: launch enough.
    ///
    /// # Errors
    /// If something went wrong, before or in `work`.
    pub fn seconds(&self, work: impl FnOnce()) -> Result<f64, CudaError> {
        self.synchronize()?;
        let (begin, end) = (Instant::new(self)?, Instant::new(self)?);
        begin.record();
        work();
        end.record();
        self.synchronize()?;
        end.since(&begin)
    }
}

/// A moment in the stream.
struct Instant<'a> {
    gpu: &'a Gpu,
    event: sys::CUevent,
}

impl<'a> Instant<'a> {
    fn new(gpu: &'a Gpu) -> Result<Self, CudaError> {
        gpu.bind();
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
        Ok(Self { gpu, event: event.map_err(|e| said("making an event", e))? })
    }

    /// Seconds from another one to this one; both have come.
    fn since(&self, begin: &Self) -> Result<f64, CudaError> {
        // SAFETY: the function has had this type under both names.
        let find = |name: &&str| unsafe { sys::culib().get::<Elapsed>(name.as_bytes()) }.ok();
        let Some(elapsed) = ELAPSED.iter().find_map(find) else {
            let found = driver_version()?.to_string();
            return Err(CudaError::NoFunction { function: ELAPSED[0], found });
        };
        let mut milliseconds = 0.0;
        // SAFETY: an f32 to write to, and two events that were recorded and have come.
        let outcome = unsafe { elapsed(&raw mut milliseconds, begin.event, self.event) }.result();
        outcome.map_err(|e| said("measuring time", e))?;
        Ok(f64::from(milliseconds) / 1e3)
    }

    fn record(&self) {
        // SAFETY: event and stream are open.
        let recorded = unsafe { result::event::record(self.event, self.gpu.stream()) };
        self.gpu.note("recording an event", recorded);
    }
}

impl Drop for Instant<'_> {
    fn drop(&mut self) {
        self.gpu.bind();
        // SAFETY: destroyed once.
        let freed = unsafe { result::event::destroy(self.event) };
        self.gpu.note("freeing an event", freed);
    }
}
