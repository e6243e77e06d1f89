//! Is there a GPU? Which, how large, how old?

use super::{driver_version, said};
use crate::CudaError;
use cudarc::driver::{result, sys};
use std::fmt;

/// A CUDA device as the driver describes it. Printed as one line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Counted from 0, as `nvidia-smi` does.
    pub ordinal: usize,
    /// What it is called.
    pub name: String,
    /// Bytes of its memory.
    pub memory: usize,
    /// Which generation it is: (9, 0) is Hopper, (8, 0) Ampere, (7, 5) Turing.
    pub compute_capability: (i32, i32),
    /// How many processors it has that work by themselves.
    pub multiprocessors: i32,
    /// The version of CUDA that its driver is for: (13, 0).
    pub driver: (i32, i32),
}

/// The devices that the driver sees; none is no error.
///
/// # Errors
/// If there is no driver, it is too old, or does not answer.
pub fn devices() -> Result<Vec<DeviceInfo>, CudaError> {
    (0..count()?).map(DeviceInfo::of).collect()
}

/// How many there are.
pub(super) fn count() -> Result<usize, CudaError> {
    driver_version()?;
    let counted = result::init().and_then(|()| result::device::get_count());
    match counted {
        Ok(n) => Ok(usize::try_from(n).unwrap_or(0)),
        // What a driver says on a machine whose GPU is not there, or is hidden.
        Err(e) if e.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE => Ok(0),
        Err(e) => Err(said("counting the devices", e)),
    }
}

impl DeviceInfo {
    pub(super) fn of(ordinal: usize) -> Result<Self, CudaError> {
        let failed = |e| said("asking what the device is", e);
        let version = driver_version()?;
        let device = result::device::get(ordinal as i32).map_err(failed)?;
        // SAFETY: a device that the driver gave.
        let number = |attribute| unsafe { result::device::get_attribute(device, attribute) };
        use sys::CUdevice_attribute as Of;
        Ok(Self {
            ordinal,
            name: result::device::get_name(device).map_err(failed)?,
            // SAFETY: as above.
            memory: unsafe { result::device::total_mem(device) }.map_err(failed)?,
            compute_capability: (
                number(Of::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR).map_err(failed)?,
                number(Of::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR).map_err(failed)?,
            ),
            multiprocessors: number(Of::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
                .map_err(failed)?,
            driver: (version / 1000, version % 1000 / 10),
        })
    }

    /// The compute capability as NVIDIA writes it: `9.0`.
    #[must_use]
    pub fn capability(&self) -> String {
        format!("{}.{}", self.compute_capability.0, self.compute_capability.1)
    }
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = self.memory as f64 / (1u64 << 30) as f64;
        let (major, minor) = self.driver;
        write!(
            f,
            "cuda:{} {}, {gib:.1} GiB, compute capability {}, {} multiprocessors, driver for CUDA \
             {major}.{minor}",
            self.ordinal,
            self.name,
            self.capability(),
            self.multiprocessors
        )
    }
}
