//! Global max pooling on the CPU: vectors along the channels, an image for each task.

use gradus_tensor::ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};

/// Channels that are counted side by side.
const CHANNELS: usize = 64;

/// y from x: N·(H·W)·C.
///
/// # Panics
/// If the extents differ, x is empty or a view is not contiguous.
pub fn forward(isa: Isa, pool: &Pool, x: ArrayView3<'_, f32>, mut y: ArrayViewMut2<'_, f32>) {
    let (n, pixels, c) = x.dim();
    assert_eq!((y.dim(), n * pixels * c == 0), ((n, c), false), "x and y fit, and hold something");
    let (x, y) = (x.as_slice().expect("contiguous"), y.as_slice_mut().expect("contiguous"));
    pool.each(Chunks::new(y, c), |i, y| maximum(isa, &x[i * pixels * c..][..pixels * c], y));
}

/// dx from x, y and dy.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    isa: Isa,
    pool: &Pool,
    x: ArrayView3<'_, f32>,
    y: ArrayView2<'_, f32>,
    dy: ArrayView2<'_, f32>,
    mut dx: ArrayViewMut3<'_, f32>,
) {
    let (n, pixels, c) = x.dim();
    assert_eq!((y.dim(), dy.dim(), dx.dim()), ((n, c), (n, c), x.dim()), "the extents fit");
    assert!(n * pixels * c > 0, "x holds something");
    let [y, dy] = [&y, &dy].map(|a| a.as_slice().expect("contiguous"));
    let (x, dx) = (x.as_slice().expect("contiguous"), dx.as_slice_mut().expect("contiguous"));
    pool.each(Chunks::new(dx, pixels * c), |i, dx| {
        let [y, dy] = [y, dy].map(|a| &a[i * c..][..c]);
        share(isa, &x[i * pixels * c..][..pixels * c], y, dy, dx);
    });
}

#[inline(always)]
fn maximum_body<const L: usize, const FMA: bool>(x: &[f32], y: &mut [f32]) {
    let (first, rest) = x.split_at(y.len());
    y.copy_from_slice(first);
    for pixel in rest.chunks_exact(y.len()) {
        for (y, x) in y.iter_mut().zip(pixel) {
            // A NaN is not at most y, so it wins; and once it is y itself, it stays.
            let larger = if *x <= *y { *y } else { *x };
            *y = if y.is_nan() { *y } else { larger };
        }
    }
}

#[inline(always)]
fn share_body<const L: usize, const FMA: bool>(x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let c = y.len();
    for first in (0..c).step_by(CHANNELS) {
        let channels = first..(first + CHANNELS).min(c);
        let (y, dy) = (&y[channels.clone()], &dy[channels.clone()]);
        let mut shares = [0.0f32; CHANNELS];
        let shares = &mut shares[..y.len()];
        for pixel in x.chunks_exact(c) {
            for ((count, x), y) in shares.iter_mut().zip(&pixel[channels.clone()]).zip(y) {
                *count += if x == y { 1.0 } else { 0.0 };
            }
        }
        shares.iter_mut().zip(dy).for_each(|(share, dy)| *share = *dy / *share);
        for (pixel, dx) in x.chunks_exact(c).zip(dx.chunks_exact_mut(c)) {
            let (pixel, dx) = (&pixel[channels.clone()], &mut dx[channels.clone()]);
            for (((dx, x), y), share) in dx.iter_mut().zip(pixel).zip(y).zip(&*shares) {
                // As the definition multiplies, so that a lost number stays visible.
                *dx = if x == y { 1.0 } else { 0.0 } * share;
            }
        }
    }
}

gradus_tensor::vectorize! {
    fn maximum(x: &[f32], y: &mut [f32]) = maximum_body;
    fn share(x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) = share_body;
}
