//! Tensors as Hopper's TMA sees them.

use super::{Gpu, said};
use crate::{GpuView, TensorMap};
use cudarc::driver::sys;

/// As many dimensions as a map may have.
const MOST: usize = 5;
/// Bytes of a row of a box, which the swizzle of 128 bytes demands.
const ROW: usize = 128;

impl Gpu {
    /// How TMA finds boxes of `part` numbers in a tensor of bfloat16, both with the innermost extent
    /// last. A row of a box is 64 numbers, 128 bytes, and lands in shared memory with the 128-byte
    /// swizzle; what of a box is outside of the tensor is zero. Nothing is launched or allocated, so
    /// that it may be made while a graph is recorded. What the driver refuses, [`Gpu::check`] tells.
    ///
    /// # Panics
    /// If the view has another length than the extents say, or a box has other dimensions than the
    /// tensor or other rows.
    #[must_use]
    pub fn tensor_map(
        &self,
        tensor: GpuView<'_, u16>,
        extents: &[usize],
        part: &[usize],
    ) -> TensorMap {
        self.tensor_map_within(tensor, extents, extents, part)
    }

    /// The same, but of each extent only the first `seen` are there: all others are zero, too.
    ///
    /// # Panics
    /// As [`Gpu::tensor_map`], and if nothing or more than there is would be seen.
    #[must_use]
    pub fn tensor_map_within(
        &self,
        tensor: GpuView<'_, u16>,
        extents: &[usize],
        seen: &[usize],
        part: &[usize],
    ) -> TensorMap {
        let (rank, len) = (extents.len(), extents.iter().product());
        assert!((2..=MOST).contains(&rank) && part.len() == rank, "{part:?} of {extents:?}");
        assert_eq!(part[rank - 1] * size_of::<u16>(), ROW, "the bytes of a row of {part:?}");
        assert!(tensor.len() == len || tensor.is_empty(), "{} of {extents:?}", tensor.len());
        let are_there = seen.iter().zip(extents).all(|(n, extent)| (1..=*extent).contains(n));
        assert!(seen.len() == rank && are_there, "{seen:?} of {extents:?}");
        let mut map = TensorMap { opaque: [0; 16] };
        if tensor.is_empty() {
            return map;
        }
        let (mut sizes, mut pitches, mut sides) = ([1; MOST], [0; MOST], [1; MOST]);
        let mut bytes = size_of::<u16>() as u64;
        for i in 0..rank {
            let from_behind = rank - 1 - i;
            (sizes[i], sides[i]) = (seen[from_behind] as u64, part[from_behind] as u32);
            bytes *= extents[from_behind] as u64;
            pitches[i] = bytes; // from one of the next extent to its neighbour
        }
        // SAFETY: the arrays have as many elements as a tensor of that rank needs, and the map the
        // 128 bytes that are written, aligned to 64.
        let encoded = unsafe {
            sys::cuTensorMapEncodeTiled(
                (&raw mut map).cast(),
                sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                rank as u32,
                tensor.pointer() as *mut _,
                sizes.as_ptr(),
                pitches.as_ptr(),
                sides.as_ptr(),
                [1; MOST].as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
            .result()
        };
        if let Err(error) = encoded {
            self.report(said(&format!("mapping {extents:?} by boxes of {part:?}"), error));
        }
        map
    }
}
