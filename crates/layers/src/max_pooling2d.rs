//! Max pooling.
//!
//! ```text
//! Formula      y[n,p,q,c] = max over r, s of x[n,h,w,c], h = p·stride + r − before, w likewise
//! Shapes       x: N·H·W·C   y: N·P·Q·C   window: R·S
//!              valid: P = ⌊(H − R)/stride⌋ + 1; same: P = ⌈H/stride⌉
//! Backward     only the winner receives: dx[n,h,w,c] = Σ dy[n,p,q,c] over the windows that (h,w)
//!              won. A gather: each dx is written once, whether or not windows overlap
//! Saved        argmax: u8, N·P·Q·C: r·S + s of the winner
//! Cost         forward reads 4·N·H·W·C bytes and writes 5·N·P·Q·C, backward the reverse; no
//!              arithmetic worth counting
//! Conventions  as Keras: padding counts as −∞ and never wins; of equal values the first in
//!              row-major order wins; `same` pads more at the bottom and right. A window that holds
//!              a NaN yields NaN (the first one wins), so that a lost run shows. The strides are
//!              those of the window unless given. A window has at most 256 pixels
//! Reference    Zhou, Chellappa: Computation of optical flow using a neural network. ICNN 1988 (as
//!              an operation); Ranzato, Huang, Boureau, LeCun. CVPR 2007 (in a network)
//! ```

pub mod cpu;
pub mod cuda;
#[cfg(test)]
mod tests;

pub use crate::pooling::Geometry;

use crate::pooling::Options;
use crate::{
    Config, ConfigError, Described, Extent, Init, Layer, Mode, Padding, Plan, Registry, Saved,
    ShapeError, Slot,
};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Context, Device, Shape, Spec, Tensor, fields};

/// The formula as loops.
pub mod definition {
    use super::Geometry;
    use gradus_tensor::Real;
    use gradus_tensor::ndarray::{ArrayView4, ArrayViewMut4};

    /// y and argmax from x.
    ///
    /// # Panics
    /// If the extents are not those of the geometry.
    pub fn forward<T: Real>(
        g: &Geometry,
        x: ArrayView4<'_, T>,
        mut y: ArrayViewMut4<'_, T>,
        mut argmax: ArrayViewMut4<'_, u8>,
    ) {
        for ((n, p, q, c), y) in y.indexed_iter_mut() {
            let mut best: Option<T> = None;
            for (r, s) in (0..g.r).flat_map(|r| (0..g.s).map(move |s| (r, s))) {
                let (Some(h), Some(w)) = (g.row(p, r), g.column(q, s)) else {
                    continue;
                };
                let x = x[[n, h, w, c]];
                if best.is_none_or(|best| x > best || x.is_nan() && !best.is_nan()) {
                    best = Some(x);
                    argmax[[n, p, q, c]] = (r * g.s + s) as u8;
                }
            }
            *y = best.expect("every window meets the image");
        }
    }

    /// dx from dy and argmax.
    ///
    /// # Panics
    /// If the extents are not those of the geometry, or argmax points into the padding.
    pub fn backward<T: Real>(
        g: &Geometry,
        dy: ArrayView4<'_, T>,
        argmax: ArrayView4<'_, u8>,
        mut dx: ArrayViewMut4<'_, T>,
    ) {
        dx.fill(T::zero());
        for ((n, p, q, c), &dy) in dy.indexed_iter() {
            let tap = usize::from(argmax[[n, p, q, c]]);
            let (h, w) = (g.row(p, tap / g.s), g.column(q, tap % g.s));
            dx[[n, h.expect("a row of x"), w.expect("a column of x"), c]] += dy;
        }
    }
}

/// Keras's `MaxPooling2D`. In PyTorch: `nn.MaxPool2d`, whose padding is a number of pixels.
#[derive(Clone, Debug)]
pub struct MaxPooling2D {
    options: Options,
}

impl MaxPooling2D {
    /// Windows of that size: `2`, or `[2, 3]` for two rows and three columns. One window beside the
    /// other, and valid padding, as in Keras.
    ///
    /// # Panics
    /// If a number is 0, or the window has more than 256 pixels.
    #[must_use]
    pub fn new(pool_size: impl Into<Extent>) -> Self {
        Self::of(Options::new(pool_size.into()))
    }

    fn of(options: Options) -> Self {
        if let Some(flaw) = flaw(&options) {
            panic!("max pooling: {flaw}");
        }
        Self { options }
    }

    /// Input pixels from one window to the next. Default: the size of the window.
    ///
    /// # Panics
    /// If a number is 0.
    #[must_use]
    pub fn strides(self, strides: impl Into<Extent>) -> Self {
        Self::of(Options { strides: Some(strides.into().0), ..self.options })
    }

    /// What happens at the border. Default: [`Padding::Valid`].
    ///
    /// # Panics
    /// If an explicit padding is as large as the window.
    #[must_use]
    pub fn padding(self, padding: impl Into<Padding>) -> Self {
        Self::of(Options { padding: padding.into(), ..self.options })
    }

    /// The sizes for an x of that shape.
    pub(crate) fn geometry(&self, x: Shape) -> Result<Geometry, ShapeError> {
        self.options.geometry(x)
    }

    /// The sizes of a batch that was planned for.
    fn planned(&self, x: &Tensor) -> Geometry {
        self.options.geometry(x.shape()).expect("an x of the planned shape")
    }
}

/// What is wrong with the options, if anything.
fn flaw(options: &Options) -> Option<String> {
    let Options { pool_size, .. } = options;
    let pixels = pool_size[0].saturating_mul(pool_size[1]);
    let too_many = || {
        let flaw =
            || format!("pool_size {pool_size:?} has {pixels} pixels, at most 256 are possible");
        (pixels > 256).then(flaw)
    };
    options.flaw().or_else(too_many)
}

fields! { MaxPooling2D }

impl Described for MaxPooling2D {
    const CLASS_NAME: &'static str = "MaxPooling2D";

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        Options::from_config(config, flaw).map(Self::of)
    }
}

impl Layer for MaxPooling2D {
    fn config(&self) -> Config {
        Config::new(Self::CLASS_NAME, &self.options)
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        self.options.geometry(x).map(|g| g.y())
    }

    fn build(&mut self, x: Shape, _: &mut Init<'_>) -> Result<(), ShapeError> {
        self.options.geometry(x).map(|_| ())
    }

    fn plan(&self, x: Spec, mode: Mode) -> Result<Plan, ShapeError> {
        let y = self.output_shape(x.shape)?;
        let plan = Plan::new(Spec::f32(y));
        Ok(match mode {
            Mode::Train => plan.saving([Slot::per_batch(Spec::u8(y))]),
            Mode::Infer => plan,
        })
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        let (g, isa) = (self.planned(x), Isa::detect());
        match &cx.device {
            Device::Cpu => cpu::infer(isa, &cx.workspace.pool, &g, x.view(), y.view_mut()),
            Device::Cuda(gpu) => cuda::infer(gpu, &g, x.gpu(), y.gpu_mut()),
        }
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        let (g, isa, [argmax]) = (self.planned(x), Isa::detect(), saved.slots());
        match &cx.device {
            Device::Cpu => {
                let pool = &cx.workspace.pool;
                cpu::forward(isa, pool, &g, x.view(), y.view_mut(), argmax.view_mut());
            }
            Device::Cuda(gpu) => cuda::forward(gpu, &g, x.gpu(), y.gpu_mut(), argmax.gpu_mut()),
        }
    }

    fn backward(
        &mut self,
        cx: &mut Context,
        x: &Tensor,
        _: &Tensor,
        dy: &mut Tensor,
        dx: Option<&mut Tensor>,
        saved: &mut Saved,
    ) {
        let (g, isa, [argmax]) = (self.planned(x), Isa::detect(), saved.slots());
        let Some(dx) = dx else { return };
        match &cx.device {
            Device::Cpu => {
                let pool = &cx.workspace.pool;
                cpu::backward(isa, pool, &g, dy.view(), argmax.view(), dx.view_mut());
            }
            Device::Cuda(gpu) => cuda::backward(gpu, &g, dy.gpu(), argmax.gpu(), dx.gpu_mut()),
        }
    }
}
