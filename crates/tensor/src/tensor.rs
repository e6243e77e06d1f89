//! A box with a label, not a calculator.

use crate::buffer::Buffer;
use crate::{Device, Element, Shape, Spec};
use ndarray::{ArrayView, ArrayView2, ArrayViewMut, ArrayViewMut2, Dimension, IxDyn};

/// Contiguous, row-major, owned numbers on one device. Zeros until written.
#[derive(Debug)]
pub struct Tensor {
    spec: Spec,
    /// Bytes that were allocated: [`Tensor::set_shape`] stays within them.
    capacity: usize,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Host(Buffer),
}

impl Default for Tensor {
    /// No numbers at all: what a parameter is before its layer is built.
    fn default() -> Self {
        Self::zeros(Spec::f32(Shape::new(&[0])), &Device::Cpu)
    }
}

impl Tensor {
    /// Zeros on `device`.
    #[must_use]
    pub fn zeros(spec: Spec, device: &Device) -> Self {
        let data = match device {
            Device::Cpu => Data::Host(Buffer::zeroed(spec.bytes())),
            Device::Cuda(gpu) => match *gpu {},
        };
        Self { spec, capacity: spec.bytes(), data }
    }

    /// These numbers, on the CPU.
    ///
    /// # Panics
    /// If there are not as many as the shape says.
    #[must_use]
    pub fn from_slice<T: Element>(shape: Shape, values: &[T]) -> Self {
        let mut tensor = Self::zeros(Spec { shape, dtype: T::DTYPE }, &Device::Cpu);
        tensor.slice_mut::<T>().copy_from_slice(values);
        tensor
    }

    /// Shape and type.
    #[must_use]
    pub fn spec(&self) -> Spec {
        self.spec
    }

    /// The extents.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.spec.shape
    }

    /// How many numbers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spec.shape.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Another shape for the same memory; nothing is allocated and nothing moves.
    ///
    /// # Panics
    /// If the shape needs more memory than the tensor was made with.
    pub fn set_shape(&mut self, shape: Shape) {
        let spec = Spec { shape, ..self.spec };
        let (need, have) = (spec.bytes(), self.capacity);
        assert!(need <= have, "{shape} needs {need} bytes, the tensor was made with {have}");
        self.spec = spec;
    }

    /// The numbers in row-major order.
    ///
    /// # Panics
    /// If they are not of type `T`, or not on the CPU.
    #[must_use]
    pub fn slice<T: Element>(&self) -> &[T] {
        self.expect_type::<T>();
        let Data::Host(buffer) = &self.data;
        // SAFETY: the buffer holds at least `len` numbers of type T (checked against the dtype,
        // and by `set_shape` against the capacity), aligned to 64 bytes, initialised to zero
        // (a valid f32 and u8) and borrowed as long as `self`.
        unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast(), self.len()) }
    }

    /// The numbers in row-major order, to write.
    ///
    /// # Panics
    /// As [`Tensor::slice`].
    #[must_use]
    pub fn slice_mut<T: Element>(&mut self) -> &mut [T] {
        self.expect_type::<T>();
        let len = self.len();
        let Data::Host(buffer) = &mut self.data;
        // SAFETY: as in `slice`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(buffer.as_ptr().cast(), len) }
    }

    /// An `ndarray` view of the tensor's own rank.
    ///
    /// # Panics
    /// If the rank, the type or the device is another.
    #[must_use]
    pub fn view<T: Element, D: Dimension>(&self) -> ArrayView<'_, T, D> {
        let shape = self.shape();
        ArrayView::from_shape(IxDyn(shape.dims()), self.slice::<T>())
            .and_then(ArrayView::into_dimensionality)
            .unwrap_or_else(|_| panic!("{shape} viewed with rank {:?}", D::NDIM))
    }

    /// An `ndarray` view of the tensor's own rank, to write.
    ///
    /// # Panics
    /// As [`Tensor::view`].
    #[must_use]
    pub fn view_mut<T: Element, D: Dimension>(&mut self) -> ArrayViewMut<'_, T, D> {
        let shape = self.shape();
        ArrayViewMut::from_shape(IxDyn(shape.dims()), self.slice_mut::<T>())
            .and_then(ArrayViewMut::into_dimensionality)
            .unwrap_or_else(|_| panic!("{shape} viewed with rank {:?}", D::NDIM))
    }

    /// All outer extents folded into one: (N·H·W)·C for images, N·units behind a dense layer.
    ///
    /// # Panics
    /// If the type or the device is another.
    #[must_use]
    pub fn rows<T: Element>(&self) -> ArrayView2<'_, T> {
        let columns = self.shape().last();
        let rows = self.len() / columns.max(1);
        ArrayView::from_shape((rows, columns), self.slice()).expect("rows · columns = length")
    }

    /// All outer extents folded into one, to write.
    ///
    /// # Panics
    /// As [`Tensor::rows`].
    #[must_use]
    pub fn rows_mut<T: Element>(&mut self) -> ArrayViewMut2<'_, T> {
        let columns = self.shape().last();
        let rows = self.len() / columns.max(1);
        ArrayViewMut::from_shape((rows, columns), self.slice_mut())
            .expect("rows · columns = length")
    }

    fn expect_type<T: Element>(&self) {
        let (have, want) = (self.spec.dtype, T::DTYPE);
        assert!(have == want, "a tensor of {have:?} was asked for {want:?}");
    }
}

impl Clone for Tensor {
    fn clone(&self) -> Self {
        match (&self.data, self.spec.dtype) {
            (Data::Host(_), crate::DType::F32) => {
                Self::from_slice(self.shape(), self.slice::<f32>())
            }
            (Data::Host(_), crate::DType::U8) => Self::from_slice(self.shape(), self.slice::<u8>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix2, Ix4};

    #[test]
    fn views_are_row_major() {
        let values: Vec<f32> = (0..24u8).map(f32::from).collect();
        let t = Tensor::from_slice(Shape::new(&[1, 2, 3, 4]), &values);
        assert_eq!(t.view::<f32, Ix4>()[[0, 1, 2, 3]], 23.0);
        assert_eq!(t.rows::<f32>()[[4, 1]], 17.0);
        assert_eq!(t.rows::<f32>().dim(), (6, 4));
    }

    #[test]
    fn memory_is_aligned_for_the_widest_vectors() {
        for len in [1, 100, 1 << 20] {
            let t = Tensor::zeros(Spec::f32(Shape::new(&[len])), &Device::Cpu);
            assert_eq!(t.slice::<f32>().as_ptr() as usize % 64, 0);
            assert!(t.slice::<f32>().iter().all(|&v| v == 0.0));
        }
    }

    #[test]
    fn a_smaller_batch_is_a_view_of_the_same_memory() {
        let mut t = Tensor::from_slice(Shape::new(&[3, 2]), &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
        t.set_shape(Shape::new(&[2, 2]));
        assert_eq!(t.view::<f32, Ix2>().sum(), 10.0);
        t.set_shape(Shape::new(&[3, 2]));
        assert_eq!(t.slice::<f32>()[5], 6.0);
    }

    #[test]
    #[should_panic(expected = "needs 32 bytes")]
    fn a_larger_shape_is_refused() {
        Tensor::from_slice(Shape::new(&[2]), &[1.0f32, 2.0]).set_shape(Shape::new(&[8]));
    }

    #[test]
    #[should_panic(expected = "asked for U8")]
    fn another_type_is_refused() {
        let _ = Tensor::default().slice::<u8>();
    }
}
