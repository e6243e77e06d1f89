//! The door to one CUDA device.
