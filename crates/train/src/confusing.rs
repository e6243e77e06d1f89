//! A confusion matrix in the making: which class each sample of a pass is taken for.
//!
//! One number says yes above a threshold; of several the largest counts. On a GPU the pairs are
//! counted there, if the loss is worked out there too, and read at the end of the pass.

use crate::memory::class;
use crate::metrics::cuda::{Judged, confuse};
use crate::{ConfusionMatrix, Memory};
use gradus_layers::{Loss, argmax};
use gradus_tensor::Device;
use gradus_tensor::gpu::{DeviceBuffer, Gpu};
use ndarray::ArrayView2;

/// The matrix, and what is not in it yet.
#[derive(Debug)]
pub(crate) struct Confusing {
    matrix: ConfusionMatrix,
    threshold: f32,
    on_gpu: Option<Pairs>,
}

/// Counts of (actual, predicted) pairs in the memory of a GPU.
#[derive(Debug)]
struct Pairs {
    gpu: Gpu,
    /// Rows and columns: enough for every class and every output.
    classes: usize,
    counts: DeviceBuffer,
}

impl Confusing {
    /// An empty matrix, for a network of so many outputs.
    pub(crate) fn new(
        matrix: ConfusionMatrix,
        threshold: f32,
        outputs: usize,
        device: &Device,
    ) -> Self {
        let classes = matrix.classes().len().max(outputs);
        let on_gpu = match device {
            Device::Cpu => None,
            Device::Cuda(gpu) => {
                let counts = DeviceBuffer::zeroed(gpu, classes * classes * size_of::<u64>());
                Some(Pairs { gpu: gpu.clone(), classes, counts })
            }
        };
        Self { matrix, threshold, on_gpu }
    }

    /// Counts the samples of a batch that the loss counts. It waits for a GPU only if the loss is
    /// one that no kernel knows.
    pub(crate) fn add(
        &mut self,
        loss: &dyn Loss,
        memory: &mut Memory,
        targets: ArrayView2<'_, f32>,
    ) {
        if !self.add_there(loss, memory.judged()) {
            memory.tell();
            self.add_told(loss, memory.answered().rows(), targets);
        }
    }

    /// Counts them where they are, if that is a GPU; says whether it did.
    pub(crate) fn add_there(&mut self, loss: &dyn Loss, batch: Judged<'_>) -> bool {
        let (Some(pairs), Some(kernel)) = (&mut self.on_gpu, loss.kernel()) else { return false };
        let Pairs { gpu, classes, counts } = pairs;
        let counts = counts.view_mut(*classes * *classes);
        confuse(gpu, batch, *classes, self.threshold, kernel.ignored(), counts);
        true
    }

    /// Counts them here.
    pub(crate) fn add_told(
        &mut self,
        loss: &dyn Loss,
        answers: ArrayView2<'_, f32>,
        targets: ArrayView2<'_, f32>,
    ) {
        for (answer, target) in answers.rows().into_iter().zip(targets.rows()) {
            let counts = target.as_slice().is_some_and(|target| loss.counts(target));
            if let Some(class) = class(target).filter(|_| counts) {
                let predicted = match answer.len() {
                    1 => usize::from(answer[0] > self.threshold),
                    _ => argmax(answer),
                };
                self.matrix.add(class, predicted);
            }
        }
    }

    /// The matrix; a GPU is waited for.
    pub(crate) fn counted(mut self) -> ConfusionMatrix {
        let Some(Pairs { classes, counts, .. }) = &self.on_gpu else { return self.matrix };
        let mut pairs = vec![0; classes * classes];
        counts.download::<u64>(&mut pairs);
        for (pair, &count) in pairs.iter().enumerate().filter(|&(_, &count)| count > 0) {
            self.matrix.add_many(pair / classes, pair % classes, count);
        }
        self.matrix
    }
}
