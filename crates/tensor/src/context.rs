//! What a call may use besides its arguments.

use crate::{Device, Pool, Precision, Profile, Shape, Spec, Sums, Tensor};
use gradus_gpu::{CudaError, DeviceBuffer, GpuView, GpuViewMut, NumbersFeed};

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
    /// What kernels of a GPU add up over the steps: losses and hits.
    pub sums: Sums,
    /// Where the time goes, for those who want to know: measured only if there is one.
    pub profile: Option<Profile>,
    /// Whether passes over memory may be done together, which changes no bit: a large kernel is
    /// then updated while its gradient comes about, and that gradient is nowhere to be read.
    /// `true` unless set.
    pub fused: bool,
    /// How exact products are on a GPU: read by convolutions and dense layers whenever they work.
    /// A device without tensor cores for it (before 8.0) stays exact, and so do the passes that
    /// [`Precision`] names. [`Precision::F32`] unless set.
    pub precision: Precision,
    /// Whether a GPU may record a training step and launch it as a whole, which changes no bit.
    /// `true` unless set.
    pub graphs: bool,
    /// Whether a GPU takes images as bytes, where the data can give them so, and does to each what was
    /// drawn for it, which changes no bit. `true` unless set.
    pub augment_on_gpu: bool,
    /// `step` where the kernels of a GPU read it, and the way there.
    published: Option<(DeviceBuffer, NumbersFeed)>,
}

impl Context {
    /// A context on `device` with that many threads (0: as many as there are cores).
    #[must_use]
    pub fn new(device: Device, threads: usize) -> Self {
        let (workspace, step) = (Workspace::on(&device, threads), StepScalars::default());
        let published = match &device {
            Device::Cpu => None,
            Device::Cuda(gpu) => {
                let bytes = size_of::<StepScalars>();
                Some((DeviceBuffer::zeroed(gpu, bytes), NumbersFeed::new(gpu, bytes)))
            }
        };
        let sums = Sums::on(&device);
        let (profile, precision) = (None, Precision::F32);
        Self {
            device,
            workspace,
            step,
            sums,
            profile,
            fused: true,
            precision,
            graphs: true,
            augment_on_gpu: true,
            published,
        }
    }

    /// Copies `step` to where the kernels of a GPU read it, in order with them: once before each
    /// step. It is not an argument of theirs because a recorded step is launched again and again
    /// with the arguments it was recorded with. Does nothing on the CPU.
    pub fn publish_step(&mut self) {
        if let Some((published, feed)) = &mut self.published {
            feed.send(&[self.step], published);
        }
    }

    /// What a GPU had to say since the last call; the CPU has nothing. Asked once a step, because
    /// the verbs of a step return nothing.
    ///
    /// # Errors
    /// The first thing that went wrong on the GPU.
    pub fn check(&self) -> Result<(), CudaError> {
        match &self.device {
            Device::Cpu => Ok(()),
            Device::Cuda(gpu) => gpu.check(),
        }
    }

    /// What [`Context::publish_step`] published last.
    ///
    /// # Panics
    /// On the CPU.
    #[must_use]
    pub fn published_step(&self) -> GpuView<'_, StepScalars> {
        self.published.as_ref().expect("a context on a GPU").0.view(1)
    }

    /// Where on a GPU the memory lies that verbs are lent, and how long it is: the scratch, the sums,
    /// the published step. A recorded step works on these very places: once one has moved, it is not
    /// to be launched any more. Zeros on the CPU.
    #[must_use]
    pub fn places(&self) -> [(u64, usize); 3] {
        let published = self.published.as_ref().map(|(at, _)| at.view::<StepScalars>(1));
        let published = published.map_or((0, 0), |view| (view.pointer(), view.len()));
        [self.workspace.scratch.memory.place(), self.sums.place(), published]
    }
}

/// What an engine may use besides its arguments: threads and desks on the CPU, scratch on a GPU too.
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
        Self::on(&Device::Cpu, threads)
    }

    /// The same with what threads share on `device`.
    fn on(device: &Device, threads: usize) -> Self {
        let (scratch, desks) = (Scratch::on(device), Scratch::default());
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
pub struct Scratch {
    memory: Tensor,
    device: Device,
}

impl Scratch {
    /// None yet, on that device.
    #[must_use]
    pub fn on(device: &Device) -> Self {
        Self { memory: Tensor::zeros(Spec::f32(Shape::new(&[0])), device), device: device.clone() }
    }

    /// Makes room for `len` floats. What was in it is lost.
    pub fn reserve(&mut self, len: usize) {
        if len > self.memory.len() {
            self.memory = Tensor::zeros(Spec::f32(Shape::new(&[len])), &self.device);
        }
    }

    /// `len` floats with arbitrary contents, aligned to 64 bytes.
    ///
    /// # Panics
    /// If less was reserved: the plan promised too little.
    #[must_use]
    pub fn take(&mut self, len: usize) -> &mut [f32] {
        self.expect(len);
        &mut self.memory.slice_mut()[..len]
    }

    /// `len` floats with arbitrary contents, for the kernels of a GPU.
    ///
    /// # Panics
    /// If less was reserved, or the scratch is on the CPU.
    #[must_use]
    pub fn take_gpu(&mut self, len: usize) -> GpuViewMut<'_, f32> {
        self.expect(len);
        let all = self.memory.gpu_mut();
        match all.is_empty() {
            true => all,
            false => all.split_at(len).0,
        }
    }

    fn expect(&self, len: usize) {
        let reserved = self.memory.len();
        assert!(len <= reserved, "{len} floats of scratch are used, the plan reserved {reserved}");
    }
}

/// The numbers that change every step: read by dropout and by the optimizer.
#[repr(C)]
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
