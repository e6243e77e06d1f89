//! How many numbers, of which type.

use std::fmt;

/// Up to four extents, outermost first: N·H·W·C for images. `Copy`, so that planning never
/// touches the heap.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; 4],
    rank: u8,
}

impl Shape {
    /// The shape with these extents.
    ///
    /// # Panics
    /// If there are more than four.
    #[must_use]
    pub fn new(extents: &[usize]) -> Self {
        assert!(extents.len() <= 4, "a shape has at most four extents, got {extents:?}");
        let mut dims = [1; 4];
        dims[..extents.len()].copy_from_slice(extents);
        Self { dims, rank: extents.len() as u8 }
    }

    /// The extents, outermost first.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims[..usize::from(self.rank)]
    }

    /// How many extents there are.
    #[must_use]
    pub fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// How many numbers there are: the product of the extents, 1 for rank 0. What is more than can
    /// be counted is as many as can be.
    #[must_use]
    pub fn len(&self) -> usize {
        // An extent of 0 makes it 0, however large the others are.
        match self.is_empty() {
            true => 0,
            false => self.dims().iter().fold(1, |n: usize, extent| n.saturating_mul(*extent)),
        }
    }

    /// Whether some extent is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dims().contains(&0)
    }

    /// The innermost extent: channels of an image, units of a dense layer. 1 for rank 0.
    #[must_use]
    pub fn last(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }

    /// The outermost extent: images in a batch. 1 for rank 0.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.dims().first().copied().unwrap_or(1)
    }

    /// The same shape for another batch.
    ///
    /// # Panics
    /// If the rank is 0.
    #[must_use]
    pub fn with_batch(mut self, n: usize) -> Self {
        assert!(self.rank > 0, "a scalar has no batch");
        self.dims[0] = n;
        self
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extents: Vec<String> = self.dims().iter().map(ToString::to_string).collect();
        write!(f, "({})", extents.join(", "))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The type of the numbers. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float: activations, parameters, gradients.
    F32,
    /// Byte: the winners of a pooling window, dropout's decisions, raw images.
    U8,
}

impl DType {
    /// Bytes of one number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::U8 => 1,
        }
    }
}

/// A Rust type that a tensor may hold. Sealed: the set is that of [`DType`].
pub trait Element: Copy + Send + Sync + sealed::Sealed + 'static {
    /// Its [`DType`].
    const DTYPE: DType;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u8 {}
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
}

impl Element for u8 {
    const DTYPE: DType = DType::U8;
}

/// Shape and type: all that has to be known of a tensor before it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// How many numbers.
    pub shape: Shape,
    /// Of which type.
    pub dtype: DType,
}

impl Spec {
    /// Floats of that shape.
    #[must_use]
    pub fn f32(shape: Shape) -> Self {
        Self { shape, dtype: DType::F32 }
    }

    /// Bytes of that shape.
    #[must_use]
    pub fn u8(shape: Shape) -> Self {
        Self { shape, dtype: DType::U8 }
    }

    /// Memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shape.len().saturating_mul(self.dtype.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_knows_its_extents() {
        let shape = Shape::new(&[15, 128, 64, 3]);
        assert_eq!((shape.len(), shape.rank(), shape.batch(), shape.last()), (368_640, 4, 15, 3));
        assert_eq!(shape.with_batch(10).dims(), [10, 128, 64, 3]);
        assert_eq!(shape.to_string(), "(15, 128, 64, 3)");
        assert_eq!(Shape::new(&[]).len(), 1);
        assert!(Shape::new(&[4, 0]).is_empty());
    }

    #[test]
    fn what_cannot_be_counted_is_as_much_as_can_be() {
        let shape = Shape::new(&[usize::MAX, 3]);
        assert_eq!((shape.len(), Spec::f32(shape).bytes()), (usize::MAX, usize::MAX));
        assert_eq!(Shape::new(&[usize::MAX, 3, 0]).len(), 0);
    }

    #[test]
    #[should_panic(expected = "at most four")]
    fn five_extents_are_refused() {
        let _ = Shape::new(&[1; 5]);
    }
}
