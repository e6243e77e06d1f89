//! Where all parameters of a model lie, in the memory of a GPU.

use super::NUMBERS;
use crate::State;
use gradus_tensor::gpu::{DeviceBuffer, Gpu, GpuView, GpuViewMut, Grid, NumbersFeed};
use gradus_tensor::{Fields, Param, Path, Tensor};

/// Slots that a row has room for.
pub(crate) const SLOTS: usize = 3;
/// Values that a block works on, as in `table.cuh`.
const TILE: usize = 4096;
/// Decay, numbers, and what an average keeps and takes.
const SCALARS: usize = 1 + NUMBERS + 2;

/// A parameter and all that belongs to it: addresses on the device, 0 where there is nothing. As in
/// `table.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    value: u64,
    grad: u64,
    slots: [u64; SLOTS],
    sum: u64,
    average: u64,
    len: u64,
    first: i32,
    decays: i32,
}

/// The rows of all parameters that are trained, in the order of the model; the scalars of the
/// update; and room for the norms of gradients. Laid out in the first step and again only in one
/// before which a parameter has moved, was frozen or thawed: other steps allocate nothing.
#[derive(Debug)]
pub(crate) struct Table {
    gpu: Gpu,
    /// As they were laid out last.
    laid: Vec<Row>,
    /// As they are found now.
    found: Vec<Row>,
    blocks: usize,
    rows: DeviceBuffer,
    scalars: DeviceBuffer,
    feed: NumbersFeed,
    /// f64 for each block.
    partial: DeviceBuffer,
    /// f32 for each row.
    factors: DeviceBuffer,
}

/// What is remembered of the parameters of a model, as far as rows tell of it.
pub(crate) struct Parts<'a, const N: usize> {
    pub(crate) state: &'a mut State<N>,
    pub(crate) sums: &'a mut State<1>,
    pub(crate) averages: Option<&'a mut State<1>>,
}

impl Table {
    /// An empty table on that device.
    pub(crate) fn new(gpu: &Gpu) -> Self {
        let [rows, partial, factors] = [(); 3].map(|()| DeviceBuffer::zeroed(gpu, 0));
        let bytes = SCALARS * size_of::<f32>();
        let (scalars, feed) = (DeviceBuffer::zeroed(gpu, bytes), NumbersFeed::new(gpu, bytes));
        let (laid, found) = (Vec::new(), Vec::new());
        Self { gpu: gpu.clone(), laid, found, blocks: 0, rows, scalars, feed, partial, factors }
    }

    /// Looks where everything lies, and tells the device where that has changed.
    ///
    /// # Panics
    /// If the states were built for a model with other parameters.
    pub(crate) fn lay<const N: usize>(
        &mut self,
        model: &mut dyn Fields,
        parts: Parts<'_, N>,
        decays: impl FnMut(&Path) -> bool,
    ) {
        self.find(model, parts, decays);
        if self.found == self.laid {
            return;
        }
        self.laid.clone_from(&self.found);
        let (gpu, count) = (&self.gpu, self.laid.len());
        self.blocks = self.laid.iter().map(Row::blocks).sum();
        self.rows = DeviceBuffer::zeroed(gpu, count * size_of::<Row>());
        self.rows.upload(&self.laid);
        self.partial = DeviceBuffer::zeroed(gpu, self.blocks * size_of::<f64>());
        self.factors = DeviceBuffer::zeroed(gpu, count * size_of::<f32>());
    }

    fn find<const N: usize>(
        &mut self,
        model: &mut dyn Fields,
        parts: Parts<'_, N>,
        mut decays: impl FnMut(&Path) -> bool,
    ) {
        let (found, mut first) = (&mut self.found, 0);
        found.clear();
        parts.state.each_named(model, |path, param, slots| {
            let row = Row { first, decays: i32::from(decays(path)), ..Row::of(param, slots) };
            first += row.blocks() as i32;
            found.push(row);
        });
        let mut rows = found.iter_mut();
        parts.sums.each(model, |_, [sum]| rows.next().expect("a row for each").sum = address(sum));
        let Some(averages) = parts.averages else { return };
        let mut rows = found.iter_mut();
        averages.each(model, |_, [average]| {
            rows.next().expect("a row for each").average = address(average);
        });
    }

    /// Copies the scalars of an update to where the kernels read them, in order with them.
    pub(crate) fn publish(&mut self, decay: f32, numbers: [f32; NUMBERS], [kept, taken]: [f32; 2]) {
        let mut scalars = [decay; SCALARS];
        scalars[1..=NUMBERS].copy_from_slice(&numbers);
        scalars[1 + NUMBERS..].copy_from_slice(&[kept, taken]);
        self.feed.send(&scalars, &mut self.scalars);
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// A block for each tile.
    pub(super) fn grid(&self) -> Grid {
        Grid::of([self.blocks.max(1) as u32, 1, 1], Grid::THREADS)
    }

    /// How many rows.
    pub(super) fn count(&self) -> i32 {
        self.laid.len() as i32
    }

    pub(super) fn blocks(&self) -> i32 {
        self.blocks as i32
    }

    pub(super) fn rows(&self) -> GpuView<'_, Row> {
        self.rows.view(self.laid.len())
    }

    pub(super) fn scalars(&self) -> GpuView<'_, f32> {
        self.scalars.view(SCALARS)
    }

    /// The rows, and room for the norms of their gradients: f64 for each block, f32 for each row.
    pub(super) fn norms(&mut self) -> (GpuView<'_, Row>, GpuViewMut<'_, f64>, GpuViewMut<'_, f32>) {
        let (blocks, count) = (self.blocks, self.laid.len());
        (self.rows.view(count), self.partial.view_mut(blocks), self.factors.view_mut(count))
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks == 0
    }
}

impl Row {
    fn of<const N: usize>(param: &mut Param, tensors: &mut [Tensor; N]) -> Self {
        let len = param.value.len();
        assert_eq!(param.grad.len(), len, "a gradient is as long as its value");
        let mut slots = [0; SLOTS];
        for (slot, tensor) in slots.iter_mut().zip(tensors) {
            assert!(tensor.is_empty() || tensor.len() == len, "a slot is as long as its parameter");
            *slot = address(tensor);
        }
        let [value, grad] = [&mut param.value, &mut param.grad].map(address);
        Self { value, grad, slots, len: len as u64, ..Self::default() }
    }

    fn blocks(&self) -> usize {
        (self.len as usize).div_ceil(TILE)
    }
}

/// Where a tensor begins on the device; 0 if it is empty.
fn address(tensor: &mut Tensor) -> u64 {
    match tensor.is_empty() {
        true => 0,
        false => tensor.gpu_mut::<f32>().pointer(),
    }
}
