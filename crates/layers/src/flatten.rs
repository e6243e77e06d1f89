//! Flattening: an image becomes a row.
//!
//! ```text
//! Formula      y[n, (h·W + w)·C + c] = x[n,h,w,c]
//! Shapes       x: N·(anything)   y: N·(product of the rest)
//! Backward     dx is dy in x's shape
//! Conventions  row-major over H, W, C, as Keras; a network of PyTorch flattens C, H, W, so the
//!              kernel of the dense layer behind it has other rows
//! Cost         one copy
//! ```

use crate::{Config, ConfigError, Described, Init, Layer, Mode, Plan, Registry, Saved, ShapeError};
use gradus_tensor::{Context, Shape, Spec, Tensor, fields};

/// Keras's `Flatten`. In PyTorch: `nn.Flatten`, which flattens C, H, W.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flatten;

fields! { Flatten }

impl Described for Flatten {
    const CLASS_NAME: &'static str = "Flatten";

    fn from_config(_: &Config, _: &Registry) -> Result<Self, ConfigError> {
        Ok(Self)
    }
}

impl Layer for Flatten {
    fn config(&self) -> Config {
        Config { class_name: Self::CLASS_NAME.to_owned(), config: serde_json::Map::new() }
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        if x.rank() < 2 || x.is_empty() {
            return Err(ShapeError::new(x, "expected a batch of something: (N, …)"));
        }
        Ok(Shape::new(&[x.batch(), x.len() / x.batch()]))
    }

    fn build(&mut self, x: Shape, _: &mut Init<'_>) -> Result<(), ShapeError> {
        self.output_shape(x).map(|_| ())
    }

    fn plan(&self, x: Spec, _: Mode) -> Result<Plan, ShapeError> {
        Ok(Plan::new(Spec::f32(self.output_shape(x.shape)?)))
    }

    fn infer(&self, _: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        y.copy_from(x);
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
        saved: &mut Saved,
    ) {
        if let Some(dx) = dx {
            self.infer(cx, dy, dx, saved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::kernels_agree;
    use gradus_tensor::Device;

    #[test]
    fn a_layer_on_a_gpu_is_the_layer() {
        kernels_agree("flatten", || Flatten, Shape::new(&[3, 4, 2, 5]), 1);
    }

    #[test]
    fn rows_columns_channels_keep_their_order_there_and_back() {
        let values: Vec<f32> = (0..24u8).map(f32::from).collect();
        let x = Tensor::from_slice(Shape::new(&[2, 2, 3, 2]), &values);
        let (mut cx, mut layer) = (Context::new(Device::Cpu, 1), Flatten);
        let plan = layer.plan(x.spec(), Mode::Train).unwrap();
        let mut saved = Saved::allocate(&plan, &Device::Cpu);
        let mut y = Tensor::zeros(plan.output, &Device::Cpu);
        layer.forward(&mut cx, &x, &mut y, &mut saved);
        assert_eq!((y.shape().dims(), y.slice::<f32>()), ([2, 12].as_slice(), &values[..]));
        let mut dx = Tensor::zeros(x.spec(), &Device::Cpu);
        layer.backward(&mut cx, &x, &y.clone(), &mut y, Some(&mut dx), &mut saved);
        assert_eq!(dx.slice::<f32>(), values);
    }

    #[test]
    fn flatten_agrees_with_keras() {
        let Some(golden) = gradus_testing::Golden::open("dense_activation") else { return };
        let (x, y) = (golden.tensor("flatten_nhwc", "x"), golden.tensor("flatten_nhwc", "y"));
        let shape = Flatten.output_shape(Shape::new(x.shape())).unwrap();
        assert_eq!(shape.dims(), y.shape());
        assert_eq!(x.as_slice(), y.as_slice(), "row-major order is Keras's order");
    }

    #[test]
    fn an_empty_image_is_refused() {
        assert!(Flatten.output_shape(Shape::new(&[4, 0, 3])).is_err());
        assert!(Flatten.output_shape(Shape::new(&[4])).is_err());
    }
}
