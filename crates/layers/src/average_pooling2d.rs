//! Average pooling.
//!
//! ```text
//! Formula      y[n,p,q,c] = Σ_{r,s} x[n,h,w,c] / count[p,q], h = p·stride + r − before, w likewise,
//!              over the pixels of the window that lie in the image, of which there are count[p,q]
//! Shapes       x: N·H·W·C   y: N·P·Q·C   window: R·S, as in [`pooling`](crate::pooling)
//! Backward     dx[n,h,w,c] = Σ dy[n,p,q,c] / count[p,q] over the windows that (h,w) lies in. A
//!              gather: each dx is written once, whether or not windows overlap
//! Saved        nothing
//! Cost         R·S additions for each y and for each dy; memory is the limit
//! Conventions  as Keras: padding does not count, neither in the sum nor in the divisor (in PyTorch
//!              that is `count_include_pad=False`, and not the default)
//! Reference    LeCun et al.: Handwritten Digit Recognition with a Back-Propagation Network. NIPS
//!              1989 (as a subsampling layer)
//! ```

pub mod cpu;
pub mod cuda;
#[cfg(test)]
mod tests;

pub use crate::pooling::Geometry;

use crate::pooling::Options;
use crate::{
    Config, ConfigError, Described, Extent, Init, Layer, Mode, Padding, Plan, Registry, Saved,
    ShapeError,
};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Context, Device, Shape, Spec, Tensor, fields};

/// The formula as loops.
pub mod definition {
    use super::Geometry;
    use gradus_tensor::Real;
    use gradus_tensor::ndarray::{ArrayView4, ArrayViewMut4};

    /// Calls `f([n,h,w,c], [n,p,q,c], count)` for every pixel of every window.
    fn pixels<T: Real>(g: &Geometry, mut f: impl FnMut([usize; 4], [usize; 4], T)) {
        for at in 0..g.n * g.p * g.q {
            let (n, p, q) = (at / g.q / g.p, at / g.q % g.p, at % g.q);
            let (rows, columns) = (g.rows_met(p), g.columns_met(q));
            let count = T::count(rows.len() * columns.len());
            for (r, s) in rows.flat_map(|r| columns.clone().map(move |s| (r, s))) {
                let (h, w) = (g.row(p, r), g.column(q, s));
                let (h, w) = (h.expect("a row of x"), w.expect("a column of x"));
                (0..g.c).for_each(|c| f([n, h, w, c], [n, p, q, c], count));
            }
        }
    }

    /// y from x.
    ///
    /// # Panics
    /// If the extents are not those of the geometry.
    pub fn forward<T: Real>(g: &Geometry, x: ArrayView4<'_, T>, mut y: ArrayViewMut4<'_, T>) {
        y.fill(T::zero());
        pixels(g, |at_x, at_y, _: T| y[at_y] += x[at_x]);
        for ((_, p, q, _), y) in y.indexed_iter_mut() {
            *y = *y / T::count(g.rows_met(p).len() * g.columns_met(q).len());
        }
    }

    /// dx from dy.
    ///
    /// # Panics
    /// If the extents are not those of the geometry.
    pub fn backward<T: Real>(g: &Geometry, dy: ArrayView4<'_, T>, mut dx: ArrayViewMut4<'_, T>) {
        dx.fill(T::zero());
        pixels(g, |at_x, at_y, count| dx[at_x] += dy[at_y] / count);
    }
}

/// Keras's `AveragePooling2D`. In PyTorch: `nn.AvgPool2d` with `count_include_pad=False`.
#[derive(Clone, Debug)]
pub struct AveragePooling2D {
    options: Options,
}

impl AveragePooling2D {
    /// Windows of that size: `2`, or `[2, 3]` for two rows and three columns. One window beside the
    /// other, and valid padding, as in Keras.
    ///
    /// # Panics
    /// If a number is 0.
    #[must_use]
    pub fn new(pool_size: impl Into<Extent>) -> Self {
        Self::of(Options::new(pool_size.into()))
    }

    fn of(options: Options) -> Self {
        if let Some(flaw) = options.flaw() {
            panic!("average pooling: {flaw}");
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

    /// The sizes of a batch that was planned for.
    fn planned(&self, x: &Tensor) -> Geometry {
        self.options.geometry(x.shape()).expect("an x of the planned shape")
    }
}

fields! { AveragePooling2D }

impl Described for AveragePooling2D {
    const CLASS_NAME: &'static str = "AveragePooling2D";

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        Options::from_config(config, Options::flaw).map(Self::of)
    }
}

impl Layer for AveragePooling2D {
    fn config(&self) -> Config {
        Config::new(Self::CLASS_NAME, &self.options)
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        self.options.geometry(x).map(|g| g.y())
    }

    fn build(&mut self, x: Shape, _: &mut Init<'_>) -> Result<(), ShapeError> {
        self.output_shape(x).map(|_| ())
    }

    fn plan(&self, x: Spec, _: Mode) -> Result<Plan, ShapeError> {
        Ok(Plan::new(Spec::f32(self.output_shape(x.shape)?)))
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        let (g, isa) = (self.planned(x), Isa::detect());
        match &cx.device {
            Device::Cpu => cpu::forward(isa, &cx.workspace.pool, &g, x.view(), y.view_mut()),
            Device::Cuda(gpu) => cuda::forward(gpu, &g, x.gpu(), y.gpu_mut()),
        }
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        self.infer(cx, x, y, saved);
    }

    fn backward(
        &mut self,
        cx: &mut Context,
        x: &Tensor,
        _: &Tensor,
        dy: &mut Tensor,
        dx: Option<&mut Tensor>,
        _: &mut Saved,
    ) {
        let (g, isa) = (self.planned(x), Isa::detect());
        let Some(dx) = dx else { return };
        match &cx.device {
            Device::Cpu => cpu::backward(isa, &cx.workspace.pool, &g, dy.view(), dx.view_mut()),
            Device::Cuda(gpu) => cuda::backward(gpu, &g, dy.gpu(), dx.gpu_mut()),
        }
    }
}
