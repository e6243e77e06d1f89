//! The door to one CUDA device.
//!
//! No crate above this one writes `cfg(feature)` or names `cudarc`. The CUDA engines have not been
//! built yet, and until they are [`Gpu`] has no values: [`Gpu::open`] says so, and wherever a
//! layer chooses its engine the arm for CUDA reads `match *gpu {}`, which the compiler accepts
//! only while there is nothing to match. The day a `Gpu` exists, every room that still lacks a
//! kernel is a compile error.
#![doc = include_str!("../README.md")]

/// A CUDA device: context, stream and modules. There is none in this build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gpu {}

/// Why there is no GPU to work on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CudaError {
    /// This version of gradus cannot drive a GPU at all.
    #[error("CUDA device {ordinal} was not opened: this version of gradus has no CUDA engines")]
    NotBuilt {
        /// The device that was asked for.
        ordinal: usize,
    },
}

impl Gpu {
    /// Opens the device with that ordinal, counted from 0 as `nvidia-smi` does.
    ///
    /// # Errors
    /// Always [`CudaError::NotBuilt`] in this version.
    pub fn open(ordinal: usize) -> Result<Self, CudaError> {
        Err(CudaError::NotBuilt { ordinal })
    }

    /// What the device is called.
    #[must_use]
    pub fn name(&self) -> &str {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_says_what_was_asked_for_and_why_it_is_not_there() {
        let error = Gpu::open(2).unwrap_err();
        assert_eq!(error, CudaError::NotBuilt { ordinal: 2 });
        assert!(error.to_string().contains("CUDA device 2"));
    }
}
