//! Memory that a thread lends to whatever needs some for the length of one call.
//!
//! A stack of buffers for each thread: a call inside a call gets the next one, and after the first
//! images nothing is allocated any more.

use ndarray::{ArrayView3, ArrayViewMut3};
use std::cell::RefCell;

thread_local! {
    static SPARE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with `length` values that hold anything.
pub(crate) fn with<R>(length: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    let result = f(&mut buffer[..length]);
    SPARE.with_borrow_mut(|spare| spare.push(buffer));
    result
}

/// Calls `f` with a copy of the image, in standard layout, and the image itself to be written.
pub(crate) fn with_copy(
    image: ArrayViewMut3<'_, f32>,
    f: impl FnOnce(ArrayView3<'_, f32>, ArrayViewMut3<'_, f32>),
) {
    with(image.len(), |buffer| {
        let mut copy = ArrayViewMut3::from_shape(image.dim(), buffer).expect("as many values");
        copy.assign(&image);
        f(copy.view(), image);
    });
}
