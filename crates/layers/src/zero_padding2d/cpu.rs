//! Zero padding on the CPU: copies of whole rows, a block of them for each task.

use super::Borders;
use crate::pooling::rows_of_task;
use gradus_tensor::ndarray::{ArrayView4, ArrayViewMut4};
use gradus_tensor::{Chunks, Pool};

/// y from x.
///
/// # Panics
/// If the extents do not differ by the borders, or a view is not contiguous.
pub fn forward(
    pool: &Pool,
    borders: Borders,
    x: ArrayView4<'_, f32>,
    mut y: ArrayViewMut4<'_, f32>,
) {
    assert_eq!(padded(borders, x.dim()), y.dim(), "y is x with borders");
    let ((_, h, w, c), (_, p, q, _), [[top, _], [left, _]]) = (x.dim(), y.dim(), borders.0);
    let (x, y) = (x.as_slice().expect("contiguous"), y.as_slice_mut().expect("contiguous"));
    let (row, rows) = (q * c, rows_of_task(q * c));
    pool.each(Chunks::new(y, rows * row), |i, y| {
        for (k, y) in y.chunks_exact_mut(row).enumerate() {
            let (image, p) = ((i * rows + k) / p, (i * rows + k) % p);
            y.fill(0.0);
            if let Some(at) = p.checked_sub(top).filter(|at| *at < h) {
                let x = &x[(image * h + at) * w * c..][..w * c];
                y[left * c..][..w * c].copy_from_slice(x);
            }
        }
    });
}

/// dx from dy.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    pool: &Pool,
    borders: Borders,
    dy: ArrayView4<'_, f32>,
    mut dx: ArrayViewMut4<'_, f32>,
) {
    assert_eq!(padded(borders, dx.dim()), dy.dim(), "dy is dx with borders");
    let ((_, h, w, c), (_, p, q, _), [[top, _], [left, _]]) = (dx.dim(), dy.dim(), borders.0);
    let (dy, dx) = (dy.as_slice().expect("contiguous"), dx.as_slice_mut().expect("contiguous"));
    let (row, rows) = (w * c, rows_of_task(w * c));
    pool.each(Chunks::new(dx, rows * row), |i, dx| {
        for (k, dx) in dx.chunks_exact_mut(row).enumerate() {
            let (image, h) = ((i * rows + k) / h, (i * rows + k) % h);
            dx.copy_from_slice(&dy[((image * p + top + h) * q + left) * c..][..row]);
        }
    });
}

type Extents = (usize, usize, usize, usize);

fn padded(Borders([[top, bottom], [left, right]]): Borders, (n, h, w, c): Extents) -> Extents {
    (n, top + h + bottom, left + w + right, c)
}
