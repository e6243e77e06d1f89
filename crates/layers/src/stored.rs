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

    /// None, in the same form, to be written.
    pub(crate) fn none_to_write(&self) -> StoredMut<'static> {
        match self {
            Self::F32(_) => StoredMut::F32(GpuViewMut::none()),
            Self::Bf16(_) => StoredMut::Bf16(GpuViewMut::none()),
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

const F32_ALONE: &str = "a kernel that is over f32 alone";

impl<'a> Stored<'a> {
    /// What kernels are given that are over f32 alone.
    ///
    /// # Panics
    /// If it is bf16.
    pub(crate) fn f32(self) -> GpuView<'a, f32> {
        let Self::F32(view) = self else { panic!("{F32_ALONE}") };
        view
    }
}

impl<'a> StoredMut<'a> {
    /// As [`Stored::f32`].
    pub(crate) fn f32(self) -> GpuViewMut<'a, f32> {
        let Self::F32(view) = self else { panic!("{F32_ALONE}") };
        view
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

/// How tests lay bf16 into a tensor and read them.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use gradus_tensor::{Device, Shape};

    /// To nearest, ties to even.
    fn round(value: f32) -> u16 {
        let bits = value.to_bits();
        match value.is_nan() {
            true => (bits >> 16) as u16 | 0x40,
            false => ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16,
        }
    }

    /// The numbers as bf16 has them.
    pub(crate) fn rounded(values: &[f32]) -> Vec<f32> {
        values.iter().map(|&v| f32::from_bits(u32::from(round(v)) << 16)).collect()
    }

    /// A tensor that holds them as bf16, and NaN in the rest of its memory.
    pub(crate) fn packed(shape: Shape, values: &[f32], device: &Device) -> Tensor {
        let both = |pair: &[f32]| {
            let second = pair.get(1).map_or(0xffff, |&v| round(v));
            f32::from_bits(u32::from(round(pair[0])) | u32::from(second) << 16)
        };
        let mut memory: Vec<f32> = values.chunks(2).map(both).collect();
        memory.resize(values.len(), f32::NAN);
        Tensor::from_slice(shape, &memory).on(device)
    }

    /// The numbers that such a tensor holds; the rest of its memory is still what it was.
    #[track_caller]
    pub(crate) fn unpacked(tensor: &Tensor) -> Vec<f32> {
        let memory: Vec<u32> =
            tensor.on(&Device::Cpu).slice::<f32>().iter().map(|v| v.to_bits()).collect();
        let len = memory.len();
        assert!(memory[len.div_ceil(2)..].iter().all(|&bits| f32::from_bits(bits).is_nan()));
        let halves = memory.iter().flat_map(|&bits| [bits << 16, bits & 0xffff_0000]);
        halves.take(len).map(f32::from_bits).collect()
    }

    #[test]
    fn what_is_packed_is_unpacked_rounded() {
        let values = [1.0, -2.5, 1.003_906_3, 1.011_718_8, f32::NEG_INFINITY];
        let tensor = packed(Shape::new(&[5]), &values, &Device::Cpu);
        let expected = [1.0, -2.5, 1.0, 1.015_625, f32::NEG_INFINITY];
        assert_eq!(unpacked(&tensor), expected, "ties go to the even one");
        assert_eq!(rounded(&values), expected);
        assert!(rounded(&[f32::NAN])[0].is_nan());
    }
}
