//! What stands in for the device where there can be none: types without values, so that the arms
//! for CUDA everywhere above are accepted and vanish.

use crate::{CudaError, GpuView, GpuViewMut, Grid, Kernel, TensorMap};
use std::ffi::c_void;
use std::fmt;

/// A CUDA device. There is none in this build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gpu {}

/// A block of a device's memory. There is none in this build.
#[derive(Debug)]
pub enum DeviceBuffer {}

/// A way of data to a device. There is none in this build.
#[derive(Debug)]
pub enum Feed {}

/// A way of a few numbers to a device. There is none in this build.
#[derive(Debug)]
pub enum NumbersFeed {}

/// Work recorded on a device. There is none in this build.
#[derive(Debug)]
pub enum Graph {}

/// A device as a driver describes it. There is none in this build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceInfo {}

/// The devices that the driver sees.
///
/// # Errors
/// Always [`CudaError::NotBuilt`] in this build.
pub fn devices() -> Result<Vec<DeviceInfo>, CudaError> {
    Err(CudaError::NotBuilt { ordinal: 0 })
}

impl DeviceInfo {
    /// The compute capability as NVIDIA writes it.
    #[must_use]
    pub fn capability(&self) -> String {
        match *self {}
    }
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Gpu {
    /// Opens the device with that ordinal.
    ///
    /// # Errors
    /// Always [`CudaError::NotBuilt`] in this build.
    pub fn open(ordinal: usize) -> Result<Self, CudaError> {
        Err(CudaError::NotBuilt { ordinal })
    }

    /// See the build with CUDA, as all of these.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        match *self {}
    }

    /// Which generation the device is.
    #[must_use]
    pub fn compute_capability(&self) -> (i32, i32) {
        match *self {}
    }

    /// What the device is called.
    #[must_use]
    pub fn name(&self) -> &str {
        match *self {}
    }

    /// Bytes of memory that are free now, and that there are.
    #[expect(clippy::missing_errors_doc, reason = "there is no value to call it on")]
    pub fn memory(&self) -> Result<(usize, usize), CudaError> {
        match *self {}
    }

    /// How many blocks of memory were made.
    #[must_use]
    pub fn allocations(&self) -> u64 {
        match *self {}
    }

    /// What went wrong since the last call.
    #[expect(clippy::missing_errors_doc, reason = "there is no value to call it on")]
    pub fn check(&self) -> Result<(), CudaError> {
        match *self {}
    }

    /// Waits until all work is done.
    #[expect(clippy::missing_errors_doc, reason = "there is no value to call it on")]
    pub fn synchronize(&self) -> Result<(), CudaError> {
        match *self {}
    }

    /// How long the device takes for what `work` launches.
    #[expect(clippy::missing_errors_doc, reason = "there is no value to call it on")]
    pub fn seconds(&self, _: impl FnOnce()) -> Result<f64, CudaError> {
        match *self {}
    }

    /// Keeps an error for the next [`Gpu::check`].
    pub fn report(&self, _: CudaError) {
        match *self {}
    }

    /// Waits until all work is done.
    pub fn wait(&self) {
        match *self {}
    }

    /// Puts a kernel in the stream.
    ///
    /// # Safety
    /// There is no value to call it on.
    pub unsafe fn launch(&self, _: &'static Kernel, _: Grid, _: &[*const c_void]) {
        match *self {}
    }

    /// How TMA finds boxes of a tensor.
    #[must_use]
    pub fn tensor_map(&self, _: GpuView<'_, u16>, _: &[usize], _: &[usize]) -> TensorMap {
        match *self {}
    }

    /// How TMA finds boxes of what is seen of a tensor.
    #[must_use]
    pub fn tensor_map_within(
        &self,
        _: GpuView<'_, u16>,
        _: &[usize],
        _: &[usize],
        _: &[usize],
    ) -> TensorMap {
        match *self {}
    }

    /// Records what `work` launches.
    #[expect(clippy::missing_errors_doc, reason = "there is no value to call it on")]
    pub fn capture(&self, _: impl FnOnce()) -> Result<Graph, CudaError> {
        match *self {}
    }
}

impl Graph {
    /// Puts the whole work in the stream once more.
    pub fn launch(&mut self) {
        match *self {}
    }
}

impl DeviceBuffer {
    /// Zeros.
    #[must_use]
    pub fn zeroed(gpu: &Gpu, _: usize) -> Self {
        match *gpu {}
    }

    /// The device.
    #[must_use]
    pub fn gpu(&self) -> &Gpu {
        match *self {}
    }

    /// The first `len` numbers, to read.
    #[must_use]
    pub fn view<T: Copy>(&self, _: usize) -> GpuView<'_, T> {
        match *self {}
    }

    /// The first `len` numbers, to write.
    #[must_use]
    pub fn view_mut<T: Copy>(&mut self, _: usize) -> GpuViewMut<'_, T> {
        match *self {}
    }

    /// Copies `from` to the front of the buffer.
    pub fn upload<T: Copy>(&mut self, _: &[T]) {
        match *self {}
    }

    /// Copies the front of the buffer into `into`.
    pub fn download<T: Copy>(&self, _: &mut [T]) {
        match *self {}
    }

    /// Copies the front of another buffer.
    pub fn copy_from(&mut self, _: &Self, _: usize) {
        match *self {}
    }
}

impl Feed {
    /// A way for up to that many bytes.
    #[expect(clippy::missing_errors_doc, reason = "there is no device to call it with")]
    pub fn new(gpu: &Gpu, _: usize) -> Result<Self, CudaError> {
        match *gpu {}
    }

    /// Lets `fill` write and puts it in the front of `into`.
    pub fn send(&mut self, _: usize, _: impl FnOnce(&mut [u8]), _: &mut DeviceBuffer) {
        match *self {}
    }

    /// Lends a table and what `fill` writes to what is launched.
    pub fn lend<T: Copy>(
        &mut self,
        _: &[T],
        _: usize,
        _: impl FnOnce(&mut [u8]),
        _: impl FnOnce(&Gpu, GpuView<'_, T>, GpuView<'_, u8>),
    ) {
        match *self {}
    }
}

impl NumbersFeed {
    /// A way for up to that many bytes.
    #[must_use]
    pub fn new(gpu: &Gpu, _: usize) -> Self {
        match *gpu {}
    }

    /// Puts the numbers in the front of `into`.
    pub fn send<T: Copy>(&mut self, _: &[T], _: &mut DeviceBuffer) {
        match *self {}
    }
}
