//! Sums of two tensors on the CPU: a block of numbers for each task.

use super::definition;
use gradus_tensor::{Chunks, Pool};

/// Elements that make a task worth handing out.
const CHUNK: usize = 16_384;

/// z = body + shortcut.
///
/// # Panics
/// If the lengths differ.
pub fn forward(pool: &Pool, body: &[f32], shortcut: &[f32], z: &mut [f32]) {
    assert!(body.len() == z.len() && shortcut.len() == z.len(), "three of one length");
    pool.each(Chunks::new(z, CHUNK), |i, z| {
        let here = i * CHUNK..i * CHUNK + z.len();
        definition::forward(&body[here.clone()], &shortcut[here], z);
    });
}

/// y + x in the place of y.
///
/// # Panics
/// If the lengths differ.
pub fn add(pool: &Pool, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "two of one length");
    pool.each(Chunks::new(y, CHUNK), |i, y| {
        y.iter_mut().zip(&x[i * CHUNK..]).for_each(|(y, x)| *y += x);
    });
}
