//! A contiguous block of numbers on one device, and the context in which work happens.
//!
//! | word | what it is |
//! | --- | --- |
//! | [`Shape`], [`DType`], [`Spec`] | how many numbers, of which type |
//! | [`Device`] | where they lie: the CPU or one CUDA device |
//! | [`Tensor`] | the numbers. A box with a label, not a calculator |
//! | [`Param`], [`Fields`] | a learnable tensor, and the names of all that an object owns |
//! | [`Offer`] | an update that is made where the gradient comes about, if it can be |
//! | [`Context`], [`Workspace`] | what a call may use besides its arguments |
//! | [`Precision`] | to what products are rounded on a GPU |
//! | [`Pool`] | threads, fixed in number, whose results never depend on that number |
//! | [`simd`] | one source of vector code, compiled for each instruction set |
//! | [`Profile`] | where the time goes, for those who want to know |
//! | [`Real`] | f32 or f64: what the plain definitions are generic over |
//!
//! There is no arithmetic on tensors here, no strides, nothing lazy: layers compute, on `ndarray`
//! views that a tensor hands out.
//!
//! ```
//! use gradus_tensor::{Device, Shape, Spec, Tensor, ndarray::Ix2};
//! let mut t = Tensor::zeros(Spec::f32(Shape::new(&[2, 3])), &Device::Cpu);
//! t.view_mut::<f32, Ix2>()[[1, 2]] = 5.0;
//! assert_eq!(t.slice::<f32>(), [0.0, 0.0, 0.0, 0.0, 0.0, 5.0]);
//! ```
#![doc = include_str!("../README.md")]
#![cfg_attr(
    target_family = "wasm",
    allow(unreachable_code, unused_variables, reason = "no GPU there: its arms never run")
)]

mod buffer;
mod context;
mod device;
mod fields;
mod offer;
mod parallel;
mod precision;
mod profile;
mod real;
mod shape;
pub mod simd;
mod sums;
mod tensor;

pub use context::{Context, Scratch, StepScalars, Workspace};
pub use device::{Device, DeviceError};
pub use fields::{Field, FieldMut, Fields, Param, Path, Regularizer};
pub use gradus_gpu as gpu;
pub use gradus_random as random;
pub use ndarray;
pub use offer::{Offer, TileUpdate};
pub use parallel::{Chunks, Parts, Pool};
pub use precision::{Precision, UnknownPrecision};
pub use profile::{Phase, Profile, Span, Work};
pub use real::Real;
pub use shape::{DType, Element, Shape, Spec};
pub use sums::Sums;
pub use tensor::Tensor;
