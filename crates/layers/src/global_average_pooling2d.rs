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
#[derive(Clone, Copy, Debug, Default)]
pub struct GlobalAveragePooling2D {
    options: GlobalOptions,
}

impl GlobalAveragePooling2D {
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

fields! { GlobalAveragePooling2D }

impl Described for GlobalAveragePooling2D {
    const CLASS_NAME: &'static str = "GlobalAveragePooling2D";

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        let options = config.sound_options(|_| config.flaw_of_data_format())?;
        Ok(Self { options })
    }
}

impl Layer for GlobalAveragePooling2D {
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
        _: &Tensor,
        _: &Tensor,
        dy: &mut Tensor,
        dx: Option<&mut Tensor>,
        _: &mut Saved,
    ) {
        let Some(dx) = dx else { return };
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
    use crate::trial::agrees_with_keras;
    use gradus_tensor::Pool;
    use gradus_tensor::ndarray::{Array2, Array3};
    use gradus_testing::{Cases, Golden, Tolerance, assert_close, gradcheck};

    #[test]
    fn the_gradient_is_the_derivative() {
        let mut cases = Cases::new("global average gradient", 0);
        let (x, dy) = (cases.normal_f64(2 * 5 * 3), cases.normal_f64(2 * 3));
        let dy = Array2::from_shape_vec((2, 3), dy).unwrap();
        let mut dx = Array3::zeros((2, 5, 3));
        definition::backward(dy.view(), dx.view_mut());
        let error = gradcheck(&x, dx.as_slice().unwrap(), |x| {
            let (x, mut y) = (ArrayView3::from_shape((2, 5, 3), x).unwrap(), dy.clone());
            definition::forward(x, y.view_mut());
            (y * &dy).sum()
        });
        assert!(error < 1e-6, "{error}");
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
        let layer = GlobalAveragePooling2D::new();
        let y = |layer: &GlobalAveragePooling2D, x: &[usize]| layer.output_shape(Shape::new(x));
        assert_eq!(y(&layer, &[5, 7, 9, 4]).unwrap().dims(), [5, 4]);
        assert_eq!(y(&layer.keepdims(true), &[5, 7, 9, 4]).unwrap().dims(), [5, 1, 1, 4]);
        assert!(y(&layer, &[5, 4]).is_err() && y(&layer, &[5, 0, 2, 4]).is_err());
        let config = layer.keepdims(true).config();
        let again = GlobalAveragePooling2D::from_config(&config, &Registry::default()).unwrap();
        assert_eq!(again.config(), config);
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
