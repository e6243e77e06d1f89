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

use crate::pooling::GlobalOptions;
use crate::{Config, ConfigError, Described, Init, Layer, Mode, Plan, Registry, Saved, ShapeError};
use gradus_tensor::ndarray::{ArrayView3, ArrayViewMut3};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Context, Device, Shape, Spec, Tensor, fields};

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
#[derive(Clone, Copy, Debug, Default)]
pub struct GlobalMaxPooling2D {
    options: GlobalOptions,
}

impl GlobalMaxPooling2D {
    /// Rows (N, C) of images.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether y is (N, 1, 1, C) instead. Default: no.
    #[must_use]
    pub fn keepdims(mut self, keepdims: bool) -> Self {
        self.options.keepdims = keepdims;
        self
    }
}

/// N, H·W and C.
fn extents(x: &Tensor) -> [usize; 3] {
    let &[n, h, w, c] = x.shape().dims() else { panic!("an x of the planned shape") };
    [n, h * w, c]
}

/// N·(H·W)·C.
fn pixels(x: &Tensor) -> ArrayView3<'_, f32> {
    ArrayView3::from_shape(extents(x), x.slice()).expect("as many as before")
}

fn pixels_mut(x: &mut Tensor) -> ArrayViewMut3<'_, f32> {
    ArrayViewMut3::from_shape(extents(x), x.slice_mut()).expect("as many as before")
}

fields! { GlobalMaxPooling2D }

impl Described for GlobalMaxPooling2D {
    const CLASS_NAME: &'static str = "GlobalMaxPooling2D";

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        let options = config.sound_options(|_| config.flaw_of_data_format())?;
        Ok(Self { options })
    }
}

impl Layer for GlobalMaxPooling2D {
    fn config(&self) -> Config {
        Config::new(Self::CLASS_NAME, &self.options)
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        self.options.output_shape(x)
    }

    fn build(&mut self, x: Shape, _: &mut Init<'_>) -> Result<(), ShapeError> {
        self.output_shape(x).map(|_| ())
    }

    fn plan(&self, x: Spec, _: Mode) -> Result<Plan, ShapeError> {
        Ok(Plan::new(Spec::f32(self.output_shape(x.shape)?)))
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        match &cx.device {
            Device::Cpu => {
                cpu::forward(Isa::detect(), &cx.workspace.pool, pixels(x), y.rows_mut());
            }
            Device::Cuda(gpu) => cuda::forward(gpu, extents(x), x.gpu(), y.gpu_mut()),
        }
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        self.infer(cx, x, y, saved);
    }

    fn backward(
        &mut self,
        cx: &mut Context,
        x: &Tensor,
        y: &Tensor,
        dy: &mut Tensor,
        dx: Option<&mut Tensor>,
        _: &mut Saved,
    ) {
        let Some(dx) = dx else { return };
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
    use crate::trial::agrees_with_keras;
    use gradus_tensor::ndarray::{Array2, Array3, s};
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
        let mut cases = Cases::new("global max gradient", 0);
        let (x, dy) = (cases.normal_f64(2 * 5 * 3), cases.normal_f64(2 * 3));
        let dy = Array2::from_shape_vec((2, 3), dy).unwrap();
        let of = |x: &[f64]| definition(ArrayView3::from_shape((2, 5, 3), x).unwrap(), &dy);
        let error = gradcheck(&x, of(&x).1.as_slice().unwrap(), |x| (of(x).0 * &dy).sum());
        assert!(error < 1e-6, "{error}");
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
        let layer = GlobalMaxPooling2D::new();
        let y = |layer: &GlobalMaxPooling2D, x: &[usize]| layer.output_shape(Shape::new(x));
        assert_eq!(y(&layer, &[5, 7, 9, 4]).unwrap().dims(), [5, 4]);
        assert_eq!(y(&layer.keepdims(true), &[5, 7, 9, 4]).unwrap().dims(), [5, 1, 1, 4]);
        assert!(y(&layer, &[5, 4]).is_err() && y(&layer, &[5, 0, 2, 4]).is_err());
        let config = layer.keepdims(true).config();
        let again = GlobalMaxPooling2D::from_config(&config, &Registry::default()).unwrap();
        assert_eq!(again.config(), config);
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
