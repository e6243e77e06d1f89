//! Batch normalization.
//!
//! ```text
//! Formula      y = gamma · x̂ + beta, x̂ = (x − mean) · rstd, rstd = 1/√(variance + epsilon), with
//!              mean and (biased) variance of each channel over all N rows: the batch and its pixels
//! Shapes       x, y: N·C, or B·H·W·C, whose first three extents are folded into N;
//!              gamma, beta, mean, variance: C
//! Backward     dbeta = Σ dy, dgamma = Σ dy · x̂,
//!              dx = gamma · rstd · (dy − dbeta/N − x̂ · dgamma/N); the last two terms come through
//!              mean and variance, and are 0 where those do not depend on x
//! Saved        mean, the rest of the mean that f32 cannot say, variance, dgamma and dbeta: 5 · C
//! State        moving = momentum · moving + (1 − momentum) · batch, in training; inference
//!              normalises with it and cannot change it (`&self`), and so does a frozen layer
//! Cost         two reads and a write forward, five reads and a write backward; arithmetic is free
//! Conventions  always the biased variance normalises; which one is stored is [`MovingVariance`].
//!              Keras's momentum 0.99 is PyTorch's 0.01; Keras's epsilon is 1e-3, PyTorch's 1e-5.
//!              A single row has variance 0: y = beta, dx = 0 (PyTorch refuses it)
//! Reference    Ioffe, Szegedy: Batch Normalization. ICML 2015, arXiv 1502.03167, algorithm 1 and
//!              the gradients of section 3
//! ```

pub mod cpu;
pub mod cuda;
mod options;
#[cfg(test)]
mod tests;

pub use options::MovingVariance;

use crate::layer::freeze;
use crate::stored::Stored;
use crate::{
    Config, ConfigError, Described, Init, Layer, Mode, Plan, Registry, Saved, ShapeError, Slot,
};
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Context, Device, Param, Real, Scratch, Shape, Spec, Tensor, fields};
use options::Options;

/// What y takes besides x. Every slice holds one number for each channel.
#[derive(Clone, Copy, Debug)]
pub struct Normalization<'a, T> {
    /// The mean of the batch; in inference the moving mean.
    pub mean: &'a [T],
    /// The exact mean minus `mean`; empty for 0. Where the mean is ten thousand times the standard
    /// deviation, rounding the mean to f32 shifts every x̂ by up to 5·10⁻⁴.
    pub rest: &'a [T],
    /// The biased variance of the batch; in inference the moving variance.
    pub variance: &'a [T],
    /// What is added to the variance.
    pub epsilon: T,
    /// The scale; empty for 1.
    pub gamma: &'a [T],
    /// The offset; empty for 0.
    pub beta: &'a [T],
}

impl<T: Real> Normalization<'_, T> {
    /// How many channels there are.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// x̂ of a value of channel `c`.
    fn x_hat(&self, x: T, c: usize) -> T {
        (x - self.mean[c] - self.rest(c)) * self.rstd(c)
    }

    pub(crate) fn rest(&self, c: usize) -> T {
        self.rest.get(c).copied().unwrap_or(T::zero())
    }

    fn rstd(&self, c: usize) -> T {
        (self.variance[c] + self.epsilon).sqrt().recip()
    }

    fn gamma(&self, c: usize) -> T {
        self.gamma.get(c).copied().unwrap_or(T::one())
    }

    fn beta(&self, c: usize) -> T {
        self.beta.get(c).copied().unwrap_or(T::zero())
    }
}

/// The formulas as loops over rows and channels.
pub mod definition {
    use super::Normalization;
    use gradus_tensor::Real;
    use gradus_tensor::ndarray::{ArrayView2, ArrayViewMut2};

    /// Mean and biased variance of each column of x, in two passes.
    pub fn statistics<T: Real>(x: ArrayView2<'_, T>, mean: &mut [T], variance: &mut [T]) {
        let rows = T::count(x.nrows());
        for (c, column) in x.columns().into_iter().enumerate() {
            mean[c] = column.iter().copied().sum::<T>() / rows;
            variance[c] = column.iter().map(|&x| (x - mean[c]).powi(2)).sum::<T>() / rows;
        }
    }

    /// y from x.
    pub fn forward<T: Real>(
        x: ArrayView2<'_, T>,
        n: &Normalization<'_, T>,
        mut y: ArrayViewMut2<'_, T>,
    ) {
        for ((row, c), y) in y.indexed_iter_mut() {
            *y = n.x_hat(x[[row, c]], c) * n.gamma(c) + n.beta(c);
        }
    }

    /// dgamma and dbeta.
    pub fn backward_parameters<T: Real>(
        x: ArrayView2<'_, T>,
        n: &Normalization<'_, T>,
        dy: ArrayView2<'_, T>,
        [dgamma, dbeta]: [&mut [T]; 2],
    ) {
        dgamma.fill(T::zero());
        dbeta.fill(T::zero());
        for ((row, c), &dy) in dy.indexed_iter() {
            dgamma[c] += dy * n.x_hat(x[[row, c]], c);
            dbeta[c] += dy;
        }
    }

    /// dx from the sums dgamma and dbeta. With zeros in their place: dx of inference, where the
    /// statistics do not depend on x.
    pub fn backward_input<T: Real>(
        x: ArrayView2<'_, T>,
        n: &Normalization<'_, T>,
        dy: ArrayView2<'_, T>,
        [dgamma, dbeta]: [&[T]; 2],
        mut dx: ArrayViewMut2<'_, T>,
    ) {
        let rows = T::count(x.nrows());
        for ((row, c), dx) in dx.indexed_iter_mut() {
            let through_mean = dbeta[c] / rows;
            let through_variance = n.x_hat(x[[row, c]], c) * dgamma[c] / rows;
            *dx = n.gamma(c) * n.rstd(c) * (dy[[row, c]] - through_mean - through_variance);
        }
    }
}

/// Keras's `BatchNormalization` over the last axis. In PyTorch: `nn.BatchNorm1d` and
/// `nn.BatchNorm2d`, with other defaults and another meaning of momentum.
#[derive(Clone, Debug, Default)]
pub struct BatchNormalization {
    options: Options,
    gamma: Param,
    beta: Param,
    moving_mean: Tensor,
    moving_variance: Tensor,
}

impl BatchNormalization {
    /// Keras's defaults: momentum 0.99, epsilon 1e-3, with gamma and beta.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the layer is frozen: then training, too, normalises with the moving statistics and
    /// leaves them as they are.
    pub(crate) fn is_frozen(&self) -> bool {
        !self.options.trainable || self.gamma.frozen || self.beta.frozen
    }

    /// Inference as y = s·x + t: s and t of each channel.
    pub(crate) fn affine(&self) -> [Vec<f64>; 2] {
        let exact = |tensor: &Tensor| -> Vec<f64> {
            tensor.numbers::<f32>().iter().map(|&v| f64::from(v)).collect()
        };
        let [mean, variance] = [&self.moving_mean, &self.moving_variance].map(exact);
        let [gamma, beta] = [&self.gamma, &self.beta].map(|param| exact(&param.value));
        let n = Normalization {
            mean: &mean,
            rest: &[],
            variance: &variance,
            epsilon: self.options.epsilon,
            gamma: &gamma,
            beta: &beta,
        };
        let scale: Vec<f64> = (0..n.channels()).map(|c| n.gamma(c) * n.rstd(c)).collect();
        let shift = scale.iter().enumerate().map(|(c, scale)| n.beta(c) - mean[c] * scale);
        let shift = shift.collect();
        [scale, shift]
    }

    /// The normalization of inference, and of a frozen layer.
    pub(crate) fn moving(&self) -> Normalization<'_, f32> {
        self.normalization([self.moving_mean.slice(), &[], self.moving_variance.slice()])
    }

    /// The normalization of a training batch with these statistics (mean, the rest of the mean,
    /// variance), which a frozen layer does not look at.
    pub(crate) fn of_training<'a>(&'a self, of_batch: [&'a Tensor; 3]) -> Normalization<'a, f32> {
        if self.is_frozen() {
            self.moving()
        } else {
            self.normalization(of_batch.map(Tensor::slice))
        }
    }

    /// The normalization with these statistics: mean, the rest of the mean, variance.
    fn normalization<'a>(
        &'a self,
        [mean, rest, variance]: [&'a [f32]; 3],
    ) -> Normalization<'a, f32> {
        Normalization {
            mean,
            rest,
            variance,
            epsilon: self.options.epsilon as f32,
            gamma: self.gamma.value.slice(),
            beta: self.beta.value.slice(),
        }
    }

    /// The normalization of inference, and of a frozen layer, on a GPU.
    pub(crate) fn moving_there(&self) -> cuda::Normalization<'_> {
        self.there([self.moving_mean.gpu(), GpuView::none(), self.moving_variance.gpu()])
    }

    /// As [`BatchNormalization::of_training`], on a GPU.
    pub(crate) fn of_training_there<'a>(
        &'a self,
        of_batch: [&'a Tensor; 3],
    ) -> cuda::Normalization<'a> {
        if self.is_frozen() { self.moving_there() } else { self.there(of_batch.map(Tensor::gpu)) }
    }

    /// Takes the statistics of a batch on a GPU (mean, the rest of the mean, variance) and moves the
    /// moving ones towards them.
    pub(crate) fn judge_there(
        &mut self,
        gpu: &Gpu,
        scratch: &mut Scratch,
        (shape, x): (Shape, Stored<'_>),
        statistics: [&mut Tensor; 3],
    ) {
        let channels = shape.last();
        let scratch = scratch.take_gpu(cuda::scratch(shape.len() / channels, channels));
        let moving = Some(self.moving_mut(shape));
        cuda::statistics(gpu, scratch, x, statistics.map(Tensor::gpu_mut), moving);
    }

    /// The same from the moments of all pieces of such an x, taken where it was made.
    pub(crate) fn judge_pieces_there(
        &mut self,
        gpu: &Gpu,
        pieces: &cuda::Pieces<'_>,
        x: Shape,
        statistics: [&mut Tensor; 3],
    ) {
        let moving = Some(self.moving_mut(x));
        cuda::merge(gpu, pieces, statistics.map(Tensor::gpu_mut), moving);
    }

    /// The normalization with these statistics, on a GPU.
    fn there<'a>(&'a self, statistics: [GpuView<'a, f32>; 3]) -> cuda::Normalization<'a> {
        let [mean, rest, variance] = statistics;
        let [gamma, beta] = [&self.gamma, &self.beta].map(|param| match param.is_empty() {
            true => GpuView::none(),
            false => param.value.gpu(),
        });
        let epsilon = self.options.epsilon as f32;
        cuda::Normalization { mean, rest, variance, epsilon, gamma, beta }
    }

    /// The same, and where the gradients of gamma and beta go: none for one that is not there.
    pub(crate) fn with_gradients<'a>(
        &'a mut self,
        [mean, rest, variance]: [GpuView<'a, f32>; 3],
    ) -> (cuda::Normalization<'a>, [GpuViewMut<'a, f32>; 2]) {
        let epsilon = self.options.epsilon as f32;
        let [(gamma, of_gamma), (beta, of_beta)] =
            [&mut self.gamma, &mut self.beta].map(|param| match param.is_empty() {
                true => (GpuView::none(), GpuViewMut::none()),
                false => (param.value.gpu(), param.grad.gpu_mut()),
            });
        let n = cuda::Normalization { mean, rest, variance, epsilon, gamma, beta };
        (n, [of_gamma, of_beta])
    }

    /// The moving statistics on a GPU, to be moved by a batch of that shape.
    fn moving_mut(&mut self, x: Shape) -> cuda::Moving<'_> {
        let Options { momentum, moving_variance, .. } = self.options;
        let (mean, variance) = (self.moving_mean.gpu_mut(), self.moving_variance.gpu_mut());
        cuda::Moving { mean, variance, momentum, factor: moving_variance.factor(x) }
    }

    /// dx where the statistics do not depend on x: both sums are 0.
    fn backward_frozen(
        &self,
        cx: &mut Context,
        x: &Tensor,
        dy: &Tensor,
        dx: &mut Tensor,
        sums: &mut Tensor,
    ) {
        match &cx.device {
            Device::Cpu => {
                sums.slice_mut::<f32>().fill(0.0);
                let (isa, ws, sums) = (Isa::detect(), &mut cx.workspace, [sums.slice(); 2]);
                let n = self.moving();
                cpu::backward_input(isa, ws, x.rows(), &n, dy.rows(), sums, dx.rows_mut());
            }
            Device::Cuda(gpu) => {
                let n = self.moving_there();
                let none = [GpuView::none(); 2];
                cuda::backward_input(gpu, x.gpu(), &n, dy.gpu(), none, dx.gpu_mut());
            }
        }
    }

    /// Takes the sums as gradients. (dx needs both, also where the layer has no such parameter.)
    pub(crate) fn take_gradients(&mut self, [dgamma, dbeta]: [&Tensor; 2]) {
        for (param, sum) in [(&mut self.gamma, dgamma), (&mut self.beta, dbeta)] {
            if !param.is_empty() {
                param.grad.copy_from(sum);
            }
        }
    }

    /// Moves the moving statistics towards those of the batch, on the CPU.
    pub(crate) fn move_statistics(&mut self, x: Shape, mean: &Tensor, variance: &Tensor) {
        let Options { momentum, moving_variance, .. } = self.options;
        let towards = |moving: &mut Tensor, batch: &Tensor, factor: f64| {
            for (moving, batch) in moving.slice_mut::<f32>().iter_mut().zip(batch.slice::<f32>()) {
                let batch = f64::from(*batch) * factor;
                *moving = (momentum * f64::from(*moving) + (1.0 - momentum) * batch) as f32;
            }
        };
        towards(&mut self.moving_mean, mean, 1.0);
        towards(&mut self.moving_variance, variance, moving_variance.factor(x));
    }
}

fields! {
    BatchNormalization: param gamma, param beta, buffer moving_mean, buffer moving_variance
}

impl Described for BatchNormalization {
    const CLASS_NAME: &'static str = "BatchNormalization";

    fn from_config(config: &Config, _: &Registry) -> Result<Self, ConfigError> {
        let options = config.sound_options(Options::flaw)?;
        Ok(Self { options, ..Self::default() })
    }
}

impl Layer for BatchNormalization {
    fn config(&self) -> Config {
        Config::new(Self::CLASS_NAME, &self.options)
    }

    fn set_trainable(&mut self, trainable: bool) {
        self.options.trainable = trainable;
        freeze(self, !trainable);
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        if !matches!(x.rank(), 2 | 4) || x.is_empty() {
            return Err(ShapeError::new(x, "expected rows (N, C) or images (N, H, W, C)"));
        }
        match self.moving_mean.len() {
            built if built != 0 && built != x.last() => {
                Err(ShapeError::new(x, format!("expected {built} channels, as it was built for")))
            }
            _ => Ok(x),
        }
    }

    fn build(&mut self, x: Shape, init: &mut Init<'_>) -> Result<(), ShapeError> {
        *self = Self { options: self.options.clone(), ..Self::default() };
        let channels = Shape::new(&[self.output_shape(x)?.last()]);
        let options = &self.options;
        if options.scale {
            let param = init.param("gamma", channels, options.gamma_initializer);
            self.gamma = Param { regularizer: options.gamma_regularizer, ..param };
        }
        if options.center {
            let param = init.param("beta", channels, options.beta_initializer);
            self.beta = Param { regularizer: options.beta_regularizer, ..param };
        }
        let mean = init.param("moving_mean", channels, options.moving_mean_initializer);
        let rule = options.moving_variance_initializer;
        self.moving_mean = mean.value;
        self.moving_variance = init.param("moving_variance", channels, rule).value;
        freeze(self, !self.options.trainable);
        Ok(())
    }

    fn plan(&self, x: Spec, mode: Mode) -> Result<Plan, ShapeError> {
        let (shape, channels) = (self.output_shape(x.shape)?, x.shape.last());
        let plan = Plan::new(Spec::f32(shape));
        let rows = shape.len() / channels;
        let plan = plan.with_scratch(cpu::scratch(rows, channels));
        let plan = plan.with_gpu_scratch(cuda::scratch(rows, channels));
        let slot = Slot::fixed(Spec::f32(Shape::new(&[channels])));
        Ok(match mode {
            Mode::Train => plan.saving([slot; 5]),
            Mode::Infer => plan,
        })
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, _: &mut Saved) {
        match &cx.device {
            Device::Cpu => {
                let n = self.moving();
                cpu::forward(Isa::detect(), &mut cx.workspace, x.rows(), &n, y.rows_mut());
            }
            Device::Cuda(gpu) => cuda::forward(gpu, x.gpu(), &self.moving_there(), y.gpu_mut()),
        }
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        if self.is_frozen() {
            return self.infer(cx, x, y, saved);
        }
        let ([mean, rest, variance, _, _], isa) = (saved.slots(), Isa::detect());
        match &cx.device {
            Device::Cpu => {
                let ws = &mut cx.workspace;
                let statistics = [mean.slice_mut(), rest.slice_mut(), variance.slice_mut()];
                cpu::statistics(isa, ws, x.rows(), statistics);
                let n = self.normalization([mean.slice(), rest.slice(), variance.slice()]);
                cpu::forward(isa, ws, x.rows(), &n, y.rows_mut());
                self.move_statistics(x.shape(), mean, variance);
            }
            Device::Cuda(gpu) => {
                let statistics = [&mut *mean, &mut *rest, &mut *variance];
                let of = (x.shape(), x.gpu().into());
                self.judge_there(gpu, &mut cx.workspace.scratch, of, statistics);
                let n = self.there([mean.gpu(), rest.gpu(), variance.gpu()]);
                cuda::forward(gpu, x.gpu(), &n, y.gpu_mut());
            }
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
        let ([mean, rest, variance, dgamma, dbeta], isa) = (saved.slots(), Isa::detect());
        if self.is_frozen() {
            if let Some(dx) = dx {
                self.backward_frozen(cx, x, dy, dx, dgamma);
            }
            return;
        }
        match &cx.device {
            Device::Cpu => {
                let n = self.normalization([mean.slice(), rest.slice(), variance.slice()]);
                let ws = &mut cx.workspace;
                let (x, dy, sums) = (x.rows(), dy.rows(), [dgamma.slice_mut(), dbeta.slice_mut()]);
                cpu::backward_parameters(isa, ws, x, &n, dy, sums);
                if let Some(dx) = dx {
                    let sums = [dgamma.slice(), dbeta.slice()];
                    cpu::backward_input(isa, ws, x, &n, dy, sums, dx.rows_mut());
                }
                self.take_gradients([dgamma, dbeta]);
            }
            Device::Cuda(gpu) => {
                let scratch = &mut cx.workspace.scratch;
                let scratch = scratch.take_gpu(cuda::scratch(x.len() / mean.len(), mean.len()));
                let sums = [dgamma.gpu_mut(), dbeta.gpu_mut()];
                let statistics = [mean.gpu(), rest.gpu(), variance.gpu()];
                let (n, gradients) = self.with_gradients(statistics);
                let (x, dy) = (x.gpu(), dy.gpu());
                cuda::backward_parameters(gpu, scratch, x, &n, dy, sums, gradients);
                if let Some(dx) = dx {
                    let sums = [dgamma.gpu(), dbeta.gpu()];
                    cuda::backward_input(gpu, x, &n, dy, sums, dx.gpu_mut());
                }
            }
        }
    }
}
