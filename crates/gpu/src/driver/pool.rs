//! The pool that blocks of memory come from.

use super::{DeviceInfo, said};
use crate::CudaError;
use cudarc::driver::{CudaContext, result, sys};
use std::ffi::c_void;
use sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED as SUPPORTED;
use sys::CUmemPool_attribute as Of;

/// The device's own pool. Memory that was freed stays in it, so that the next block is made without
/// the system.
pub(super) struct Pool(sys::CUmemoryPool);

// SAFETY: a handle of the driver, which may be used from any thread.
unsafe impl Send for Pool {}
// SAFETY: as above; it is only asked for numbers.
unsafe impl Sync for Pool {}

impl Pool {
    /// The pool of an open device, told to keep what is freed.
    ///
    /// # Errors
    /// If the device has none.
    pub(super) fn of(context: &CudaContext, info: &DeviceInfo) -> Result<Self, CudaError> {
        let failed = |e| said("asking for the memory pool", e);
        if context.attribute(SUPPORTED).map_err(failed)? == 0 {
            return Err(CudaError::NoMemoryPools { name: info.name.clone() });
        }
        // SAFETY: the device of an open context.
        let pool = unsafe { result::device::get_default_mem_pool(context.cu_device()) };
        let (pool, mut threshold) = (pool.map_err(failed)?, u64::MAX);
        let (which, value) = (Of::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &raw mut threshold);
        // SAFETY: the attribute is a u64, and one is given.
        let set = unsafe { result::mem_pool::set_attribute(pool, which, value.cast::<c_void>()) };
        set.map(|()| Self(pool)).map_err(|e| said("setting up the memory pool", e))
    }

    /// Bytes that are kept and not in use.
    pub(super) fn idle(&self) -> Result<usize, CudaError> {
        let bytes = |which| {
            let mut bytes = 0u64;
            // SAFETY: the attributes asked for below are u64, and one is given.
            let asked = unsafe {
                result::mem_pool::get_attribute(self.0, which, (&raw mut bytes).cast::<c_void>())
            };
            asked.map(|()| bytes).map_err(|e| said("asking what the memory pool keeps", e))
        };
        let reserved = bytes(Of::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)?;
        let used = bytes(Of::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?;
        Ok(reserved.saturating_sub(used) as usize)
    }
}
