//! Samples from disk into host batches, in order and without waiting.
