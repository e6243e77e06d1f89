//! Where numbers lie and work happens.

use gradus_gpu::{CudaError, Gpu};
use std::fmt;
use std::str::FromStr;

/// The CPU, or one CUDA device. A closed set: operations are the open one, so every operation
/// matches on the device and no list of operations exists.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Device {
    /// Main memory and the cores beside it.
    #[default]
    Cpu,
    /// One GPU.
    Cuda(Gpu),
}

impl Device {
    /// The GPU if one opens, else the CPU, with the reason why it is not the GPU.
    #[must_use]
    pub fn auto() -> (Self, Option<CudaError>) {
        match Gpu::open(0) {
            Ok(gpu) => (Self::Cuda(gpu), None),
            Err(reason) => (Self::Cpu, Some(reason)),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(gpu) => write!(f, "cuda ({})", gpu.name()),
        }
    }
}

/// Why a device was not given.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceError {
    /// The words do not name a device.
    #[error("{found:?} is not a device: say auto, cpu, cuda or cuda:N")]
    Unknown {
        /// What was said.
        found: String,
    },
    /// The GPU could not be opened.
    #[error(transparent)]
    Cuda(#[from] CudaError),
}

/// Reads `auto`, `cpu`, `cuda` or `cuda:N`, and opens what it names.
impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown { found: text.to_owned() };
        match text.split_once(':').unwrap_or((text, "0")) {
            ("auto", "0") => Ok(Self::auto().0),
            ("cpu", "0") => Ok(Self::Cpu),
            ("cuda", n) => Ok(Self::Cuda(Gpu::open(n.parse().map_err(|_| unknown())?)?)),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_as_on_the_command_line() {
        assert_eq!("cpu".parse(), Ok(Device::Cpu));
        let far = "cuda:64".parse::<Device>();
        assert!(matches!(far, Err(DeviceError::Cuda(_))), "{far:?}");
        for wrong in ["gpu", "cuda:x", "cpu:1", ""] {
            assert!(matches!(wrong.parse::<Device>(), Err(DeviceError::Unknown { .. })), "{wrong}");
        }
    }

    #[test]
    fn auto_always_gives_a_device() {
        let (device, reason) = Device::auto();
        assert_eq!(device == Device::Cpu, reason.is_some());
    }
}
