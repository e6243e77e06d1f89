//! Whole training steps as graphs of a GPU.
//!
//! A step is some fifty kernels, and launching them one by one takes the host longer than a small
//! batch takes the device. So the first step with a batch of some size is done kernel by kernel,
//! which loads them; the second is recorded; from then on one call starts it all. What is recorded
//! and what is done kernel by kernel is the same function, and gives the same bits.
//!
//! A graph keeps the addresses it was recorded with, and the numbers that kernels were given. So
//! before each step it is looked at whether all that lies where it lay and is set as it was; if not,
//! everything recorded is dropped, and recording begins anew. Looking costs a walk over the
//! network's fields, and no memory.

use gradus_layers::Sequential;
use gradus_tensor::gpu::{CudaError, Gpu, Graph};
use gradus_tensor::{Context, Device, Field, Fields as _, Path, Precision};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// The steps recorded so far.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    steps: Vec<Entry>,
    /// What they were recorded upon: see [`upon`].
    upon: u64,
}

/// What steps are recorded for that was met before, and the step, once recorded.
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
    exact: bool,
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
    /// where the time goes, nor if steps differ from each other and so are not `capturable`. `path`
    /// is there to walk the network with.
    pub(crate) fn plan(
        &mut self,
        cx: &Context,
        (network, path): (&Sequential, &mut Path),
        capturable: bool,
        batch: usize,
    ) -> Next {
        let Device::Cuda(gpu) = &cx.device else { return Next::Work };
        if !cx.graphs || cx.profile.is_some() || !capturable {
            return Next::Work;
        }
        let upon = upon(cx, network, path);
        if upon != self.upon {
            self.steps.clear();
            self.upon = upon;
        }
        let key = Key { batch, precision: cx.precision, exact: cx.workspace.exact };
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

/// A hash of what a step is recorded upon, its own memory and the optimizer's aside: where the
/// context's and the network's numbers lie, what is frozen, and what is added to the loss.
fn upon(cx: &Context, network: &Sequential, path: &mut Path) -> u64 {
    let mut hash = DefaultHasher::new();
    (cx.places(), cx.fused).hash(&mut hash);
    network.visit(path, &mut |_, field| {
        field.value().place().hash(&mut hash);
        let Field::Param(param) = field else { return };
        (param.grad.place(), param.frozen).hash(&mut hash);
        param.regularizer.map(|r| [r.l1, r.l2].map(f64::to_bits)).hash(&mut hash);
    });
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_multiply_is_recorded_by_itself() {
        let Some(gpu) = gradus_testing::gpu() else { return };
        let (mut cx, network) = (Context::new(Device::Cuda(gpu), 1), Sequential::new());
        let mut recorded = Recorded::default();
        let mut next = |cx: &Context| recorded.plan(cx, (&network, &mut Path::default()), true, 8);
        let plain = cx.precision;
        for (precision, exact) in [(plain, false), (plain, true), (Precision::Bf16, false)] {
            (cx.precision, cx.workspace.exact) = (precision, exact);
            assert!(matches!(next(&cx), Next::Work), "the first step of {precision} is recorded");
            assert!(matches!(next(&cx), Next::Record(..)), "the second of {precision} is not");
        }
    }
}
