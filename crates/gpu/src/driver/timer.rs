//! How long the device is at work, by its own clock.

use super::{Gpu, said};
use crate::CudaError;
use cudarc::driver::{result, sys};

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
        // SAFETY: both events were recorded, and what they stand behind is done.
        let elapsed = unsafe { result::event::elapsed(begin.event, end.event) };
        Ok(f64::from(elapsed.map_err(|e| said("measuring time", e))?) / 1e3)
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
