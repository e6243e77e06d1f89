//! Numbers in a GPU's memory between two kernels: f32, or rounded to bf16.
//!
//! A tensor is f32 everywhere else; rounded numbers lie in the first half of one's memory.

use gradus_tensor::Tensor;
use gradus_tensor::gpu::{GpuView, GpuViewMut};

/// To read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stored<'a> {
    F32(GpuView<'a, f32>),
    /// Each by its bits.
    Bf16(GpuView<'a, u16>),
}

/// To read and write.
#[derive(Debug)]
pub(crate) enum StoredMut<'a> {
    F32(GpuViewMut<'a, f32>),
    /// Each by its bits.
    Bf16(GpuViewMut<'a, u16>),
}

impl<'a> Stored<'a> {
    /// As many numbers as the tensor has, in its memory.
    pub(crate) fn of(tensor: &'a Tensor, bf16: bool) -> Self {
        let all = tensor.gpu();
        match bf16 {
            false => Self::F32(all),
            true => Self::Bf16(all.as_bf16().part(0, all.len())),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(view) => view.len(),
            Self::Bf16(view) => view.len(),
        }
    }

    /// The address of the first.
    pub(crate) fn pointer(&self) -> u64 {
        match self {
            Self::F32(view) => view.pointer(),
            Self::Bf16(view) => view.pointer(),
        }
    }
}

impl<'a> StoredMut<'a> {
    /// As [`Stored::of`].
    pub(crate) fn of(tensor: &'a mut Tensor, bf16: bool) -> Self {
        let all: GpuViewMut<'_, f32> = tensor.gpu_mut();
        let len = all.len();
        match bf16 {
            false => Self::F32(all),
            true => Self::Bf16(all.into_bf16().split_at(len).0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(view) => view.len(),
            Self::Bf16(view) => view.len(),
        }
    }

    /// The address of the first.
    pub(crate) fn pointer(&self) -> u64 {
        match self {
            Self::F32(view) => view.pointer(),
            Self::Bf16(view) => view.pointer(),
        }
    }
}

impl<'a> From<GpuView<'a, f32>> for Stored<'a> {
    fn from(view: GpuView<'a, f32>) -> Self {
        Self::F32(view)
    }
}

impl<'a> From<GpuViewMut<'a, f32>> for StoredMut<'a> {
    fn from(view: GpuViewMut<'a, f32>) -> Self {
        Self::F32(view)
    }
}
