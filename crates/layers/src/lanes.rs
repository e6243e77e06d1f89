//! How many neighbouring numbers a thread moves at once, and a block side by side.

/// 4 where rows of `extent` floats are whole vectors of 16 bytes and memory at these addresses begins
/// with one, else 1. What a tensor begins with, a vector does.
pub(crate) fn lanes(extent: usize, pointers: &[u64]) -> usize {
    let aligned = pointers.iter().all(|pointer| pointer.is_multiple_of(16));
    if extent.is_multiple_of(4) && aligned { 4 } else { 1 }
}

/// Threads of a block that sums down columns: `COLUMN_THREADS` of columns.cuh.
pub(crate) const COLUMN_THREADS: usize = 256;

/// Neighbouring columns that such a block takes: a power of two up to a warp's 32.
pub(crate) fn columns_of_block(columns: usize) -> usize {
    columns.next_power_of_two().min(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_whole_and_begin_where_memory_lets_them() {
        assert_eq!(lanes(8, &[256, 0]), 4);
        assert_eq!((lanes(6, &[256]), lanes(8, &[256, 264])), (1, 1));
    }
}
