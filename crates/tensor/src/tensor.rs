//! A box with a label, not a calculator.

use crate::buffer::Buffer;
use crate::{DType, Device, Element, Shape, Spec};
use gradus_gpu::{DeviceBuffer, Feed, GpuView, GpuViewMut};
use ndarray::{ArrayView, ArrayView2, ArrayViewMut, ArrayViewMut2, Dimension, IxDyn};
use std::borrow::Cow;

/// Contiguous, row-major, owned numbers on one device. Zeros until written.
///
/// The numbers of a tensor on the CPU are slices and views; those of one on a GPU are views for its
/// kernels ([`Tensor::gpu`]). [`Tensor::write`], [`Tensor::read`] and [`Tensor::copy_from`] go
/// between the two.
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
    Device(DeviceBuffer),
}

impl Default for Tensor {
    /// No numbers at all: what a parameter is before its layer is built.
    fn default() -> Self {
        Self::zeros(Spec::f32(Shape::new(&[0])), &Device::Cpu)
    }
}

impl Tensor {
    /// Zeros on `device`. Where a GPU has not the memory, the tensor has none, and `Gpu::check`
    /// tells: whoever plans asks it before the first kernel.
    #[must_use]
    pub fn zeros(spec: Spec, device: &Device) -> Self {
        let data = match device {
            Device::Cpu => Data::Host(Buffer::zeroed(spec.bytes())),
            Device::Cuda(gpu) => Data::Device(DeviceBuffer::zeroed(gpu, spec.bytes())),
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
        let Data::Host(buffer) = &self.data else { panic!("{ON_A_GPU}") };
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
        let Data::Host(buffer) = &mut self.data else { panic!("{ON_A_GPU}") };
        // SAFETY: as in `slice`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(buffer.as_ptr().cast(), len) }
    }

    /// Where the numbers lie.
    #[must_use]
    pub fn device(&self) -> Device {
        match &self.data {
            Data::Host(_) => Device::Cpu,
            Data::Device(buffer) => Device::Cuda(buffer.gpu().clone()),
        }
    }

    /// Where the numbers lie in the memory of a GPU, and how many bytes they are there. Zeros where
    /// there are none, or they lie on the CPU.
    #[must_use]
    pub fn place(&self) -> (u64, usize) {
        match &self.data {
            Data::Host(_) => (0, 0),
            Data::Device(buffer) => {
                let bytes = buffer.view::<u8>(self.spec.bytes());
                (bytes.pointer(), bytes.len())
            }
        }
    }

    /// The numbers in row-major order, for the kernels of the GPU they lie on.
    ///
    /// # Panics
    /// If they are not of type `T`, or on the CPU.
    #[must_use]
    pub fn gpu<T: Element>(&self) -> GpuView<'_, T> {
        self.expect_type::<T>();
        let Data::Device(buffer) = &self.data else { panic!("{ON_THE_CPU}") };
        buffer.view(self.len())
    }

    /// The numbers in row-major order, for kernels that write them.
    ///
    /// # Panics
    /// As [`Tensor::gpu`].
    #[must_use]
    pub fn gpu_mut<T: Element>(&mut self) -> GpuViewMut<'_, T> {
        self.expect_type::<T>();
        let len = self.len();
        let Data::Device(buffer) = &mut self.data else { panic!("{ON_THE_CPU}") };
        buffer.view_mut(len)
    }

    /// Writes these numbers, wherever the tensor lies.
    ///
    /// # Panics
    /// If they are not as many as the tensor's, or of another type.
    pub fn write<T: Element>(&mut self, values: &[T]) {
        self.expect_type::<T>();
        let (len, found) = (self.len(), values.len());
        assert!(len == found, "{found} numbers for a tensor of {len}");
        match &mut self.data {
            Data::Host(_) => self.slice_mut().copy_from_slice(values),
            Data::Device(buffer) => buffer.upload(values),
        }
    }

    /// Lets `fill` write the numbers, which then are on their way to the GPU while it is still at
    /// work on what came before.
    ///
    /// # Panics
    /// If the tensor is not of floats on the feed's GPU, or the feed is smaller.
    pub fn write_through(&mut self, feed: &mut Feed, fill: impl FnOnce(&mut [f32])) {
        self.expect_type::<f32>();
        let (len, bytes) = (self.len(), self.spec.bytes());
        let Data::Device(buffer) = &mut self.data else { panic!("{ON_THE_CPU}") };
        let fill = |bytes: &mut [u8]| {
            // SAFETY: pinned pages are aligned for floats, `bytes` is as long as `len` of them, and
            // any bytes are floats.
            fill(unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), len) });
        };
        feed.send(bytes, fill, buffer);
    }

    /// The numbers, for whoever looks at them on the CPU: themselves, or a copy of those on a GPU.
    ///
    /// # Panics
    /// If they are of another type.
    #[must_use]
    pub fn numbers<T: Element>(&self) -> Cow<'_, [T]> {
        match &self.data {
            Data::Host(_) => Cow::Borrowed(self.slice()),
            Data::Device(_) => Cow::Owned(self.on(&Device::Cpu).slice().to_vec()),
        }
    }

    /// Reads the numbers, wherever the tensor lies; waits for the work before on a GPU.
    ///
    /// # Panics
    /// If there is not room for just as many, or they are of another type.
    pub fn read<T: Element>(&self, into: &mut [T]) {
        self.expect_type::<T>();
        let (len, room) = (self.len(), into.len());
        assert!(len == room, "{len} numbers of a tensor for a slice of {room}");
        match &self.data {
            Data::Host(_) => into.copy_from_slice(self.slice()),
            Data::Device(buffer) => buffer.download(into),
        }
    }

    /// Lets `f` change the numbers, wherever the tensor lies: on a GPU they go to the CPU and back.
    ///
    /// # Panics
    /// If they are of another type.
    pub fn edit<T: Element>(&mut self, f: impl FnOnce(&mut [T])) {
        match &self.data {
            Data::Host(_) => f(self.slice_mut()),
            Data::Device(_) => {
                let mut copy = self.on(&Device::Cpu);
                f(copy.slice_mut());
                self.copy_from(&copy);
            }
        }
    }

    /// The numbers of `from`, which has as many of the same type, on whatever devices the two lie.
    /// Nothing is allocated, but for a copy between two GPUs.
    ///
    /// # Panics
    /// If the lengths or types differ.
    pub fn copy_from(&mut self, from: &Self) {
        let (bytes, found) = (self.spec.bytes(), from.spec.bytes());
        let same = bytes == found && self.spec.dtype == from.spec.dtype;
        assert!(
            same,
            "{:?} {} copied into {:?} {}",
            from.spec.dtype, from.spec.shape, self.spec.dtype, self.spec.shape
        );
        match (&mut self.data, &from.data) {
            (Data::Device(to), Data::Device(from)) if to.gpu() == from.gpu() => {
                to.copy_from(from, bytes);
            }
            (Data::Device(_), Data::Device(_)) => self.copy_from(&from.on(&Device::Cpu)),
            _ => match self.spec.dtype {
                DType::F32 => self.copy_across::<f32>(from),
                DType::U8 => self.copy_across::<u8>(from),
            },
        }
    }

    /// Copies where at least one of the two lies on the CPU.
    fn copy_across<T: Element>(&mut self, from: &Self) {
        match &mut self.data {
            Data::Host(_) => from.read(self.slice_mut::<T>()),
            Data::Device(buffer) => buffer.upload(from.slice::<T>()),
        }
    }

    /// The same numbers on that device.
    #[must_use]
    pub fn on(&self, device: &Device) -> Self {
        let mut copy = Self::zeros(self.spec, device);
        copy.copy_from(self);
        copy
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
        self.on(&self.device())
    }
}

const ON_A_GPU: &str = "a tensor on a GPU has no slice: read it, or give it to a kernel";
const ON_THE_CPU: &str = "a tensor on the CPU was given to a kernel of a GPU";

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
    fn numbers_are_written_read_and_copied() {
        let mut t = Tensor::zeros(Spec::f32(Shape::new(&[2, 2])), &Device::Cpu);
        t.write(&[1.0f32, 2.0, 3.0, 4.0]);
        let mut copy = Tensor::zeros(Spec::f32(Shape::new(&[4])), &Device::Cpu);
        copy.copy_from(&t);
        let mut read = [0.0f32; 4];
        copy.read(&mut read);
        assert_eq!(read, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(t.on(&Device::Cpu).slice::<f32>(), t.slice::<f32>());
    }

    #[test]
    #[should_panic(expected = "3 numbers for a tensor of 4")]
    fn too_few_numbers_are_refused() {
        Tensor::zeros(Spec::f32(Shape::new(&[4])), &Device::Cpu).write(&[1.0f32; 3]);
    }

    #[test]
    #[should_panic(expected = "on the CPU was given to a kernel")]
    fn a_kernel_gets_no_memory_of_the_cpu() {
        let _ = Tensor::zeros(Spec::f32(Shape::new(&[4])), &Device::Cpu).gpu::<f32>();
    }

    #[test]
    #[should_panic(expected = "asked for U8")]
    fn another_type_is_refused() {
        let _ = Tensor::default().slice::<u8>();
    }
}
