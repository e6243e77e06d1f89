//! Global average pooling on the CPU: vectors along the channels, an image for each task.

use gradus_tensor::ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};

/// Pixels that are summed before their sum is added to the others: two short sums round less than
/// a long one.
const PIXELS: usize = 32;
/// Channels that are summed side by side.
const CHANNELS: usize = 64;

/// y from x: N·(H·W)·C.
///
/// # Panics
/// If the extents differ, x is empty or a view is not contiguous.
pub fn forward(isa: Isa, pool: &Pool, x: ArrayView3<'_, f32>, mut y: ArrayViewMut2<'_, f32>) {
    let (n, pixels, c) = x.dim();
    assert_eq!((y.dim(), n * pixels * c == 0), ((n, c), false), "x and y fit, and hold something");
    let (x, y) = (x.as_slice().expect("contiguous"), y.as_slice_mut().expect("contiguous"));
    pool.each(Chunks::new(y, c), |i, y| mean(isa, &x[i * pixels * c..][..pixels * c], y));
}

/// dx from dy.
///
/// # Panics
/// As [`forward`].
pub fn backward(isa: Isa, pool: &Pool, dy: ArrayView2<'_, f32>, mut dx: ArrayViewMut3<'_, f32>) {
    let (n, pixels, c) = dx.dim();
    assert_eq!((dy.dim(), n * pixels * c == 0), ((n, c), false), "dx and dy fit");
    let (dy, dx) = (dy.as_slice().expect("contiguous"), dx.as_slice_mut().expect("contiguous"));
    pool.each(Chunks::new(dx, pixels * c), |i, dx| share(isa, &dy[i * c..][..c], dx));
}

#[inline(always)]
fn mean_body<const L: usize, const FMA: bool>(x: &[f32], y: &mut [f32]) {
    let c = y.len();
    let pixels = (x.len() / c) as f32;
    for (group, y) in y.chunks_mut(CHANNELS).enumerate() {
        let mut total = [0.0f32; CHANNELS];
        for block in x.chunks(PIXELS * c) {
            let mut sum = [0.0f32; CHANNELS];
            let sum = &mut sum[..y.len()];
            for pixel in block.chunks_exact(c) {
                let pixel = &pixel[group * CHANNELS..][..sum.len()];
                sum.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += *x);
            }
            total.iter_mut().zip(sum).for_each(|(total, sum)| *total += *sum);
        }
        y.iter_mut().zip(total).for_each(|(y, total)| *y = total / pixels);
    }
}

#[inline(always)]
fn share_body<const L: usize, const FMA: bool>(dy: &[f32], dx: &mut [f32]) {
    let pixels = (dx.len() / dy.len()) as f32;
    for pixel in dx.chunks_exact_mut(dy.len()) {
        pixel.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = *dy / pixels);
    }
}

gradus_tensor::vectorize! {
    fn mean(x: &[f32], y: &mut [f32]) = mean_body;
    fn share(dy: &[f32], dx: &mut [f32]) = share_body;
}
