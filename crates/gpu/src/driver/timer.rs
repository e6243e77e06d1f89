//! How long the device is at work, by its own clock.

use super::Gpu;
use super::event::Event;
use crate::CudaError;

impl Gpu {
    /// Seconds that the device takes for what `work` launches, after what was launched before. Waits
    /// until it is done. An event's clock ticks every half microsecond or so: launch enough.
    ///
    /// # Errors
    /// If something went wrong, before or in `work`.
    pub fn seconds(&self, work: impl FnOnce()) -> Result<f64, CudaError> {
        self.synchronize()?;
        let (begin, end) = (self.moment()?, self.moment()?);
        begin.record();
        work();
        end.record();
        self.synchronize()?;
        end.event.since(&begin.event)
    }

    fn moment(&self) -> Result<Moment<'_>, CudaError> {
        self.bind();
        Ok(Moment { gpu: self, event: Event::timed()? })
    }
}

/// A timed event of the stream, given back when it is dropped.
struct Moment<'a> {
    gpu: &'a Gpu,
    event: Event,
}

impl Moment<'_> {
    fn record(&self) {
        // SAFETY: the stream lives as long as the device is open.
        let recorded = unsafe { self.event.record(self.gpu.stream()) };
        self.gpu.note("recording an event", recorded);
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        self.gpu.bind();
        // SAFETY: destroyed once.
        unsafe { self.event.destroy() };
    }
}
