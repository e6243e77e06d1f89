//! Whole training steps as graphs of a GPU.
//!
//! A step is some fifty kernels, and launching them one by one takes the host longer than a small
//! batch takes the device. So the first step with a batch of some size is done kernel by kernel,
//! which loads them; the second is recorded; from then on one call starts it all. What is recorded
//! and what is done kernel by kernel is the same function, and gives the same bits.

use gradus_tensor::gpu::{CudaError, Gpu, Graph};
use gradus_tensor::{Context, Device, Precision};

/// The steps recorded so far.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    steps: Vec<Entry>,
}

/// A size of batch and a precision that were met before, and their step, once recorded.
#[derive(Debug)]
struct Entry {
    key: Key,
    graph: Option<Graph>,
}

/// What a recorded step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    batch: usize,
    precision: Precision,
}

/// What there is to do for a step.
#[derive(Debug)]
pub(crate) enum Next {
    /// The work, kernel by kernel.
    Work,
    /// The work, to be recorded on that GPU.
    Record(Gpu, Key),
    /// Nothing more: the graph was launched.
    Recorded,
}

impl Recorded {
    /// What to do for a batch of `batch`. Nothing is recorded on a CPU, nor if someone wants to know
    /// where the time goes, nor if steps differ from each other and so are not `capturable`.
    pub(crate) fn plan(&mut self, cx: &Context, capturable: bool, batch: usize) -> Next {
        let Device::Cuda(gpu) = &cx.device else { return Next::Work };
        if !cx.graphs || cx.profile.is_some() || !capturable {
            return Next::Work;
        }
        let key = Key { batch, precision: cx.precision };
        match self.steps.iter_mut().find(|entry| entry.key == key) {
            None => {
                self.steps.push(Entry { key, graph: None });
                Next::Work
            }
            Some(Entry { graph: None, .. }) => Next::Record(gpu.clone(), key),
            Some(Entry { graph: Some(graph), .. }) => {
                graph.launch();
                Next::Recorded
            }
        }
    }

    /// Keeps what was recorded, and launches it for the first time. What could not be recorded is
    /// a fault of the device.
    pub(crate) fn keep(&mut self, gpu: &Gpu, key: Key, graph: Result<Graph, CudaError>) {
        match graph {
            Ok(mut graph) => {
                graph.launch();
                let entry = self.steps.iter_mut().find(|entry| entry.key == key);
                entry.expect("met before").graph = Some(graph);
            }
            Err(error) => gpu.report(error),
        }
    }
}
