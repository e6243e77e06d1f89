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
#[cfg(test)]
mod tests;

use crate::{
    Config, ConfigError, Described, Extent, Init, Layer, Mode, Padding, Plan, Registry, Saved,
    ShapeError, Slot,
};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Context, Device, Shape, Spec, Tensor, fields};

/// All sizes of one pooling, the batch included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Images.
    pub n: usize,
    /// Rows of an input image.
    pub h: usize,
    /// Columns of an input image.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Rows of the window.
    pub r: usize,
    /// Columns of the window.
    pub s: usize,
    /// Rows of an output image.
    pub p: usize,
    /// Columns of an output image.
    pub q: usize,
    /// Input pixels from one window to the next, down and across.
    pub strides: [usize; 2],
    /// Rows of padding above the image, and columns to its left.
    pub before: [usize; 2],
}

impl Geometry {
    /// The sizes for an x of shape (N, H, W, C).
    ///
    /// # Errors
    /// If x has another rank, no channels, or is smaller than the window.
    ///
    /// # Panics
    /// If a size of the window or a stride is 0, or the window has more than 256 pixels.
    pub fn new(
        x: Shape,
        pool_size: [usize; 2],
        strides: [usize; 2],
        padding: Padding,
    ) -> Result<Self, ShapeError> {
        if let Some(flaw) = flaw(pool_size, strides) {
            panic!("max pooling: {flaw}");
        }
        let ([r, s], &[n, h, w, c]) = (pool_size, x.dims()) else {
            return Err(ShapeError::new(x, "expected images: (N, H, W, C)"));
        };
        let rows = padding.axis(h, r, strides[0], 1);
        let columns = padding.axis(w, s, strides[1], 1);
        let (Some(rows), Some(columns), true) = (rows, columns, c > 0) else {
            let reason = format!("expected at least {r}·{s} pixels and a channel: (N, H, W, C)");
            return Err(ShapeError::new(x, reason));
        };
        let (p, q, before) = (rows.output, columns.output, [rows.before, columns.before]);
        Ok(Self { n, h, w, c, r, s, p, q, strides, before })
    }

    /// The shape of x: (N, H, W, C).
    #[must_use]
    pub fn x(&self) -> Shape {
        Shape::new(&[self.n, self.h, self.w, self.c])
    }

    /// The shape of y: (N, P, Q, C).
    #[must_use]
    pub fn y(&self) -> Shape {
        Shape::new(&[self.n, self.p, self.q, self.c])
    }

    /// The row of x that row `r` of a window in output row `p` meets: h = p·stride + r − before,
    /// unless that lies in the padding.
    #[must_use]
    pub fn row(&self, p: usize, r: usize) -> Option<usize> {
        (p * self.strides[0] + r).checked_sub(self.before[0]).filter(|h| *h < self.h)
    }

    /// The column of x that column `s` of a window in output column `q` meets, as
    /// [`Geometry::row`].
    #[must_use]
    pub fn column(&self, q: usize, s: usize) -> Option<usize> {
        (q * self.strides[1] + s).checked_sub(self.before[1]).filter(|w| *w < self.w)
    }
}

/// What is wrong with window and strides, if anything.
fn flaw(pool_size: [usize; 2], strides: [usize; 2]) -> Option<String> {
    if pool_size.contains(&0) || strides.contains(&0) {
        return Some(format!(
            "pool_size {pool_size:?} and strides {strides:?} shall be at least 1"
        ));
    }
    let pixels = pool_size[0].saturating_mul(pool_size[1]);
    let flaw = || format!("pool_size {pool_size:?} has {pixels} pixels, at most 256 are possible");
    (pixels > 256).then(flaw)
}

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

/// In Keras's words and order.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Options {
    pool_size: [usize; 2],
    #[serde(default)]
    padding: Padding,
    /// None: those of the window.
    #[serde(default)]
    strides: Option<[usize; 2]>,
}

impl MaxPooling2D {
    /// Windows of that size: `2`, or `[2, 3]` for two rows and three columns. One window beside the
    /// other, and valid padding, as in Keras.
    ///
    /// # Panics
    /// If a number is 0, or the window has more than 256 pixels.
    #[must_use]
    pub fn new(pool_size: impl Into<Extent>) -> Self {
        let pool_size = pool_size.into().0;
        Self::of(Options { pool_size, strides: None, padding: Padding::Valid })
    }

    fn of(options: Options) -> Self {
        let strides = options.strides.unwrap_or(options.pool_size);
        if let Some(flaw) = flaw(options.pool_size, strides) {
            panic!("max pooling: {flaw}");
        }
        Self { options: Options { strides: Some(strides), ..options } }
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
    #[must_use]
    pub fn padding(mut self, padding: Padding) -> Self {
        self.options.padding = padding;
        self
    }

    fn geometry(&self, x: Shape) -> Result<Geometry, ShapeError> {
        let Options { pool_size, strides, padding } = self.options;
        Geometry::new(x, pool_size, strides.unwrap_or(pool_size), padding)
    }

    /// The sizes of a batch that was planned for.
    fn planned(&self, x: &Tensor) -> Geometry {
        self.geometry(x.shape()).expect("an x of the planned shape")
    }
}

fields! { MaxPooling2D }

impl Described for MaxPooling2D {
    const CLASS_NAME: &'static str = "MaxPooling2D";

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        let options: Options = config.options()?;
        let flaw = flaw(options.pool_size, options.strides.unwrap_or(options.pool_size));
        let format = config
            .config
            .get("data_format")
            .map_or("channels_last", |v| v.as_str().unwrap_or("no word"));
        let format = (format != "channels_last")
            .then(|| format!("data_format {format} is not known, only channels_last"));
        match flaw.or(format) {
            None => Ok(Self::of(options)),
            Some(reason) => {
                Err(ConfigError::Options { class_name: config.class_name.clone(), reason })
            }
        }
    }
}

impl Layer for MaxPooling2D {
    fn config(&self) -> Config {
        Config::new(Self::CLASS_NAME, &self.options)
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        self.geometry(x).map(|g| g.y())
    }

    fn build(&mut self, x: Shape, _: &mut Init<'_>) -> Result<(), ShapeError> {
        self.geometry(x).map(|_| ())
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
            Device::Cuda(gpu) => match *gpu {},
        }
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        let (g, isa, [argmax]) = (self.planned(x), Isa::detect(), saved.slots());
        match &cx.device {
            Device::Cpu => {
                let pool = &cx.workspace.pool;
                cpu::forward(isa, pool, &g, x.view(), y.view_mut(), argmax.view_mut());
            }
            Device::Cuda(gpu) => match *gpu {},
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
            Device::Cuda(gpu) => match *gpu {},
        }
    }
}
