//! The proofs as functions.
//!
//! * [`gradcheck()`]: is the hand-derived gradient the derivative? Central differences in f64.
//! * [`assert_close`], [`Tolerance`]: the one place where tolerances live.
//! * [`Golden`]: reference vectors from real Keras, where `GRADUS_TEST_DATA` points to them.
//! * [`Cases`]: seeded random geometries and numbers; a failing case prints how to repeat it.
//!
//! Functions over closures and arrays: this crate knows no layer and no tensor.

mod cases;
mod close;
mod golden;
mod gpu;
mod gradcheck;

pub use cases::Cases;
pub use close::{Tolerance, assert_close};
pub use golden::{Golden, test_data};
pub use gpu::{emulated_gpu, gpu, gpu_with_tensor_cores, older_gpu};
pub use gradcheck::gradcheck;
