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

    /// What `auto`, `cpu`, `cuda` or `cuda:N` names, opened. Where it is `auto` that came to the CPU,
    /// the reason comes with it, for the program to tell: nothing is printed here.
    ///
    /// # Errors
    /// If the words name no device, or it cannot be opened.
    pub fn named(text: &str) -> Result<(Self, Option<CudaError>), DeviceError> {
        let unknown = || DeviceError::Unknown { found: text.to_owned() };
        let device = match text.split_once(':').unwrap_or((text, "0")) {
            ("auto", "0") => return Ok(Self::auto()),
            ("cpu", "0") => Self::Cpu,
            ("cuda", n) => Self::Cuda(Gpu::open(n.parse().map_err(|_| unknown())?)?),
            _ => return Err(unknown()),
        };
        Ok((device, None))
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

/// Reads what [`Device::named`] does, which tells besides why `auto` is not a GPU.
impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        Self::named(text).map(|(device, _)| device)
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
    fn auto_always_gives_a_device_and_the_reason_where_it_is_not_a_gpu() {
        for (device, reason) in [Device::auto(), Device::named("auto").unwrap()] {
            assert_eq!(device == Device::Cpu, reason.is_some());
            let line = reason.map_or(String::new(), |reason| reason.to_string());
            assert!(!line.contains('\n'), "one line: {line}");
        }
        assert_eq!(Device::named("cpu"), Ok((Device::Cpu, None)), "it was asked for");
    }
}
