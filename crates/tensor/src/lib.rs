//! A contiguous block of numbers on one device, and the context in which work happens.
