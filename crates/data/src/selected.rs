//! Some images of a data set, as a data set: a subset, or what is left without the bad ones.

use crate::{Dataset, Error, Sample};
use ndarray::{ArrayView3, ArrayViewMut1};
use std::sync::Arc;

/// The images `rows` of `dataset`, counted anew from 0.
pub(crate) struct Selected {
    dataset: Arc<dyn Dataset>,
    rows: Vec<usize>,
    labels: Vec<u32>,
    weights: Option<Vec<f32>>,
}

impl Selected {
    pub(crate) fn new(dataset: Arc<dyn Dataset>, rows: Vec<usize>) -> Self {
        let labels = dataset.labels();
        let labels = rows.iter().filter_map(|&row| labels.get(row).copied()).collect();
        let weights = dataset.weights().map(|all| rows.iter().map(|&row| all[row]).collect());
        Self { dataset, rows, labels, weights }
    }
}

impl Dataset for Selected {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn size(&self) -> [usize; 3] {
        self.dataset.size()
    }

    fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn read(&self, index: usize, into: &mut Sample) -> Result<(), Error> {
        self.dataset.read(self.rows[index], into)
    }

    fn outputs(&self) -> usize {
        self.dataset.outputs()
    }

    fn target(&self, index: usize, image: ArrayView3<'_, f32>, into: ArrayViewMut1<'_, f32>) {
        self.dataset.target(self.rows[index], image, into);
    }

    fn targets_need_images(&self) -> bool {
        self.dataset.targets_need_images()
    }

    fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    fn name(&self, index: usize) -> String {
        self.dataset.name(self.rows[index])
    }

    fn remark(&self) -> Option<String> {
        self.dataset.remark()
    }

    fn short_name(&self, index: usize) -> String {
        self.dataset.short_name(self.rows[index])
    }

    fn floats(&self, index: usize) -> Option<ArrayView3<'_, f32>> {
        self.dataset.floats(self.rows[index])
    }

    fn description(&self) -> String {
        self.dataset.description()
    }

    fn fingerprint(&self, index: usize) -> Option<u64> {
        self.dataset.fingerprint(self.rows[index])
    }
}
