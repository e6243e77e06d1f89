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
    /// nothing has to be loaded.
    ///
    /// # Errors
    /// If the driver could not record it, or something went wrong before.
    pub fn capture(&self, work: impl FnOnce()) -> Result<Graph, CudaError> {
        self.check()?;
        self.bind();
        let failed = |e| said("recording a graph", e);
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is open and not the default one.
        unsafe { result::stream::begin_capture(self.stream(), mode) }.map_err(failed)?;
        work();
        // SAFETY: recording was begun on this stream by this thread.
        let recorded = unsafe { result::stream::end_capture(self.stream()) };
        self.check()?;
        let recorded = recorded.map_err(failed)?;
        // SAFETY: a graph that the driver gave, instantiated once and destroyed.
        let handle = unsafe {
            let flags = sys::CUgraphInstantiate_flags(0);
            let made = result::graph::instantiate(recorded, flags);
            self.note("freeing a recording", result::graph::destroy(recorded));
            made.map_err(failed)?
        };
        Ok(Graph { gpu: self.clone(), handle })
    }
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
