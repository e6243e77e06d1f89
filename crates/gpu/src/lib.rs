//! The door to one CUDA device.
//!
//! No crate above this one writes `cfg(feature)` or names `cudarc`. The driver is loaded at run
//! time: nothing of CUDA is needed to build, and where there is no driver [`Gpu::open`] says so.
//! Without the feature `cuda`, or for WebAssembly, [`Gpu`] is a type without values, and every arm
//! for CUDA above vanishes.
//!
//! | word | what it is |
//! | --- | --- |
//! | [`devices`], [`DeviceInfo`] | is there a GPU, and which? |
//! | [`Gpu`] | a device that is open: one stream, in which all work goes in order |
//! | [`DeviceBuffer`], [`Feed`] | memory of the device, and the way of a batch into it |
//! | [`NumbersFeed`] | the way of a few numbers, such as the learning rate |
//! | [`GpuView`], [`GpuViewMut`] | numbers on the device, as kernels are given them |
//! | [`TensorMap`] | a tensor as Hopper's TMA finds its boxes |
//! | [`kernels!`], [`Grid`] | kernels, declared once, and how many threads work on them |
//! | [`Graph`] | work that was recorded once and is started with one call |
//!
//! Launches return nothing, so that mathematics stays free of `?`: the first fault is kept, nothing
//! is launched after it, and [`Gpu::check`] tells, once a step.
#![doc = include_str!("../README.md")]

mod error;
mod kernel;
mod view;

#[cfg(not(all(feature = "cuda", not(target_family = "wasm"))))]
mod absent;
#[cfg(all(feature = "cuda", not(target_family = "wasm")))]
mod driver;

#[cfg(not(all(feature = "cuda", not(target_family = "wasm"))))]
pub use absent::{DeviceBuffer, DeviceInfo, Feed, Gpu, Graph, NumbersFeed, devices};
#[cfg(all(feature = "cuda", not(target_family = "wasm")))]
pub use driver::{DeviceBuffer, DeviceInfo, Feed, Gpu, Graph, NumbersFeed, devices};
pub use error::CudaError;
pub use kernel::{Grid, Kernel, Module, address};
pub use view::{Argument, GpuView, GpuViewMut, In, InOut, Out, TensorMap};
