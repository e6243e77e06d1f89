//! How many batches an optimizer has seen: Keras's `iterations`.

use gradus_tensor::{Device, Field, FieldMut, Fields, Path, Shape, Spec, Tensor};

/// Above this floats skip numbers.
const BASE: u64 = 1 << 24;

/// A count that checkpoints see as a buffer, `optim.iterations`: two floats, which are its digits
/// in base 2²⁴, so that it is exact up to 2⁴⁸.
#[derive(Debug, Default)]
pub(crate) struct Iterations {
    /// The lower digit first; empty until built.
    digits: Tensor,
}

impl Iterations {
    /// Begins at 0.
    pub(crate) fn reset(&mut self) {
        self.digits = Tensor::zeros(Spec::f32(Shape::new(&[2])), &Device::Cpu);
    }

    pub(crate) fn get(&self) -> u64 {
        match self.digits.slice::<f32>() {
            &[low, high] => low as u64 + high as u64 * BASE,
            _ => 0,
        }
    }

    /// The count, which then is one more.
    ///
    /// # Panics
    /// If nothing was built.
    pub(crate) fn next(&mut self) -> u64 {
        assert!(!self.digits.is_empty(), "an optimizer steps through the model it was built for");
        let count = self.get();
        let next = count + 1;
        self.digits.slice_mut().copy_from_slice(&[(next % BASE) as f32, (next / BASE) as f32]);
        count
    }
}

impl Fields for Iterations {
    fn visit(&self, path: &mut Path, f: &mut dyn FnMut(&Path, Field<'_>)) {
        if !self.digits.is_empty() {
            let field = Field::Buffer(&self.digits);
            path.within("optim", |path| path.within("iterations", |path| f(path, field)));
        }
    }

    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, FieldMut<'_>)) {
        if !self.digits.is_empty() {
            let field = FieldMut::Buffer(&mut self.digits);
            path.within("optim", |path| path.within("iterations", |path| f(path, field)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_exact_where_a_float_no_longer_is() {
        let mut iterations = Iterations::default();
        iterations.reset();
        assert_eq!([iterations.next(), iterations.next(), iterations.get()], [0, 1, 2]);
        iterations.digits.slice_mut().copy_from_slice(&[(BASE - 1) as f32, 3.0]);
        let expected = 4 * BASE - 1;
        assert_eq!([iterations.next(), iterations.next()], [expected, expected + 1]);
        assert_eq!(iterations.digits.slice::<f32>(), [1.0, 4.0]);
    }

    #[test]
    #[should_panic(expected = "steps through the model it was built for")]
    fn a_step_before_build_is_refused() {
        Iterations::default().next();
    }
}
