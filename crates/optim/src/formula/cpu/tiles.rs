//! The update that is lent to a parameter: the same pass, over whatever piece of it is asked for.

use super::{Formula, Variables, chunk};
use gradus_tensor::simd::{Isa, prefetch_all};
use gradus_tensor::{Tensor, TileUpdate};
use std::array::from_fn as array;
use std::ptr;

/// One update of one parameter, with the slots that belong to it for as long as it is lent.
#[derive(Debug)]
pub(crate) struct Tiles<F: Formula<N>, const N: usize> {
    numbers: F::Numbers<f32>,
    decay: Option<f32>,
    /// Values of the parameter; 0 while nothing is lent.
    len: usize,
    /// Empty while nothing is lent.
    slots: [Tensor; N],
    /// Where each slot begins; null for one that is not in use.
    starts: [*mut f32; N],
}

// SAFETY: the pointers are those of tensors that the struct owns, which may go to other threads.
unsafe impl<F: Formula<N>, const N: usize> Send for Tiles<F, N> {}
// SAFETY: through a shared reference the slots are reached in `update` alone, whose callers promise
// that calls at the same time are for values apart from each other.
unsafe impl<F: Formula<N>, const N: usize> Sync for Tiles<F, N> {}

impl<F: Formula<N>, const N: usize> Tiles<F, N> {
    /// An update of nothing.
    pub(crate) fn new(numbers: F::Numbers<f32>) -> Self {
        let (slots, starts) = (array(|_| Tensor::default()), [ptr::null_mut(); N]);
        Self { numbers, decay: None, len: 0, slots, starts }
    }

    /// The update of a parameter of `len` values, whose slots are as long, or empty where not in
    /// use. They are swapped for empty ones: to be swapped back, and nothing is allocated.
    ///
    /// # Panics
    /// If a slot has another length.
    pub(crate) fn lend(
        &mut self,
        numbers: F::Numbers<f32>,
        decay: Option<f32>,
        len: usize,
        slots: &mut [Tensor; N],
    ) {
        std::mem::swap(&mut self.slots, slots);
        (self.numbers, self.decay, self.len) = (numbers, decay, len);
        self.starts = self.slots.each_mut().map(|slot| match slot.slice_mut::<f32>() {
            [] => ptr::null_mut(),
            slot => {
                assert_eq!(slot.len(), len, "a slot is as long as its parameter");
                slot.as_mut_ptr()
            }
        });
    }

    /// Swaps the slots back, when the loan is over.
    pub(crate) fn give_back(&mut self, slots: &mut [Tensor; N]) {
        std::mem::swap(&mut self.slots, slots);
        (self.len, self.starts) = (0, [ptr::null_mut(); N]);
    }
}

impl<F: Formula<N>, const N: usize> TileUpdate for Tiles<F, N> {
    unsafe fn update(&self, first: usize, value: &mut [f32], grad: &[f32]) {
        let count = value.len();
        let inside = first <= self.len && count <= self.len - first;
        assert!(inside, "{count} values from {first} on, of a parameter of {}", self.len);
        assert_eq!(grad.len(), count, "one gradient for each value");
        let slots = array(|k| match self.starts[k] {
            start if start.is_null() => &mut [][..],
            // SAFETY: the slot has `len` floats and is owned by `self`; the range lies inside, and
            // the caller promised that nobody else is at these values meanwhile.
            start => unsafe { std::slice::from_raw_parts_mut(start.add(first), count) },
        });
        let (isa, x) = (Isa::detect(), Variables { value, grad, slots });
        chunk::<F, N>(isa, self.numbers, self.decay, x);
    }

    fn prefetch(&self, first: usize, len: usize) {
        for start in self.starts.iter().filter(|start| !start.is_null()) {
            prefetch_all(start.wrapping_add(first), len);
        }
    }
}
