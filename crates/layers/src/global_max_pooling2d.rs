//! Global max pooling: an image becomes its largest pixel.
//!
//! ```text
//! Formula      y[n,c] = max_{h,w} x[n,h,w,c]
//! Shapes       x: N·H·W·C   y: N·C, or N·1·1·C with keepdims
//! Backward     dx[n,h,w,c] = dy[n,c] / count[n,c] where x = y, else 0, count being how many pixels
//!              of the channel have that value
//! Saved        nothing: x and y are kept by the network
//! Cost         one read of x forward; two reads and a write backward
//! Conventions  as Keras: equal values share the gradient (in PyTorch's `AdaptiveMaxPool2d` one of
//!              them takes it). A NaN beats everything and makes the gradient NaN
//! Reference    Oquab, Bottou, Laptev, Sivic: Is Object Localization for Free? CVPR 2015
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
            let larger = |best: T, x: T| if x <= best || best.is_nan() { best } else { x };
            *y = (1..pixels).map(|i| x[[n, i, c]]).fold(x[[n, 0, c]], larger);
        }
    }

    /// dx from x, y and dy.
    pub fn backward<T: Real>(
        x: ArrayView3<'_, T>,
        y: ArrayView2<'_, T>,
        dy: ArrayView2<'_, T>,
        mut dx: ArrayViewMut3<'_, T>,
    ) {
        let (_, pixels, _) = x.dim();
        let wins = |n: usize, i: usize, c: usize| T::count(usize::from(x[[n, i, c]] == y[[n, c]]));
        for ((n, c), &dy) in dy.indexed_iter() {
            let count: T = (0..pixels).map(|i| wins(n, i, c)).sum();
            (0..pixels).for_each(|i| dx[[n, i, c]] = wins(n, i, c) * (dy / count));
        }
    }
}

/// Keras's `GlobalMaxPooling2D`. In PyTorch: `nn.AdaptiveMaxPool2d(1)`, which keeps the extents
/// (`keepdims`).
pub type GlobalMaxPooling2D = GlobalPooling<Largest>;

/// The largest of all pixels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Largest;

impl Whole for Largest {
    const CLASS_NAME: &'static str = "GlobalMaxPooling2D";

    fn forward(cx: &Context, x: &Tensor, y: &mut Tensor) {
        match &cx.device {
            Device::Cpu => {
                cpu::forward(Isa::detect(), &cx.workspace.pool, pixels(x), y.rows_mut());
            }
            Device::Cuda(gpu) => cuda::forward(gpu, extents(x), x.gpu(), y.gpu_mut()),
        }
    }

    fn backward(cx: &Context, x: &Tensor, y: &Tensor, dy: &Tensor, dx: &mut Tensor) {
        match &cx.device {
            Device::Cpu => {
                let (isa, pool) = (Isa::detect(), &cx.workspace.pool);
                cpu::backward(isa, pool, pixels(x), y.rows(), dy.rows(), pixels_mut(dx));
            }
            Device::Cuda(gpu) => {
                let (y, dy) = (y.gpu(), dy.gpu());
                cuda::backward(gpu, extents(x), x.gpu(), y, dy, dx.gpu_mut());
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::pooling::global::tests::{an_image_of_any_size_becomes_a_row_of, odd_extents};
    use crate::trial::agrees_with_keras;
    use gradus_tensor::ndarray::{Array2, Array3, ArrayView3, s};
    use gradus_tensor::{Pool, Real};
    use gradus_testing::{Cases, Golden, gradcheck};

    /// y and dx of the definition.
    pub(super) fn definition<T: Real>(
        x: ArrayView3<'_, T>,
        dy: &Array2<T>,
    ) -> (Array2<T>, Array3<T>) {
        let (mut y, mut dx) = (dy.clone(), x.to_owned());
        definition::forward(x, y.view_mut());
        definition::backward(x, y.view(), dy.view(), dx.view_mut());
        (y, dx)
    }

    #[test]
    fn the_gradient_is_the_derivative() {
        for case in 0..30 {
            let mut cases = Cases::new("global max gradient", case);
            let (n, pixels, c) = odd_extents(&mut cases);
            let dy = Array2::from_shape_vec((n, c), cases.normal_f64(n * c)).unwrap();
            // All pixels apart by more than the check moves them, so that none overtakes another.
            let mut x: Vec<f64> = (0..n * pixels * c).map(|i| i as f64 / 16.0).collect();
            (1..x.len()).rev().for_each(|i| x.swap(i, cases.extent(0, i)));
            let of =
                |x: &[f64]| definition(ArrayView3::from_shape((n, pixels, c), x).unwrap(), &dy);
            let error = gradcheck(&x, of(&x).1.as_slice().unwrap(), |x| (of(x).0 * &dy).sum());
            assert!(error < 1e-6, "{n}·{pixels}·{c}: {error}");
        }
    }

    #[test]
    fn the_engine_is_the_definition_to_the_last_bit() {
        for case in 0..60 {
            let mut cases = Cases::new("global max engine", case);
            let [n, pixels, c] = [3, 90, 70].map(|most| cases.extent(1, most));
            let x = Array3::from_shape_vec((n, pixels, c), cases.normal(n * pixels * c)).unwrap();
            // Half of the cases are full of ties.
            let x = if case % 2 == 0 { x.mapv(f32::round) } else { x };
            let dy = Array2::from_shape_vec((n, c), cases.normal(n * c)).unwrap();
            let expected = definition(x.view(), &dy);
            for (isa, threads) in Isa::available().into_iter().flat_map(|isa| [(isa, 1), (isa, 3)])
            {
                let (pool, mut y, mut dx) = (Pool::new(threads), &dy * 9.0, &x * 9.0);
                cpu::forward(isa, &pool, x.view(), y.view_mut());
                cpu::backward(isa, &pool, x.view(), y.view(), dy.view(), dx.view_mut());
                assert_eq!((y, dx), expected, "{n}·{pixels}·{c} {isa:?}, {threads} threads");
            }
        }
    }

    #[test]
    fn ties_share_the_gradient_and_a_nan_beats_everything() {
        let dy = Array2::from_elem((1, 2), 6.0f32);
        let x = [3.0, 1.0, 3.0, f32::NAN, 2.0, 5.0, 3.0, 0.0];
        let x = ArrayView3::from_shape((1, 4, 2), &x).unwrap();
        let (mut y, mut dx) = (dy.clone(), x.to_owned());
        for isa in Isa::available() {
            cpu::forward(isa, &Pool::new(1), x, y.view_mut());
            cpu::backward(isa, &Pool::new(1), x, y.view(), dy.view(), dx.view_mut());
            assert_eq!(dx.slice(s![0, .., 0]).to_vec(), [2.0, 2.0, 0.0, 2.0]);
            assert!(y[[0, 0]] == 3.0 && y[[0, 1]].is_nan(), "{y}");
            assert!(dx.slice(s![0, .., 1]).iter().all(|dx| dx.is_nan()), "{dx}");
        }
    }

    #[test]
    fn an_image_of_any_size_becomes_a_row() {
        an_image_of_any_size_becomes_a_row_of::<Largest>();
    }

    #[test]
    fn global_max_pooling_agrees_with_keras() {
        let Some(golden) = Golden::open("pool") else { return };
        let cases = golden.cases("gmp_");
        assert_eq!(cases.len(), 3);
        for case in cases {
            agrees_with_keras(&golden, case, GlobalMaxPooling2D::new());
        }
    }
}
