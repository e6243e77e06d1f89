//! Puts an emulated CUDA driver in the place of the real one, for tests.
#![doc = include_str!("../README.md")]

mod fault;
mod library;
mod schedule;

pub use fault::{Fault, FaultKind};
pub use library::{Emulated, Stats, Unavailable, install, library};
pub use schedule::{Order, Schedule};
