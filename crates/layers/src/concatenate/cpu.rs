//! Channels in and out on the CPU: a block of rows for each task.

use gradus_tensor::ndarray::{ArrayView2, ArrayViewMut2};
use gradus_tensor::{Chunks, Pool};

/// Elements that make a task worth handing out.
const CHUNK: usize = 16_384;

/// The columns of y that begin at `offset`, from what one branch gave.
///
/// # Panics
/// If the rows differ, the columns do not fit, or a view is not contiguous.
pub fn forward(pool: &Pool, part: ArrayView2<'_, f32>, offset: usize, y: ArrayViewMut2<'_, f32>) {
    assert_eq!(part.nrows(), y.nrows(), "a row of y for each of the branch");
    let (columns, all) = (part.ncols(), y.ncols());
    let (part, y) = (part.to_slice().expect("contiguous"), y.into_slice().expect("contiguous"));
    let rows = (CHUNK / all).max(1);
    pool.each(Chunks::new(y, rows * all), |i, y| {
        let part = part[i * rows * columns..].chunks_exact(columns);
        for (y, part) in y.chunks_exact_mut(all).zip(part) {
            y[offset..offset + columns].copy_from_slice(part);
        }
    });
}

/// What one branch receives, from the columns of dy that begin at `offset`.
///
/// # Panics
/// If the rows differ, the columns do not fit, or a view is not contiguous.
pub fn backward(pool: &Pool, dy: ArrayView2<'_, f32>, offset: usize, part: ArrayViewMut2<'_, f32>) {
    assert_eq!(part.nrows(), dy.nrows(), "a row of dy for each of the branch");
    let (columns, all) = (part.ncols(), dy.ncols());
    let (part, dy) = (part.into_slice().expect("contiguous"), dy.to_slice().expect("contiguous"));
    let rows = (CHUNK / all).max(1);
    pool.each(Chunks::new(part, rows * columns), |i, part| {
        let dy = dy[i * rows * all..].chunks_exact(all);
        for (part, dy) in part.chunks_exact_mut(columns).zip(dy) {
            part.copy_from_slice(&dy[offset..offset + columns]);
        }
    });
}
