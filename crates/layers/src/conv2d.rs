//! Convolution over images.
//!
//! ```text
//! Formula      z[n,p,q,k] = b[k] + Σ_{r,s,c} x[n,h,w,c] · W[r,s,c,k], y = activation(z), where
//!              h = p·stride + r·dilation − before, w likewise, and x is 0 outside the image
//! Shapes       x: N·H·W·C   W: R·S·C·K   b: K   z, y: N·P·Q·K
//!              valid: P = ⌊(H − (R−1)·dilation − 1)/stride⌋ + 1; same: P = ⌈H/stride⌉
//! Backward     z is linear in x, in W and in b, so the products of the sum above serve each:
//!              dW[r,s,c,k] = Σ_{n,p,q} x[n,h,w,c] · dz[n,p,q,k]
//!              dx[n,h,w,c] = Σ dz[n,p,q,k] · W[r,s,c,k] over all k and all (p,q,r,s) that meet
//!              (h,w): for stride 1 a convolution of dz with the kernel turned by 180°
//!              db[k] = Σ_{n,p,q} dz[n,p,q,k]
//! Saved        nothing: x and y are kept by the network
//! Cost         2·N·P·Q·R·S·C·K operations a pass, three passes in training; some hundred for each
//!              number that is read, so arithmetic is what counts
//! Conventions  cross-correlation, as everybody: the kernel is not turned in the forward pass.
//!              Kernels are Keras's R·S·C·K, PyTorch's are K·C·R·S; `same` pads as [`Padding`] says,
//!              PyTorch's `padding=1` pads both sides alike, which differs where the stride is not 1
//! Reference    LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document
//!              Recognition. Proc. IEEE 86, 1998; Dumoulin, Visin: A guide to convolution
//!              arithmetic for deep learning. 2016 (dx as a convolution)
//! ```

pub mod cpu;
mod geometry;
#[cfg(test)]
mod tests;

pub use geometry::Geometry;

use crate::{
    Activation, Config, ConfigError, Described, Extent, Init, Layer, Mode, Padding, Plan, Registry,
    Saved, ShapeError,
};
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
                for c in 0..g.c {
                    for k in 0..g.k {
                        f([n, h, w, c], [r, s, c, k], [n, p, q, k]);
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
    activation: Activation,
    use_bias: bool,
}

impl Options {
    /// What is wrong with them, if anything.
    fn flaw(&self) -> Option<String> {
        let Self { filters, kernel_size, strides, dilation_rate, .. } = self;
        let sizes = [[*filters; 2], *kernel_size, *strides, *dilation_rate];
        sizes.as_flattened().contains(&0).then(|| {
            format!(
                "filters {filters}, kernel_size {kernel_size:?}, strides {strides:?} and \
                 dilation_rate {dilation_rate:?} shall all be at least 1"
            )
        })
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
            activation: Activation::Linear,
            use_bias: true,
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

    /// What happens at the border. Default: [`Padding::Valid`].
    #[must_use]
    pub fn padding(mut self, padding: Padding) -> Self {
        self.options.padding = padding;
        self
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

    fn geometry(&self, x: Shape) -> Result<Geometry, ShapeError> {
        let Options { filters, kernel_size: [r, s], strides, padding, dilation_rate, .. } =
            self.options;
        // Before the layer is built it takes any number of channels.
        let channels =
            if self.kernel.is_empty() { x.last() } else { self.kernel.value.shape().dims()[2] };
        Geometry::new(x, Shape::new(&[r, s, channels, filters]), strides, padding, dilation_rate)
    }

    /// The sizes of a batch that was planned for.
    fn planned(&self, x: &Tensor) -> Geometry {
        self.geometry(x.shape()).expect("an x of the planned shape")
    }
}

fields! { Conv2D: param kernel, param bias }

impl Described for Conv2D {
    const CLASS_NAME: &'static str = "Conv2D";

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        let options: Options = config.options()?;
        let says = |option: &str, default: &str| {
            let value = config.config.get(option).map(ToString::to_string);
            value
                .filter(|v| v != default)
                .map(|v| format!("{option} {v} is not known, only {default}"))
        };
        let flaw = options.flaw();
        let flaw = flaw.or_else(|| says("data_format", "\"channels_last\""));
        match flaw.or_else(|| says("groups", "1")) {
            None => Ok(Self::of(options)),
            Some(reason) => {
                Err(ConfigError::Options { class_name: config.class_name.clone(), reason })
            }
        }
    }
}

impl Layer for Conv2D {
    fn config(&self) -> Config {
        Config::new(Self::CLASS_NAME, &self.options)
    }

    fn closing_activation(&mut self) -> Option<&mut Activation> {
        Some(&mut self.options.activation)
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        self.geometry(x).map(|g| g.y())
    }

    fn build(&mut self, x: Shape, init: &mut Init<'_>) -> Result<(), ShapeError> {
        self.kernel = Param::default();
        let g = self.geometry(x)?;
        let fans = [g.r * g.s * g.c, g.r * g.s * g.k];
        self.kernel = init.glorot_uniform("kernel", g.kernel(), fans);
        if self.options.use_bias {
            self.bias = init.constant(Shape::new(&[g.k]), 0.0);
        }
        Ok(())
    }

    fn plan(&self, x: Spec, _: Mode) -> Result<Plan, ShapeError> {
        let g = self.geometry(x.shape)?;
        Ok(Plan::new(Spec::f32(g.y())).with_scratch(cpu::scratch(&g)))
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        let (g, activation) = (self.planned(x), self.options.activation);
        let relu = activation == Activation::Relu;
        match &cx.device {
            Device::Cpu => {
                let bias = (!self.bias.is_empty()).then(|| self.bias.value.view());
                let epilogue = cpu::Epilogue { bias, relu };
                let kernel = self.kernel.value.view();
                cpu::forward(&mut cx.workspace, &g, x.view(), kernel, epilogue, y.view_mut());
            }
            Device::Cuda(gpu) => match *gpu {},
        }
        if !relu {
            activation.forward(cx, y);
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
        let g = self.planned(x);
        self.options.activation.backward(cx, y, dy);
        let (ws, dz, Param { value, grad, .. }) = (&mut cx.workspace, &*dy, &mut self.kernel);
        match &cx.device {
            Device::Cpu => {
                if !self.bias.is_empty() {
                    cpu::backward_bias(ws, &g, dz.view(), self.bias.grad.view_mut());
                }
                cpu::backward_weight(ws, &g, x.view(), dz.view(), grad.view_mut());
                if let Some(dx) = dx {
                    cpu::backward_input(ws, &g, dz.view(), value.view(), dx.view_mut());
                }
            }
            Device::Cuda(gpu) => match *gpu {},
        }
    }
}
