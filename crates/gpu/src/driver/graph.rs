//! Work that was recorded once and is started with one call.

use super::{Gpu, said};
use crate::CudaError;
use cudarc::driver::{result, sys};

/// A recorded sequence of kernels and copies on the device.
#[derive(Debug)]
pub struct Graph {
    gpu: Gpu,
    handle: sys::CUgraphExec,
}

// SAFETY: a handle of the driver, which may be used from any thread that has the context.
unsafe impl Send for Graph {}
// SAFETY: nothing can be done with a shared graph: launching borrows it exclusively.
unsafe impl Sync for Graph {}

impl Gpu {
    /// Records what `work` launches, without doing it. `work` allocates nothing, frees nothing,
    /// waits for nothing and reads nothing back; every kernel in it was launched before, so that
    /// nothing has to be loaded. If it panics, the recording is ended and dropped.
    ///
    /// # Errors
    /// If the driver could not record it, or something went wrong before or meanwhile.
    pub fn capture(&self, work: impl FnOnce()) -> Result<Graph, CudaError> {
        self.check()?;
        let recording = Recording::begin(self)?;
        work();
        let recorded = recording.end();
        self.check()?;
        recorded?.instantiate()
    }
}

/// The stream while it records. It does no longer once this is dropped, be it by a panic.
struct Recording<'a>(Option<&'a Gpu>);

impl<'a> Recording<'a> {
    fn begin(gpu: &'a Gpu) -> Result<Self, CudaError> {
        gpu.bind();
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is open and not the default one.
        let begun = unsafe { result::stream::begin_capture(gpu.stream(), mode) };
        begun.map(|()| Self(Some(gpu))).map_err(failed)
    }

    fn end(mut self) -> Result<Recorded<'a>, CudaError> {
        let gpu = self.0.take().expect("ended once");
        Recorded::of(gpu)
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if let Some(gpu) = self.0.take() {
            gpu.bind();
            drop(Recorded::of(gpu));
        }
    }
}

/// What was recorded, to be instantiated.
struct Recorded<'a> {
    gpu: &'a Gpu,
    handle: sys::CUgraph,
}

impl<'a> Recorded<'a> {
    /// Ends the recording that the stream is in.
    fn of(gpu: &'a Gpu) -> Result<Self, CudaError> {
        // SAFETY: recording was begun on this stream by this thread: a `Recording` does not leave it,
        // for `Gpu::capture` holds it.
        let ended = unsafe { result::stream::end_capture(gpu.stream()) };
        ended.map(|handle| Self { gpu, handle }).map_err(failed)
    }

    fn instantiate(&self) -> Result<Graph, CudaError> {
        let flags = sys::CUgraphInstantiate_flags(0);
        // SAFETY: a graph that the driver gave, alive as long as `self`.
        let made = unsafe { result::graph::instantiate(self.handle, flags) };
        let handle = made.map_err(failed)?;
        Ok(Graph { gpu: self.gpu.clone(), handle })
    }
}

impl Drop for Recorded<'_> {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: a graph that the driver gave, destroyed once.
            let freed = unsafe { result::graph::destroy(self.handle) };
            self.gpu.note("freeing a recording", freed);
        }
    }
}

fn failed(error: result::DriverError) -> CudaError {
    said("recording a graph", error)
}

impl Graph {
    /// Puts the whole work in the stream once more.
    pub fn launch(&mut self) {
        self.gpu.bind();
        // SAFETY: the graph is instantiated, and the memory it works on is held by whoever
        // recorded it.
        let launched = unsafe { result::graph::launch(self.handle, self.gpu.stream()) };
        self.gpu.note("launching a graph", launched);
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.gpu.bind();
        // SAFETY: destroyed once.
        let freed = unsafe { result::graph::exec_destroy(self.handle) };
        self.gpu.note("freeing a graph", freed);
    }
}
