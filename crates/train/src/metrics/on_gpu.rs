//! The sums of a model's metrics in the memory of a GPU.
//!
//! A step adds to them and waits for nothing; they are read when someone is shown the figures. They
//! are the metrics' own sums and go on where those are: after a reset, or what a checkpoint gives
//! back, they are sent anew before the next batch.

use super::Named;
use super::cuda::{Judged, Kernel};
use gradus_tensor::gpu::{DeviceBuffer, Gpu};

/// Sums of those metrics that a kernel counts, one behind the other.
#[derive(Debug)]
pub(super) struct OnGpu {
    gpu: Gpu,
    sums: DeviceBuffer,
    /// What the kernels counted in the samples of a batch.
    counts: DeviceBuffer,
    /// How many counts there is room for.
    room: usize,
    /// The sums here: what is sent, and what was read.
    here: Vec<f64>,
    /// Whether the device has the metrics' own sums, or more.
    sent: bool,
}

impl OnGpu {
    /// Room for batches of up to `samples`; nothing where no metric has a kernel.
    pub(super) fn new(gpu: &Gpu, metrics: &[Named], samples: usize) -> Option<Self> {
        let len: usize = of_kernels(metrics).map(|(_, named)| named.metric.sums().len()).sum();
        let room = needed(metrics, samples);
        (len > 0).then(|| Self {
            gpu: gpu.clone(),
            sums: DeviceBuffer::zeroed(gpu, len * size_of::<f64>()),
            counts: DeviceBuffer::zeroed(gpu, room * size_of::<u32>()),
            room,
            here: vec![0.0; len],
            sent: false,
        })
    }

    /// Whether batches of `samples` fit.
    pub(super) fn holds(&self, gpu: &Gpu, metrics: &[Named], samples: usize) -> bool {
        self.gpu == *gpu && needed(metrics, samples) <= self.room
    }

    /// The metrics' sums were changed: they are sent before the next batch.
    pub(super) fn forget(&mut self) {
        self.sent = false;
    }

    /// Adds a batch to the sums of all metrics that have a kernel.
    pub(super) fn add(&mut self, metrics: &[Named], batch: Judged<'_>) {
        if !self.sent {
            self.send(metrics);
        }
        let mut rest = self.sums.view_mut(self.here.len());
        for (kernel, named) in of_kernels(metrics) {
            // None, where the memory could not be had: then nothing is launched.
            let len = named.metric.sums().len().min(rest.len());
            let (sums, others) = rest.split_at(len);
            let counts = self.counts.view_mut(self.room);
            kernel.launch(&self.gpu, batch, named.weighted, counts, sums);
            rest = others;
        }
    }

    fn send(&mut self, metrics: &[Named]) {
        let own = of_kernels(metrics).flat_map(|(_, named)| named.metric.sums());
        self.here.iter_mut().zip(own).for_each(|(here, own)| *here = *own);
        self.sums.upload(&self.here);
        self.sent = true;
    }

    /// Waits for the kernels before, and gives the metrics their sums.
    pub(super) fn collect(&mut self, metrics: &mut [Named]) {
        if !self.sent {
            return;
        }
        self.sums.download(&mut self.here);
        let mut sums = self.here.iter();
        for named in metrics.iter_mut().filter(|named| named.metric.kernel().is_some()) {
            let own = named.metric.sums_mut().iter_mut();
            own.zip(&mut sums).for_each(|(own, here)| *own = *here);
        }
    }
}

/// Those that a kernel counts.
fn of_kernels(metrics: &[Named]) -> impl Iterator<Item = (Kernel, &Named)> {
    metrics.iter().filter_map(|named| Some((named.metric.kernel()?, named)))
}

/// How many counts such batches have.
fn needed(metrics: &[Named], samples: usize) -> usize {
    let columns = of_kernels(metrics).map(|(kernel, _)| kernel.columns()).max();
    columns.unwrap_or_default() * samples
}
