//! Pooling over whole images: all that does not depend on what is made of the pixels.
//!
//! ```text
//! Shapes       x: N·H·W·C   y: N·C, or N·1·1·C with keepdims
//! Rooms        `global_average_pooling2d.rs`, `global_max_pooling2d.rs`: the mathematics
//! ```

use crate::{Config, ConfigError, Described, Init, Layer, Mode, Plan, Registry, Saved, ShapeError};
use gradus_tensor::ndarray::{ArrayView3, ArrayViewMut3};
use gradus_tensor::{Context, Shape, Spec, Tensor, fields};
use std::fmt::Debug;
use std::marker::PhantomData;

/// What is made of all pixels of an image, on whatever device the context has.
pub trait Whole: Copy + Debug + Default + Send + Sync + 'static {
    /// Keras's name of the layer.
    const CLASS_NAME: &'static str;

    /// y from x.
    fn forward(cx: &Context, x: &Tensor, y: &mut Tensor);

    /// dx from x, y and dy.
    fn backward(cx: &Context, x: &Tensor, y: &Tensor, dy: &Tensor, dx: &mut Tensor);
}

/// A pooling over whole images.
#[derive(Clone, Copy, Debug, Default)]
pub struct GlobalPooling<W> {
    options: Options,
    whole: PhantomData<W>,
}

/// The options, in Keras's words.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct Options {
    keepdims: bool,
}

impl<W: Whole> GlobalPooling<W> {
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
pub(crate) fn extents(x: &Tensor) -> [usize; 3] {
    let &[n, h, w, c] = x.shape().dims() else { panic!("an x of the planned shape") };
    [n, h * w, c]
}

/// N·(H·W)·C.
pub(crate) fn pixels(x: &Tensor) -> ArrayView3<'_, f32> {
    ArrayView3::from_shape(extents(x), x.slice()).expect("as many as before")
}

/// The same to be written.
pub(crate) fn pixels_mut(x: &mut Tensor) -> ArrayViewMut3<'_, f32> {
    ArrayViewMut3::from_shape(extents(x), x.slice_mut()).expect("as many as before")
}

fields! { GlobalPooling<W> where W: Whole }

impl<W: Whole> Described for GlobalPooling<W> {
    const CLASS_NAME: &'static str = W::CLASS_NAME;

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        let options = config.sound_options(|_| config.flaw_of_data_format())?;
        Ok(Self { options, whole: PhantomData })
    }
}

impl<W: Whole> Layer for GlobalPooling<W> {
    fn config(&self) -> Config {
        Config::new(W::CLASS_NAME, &self.options)
    }

    /// (N, C), or (N, 1, 1, C), for images of any size.
    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        match *x.dims() {
            [n, _, _, c] if !x.is_empty() => Ok(match self.options.keepdims {
                true => Shape::new(&[n, 1, 1, c]),
                false => Shape::new(&[n, c]),
            }),
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
        W::forward(cx, x, y);
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        W::forward(cx, x, y);
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
        if let Some(dx) = dx {
            W::backward(cx, x, y, dy, dx);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use gradus_testing::Cases;

    /// Small extents, one pixel and one channel among them: images, pixels of each, channels.
    pub(crate) fn odd_extents(cases: &mut Cases) -> (usize, usize, usize) {
        let [n, h, w] = [3, 5, 5].map(|most| cases.extent(1, most));
        (n, h * w, cases.one_of(&[1, 2, 3, 5, 7]))
    }

    /// Holds what every such layer does with shapes and options.
    pub(crate) fn an_image_of_any_size_becomes_a_row_of<W: Whole>() {
        let layer = GlobalPooling::<W>::new();
        let y = |layer: &GlobalPooling<W>, x: &[usize]| layer.output_shape(Shape::new(x));
        assert_eq!(y(&layer, &[5, 7, 9, 4]).unwrap().dims(), [5, 4]);
        assert_eq!(y(&layer.keepdims(true), &[5, 7, 9, 4]).unwrap().dims(), [5, 1, 1, 4]);
        assert!(y(&layer, &[5, 4]).is_err() && y(&layer, &[5, 0, 2, 4]).is_err());
        let config = layer.keepdims(true).config();
        let again = GlobalPooling::<W>::from_config(&config, &Registry::default()).unwrap();
        assert_eq!((again.config(), config.class_name.as_str()), (config.clone(), W::CLASS_NAME));
    }
}
