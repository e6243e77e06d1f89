//! Convolution over images.
//!
//! ```text
//! Formula      z[n,p,q,k] = b[k] + Σ_{r,s,c} x[n,h,w,c] · W[r,s,c,k], y = activation(z), where
//!              h = p·stride + r·dilation − before, w likewise, and x is 0 outside the image
//! Shapes       x: N·H·W·C   W: R·S·C·K   b: K   z, y: N·P·Q·K; with G groups W is R·S·(C/G)·K, and
//!              filter k sees the channels of group ⌊k·G/K⌋ alone
//!              valid: P = ⌊(H − (R−1)·dilation − 1)/stride⌋ + 1; same: P = ⌈H/stride⌉
//! Backward     z is linear in x, in W and in b, so the products of the sum above serve each:
//!              dW[r,s,c,k] = Σ_{n,p,q} x[n,h,w,c] · dz[n,p,q,k]
//!              dx[n,h,w,c] = Σ dz[n,p,q,k] · W[r,s,c,k] over all k and all (p,q,r,s) that meet
//!              (h,w): for stride 1 a convolution of dz with the kernel turned by 180°
//!              db[k] = Σ_{n,p,q} dz[n,p,q,k]
//! Saved        nothing (x and y are kept by the network), or z where the activation's slope does
//!              not follow from y
//! Cost         2·N·P·Q·R·S·C·K operations a pass, three passes in training; some hundred for each
//!              number that is read, so arithmetic is what counts
//! Conventions  cross-correlation, as everybody: the kernel is not turned in the forward pass.
//!              Kernels are Keras's R·S·C·K, PyTorch's are K·C·R·S; `same` pads as [`Padding`] says,
//!              PyTorch's `padding=1` pads both sides alike, which differs where the stride is not 1:
//!              here `.padding(1)`
//! Reference    LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document
//!              Recognition. Proc. IEEE 86, 1998; Dumoulin, Visin: A guide to convolution
//!              arithmetic for deep learning. 2016 (dx as a convolution)
//! ```

pub mod cpu;
pub mod cuda;
mod geometry;
mod in_link;
mod moments;
#[cfg(test)]
mod tests;

pub use geometry::Geometry;

use crate::folded::Product;
use crate::layer::freeze;
use crate::weights::{Weights, weight_options};
use crate::{
    Activation, Config, ConfigError, Described, Extent, Init, Layer, Mode, Padding, Plan, Registry,
    Saved, ShapeError, Slot,
};
use gradus_tensor::gpu::GpuView;
use gradus_tensor::{Context, Device, Param, Shape, Spec, Tensor, fields};

/// The formula as loops.
pub mod definition {
    use super::Geometry;
    use gradus_tensor::Real;
    use gradus_tensor::ndarray::{ArrayView1, ArrayView4, ArrayViewMut1, ArrayViewMut4};

    /// The sum that all passes share: calls `f([n,h,w,c], [r,s,c,k], [n,p,q,k])` for every product
    /// of the convolution.
    fn products(g: &Geometry, mut f: impl FnMut([usize; 4], [usize; 4], [usize; 4])) {
        for (n, p, q) in triples(g.n, g.p, g.q) {
            for (r, s) in (0..g.r).flat_map(|r| (0..g.s).map(move |s| (r, s))) {
                let (Some(h), Some(w)) = (g.row(p, r), g.column(q, s)) else {
                    continue;
                };
                for c in 0..g.c / g.groups {
                    for k in 0..g.k {
                        // A filter sees the channels of its own group.
                        let first = k / (g.k / g.groups) * (g.c / g.groups);
                        f([n, h, w, first + c], [r, s, c, k], [n, p, q, k]);
                    }
                }
            }
        }
    }

    fn triples(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..a).flat_map(move |a| (0..b).flat_map(move |b| (0..c).map(move |c| (a, b, c))))
    }

    /// z from x, kernel and bias.
    pub fn forward<T: Real>(
        g: &Geometry,
        x: ArrayView4<'_, T>,
        kernel: ArrayView4<'_, T>,
        bias: Option<ArrayView1<'_, T>>,
        mut z: ArrayViewMut4<'_, T>,
    ) {
        z.fill(T::zero());
        if let Some(bias) = bias {
            z += &bias;
        }
        products(g, |at_x, at_kernel, at_z| z[at_z] += x[at_x] * kernel[at_kernel]);
    }

    /// dx from dz and kernel.
    pub fn backward_input<T: Real>(
        g: &Geometry,
        dz: ArrayView4<'_, T>,
        kernel: ArrayView4<'_, T>,
        mut dx: ArrayViewMut4<'_, T>,
    ) {
        dx.fill(T::zero());
        products(g, |at_x, at_kernel, at_z| dx[at_x] += dz[at_z] * kernel[at_kernel]);
    }

    /// dkernel from x and dz.
    pub fn backward_weight<T: Real>(
        g: &Geometry,
        x: ArrayView4<'_, T>,
        dz: ArrayView4<'_, T>,
        mut dkernel: ArrayViewMut4<'_, T>,
    ) {
        dkernel.fill(T::zero());
        products(g, |at_x, at_kernel, at_z| dkernel[at_kernel] += x[at_x] * dz[at_z]);
    }

    /// dbias from dz.
    pub fn backward_bias<T: Real>(
        g: &Geometry,
        dz: ArrayView4<'_, T>,
        mut dbias: ArrayViewMut1<'_, T>,
    ) {
        dbias.fill(T::zero());
        for (n, p, q) in triples(g.n, g.p, g.q) {
            for k in 0..g.k {
                dbias[k] += dz[[n, p, q, k]];
            }
        }
    }
}

/// Keras's `Conv2D`. In PyTorch: `nn.Conv2d`, whose kernel is (K, C, R, S) and whose padding is a
/// number.
#[derive(Clone, Debug)]
pub struct Conv2D {
    options: Options,
    kernel: Param,
    bias: Param,
}

/// In Keras's words and order.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Options {
    filters: usize,
    kernel_size: [usize; 2],
    strides: [usize; 2],
    padding: Padding,
    dilation_rate: [usize; 2],
    #[serde(default = "one", skip_serializing_if = "is_one")]
    groups: usize,
    activation: Activation,
    use_bias: bool,
    #[serde(flatten)]
    weights: Weights,
}

fn one() -> usize {
    1
}

fn is_one(groups: &usize) -> bool {
    *groups == 1
}

impl Options {
    /// What is wrong with them, if anything.
    fn flaw(&self) -> Option<String> {
        let Self { filters, kernel_size, strides, dilation_rate, groups, .. } = self;
        let sizes = [[*filters, *groups], *kernel_size, *strides, *dilation_rate];
        if sizes.as_flattened().contains(&0) {
            return Some(format!(
                "filters {filters}, groups {groups}, kernel_size {kernel_size:?}, strides \
                 {strides:?} and dilation_rate {dilation_rate:?} shall all be at least 1"
            ));
        }
        if filters % groups != 0 {
            return Some(format!("filters {filters} do not fall into groups {groups}"));
        }
        let reach = [0, 1].map(|i| (kernel_size[i] - 1) * dilation_rate[i] + 1);
        self.padding.flaw(reach).or_else(|| self.weights.flaw(4))
    }
}

impl Conv2D {
    /// That many filters of that size: `3`, or `[3, 5]` for three rows and five columns. Stride 1,
    /// valid padding, a bias and no activation, as in Keras.
    ///
    /// # Panics
    /// If a number is 0.
    #[must_use]
    pub fn new(filters: usize, kernel_size: impl Into<Extent>) -> Self {
        let options = Options {
            filters,
            kernel_size: kernel_size.into().0,
            strides: [1, 1],
            padding: Padding::Valid,
            dilation_rate: [1, 1],
            groups: 1,
            activation: Activation::Linear,
            use_bias: true,
            weights: Weights::default(),
        };
        Self::of(options)
    }

    fn of(options: Options) -> Self {
        if let Some(flaw) = options.flaw() {
            panic!("a convolution's {flaw}");
        }
        Self { options, kernel: Param::default(), bias: Param::default() }
    }

    /// Input pixels from one output pixel to the next. Default: 1.
    ///
    /// # Panics
    /// If a number is 0.
    #[must_use]
    pub fn strides(mut self, strides: impl Into<Extent>) -> Self {
        self.options.strides = strides.into().0;
        Self::of(self.options)
    }

    /// What happens at the border: a [`Padding`], or `1` for PyTorch's `padding=1`. Default:
    /// [`Padding::Valid`].
    ///
    /// # Panics
    /// If an explicit padding is as large as the kernel, which a call of
    /// [`Conv2D::dilation_rate`] before this one may enlarge.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.options.padding = padding.into();
        Self::of(self.options)
    }

    /// Into how many groups channels and filters fall: a filter sees the channels of its group
    /// alone. As many groups as channels make a depthwise convolution. Default: 1.
    ///
    /// # Panics
    /// If the filters do not fall into that many groups.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.options.groups = groups;
        Self::of(self.options)
    }

    /// Input pixels from one tap of the kernel to the next. Default: 1.
    ///
    /// # Panics
    /// If a number is 0.
    #[must_use]
    pub fn dilation_rate(mut self, dilation_rate: impl Into<Extent>) -> Self {
        self.options.dilation_rate = dilation_rate.into().0;
        Self::of(self.options)
    }

    /// What is applied to z. Default: [`Activation::Linear`].
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.options.activation = activation;
        self
    }

    /// Whether a bias is added. Default: yes.
    #[must_use]
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.options.use_bias = use_bias;
        self
    }

    pub(crate) fn geometry(&self, x: Shape) -> Result<Geometry, ShapeError> {
        let Options {
            filters, kernel_size: [r, s], strides, padding, dilation_rate, groups, ..
        } = self.options;
        // Before the layer is built it takes any number of channels that falls into the groups.
        let channels = match self.kernel.is_empty() {
            true => x.last() / groups,
            false => self.kernel.value.shape().dims()[2],
        };
        let kernel = Shape::new(&[r, s, channels, filters]);
        Geometry::grouped(groups, x, kernel, strides, padding, dilation_rate)
    }

    /// The sizes of a batch that was planned for.
    pub(crate) fn planned(&self, x: &Tensor) -> Geometry {
        self.geometry(x.shape()).expect("an x of the planned shape")
    }

    /// What the engine does to z before it writes it.
    fn epilogue(&self, relu: bool) -> cpu::Epilogue<'_> {
        let bias = (!self.bias.is_empty()).then(|| self.bias.value.view());
        cpu::Epilogue { bias, relu }
    }

    /// The same on a GPU.
    fn epilogue_there(&self, relu: bool) -> cuda::Epilogue<'_> {
        let none = self.bias.is_empty();
        cuda::Epilogue { bias: if none { GpuView::none() } else { self.bias.value.gpu() }, relu }
    }

    /// z from x, or y where `relu` says so.
    pub(crate) fn convolve(&self, cx: &mut Context, x: &Tensor, z: &mut Tensor, relu: bool) {
        if let Device::Cuda(gpu) = &cx.device {
            let gpu = gpu.clone();
            return self.convolve_there(&gpu, cx, x, z.gpu_mut().into(), relu);
        }
        let (g, kernel, epilogue) =
            (self.planned(x), self.kernel.value.view(), self.epilogue(relu));
        cpu::forward(&mut cx.workspace, &g, x.view(), kernel, epilogue, z.view_mut());
    }

    /// What batch normalization is folded into.
    pub(crate) fn product(&mut self) -> Product<'_> {
        let Options { padding, groups, kernel_size, activation, use_bias, .. } = &mut self.options;
        let padded = match padding {
            Padding::Valid => false,
            Padding::Same => *kernel_size != [1, 1],
            Padding::Explicit(sides) => sides.as_flattened() != [0; 4],
        };
        let whole = *groups == 1 && !padded;
        let (kernel, bias) = (&mut self.kernel, &mut self.bias);
        Product { kernel, bias, use_bias, activation, whole }
    }

    /// What is applied to z.
    pub(crate) fn activation_option(&self) -> Activation {
        self.options.activation
    }

    /// Where the gradient of the bias goes, if it is asked for.
    pub(crate) fn bias_gradient(&mut self) -> Option<&mut Tensor> {
        gradient_of(&mut self.bias)
    }

    /// The geometry and the gradients of kernel and bias (if it is asked for), where the kernel's
    /// can be had from a dz that is made row by row.
    pub(crate) fn gradients_by_rows(
        &mut self,
        exact: bool,
        x: &Tensor,
    ) -> Option<(Geometry, &mut Tensor, Option<&mut Tensor>)> {
        let g = self.planned(x);
        let Self { kernel, bias, .. } = self;
        let wanted = !kernel.frozen && cpu::takes_rows(exact, &g);
        wanted.then(|| (g, &mut kernel.grad, gradient_of(bias)))
    }

    /// dkernel, and dx where it is asked for, from dz.
    pub(crate) fn backward_kernel_and_input(
        &mut self,
        cx: &mut Context,
        x: &Tensor,
        dz: &Tensor,
        dx: Option<&mut Tensor>,
    ) {
        if let Device::Cuda(gpu) = &cx.device {
            let gpu = gpu.clone();
            return self.backward_there(&gpu, cx, x, dz.gpu().into(), dx);
        }
        let (g, ws) = (self.planned(x), &mut cx.workspace);
        let Param { value, grad, frozen, .. } = &mut self.kernel;
        if !*frozen {
            cpu::backward_weight(ws, &g, x.view(), dz.view(), grad.view_mut());
        }
        if let Some(dx) = dx {
            cpu::backward_input(ws, &g, dz.view(), value.view(), dx.view_mut());
        }
    }
}

/// Where the gradient of a bias goes, if there is one and it is asked for.
fn gradient_of(bias: &mut Param) -> Option<&mut Tensor> {
    let Param { grad, frozen, .. } = bias;
    (!grad.is_empty() && !*frozen).then_some(grad)
}

weight_options! { Conv2D }

fields! { Conv2D: param kernel, param bias }

impl Described for Conv2D {
    const CLASS_NAME: &'static str = "Conv2D";

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        let flaw = |options: &Options| options.flaw().or_else(|| config.flaw_of_data_format());
        config.sound_options(flaw).map(Self::of)
    }
}

impl Layer for Conv2D {
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
        self.geometry(x).map(|g| g.y())
    }

    fn flops(&self, x: Shape, y: Shape) -> u64 {
        let [r, s] = self.options.kernel_size;
        2 * (y.len() * r * s * x.last() / self.options.groups) as u64
    }

    fn algorithm(&self, x: Shape) -> Option<&'static str> {
        self.geometry(x).ok().map(|g| cpu::Algorithm::pick(&g).name())
    }

    fn build(&mut self, x: Shape, init: &mut Init<'_>) -> Result<(), ShapeError> {
        self.kernel = Param::default();
        let g = self.geometry(x)?;
        let Options { use_bias, ref weights, .. } = self.options;
        self.kernel = weights.kernel(init, g.kernel());
        self.bias = if use_bias { weights.bias(init, g.k) } else { Param::default() };
        Ok(())
    }

    fn plan(&self, x: Spec, mode: Mode) -> Result<Plan, ShapeError> {
        let g = self.geometry(x.shape)?;
        let plan = Plan::new(Spec::f32(g.y())).with_scratch(cpu::scratch(&g));
        let plan = plan.with_desk(cpu::desk(&g)).with_gpu_scratch(cuda::scratch(&g));
        Ok(match mode {
            Mode::Train if self.options.activation.needs_z() => {
                plan.saving([Slot::per_batch(Spec::f32(g.y()))])
            }
            _ => plan,
        })
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        let activation = self.options.activation;
        let relu = activation == Activation::Relu;
        self.convolve(cx, x, y, relu);
        if !relu {
            activation.forward(cx, y);
        }
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        match saved.tensors.first_mut() {
            None => self.infer(cx, x, y, saved),
            Some(z) => {
                self.convolve(cx, x, z, false);
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
        let g = self.planned(x);
        let kept = saved.tensors.first().unwrap_or(y);
        self.options.activation.backward(cx, kept, dy);
        let (ws, dz) = (&mut cx.workspace, &*dy);
        match &cx.device {
            Device::Cpu => {
                if let Some(dbias) = self.bias_gradient() {
                    cpu::backward_bias(ws, &g, dz.view(), dbias.view_mut());
                }
            }
            Device::Cuda(gpu) => {
                if let Some(dbias) = self.bias_gradient() {
                    let scratch = ws.scratch.take_gpu(cuda::scratch(&g));
                    cuda::backward_bias(gpu, &g, dz.gpu(), scratch, dbias.gpu_mut());
                }
            }
        }
        self.backward_kernel_and_input(cx, x, dz, dx);
    }
}
