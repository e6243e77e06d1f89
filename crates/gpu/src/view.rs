//! Numbers on a device, as kernels are given them: a pointer and a length.

use std::marker::PhantomData;

/// `len` numbers on the device, to read. What a pointer of CUDA needs to be safe here: a lifetime,
/// a type and a length.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct GpuView<'a, T> {
    /// First, because a kernel is handed the address of this field.
    pointer: u64,
    len: usize,
    lives: PhantomData<&'a [T]>,
}

/// `len` numbers on the device, to read and write, and nobody else's.
#[repr(C)]
#[derive(Debug)]
pub struct GpuViewMut<'a, T> {
    /// First, because a kernel is handed the address of this field.
    pointer: u64,
    len: usize,
    lives: PhantomData<&'a mut [T]>,
}

/// What a kernel only reads.
pub type In<'a, T> = GpuView<'a, T>;
/// What a kernel writes.
pub type Out<'a, T> = GpuViewMut<'a, T>;
/// What a kernel reads and writes.
pub type InOut<'a, T> = GpuViewMut<'a, T>;

impl<'a, T> GpuView<'a, T> {
    /// The numbers at that address.
    ///
    /// # Safety
    /// `pointer` is the address of `len` numbers of type `T` in the memory of the device on which
    /// the view is used, and they stay there, unwritten, as long as the view lives.
    #[must_use]
    pub unsafe fn new(pointer: u64, len: usize) -> Self {
        Self { pointer, len, lives: PhantomData }
    }

    /// No numbers: what a kernel is given for an optional argument that is not there. Its pointer
    /// is null.
    #[must_use]
    pub fn none() -> Self {
        Self { pointer: 0, len: 0, lives: PhantomData }
    }

    /// How many numbers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address of the first.
    #[must_use]
    pub fn pointer(&self) -> u64 {
        self.pointer
    }

    /// `len` of the numbers, from `first` on.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn part(&self, first: usize, len: usize) -> GpuView<'a, T> {
        let fits = first.checked_add(len).is_some_and(|end| end <= self.len);
        assert!(fits, "{len} numbers from {first} on, of {}", self.len);
        let pointer = self.pointer + (first * size_of::<T>()) as u64;
        GpuView { pointer, len, lives: PhantomData }
    }
}

impl<'a> GpuView<'a, f32> {
    /// The same memory as twice as many bfloat16, each by its bits.
    #[must_use]
    pub fn as_bf16(self) -> GpuView<'a, u16> {
        GpuView { pointer: self.pointer, len: 2 * self.len, lives: PhantomData }
    }
}

impl<'a, T> GpuViewMut<'a, T> {
    /// The numbers at that address.
    ///
    /// # Safety
    /// `pointer` is the address of `len` numbers of type `T` in the memory of the device on which
    /// the view is used, and they are nobody else's as long as the view lives.
    #[must_use]
    pub unsafe fn new(pointer: u64, len: usize) -> Self {
        Self { pointer, len, lives: PhantomData }
    }

    /// No numbers, as [`GpuView::none`].
    #[must_use]
    pub fn none() -> Self {
        Self { pointer: 0, len: 0, lives: PhantomData }
    }

    /// How many numbers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address of the first.
    #[must_use]
    pub fn pointer(&self) -> u64 {
        self.pointer
    }

    /// The same numbers, to read.
    #[must_use]
    pub fn as_view(&self) -> GpuView<'_, T> {
        GpuView { pointer: self.pointer, len: self.len, lives: PhantomData }
    }

    /// The same numbers, lent for a shorter time.
    #[must_use]
    pub fn reborrow(&mut self) -> GpuViewMut<'_, T> {
        GpuViewMut { pointer: self.pointer, len: self.len, lives: PhantomData }
    }

    /// The first `len` of the numbers, and the others.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn split_at(self, len: usize) -> (GpuViewMut<'a, T>, GpuViewMut<'a, T>) {
        assert!(len <= self.len, "the first {len} numbers of {}", self.len);
        let pointer = self.pointer + (len * size_of::<T>()) as u64;
        let first = GpuViewMut { pointer: self.pointer, len, lives: PhantomData };
        (first, GpuViewMut { pointer, len: self.len - len, lives: PhantomData })
    }
}

impl<'a> GpuViewMut<'a, f32> {
    /// The same memory as twice as many bfloat16, each by its bits.
    #[must_use]
    pub fn into_bf16(self) -> GpuViewMut<'a, u16> {
        GpuViewMut { pointer: self.pointer, len: 2 * self.len, lives: PhantomData }
    }
}

/// Where Hopper's TMA finds the boxes of a tensor: `Gpu::tensor_map` makes it. It holds the tensor's
/// address, and whoever launches a kernel with it sees that the tensor still lies there.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct TensorMap {
    pub(crate) opaque: [u64; 16],
}

// SAFETY: as `TensorMap` in hopper.cuh.
unsafe impl Argument for TensorMap {}

/// What a kernel can be given as an argument: a view, a number, or a `#[repr(C)]` structure of
/// numbers that its source declares likewise.
///
/// # Safety
/// The first bytes of the value are what the kernel expects: a pointer for a view, the number
/// itself for a number, all fields in C's layout for a structure.
pub unsafe trait Argument {}

// SAFETY: `repr(C)` with the pointer in front.
unsafe impl<T> Argument for GpuView<'_, T> {}
// SAFETY: as above.
unsafe impl<T> Argument for GpuViewMut<'_, T> {}
// SAFETY: a number is passed as itself.
unsafe impl Argument for i32 {}
// SAFETY: as above.
unsafe impl Argument for u32 {}
// SAFETY: as above.
unsafe impl Argument for u64 {}
// SAFETY: as above.
unsafe impl Argument for f32 {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_begins_where_it_should() {
        // SAFETY: the addresses are never followed.
        let view = unsafe { GpuView::<f32>::new(4096, 10) };
        let part = view.part(3, 7);
        assert_eq!((part.pointer(), part.len()), (4096 + 12, 7));
        // SAFETY: as above.
        let (a, b) = unsafe { GpuViewMut::<u8>::new(4096, 10) }.split_at(4);
        assert_eq!((a.pointer(), a.len(), b.pointer(), b.len()), (4096, 4, 4100, 6));
    }

    #[test]
    #[should_panic(expected = "8 numbers from 3 on, of 10")]
    fn a_part_beyond_the_end_is_refused() {
        // SAFETY: the addresses are never followed.
        let _ = unsafe { GpuView::<f32>::new(4096, 10) }.part(3, 8);
    }
}
