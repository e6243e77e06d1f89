//! Dense (fully connected) layers.
//!
//! ```text
//! Formula      y = activation(x W + b), zₙⱼ = bⱼ + Σᵢ xₙᵢ Wᵢⱼ
//! Shapes       x: N·I   W: I·J   b: J   y: N·J
//! Backward     dz = activation'(dy)
//!              dx = dz Wᵀ, dW = xᵀ dz, db = Σₙ dzₙ
//! Saved        nothing, or z where the activation's slope does not follow from y
//! Cost         2·N·I·J operations for each of y, dx and dW. Each reads or writes the kernel once,
//!              which for a small batch takes longer than the arithmetic: 25088·512 weights are
//!              51 MB
//! Conventions  the kernel is (inputs, units), as Keras; PyTorch's weight is its transpose. Behind
//!              `Flatten` the inputs are in the order H, W, C
//! Reference    Rumelhart, Hinton, Williams: Learning representations by back-propagating errors.
//!              Nature 323, 1986
//! ```

pub mod cpu;
pub mod cuda;

use crate::folded::Product;
use crate::layer::freeze;
use crate::weights::{Weights, weight_options};
use crate::{
    Activation, Config, ConfigError, Described, Init, Layer, Mode, Plan, Registry, Saved,
    ShapeError, Slot,
};
use gradus_tensor::gpu::GpuView;
use gradus_tensor::ndarray::{Ix1, Ix2};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Context, Device, Param, Shape, Spec, Tensor, fields};

/// The formulas as sums.
pub mod definition {
    use gradus_tensor::Real;
    use gradus_tensor::ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};

    /// z = x W + b.
    pub fn forward<T: Real>(
        x: ArrayView2<'_, T>,
        kernel: ArrayView2<'_, T>,
        bias: Option<ArrayView1<'_, T>>,
        mut z: ArrayViewMut2<'_, T>,
    ) {
        for ((n, j), z) in z.indexed_iter_mut() {
            let sum: T = (0..kernel.nrows()).map(|i| x[[n, i]] * kernel[[i, j]]).sum();
            *z = sum + bias.map_or(T::zero(), |bias| bias[j]);
        }
    }

    /// dx = dz Wᵀ.
    pub fn backward_input<T: Real>(
        kernel: ArrayView2<'_, T>,
        dz: ArrayView2<'_, T>,
        mut dx: ArrayViewMut2<'_, T>,
    ) {
        for ((n, i), dx) in dx.indexed_iter_mut() {
            *dx = (0..kernel.ncols()).map(|j| dz[[n, j]] * kernel[[i, j]]).sum();
        }
    }

    /// dW = xᵀ dz.
    pub fn backward_weight<T: Real>(
        x: ArrayView2<'_, T>,
        dz: ArrayView2<'_, T>,
        mut dkernel: ArrayViewMut2<'_, T>,
    ) {
        for ((i, j), dw) in dkernel.indexed_iter_mut() {
            *dw = (0..x.nrows()).map(|n| x[[n, i]] * dz[[n, j]]).sum();
        }
    }

    /// db = Σₙ dz.
    pub fn backward_bias<T: Real>(dz: ArrayView2<'_, T>, mut dbias: ArrayViewMut1<'_, T>) {
        for (db, column) in dbias.iter_mut().zip(dz.columns()) {
            *db = column.iter().copied().sum();
        }
    }
}

/// Keras's `Dense`, for inputs of rank 2. In PyTorch: `nn.Linear`, whose weight is transposed and
/// whose first values are others, and the activation behind it.
#[derive(Clone, Debug)]
pub struct Dense {
    options: Options,
    kernel: Param,
    bias: Param,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Options {
    units: usize,
    #[serde(default)]
    activation: Activation,
    #[serde(default = "yes")]
    use_bias: bool,
    #[serde(flatten)]
    weights: Weights,
}

impl Options {
    /// What is wrong with them, if anything.
    fn flaw(&self) -> Option<String> {
        let none = || "units is 0, expected at least one".to_owned();
        (self.units == 0).then(none).or_else(|| self.weights.flaw(2))
    }
}

fn yes() -> bool {
    true
}

impl Dense {
    /// What batch normalization is folded into.
    pub(crate) fn product(&mut self) -> Product<'_> {
        let Options { activation, use_bias, .. } = &mut self.options;
        let (kernel, bias) = (&mut self.kernel, &mut self.bias);
        Product { kernel, bias, use_bias, activation, whole: true }
    }

    /// That many outputs, with a bias and no activation: Keras's defaults.
    ///
    /// # Panics
    /// If `units` is 0.
    #[must_use]
    pub fn new(units: usize) -> Self {
        let (activation, weights) = (Activation::Linear, Weights::default());
        Self::of(Options { units, activation, use_bias: true, weights })
    }

    fn of(options: Options) -> Self {
        if let Some(flaw) = options.flaw() {
            panic!("a dense layer: {flaw}");
        }
        Self { options, kernel: Param::default(), bias: Param::default() }
    }

    /// What follows the linear map.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.options.activation = activation;
        self
    }

    /// Whether a bias is added. The default is that it is.
    #[must_use]
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.options.use_bias = use_bias;
        self
    }

    /// y = activation(x W + b).
    fn linear(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, activation: Activation) {
        match &cx.device {
            Device::Cpu => {
                let (kernel, bias) = (&self.kernel.value, &self.bias.value);
                let bias = self.options.use_bias.then(|| bias.view::<f32, Ix1>());
                let (isa, ws) = (Isa::detect(), &mut cx.workspace);
                cpu::forward(isa, ws, x.view::<_, Ix2>(), kernel.view(), bias, y.view_mut());
                activation.forward(cx, y);
            }
            Device::Cuda(gpu) => {
                let e = self.extents(x.shape());
                let scratch = cx.workspace.scratch.take_gpu(cuda::scratch(e));
                let bias =
                    if self.options.use_bias { self.bias.value.gpu() } else { GpuView::none() };
                let epilogue = cuda::Epilogue { bias, relu: activation == Activation::Relu };
                let of = [x.gpu(), self.kernel.value.gpu()];
                cuda::forward(gpu, cx.precision, e, of, epilogue, scratch, y.gpu_mut());
                if !epilogue.relu {
                    activation.forward(cx, y);
                }
            }
        }
    }

    fn extents(&self, x: Shape) -> cuda::Extents {
        cuda::Extents { samples: x.batch(), inputs: x.last(), units: self.options.units }
    }
}

weight_options! { Dense }

fields! { Dense: param kernel, param bias }

impl Described for Dense {
    const CLASS_NAME: &'static str = "Dense";

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        config.sound_options(Options::flaw).map(Self::of)
    }
}

impl Layer for Dense {
    fn config(&self) -> Config {
        Config::new(Self::CLASS_NAME, &self.options)
    }

    fn set_trainable(&mut self, trainable: bool) {
        self.options.weights.trainable = trainable;
        freeze(self, !trainable);
    }

    fn closing_activation(&mut self) -> Option<&mut Activation> {
        Some(&mut self.options.activation)
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        if x.rank() != 2 || x.is_empty() {
            return Err(ShapeError::new(x, "expected (N, in): put a Flatten before"));
        }
        Ok(Shape::new(&[x.batch(), self.options.units]))
    }

    fn flops(&self, x: Shape, y: Shape) -> u64 {
        2 * (y.len() * x.last()) as u64
    }

    fn build(&mut self, x: Shape, init: &mut Init<'_>) -> Result<(), ShapeError> {
        let kernel = Shape::new(&[x.last(), self.output_shape(x)?.last()]);
        let Options { units, use_bias, ref weights, .. } = self.options;
        self.kernel = weights.kernel(init, kernel);
        self.bias = if use_bias { weights.bias(init, units) } else { Param::default() };
        Ok(())
    }

    fn plan(&self, x: Spec, mode: Mode) -> Result<Plan, ShapeError> {
        let y = self.output_shape(x.shape)?;
        let (inputs, built) = (x.shape.last(), self.kernel.value.shape().batch());
        if !self.kernel.is_empty() && inputs != built {
            let expected = format!("expected (N, {built}), for which the layer was built");
            return Err(ShapeError::new(x.shape, expected));
        }
        let scratch = cpu::scratch(y.batch(), inputs, y.last());
        let gpu_scratch = cuda::scratch(self.extents(x.shape));
        let plan = Plan::new(Spec::f32(y)).with_scratch(scratch).with_gpu_scratch(gpu_scratch);
        Ok(match mode {
            Mode::Train if self.options.activation.needs_z() => {
                plan.saving([Slot::per_batch(Spec::f32(y))])
            }
            _ => plan,
        })
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        self.linear(cx, x, y, self.options.activation);
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        match saved.tensors.first_mut() {
            None => self.infer(cx, x, y, saved),
            Some(z) => {
                self.linear(cx, x, z, Activation::Linear);
                y.copy_from(z);
                self.options.activation.forward(cx, y);
            }
        }
    }

    fn backward(
        &mut self,
        cx: &mut Context,
        x: &Tensor,
        y: &Tensor,
        dy: &mut Tensor,
        dx: Option<&mut Tensor>,
        saved: &mut Saved,
    ) {
        let kept = saved.tensors.first().unwrap_or(y);
        self.options.activation.backward(cx, kept, dy);
        let dz = &*dy;
        match &cx.device {
            Device::Cpu => {
                let (isa, ws) = (Isa::detect(), &mut cx.workspace);
                let (x, dz) = (x.view::<_, Ix2>(), dz.view::<_, Ix2>());
                if self.options.use_bias && !self.bias.frozen {
                    cpu::backward_bias(dz, self.bias.grad.slice_mut());
                }
                let Param { value, grad, frozen, offer, .. } = &mut self.kernel;
                if let Some(update) = offer.take() {
                    let (kernel, dx) = (value.view_mut(), dx.map(Tensor::view_mut));
                    return cpu::backward_and_update(isa, ws, x, dz, kernel, dx, update);
                }
                if !*frozen {
                    cpu::backward_weight(isa, ws, x, dz, grad.view_mut());
                }
                if let Some(dx) = dx {
                    cpu::backward_input(isa, ws, value.view(), dz, dx.view_mut());
                }
            }
            Device::Cuda(gpu) => {
                let e = self.extents(x.shape());
                let mut scratch = cx.workspace.scratch.take_gpu(cuda::scratch(e));
                if self.options.use_bias && !self.bias.frozen {
                    let grad = self.bias.grad.gpu_mut();
                    cuda::backward_bias(gpu, e, dz.gpu(), scratch.reborrow(), grad);
                }
                let Param { value, grad, frozen, .. } = &mut self.kernel;
                if !*frozen {
                    let (of, grad) = ([x.gpu(), dz.gpu()], grad.gpu_mut());
                    cuda::backward_weight(gpu, cx.precision, e, of, scratch.reborrow(), grad);
                }
                if let Some(dx) = dx {
                    let of = [dz.gpu(), value.gpu()];
                    cuda::backward_input(gpu, cx.precision, e, of, scratch, dx.gpu_mut());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
