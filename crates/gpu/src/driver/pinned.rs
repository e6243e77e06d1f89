//! Memory on the host where the device can reach it.

use super::{Gpu, said};
use crate::CudaError;
use cudarc::driver::result;
use std::ffi::c_void;

/// Memory of the host that the system does not move, so that the device copies from it by itself.
/// Zeros at first.
#[derive(Debug)]
pub(super) struct Pinned {
    gpu: Gpu,
    pointer: *mut c_void,
    bytes: usize,
}

// SAFETY: a block of memory and its length; whoever holds it borrows it as any other.
unsafe impl Send for Pinned {}
// SAFETY: as above; `&self` gives reading access alone.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// Zeros.
    ///
    /// # Errors
    /// If the system does not give as much memory that it may not move.
    pub(super) fn zeroed(gpu: &Gpu, bytes: usize) -> Result<Self, CudaError> {
        gpu.bind();
        // SAFETY: plain cached memory, freed in `drop`.
        let made = unsafe { result::malloc_host(bytes.max(1), 0) };
        let pointer = made.map_err(|e| said("pinning memory of the host", e))?;
        // SAFETY: a block of that many bytes.
        unsafe { std::ptr::write_bytes(pointer.cast::<u8>(), 0, bytes) };
        Ok(Self { gpu: gpu.clone(), pointer, bytes })
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the block is as long, initialised in `zeroed`, and borrowed as long as `self`.
        unsafe { std::slice::from_raw_parts(self.pointer.cast(), self.bytes) }
    }

    /// The bytes, to write.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.cast(), self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Copies may still read it.
        self.gpu.wait();
        // SAFETY: made by `malloc_host`, freed once.
        let freed = unsafe { result::free_host(self.pointer) };
        self.gpu.note("freeing memory of the host", freed);
    }
}
