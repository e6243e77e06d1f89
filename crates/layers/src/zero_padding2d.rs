//! Zeros around images.
//!
//! ```text
//! Formula      y[n, h + top, w + left, c] = x[n,h,w,c], and 0 elsewhere
//! Shapes       x: N·H·W·C   y: N·(top + H + bottom)·(left + W + right)·C
//! Backward     dx[n,h,w,c] = dy[n, h + top, w + left, c]
//! Saved        nothing
//! Cost         one copy; where a convolution follows, its own explicit padding costs less
//! Reference    Keras's `ZeroPadding2D`; PyTorch's `nn.ZeroPad2d`, which names left and right first
//! ```

pub mod cpu;
pub mod cuda;

use crate::{Config, ConfigError, Described, Init, Layer, Mode, Plan, Registry, Saved, ShapeError};
use gradus_tensor::{Context, Device, Shape, Spec, Tensor, fields};

/// Rows above and below, columns to the left and right: `1` for one on each side, `[1, 2]` for one
/// row and two columns on each side, `[[top, bottom], [left, right]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "Words")]
pub struct Borders(pub [[usize; 2]; 2]);

impl<T: Into<Words>> From<T> for Borders {
    fn from(words: T) -> Self {
        Self(match words.into() {
            Words::All(all) => [[all; 2]; 2],
            Words::Symmetric([rows, columns]) => [[rows; 2], [columns; 2]],
            Words::Each(borders) => borders,
        })
    }
}

/// The three ways in which Keras lets one say it.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(untagged)]
pub enum Words {
    /// On each side.
    All(usize),
    /// Above and below, left and right.
    Symmetric([usize; 2]),
    /// `[[top, bottom], [left, right]]`.
    Each([[usize; 2]; 2]),
}

impl From<usize> for Words {
    fn from(all: usize) -> Self {
        Self::All(all)
    }
}

impl From<[usize; 2]> for Words {
    fn from(symmetric: [usize; 2]) -> Self {
        Self::Symmetric(symmetric)
    }
}

impl From<[[usize; 2]; 2]> for Words {
    fn from(each: [[usize; 2]; 2]) -> Self {
        Self::Each(each)
    }
}

/// The formula as loops.
pub mod definition {
    use super::Borders;
    use gradus_tensor::Real;
    use gradus_tensor::ndarray::{ArrayView4, ArrayViewMut4};

    /// y from x.
    pub fn forward<T: Real>(
        Borders([[top, _], [left, _]]): Borders,
        x: ArrayView4<'_, T>,
        mut y: ArrayViewMut4<'_, T>,
    ) {
        y.fill(T::zero());
        for ((n, h, w, c), &x) in x.indexed_iter() {
            y[[n, h + top, w + left, c]] = x;
        }
    }

    /// dx from dy.
    pub fn backward<T: Real>(
        Borders([[top, _], [left, _]]): Borders,
        dy: ArrayView4<'_, T>,
        mut dx: ArrayViewMut4<'_, T>,
    ) {
        for ((n, h, w, c), dx) in dx.indexed_iter_mut() {
            *dx = dy[[n, h + top, w + left, c]];
        }
    }
}

/// Keras's `ZeroPadding2D`. In PyTorch: `nn.ZeroPad2d`.
#[derive(Clone, Copy, Debug)]
pub struct ZeroPadding2D {
    options: Options,
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Options {
    padding: Borders,
}

impl ZeroPadding2D {
    /// That many zeros: `1`, `[1, 2]` or `[[top, bottom], [left, right]]`. Keras's default is 1.
    #[must_use]
    pub fn new(padding: impl Into<Borders>) -> Self {
        Self { options: Options { padding: padding.into() } }
    }
}

/// N, H, W and C.
fn extents(x: &Tensor) -> [usize; 4] {
    *x.shape().dims().as_array().expect("an x of the planned shape")
}

fields! { ZeroPadding2D }

impl Described for ZeroPadding2D {
    const CLASS_NAME: &'static str = "ZeroPadding2D";

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        let options = config.sound_options(|_| config.flaw_of_data_format())?;
        Ok(Self { options })
    }
}

impl Layer for ZeroPadding2D {
    fn config(&self) -> Config {
        Config::new(Self::CLASS_NAME, &self.options)
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        let [[top, bottom], [left, right]] = self.options.padding.0;
        match *x.dims() {
            [n, h, w, c] if !x.is_empty() => {
                Ok(Shape::new(&[n, top + h + bottom, left + w + right, c]))
            }
            _ => Err(ShapeError::new(x, "expected images: (N, H, W, C), none of them empty")),
        }
    }

    fn build(&mut self, x: Shape, _: &mut Init<'_>) -> Result<(), ShapeError> {
        self.output_shape(x).map(|_| ())
    }

    fn plan(&self, x: Spec, _: Mode) -> Result<Plan, ShapeError> {
        Ok(Plan::new(Spec::f32(self.output_shape(x.shape)?)))
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        let padding = self.options.padding;
        match &cx.device {
            Device::Cpu => cpu::forward(&cx.workspace.pool, padding, x.view(), y.view_mut()),
            Device::Cuda(gpu) => {
                cuda::forward(gpu, padding, extents(x), x.gpu(), y.gpu_mut());
            }
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
        let (padding, Some(dx)) = (self.options.padding, dx) else { return };
        match &cx.device {
            Device::Cpu => cpu::backward(&cx.workspace.pool, padding, dy.view(), dx.view_mut()),
            Device::Cuda(gpu) => {
                cuda::backward(gpu, padding, extents(dx), dy.gpu(), dx.gpu_mut());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pooling::tests::array;
    use gradus_tensor::Pool;
    use gradus_testing::{Cases, gradcheck};

    #[test]
    fn the_gradient_is_the_derivative() {
        let mut cases = Cases::new("zero padding gradient", 0);
        let padding = Borders([[1, 2], [0, 3]]);
        let shape = Shape::new(&[2, 3, 4, 2]);
        let like = ZeroPadding2D::new(padding.0).output_shape(shape).unwrap();
        let (x, dy) = (cases.normal_f64(shape.len()), cases.normal_f64(like.len()));
        let (dy, mut dx) = (array(like, &dy), array(shape, &x));
        definition::backward(padding, dy.view(), dx.view_mut());
        let error = gradcheck(&x, dx.as_slice().unwrap(), |x| {
            let mut y = dy.clone();
            definition::forward(padding, array(shape, x).view(), y.view_mut());
            (y * &dy).sum()
        });
        assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn the_engine_is_the_definition_to_the_last_bit() {
        for case in 0..60 {
            let mut cases = Cases::new("zero padding engine", case);
            let padding = [(); 2].map(|()| [cases.extent(0, 4), cases.extent(0, 4)]);
            let shape = [3, 40, 40, 17].map(|most| cases.extent(1, most));
            let shape = Shape::new(&shape);
            let like = ZeroPadding2D::new(padding).output_shape(shape).unwrap();
            let x = array(shape, &cases.normal(shape.len()));
            let dy = array(like, &cases.normal(like.len()));
            let (mut expected, mut expected_dx) = (dy.clone(), x.clone());
            definition::forward(Borders(padding), x.view(), expected.view_mut());
            definition::backward(Borders(padding), dy.view(), expected_dx.view_mut());
            for threads in [1, 3] {
                let (pool, mut y, mut dx) = (Pool::new(threads), &dy * 9.0, &x * 9.0);
                cpu::forward(&pool, Borders(padding), x.view(), y.view_mut());
                cpu::backward(&pool, Borders(padding), dy.view(), dx.view_mut());
                assert_eq!((&y, &dx), (&expected, &expected_dx), "case {case}: {padding:?}");
            }
        }
    }

    #[test]
    fn one_number_two_or_four_say_how_much() {
        let y = |layer: ZeroPadding2D| layer.output_shape(Shape::new(&[2, 5, 6, 3])).unwrap();
        assert_eq!(y(ZeroPadding2D::new(1)).dims(), [2, 7, 8, 3]);
        assert_eq!(y(ZeroPadding2D::new([1, 2])).dims(), [2, 7, 10, 3]);
        let layer = ZeroPadding2D::new([[1, 0], [0, 2]]);
        assert_eq!(y(layer).dims(), [2, 6, 8, 3]);
        let mut config = layer.config();
        let registry = Registry::default();
        assert_eq!(ZeroPadding2D::from_config(&config, &registry).unwrap().config(), config);
        config.config.insert("padding".to_owned(), 3.into());
        assert_eq!(
            y(ZeroPadding2D::from_config(&config, &registry).unwrap()).dims(),
            [2, 11, 12, 3]
        );
        config.config.insert("padding".to_owned(), "same".into());
        assert!(ZeroPadding2D::from_config(&config, &registry).is_err());
        assert!(layer.output_shape(Shape::new(&[2, 5, 3])).is_err());
    }
}
