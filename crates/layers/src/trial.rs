//! One layer in the hands of a test: built, planned, run.

use crate::{Init, Layer, Mode, Saved};
use gradus_tensor::{Context, Device, Shape, Tensor};
use gradus_testing::{Golden, Tolerance, assert_close};

/// A layer with its memory.
#[derive(Debug)]
pub(crate) struct Trial<L> {
    pub(crate) layer: L,
    pub(crate) cx: Context,
    pub(crate) saved: Saved,
}

impl<L: Layer> Trial<L> {
    /// Builds the layer for such an x, with seed 0, to be run on that many threads.
    pub(crate) fn new(mut layer: L, x: Shape, threads: usize) -> Self {
        layer.build(x, &mut Init::new(&Device::Cpu, 0)).expect("an x that fits");
        let plan = layer.plan(gradus_tensor::Spec::f32(x), Mode::Train).expect("an x that fits");
        let mut cx = Context::new(Device::Cpu, threads);
        plan.reserve(&mut cx);
        let saved = Saved::allocate(&plan, &Device::Cpu);
        Self { layer, cx, saved }
    }

    fn y(&self, x: &Tensor) -> Tensor {
        let mut y = Tensor::from_slice(self.saved.output(), &vec![9.0; self.saved.output().len()]);
        y.set_shape(self.layer.output_shape(x.shape()).expect("an x that fits"));
        y
    }

    pub(crate) fn forward(&mut self, x: &Tensor) -> Tensor {
        let mut y = self.y(x);
        self.layer.forward(&mut self.cx, x, &mut y, &mut self.saved);
        y
    }

    pub(crate) fn infer(&mut self, x: &Tensor) -> Tensor {
        let mut y = self.y(x);
        self.layer.infer(&mut self.cx, x, &mut y, &mut self.saved);
        y
    }

    /// dx; the gradients of the parameters lie in the layer.
    pub(crate) fn backward(&mut self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Tensor {
        let (mut dx, mut dy) = (x.clone(), dy.clone());
        dx.slice_mut::<f32>().fill(9.0);
        self.layer.backward(&mut self.cx, x, y, &mut dy, Some(&mut dx), &mut self.saved);
        dx
    }
}

/// A field of a golden case.
pub(crate) fn field(golden: &Golden, case: &str, field: &str) -> Tensor {
    let values = golden.tensor(case, field);
    Tensor::from_slice(Shape::new(values.shape()), values.as_slice().expect("contiguous"))
}

/// Holds what the layer makes of x and dy against Keras's y and dx. Returns its y.
#[track_caller]
pub(crate) fn agrees_with_keras<L: Layer>(golden: &Golden, case: &str, layer: L) -> Tensor {
    let [x, dy] = ["x", "dy"].map(|name| field(golden, case, name));
    let mut trial = Trial::new(layer, x.shape(), 2);
    let y = trial.forward(&x);
    assert_eq!(trial.infer(&x).slice::<f32>(), y.slice::<f32>(), "{case}: infer and forward");
    let dx = trial.backward(&x, &y, &dy);
    for (name, actual) in [("y", &y), ("dx", &dx)] {
        let expected = field(golden, case, name);
        assert_eq!(actual.shape(), expected.shape(), "{case}/{name}");
        let tolerance = Tolerance::golden(golden.noise(case, name));
        let (actual, expected) = (actual.slice::<f32>(), expected.slice::<f32>());
        assert_close(&format!("{case}/{name}"), actual, expected, tolerance);
    }
    y
}
