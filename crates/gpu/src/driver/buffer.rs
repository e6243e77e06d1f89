//! Memory on the device.

use super::Gpu;
use crate::{CudaError, GpuView, GpuViewMut};
use cudarc::driver::{result, sys};
use std::sync::atomic::Ordering;

/// A block of a device's memory, zeros at first.
#[derive(Debug)]
pub struct DeviceBuffer {
    gpu: Gpu,
    /// 0 where there are no bytes, or none could be had.
    pointer: u64,
    bytes: usize,
}

impl DeviceBuffer {
    /// Zeros. Where the device has not the memory, or had a fault before, the buffer is empty and
    /// [`Gpu::check`] tells: whoever plans asks it before the first kernel.
    #[must_use]
    pub fn zeroed(gpu: &Gpu, bytes: usize) -> Self {
        let pointer = if bytes == 0 { 0 } else { gpu.allocate(bytes).unwrap_or(0) };
        Self { gpu: gpu.clone(), pointer, bytes: if pointer == 0 { 0 } else { bytes } }
    }

    /// The device.
    #[must_use]
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The first `len` numbers, to read. No numbers, where the memory could not be had.
    ///
    /// # Panics
    /// If the buffer is smaller.
    #[must_use]
    pub fn view<T: Copy>(&self, len: usize) -> GpuView<'_, T> {
        if self.pointer == 0 {
            return GpuView::none();
        }
        self.expect(len * size_of::<T>());
        // SAFETY: the block holds as many bytes, aligned to 256, any of which make a number (zeros
        // or what was written as `T`); it is borrowed as long as the view lives.
        unsafe { GpuView::new(self.pointer, len) }
    }

    /// The first `len` numbers, to write.
    ///
    /// # Panics
    /// If the buffer is smaller.
    #[must_use]
    pub fn view_mut<T: Copy>(&mut self, len: usize) -> GpuViewMut<'_, T> {
        if self.pointer == 0 {
            return GpuViewMut::none();
        }
        self.expect(len * size_of::<T>());
        // SAFETY: as in `view`; `&mut self` makes the access exclusive.
        unsafe { GpuViewMut::new(self.pointer, len) }
    }

    fn expect(&self, bytes: usize) {
        let have = self.bytes;
        assert!(bytes <= have, "{bytes} bytes of a device buffer of {have} are used");
    }

    /// Copies `from` to the front of the buffer. The copy is in order with the kernels, and over when
    /// the call returns. What changes every step comes by way of a `Feed` or `NumbersFeed`, which
    /// wait for nothing.
    ///
    /// # Panics
    /// If the buffer is smaller.
    pub fn upload<T: Copy>(&mut self, from: &[T]) {
        if self.pointer == 0 || from.is_empty() {
            return;
        }
        self.expect(size_of_val(from));
        self.gpu.bind();
        // SAFETY: the block is large enough, and `from` is borrowed until the copy is over: that of
        // memory which the system may move is staged before the call returns, that of other memory
        // is not, and the caller's may be either.
        let copied = unsafe { result::memcpy_htod_async(self.pointer, from, self.gpu.stream()) };
        self.gpu.note("copying to the device", copied);
        self.gpu.wait();
    }

    /// Where the first `bytes` lie; nowhere, if the memory could not be had.
    ///
    /// # Panics
    /// If the buffer is smaller.
    pub(super) fn address(&mut self, bytes: usize) -> Option<u64> {
        if self.pointer == 0 {
            return None;
        }
        self.expect(bytes);
        Some(self.pointer)
    }

    /// Waits for the kernels before, and copies the front of the buffer into `into`. If there was
    /// a fault, `into` may be as it was: [`Gpu::check`] tells.
    ///
    /// # Panics
    /// If the buffer is smaller.
    pub fn download<T: Copy>(&self, into: &mut [T]) {
        if self.pointer == 0 || into.is_empty() {
            return;
        }
        self.expect(size_of_val(into));
        // What takes long is waited for asleep, and only the copy awake.
        self.gpu.wait();
        let stream = self.gpu.stream();
        // SAFETY: the block is large enough and holds numbers of that type; the call waits for the
        // copy before `into` is used again.
        let copied = unsafe {
            result::memcpy_dtoh_async(into, self.pointer, stream)
                .and_then(|()| result::stream::synchronize(stream))
        };
        self.gpu.note("copying from the device", copied);
    }

    /// Copies the front of another buffer of the same device, in order with the kernels.
    ///
    /// # Panics
    /// If one of them is smaller, or on another device.
    pub fn copy_from(&mut self, from: &Self, bytes: usize) {
        assert!(self.gpu == from.gpu, "buffers of two devices");
        if self.pointer == 0 || from.pointer == 0 || bytes == 0 {
            return;
        }
        self.expect(bytes);
        from.expect(bytes);
        self.gpu.bind();
        let stream = self.gpu.stream();
        // SAFETY: both blocks are large enough and apart from each other.
        let copied =
            unsafe { result::memcpy_dtod_async(self.pointer, from.pointer, bytes, stream) };
        self.gpu.note("copying on the device", copied);
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        if self.pointer != 0 {
            self.gpu.bind();
            // SAFETY: made by `allocate`, freed once; kernels that use it come before in the stream.
            let freed = unsafe { result::free_async(self.pointer, self.gpu.stream()) };
            self.gpu.note("freeing memory of the device", freed);
        }
    }
}

impl Gpu {
    /// A zeroed block, unless something went wrong: that is kept for [`Gpu::check`].
    fn allocate(&self, bytes: usize) -> Option<u64> {
        if self.fault().is_some() {
            return None;
        }
        self.bind();
        self.0.allocations.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the stream is open; the block is freed by the buffer that holds it.
        let made = unsafe { result::malloc_async(self.stream(), bytes) };
        match made {
            Ok(pointer) => {
                // SAFETY: a block of that many bytes.
                let zeroed = unsafe { result::memset_d8_async(pointer, 0, bytes, self.stream()) };
                self.note("clearing memory of the device", zeroed);
                Some(pointer)
            }
            Err(e) if e.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                let (free, total) = self.memory().unwrap_or((0, self.info().memory));
                self.keep(CudaError::OutOfMemory { bytes, free, total });
                None
            }
            Err(e) => {
                self.keep(super::said("making room on the device", e));
                None
            }
        }
    }
}
