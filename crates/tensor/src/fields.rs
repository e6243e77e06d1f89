//! What an object owns, by name.
//!
//! The list of a layer's tensors stands once, in its `fields!` line. Saving, loading, optimizers,
//! counting, freezing and the summary all walk it.

use crate::{Device, Offer, Shape, Spec, Tensor};
use std::fmt;

/// A learnable tensor.
#[derive(Debug, Default, Clone)]
pub struct Param {
    /// The values.
    pub value: Tensor,
    /// ∂loss/∂value of the last backward pass, of the same shape. It means nothing where that pass
    /// took the offer.
    pub grad: Tensor,
    /// Set for a frozen layer: no optimizer moves it.
    pub frozen: bool,
    /// What its size adds to the loss, if anything.
    pub regularizer: Option<Regularizer>,
    /// What an optimizer lends for one backward pass: the update, to be made within it.
    pub offer: Offer,
}

/// The penalty of a parameter's size: l1·Σ|w| + l2·Σw². In PyTorch there is only `weight_decay` of
/// an optimizer, which for plain SGD is 2·l2.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regularizer {
    /// What Σ|w| is multiplied with.
    pub l1: f64,
    /// What Σw² is multiplied with.
    pub l2: f64,
}

impl Regularizer {
    /// l1·Σ|w|. Keras's default is 0.01.
    #[must_use]
    pub fn l1(l1: f64) -> Self {
        Self { l1, l2: 0.0 }
    }

    /// l2·Σw². Keras's default is 0.01.
    #[must_use]
    pub fn l2(l2: f64) -> Self {
        Self { l1: 0.0, l2 }
    }
}

impl Param {
    /// Zeros of that shape, with room for the gradient.
    #[must_use]
    pub fn zeros(shape: Shape, device: &Device) -> Self {
        let spec = Spec::f32(shape);
        let (value, grad) = (Tensor::zeros(spec, device), Tensor::zeros(spec, device));
        Self { value, grad, ..Self::default() }
    }

    /// Whether it holds nothing: its layer is not built, or does without it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.value.is_empty()
    }
}

/// One thing that an object owns.
#[derive(Debug)]
pub enum Field<'a> {
    /// What the optimizer moves.
    Param(&'a Param),
    /// State that is not learnt, such as moving averages.
    Buffer(&'a Tensor),
}

impl<'a> Field<'a> {
    /// The values of either kind.
    #[must_use]
    pub fn value(&self) -> &'a Tensor {
        match self {
            Field::Param(param) => &param.value,
            Field::Buffer(tensor) => tensor,
        }
    }
}

/// One thing that an object owns, to change.
#[derive(Debug)]
pub enum FieldMut<'a> {
    /// What the optimizer moves.
    Param(&'a mut Param),
    /// State that is not learnt, such as moving averages.
    Buffer(&'a mut Tensor),
}

impl<'a> FieldMut<'a> {
    /// The values of either kind.
    #[must_use]
    pub fn into_value(self) -> &'a mut Tensor {
        match self {
            FieldMut::Param(param) => &mut param.value,
            FieldMut::Buffer(tensor) => tensor,
        }
    }
}

/// The way from the network to a field: `conv2d_1.kernel`. Reused, so that walking a model
/// allocates nothing once the longest name has been seen.
#[derive(Clone, Debug, Default)]
pub struct Path(String);

impl Path {
    /// Calls `f` one level further down.
    pub fn within<R>(&mut self, name: &str, f: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.0.len();
        if length > 0 {
            self.0.push('.');
        }
        self.0.push_str(name);
        let result = f(self);
        self.0.truncate(length);
        result
    }

    /// The names joined with dots.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything an object owns, in a fixed order. Written by [`fields!`](crate::fields).
pub trait Fields {
    /// Shows every field that holds something.
    fn visit(&self, path: &mut Path, f: &mut dyn FnMut(&Path, Field<'_>));
    /// Lends every field that holds something.
    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, FieldMut<'_>));
}

/// Implements [`Fields`] for a type from the one list of what it owns.
///
/// ```
/// use gradus_tensor::{Device, Fields, Param, Path, Shape, Tensor, fields};
/// #[derive(Default)]
/// struct Scale { gamma: Param, seen: Tensor }
/// fields! { Scale: param gamma, buffer seen }
///
/// let scale = Scale { gamma: Param::zeros(Shape::new(&[4]), &Device::Cpu), ..Scale::default() };
/// let mut names = Vec::new();
/// scale.visit(&mut Path::default(), &mut |path, _| names.push(path.to_string()));
/// assert_eq!(names, ["gamma"]); // `seen` is empty
/// ```
#[macro_export]
macro_rules! fields {
    ($type:ty $(where $of:ident: $bound:path)? $(: $($kind:ident $name:ident),+)?) => {
        impl $(<$of: $bound>)? $crate::Fields for $type {
            #[allow(unused_variables, reason = "a layer may own nothing")]
            fn visit(
                &self,
                path: &mut $crate::Path,
                f: &mut dyn FnMut(&$crate::Path, $crate::Field<'_>),
            ) {
                $($(if !self.$name.is_empty() {
                    path.within(stringify!($name), |path| {
                        f(path, $crate::fields!(@shared $kind &self.$name));
                    });
                })+)?
            }

            #[allow(unused_variables, reason = "a layer may own nothing")]
            fn visit_mut(
                &mut self,
                path: &mut $crate::Path,
                f: &mut dyn FnMut(&$crate::Path, $crate::FieldMut<'_>),
            ) {
                $($(if !self.$name.is_empty() {
                    path.within(stringify!($name), |path| {
                        f(path, $crate::fields!(@exclusive $kind &mut self.$name));
                    });
                })+)?
            }
        }
    };
    (@shared param $e:expr) => { $crate::Field::Param($e) };
    (@shared buffer $e:expr) => { $crate::Field::Buffer($e) };
    (@exclusive param $e:expr) => { $crate::FieldMut::Param($e) };
    (@exclusive buffer $e:expr) => { $crate::FieldMut::Buffer($e) };
}
