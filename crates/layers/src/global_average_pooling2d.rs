//! Global average pooling: an image becomes the mean of its pixels.
//!
//! ```text
//! Formula      y[n,c] = Σ_{h,w} x[n,h,w,c] / (H·W)
//! Shapes       x: N·H·W·C   y: N·C, or N·1·1·C with keepdims
//! Backward     dx[n,h,w,c] = dy[n,c] / (H·W)
//! Saved        nothing
//! Cost         one read of x, one write of dx
//! Reference    Lin, Chen, Yan: Network In Network. ICLR 2014
//! ```

pub mod cpu;
pub mod cuda;

use crate::pooling::global::{GlobalPooling, Whole, extents, pixels, pixels_mut};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Context, Device, Tensor};

/// The formula as loops over images of N·(H·W)·C.
pub mod definition {
    use gradus_tensor::Real;
    use gradus_tensor::ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3};

    /// y from x.
    pub fn forward<T: Real>(x: ArrayView3<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        let (_, pixels, _) = x.dim();
        for ((n, c), y) in y.indexed_iter_mut() {
            *y = (0..pixels).map(|i| x[[n, i, c]]).sum::<T>() / T::count(pixels);
        }
    }

    /// dx from dy.
    pub fn backward<T: Real>(dy: ArrayView2<'_, T>, mut dx: ArrayViewMut3<'_, T>) {
        let (_, pixels, _) = dx.dim();
        for ((n, _, c), dx) in dx.indexed_iter_mut() {
            *dx = dy[[n, c]] / T::count(pixels);
        }
    }
}

/// Keras's `GlobalAveragePooling2D`. In PyTorch: `nn.AdaptiveAvgPool2d(1)`, which keeps the extents
/// (`keepdims`).
pub type GlobalAveragePooling2D = GlobalPooling<Mean>;

/// The mean of all pixels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean;

impl Whole for Mean {
    const CLASS_NAME: &'static str = "GlobalAveragePooling2D";

    fn forward(cx: &Context, x: &Tensor, y: &mut Tensor) {
        match &cx.device {
            Device::Cpu => {
                cpu::forward(Isa::detect(), &cx.workspace.pool, pixels(x), y.rows_mut());
            }
            Device::Cuda(gpu) => cuda::forward(gpu, extents(x), x.gpu(), y.gpu_mut()),
        }
    }

    fn backward(cx: &Context, _: &Tensor, _: &Tensor, dy: &Tensor, dx: &mut Tensor) {
        match &cx.device {
            Device::Cpu => {
                cpu::backward(Isa::detect(), &cx.workspace.pool, dy.rows(), pixels_mut(dx));
            }
            Device::Cuda(gpu) => cuda::backward(gpu, extents(dx), dy.gpu(), dx.gpu_mut()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pooling::global::tests::{an_image_of_any_size_becomes_a_row_of, odd_extents};
    use crate::trial::agrees_with_keras;
    use gradus_tensor::Pool;
    use gradus_tensor::ndarray::{Array2, Array3, ArrayView3};
    use gradus_testing::{Cases, Golden, Tolerance, assert_close, gradcheck};

    #[test]
    fn the_gradient_is_the_derivative() {
        for case in 0..30 {
            let mut cases = Cases::new("global average gradient", case);
            let (n, pixels, c) = odd_extents(&mut cases);
            let (x, dy) = (cases.normal_f64(n * pixels * c), cases.normal_f64(n * c));
            let dy = Array2::from_shape_vec((n, c), dy).unwrap();
            let mut dx = Array3::zeros((n, pixels, c));
            definition::backward(dy.view(), dx.view_mut());
            let error = gradcheck(&x, dx.as_slice().unwrap(), |x| {
                let x = ArrayView3::from_shape((n, pixels, c), x).unwrap();
                let mut y = dy.clone();
                definition::forward(x, y.view_mut());
                (y * &dy).sum()
            });
            assert!(error < 1e-6, "{n}·{pixels}·{c}: {error}");
        }
    }

    #[test]
    fn the_engine_is_the_definition() {
        for case in 0..60 {
            let mut cases = Cases::new("global average engine", case);
            let [n, pixels, c] = [3, 90, 70].map(|most| cases.extent(1, most));
            let x = Array3::from_shape_vec((n, pixels, c), cases.normal(n * pixels * c)).unwrap();
            let dy = Array2::from_shape_vec((n, c), cases.normal(n * c)).unwrap();
            let (mut y, mut dx) = (dy.mapv(f64::from), x.mapv(f64::from));
            definition::forward(x.mapv(f64::from).view(), y.view_mut());
            definition::backward(dy.mapv(f64::from).view(), dx.view_mut());
            let run = |isa, threads| {
                let (pool, mut y, mut dx) = (Pool::new(threads), &dy * 9.0, &x * 9.0);
                cpu::forward(isa, &pool, x.view(), y.view_mut());
                cpu::backward(isa, &pool, dy.view(), dx.view_mut());
                (y, dx)
            };
            for isa in Isa::available() {
                let alone = run(isa, 1);
                let (what, sum) = (format!("{n}·{pixels}·{c} {isa:?}"), Tolerance::for_reduction);
                let (a, e) = (alone.0.as_slice().unwrap(), y.as_slice().unwrap());
                assert_close(&what, a, e, sum(pixels));
                let (a, e) = (alone.1.as_slice().unwrap(), dx.as_slice().unwrap());
                assert_close(&what, a, e, sum(1));
                assert_eq!(alone, run(isa, 3), "{what}: 1 thread, 3 threads");
            }
        }
    }

    #[test]
    fn an_image_of_any_size_becomes_a_row() {
        an_image_of_any_size_becomes_a_row_of::<Mean>();
    }

    #[test]
    fn global_average_pooling_agrees_with_keras() {
        let Some(golden) = Golden::open("pool") else { return };
        let cases = golden.cases("gap_");
        assert_eq!(cases.len(), 3);
        for case in cases {
            agrees_with_keras(&golden, case, GlobalAveragePooling2D::new());
        }
    }
}
