//! What a call may use besides its arguments.

use crate::{Device, Pool, Profile, Shape, Spec, Tensor};

/// Device, threads, scratch and the numbers of the current step. One for each thread that trains
/// or infers. The fields are public so that they can be borrowed separately.
#[derive(Debug)]
pub struct Context {
    /// Where the work happens.
    pub device: Device,
    /// Threads and scratch memory for the CPU engines.
    pub workspace: Workspace,
    /// What changes every step.
    pub step: StepScalars,
    /// Where the time goes, for those who want to know: measured only if there is one.
    pub profile: Option<Profile>,
    /// Whether passes over memory may be done together, which changes no bit: a large kernel is
    /// then updated while its gradient comes about, and that gradient is nowhere to be read.
    /// `true` unless set.
    pub fused: bool,
}

impl Context {
    /// A context on `device` with that many threads (0: as many as there are cores).
    #[must_use]
    pub fn new(device: Device, threads: usize) -> Self {
        let (workspace, step) = (Workspace::new(threads), StepScalars::default());
        Self { device, workspace, step, profile: None, fused: true }
    }
}

/// What a CPU engine may use besides its arguments.
#[derive(Debug)]
pub struct Workspace {
    /// The threads.
    pub pool: Pool,
    /// Memory whose contents mean nothing between calls.
    pub scratch: Scratch,
    /// Such memory for each thread by itself: see [`Pool::each_at_desk`].
    pub desks: Scratch,
    /// Whether only the plain order of sums will do: no algorithm that computes a sum of products
    /// in another way and rounds differently, such as Winograd's. Default: no.
    pub exact: bool,
}

impl Workspace {
    /// That many threads (0: as many as there are cores), and no scratch yet.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let (scratch, desks) = (Scratch::default(), Scratch::default());
        Self { pool: Pool::new(threads), scratch, desks, exact: false }
    }

    /// Makes room for `scratch` floats that all threads share, and for a desk of `desk` floats for
    /// each thread. What was there is lost.
    pub fn reserve(&mut self, scratch: usize, desk: usize) {
        self.scratch.reserve(scratch);
        self.desks.reserve(Self::desks_for(&self.pool, desk));
    }

    /// The floats that desks of `desk` floats take together: what to take of them.
    #[must_use]
    pub fn desks_for(pool: &Pool, desk: usize) -> usize {
        desk.next_multiple_of(LINE) * pool.threads()
    }
}

/// Floats of a cache line: no two desks share one.
const LINE: usize = 16;

/// Memory that any verb may use and none may rely on afterwards. Grown while planning, never in a
/// step.
#[derive(Debug, Default)]
pub struct Scratch(Tensor);

impl Scratch {
    /// Makes room for `len` floats. What was in it is lost.
    pub fn reserve(&mut self, len: usize) {
        if len > self.0.len() {
            self.0 = Tensor::zeros(Spec::f32(Shape::new(&[len])), &Device::Cpu);
        }
    }

    /// `len` floats with arbitrary contents, aligned to 64 bytes.
    ///
    /// # Panics
    /// If less was reserved: the plan promised too little.
    #[must_use]
    pub fn take(&mut self, len: usize) -> &mut [f32] {
        let reserved = self.0.len();
        assert!(len <= reserved, "{len} floats of scratch are used, the plan reserved {reserved}");
        &mut self.0.slice_mut()[..len]
    }
}

/// The numbers that change every step: read by dropout and by the optimizer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepScalars {
    /// Optimizer updates made so far.
    pub step: u64,
    /// The seed of the run.
    pub seed: u64,
    /// The learning rate of this step.
    pub learning_rate: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_grows_only_when_asked() {
        let mut scratch = Scratch::default();
        scratch.reserve(100);
        scratch.reserve(10);
        assert_eq!(scratch.take(100).len(), 100);
    }

    #[test]
    #[should_panic(expected = "the plan reserved 0")]
    fn scratch_that_was_not_planned_is_refused() {
        let _ = Scratch::default().take(1);
    }
}
