//! What the plain definitions are generic over.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{AddAssign, MulAssign, SubAssign};

/// f32 or f64. A definition written over `Real` is the oracle for the fast f32 engines and, in
/// f64, the subject of the gradient check.
pub trait Real:
    num_traits::Float + AddAssign + SubAssign + MulAssign + Sum + Debug + Send + Sync + 'static
{
    /// The nearest value of this type.
    fn of(value: f64) -> Self {
        Self::from(value).expect("every f64 has a nearest float")
    }

    /// A count as a number.
    fn count(n: usize) -> Self {
        Self::of(n as f64)
    }
}

impl Real for f32 {}
impl Real for f64 {}
