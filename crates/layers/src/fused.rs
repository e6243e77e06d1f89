//! Layers of a chain that are done together: convolution, batch normalization, max pooling and
//! dropout.
//!
//! ```text
//! Formula      y = dropout(pool(normalize(activation(conv(x))))): nothing but the layers' own
//! Fits         Conv2D with relu or no activation, BatchNormalization, MaxPooling2D whose windows
//!              lie side by side without padding, and Dropout, which may be absent
//! Saved        the convolution's output, N·H·W·C; the one of its values that won each window,
//!              N·P·Q·C, and a code that says which tap that was and whether it was dropped,
//!              N·P·Q·C bytes; 5·C for the normalization.
//!              What the layers would save between them (the normalized images, the pooled ones,
//!              the masks) never exists
//! Backward     dz takes the place of the convolution's output: dy behind dropout at the winner and
//!              0 elsewhere, through the normalization, through relu, summed for the bias, in one
//!              pass. In a first layer, where nobody wants dx, dz is made line by line for the
//!              kernel's gradient and never exists
//! Cost         passes over an array as large as the convolution's output: 3 forward instead of 6,
//!              5 backward instead of 12: the convolution hands on the sums of its output, unless
//!              its algorithm has no place for them. Such passes are bound by memory, and in the
//!              tutorial's network that array has 31 MB
//! Conventions  inference has the bits that the layers give one by one; training has them up to
//!              the order of sums in f64. On a GPU in bf16 neither: there the convolution's output,
//!              and dz in its place, are bf16 in memory (conv2d/cuda/bf16.rs)
//! ```
//!
//! [`Sequential`](crate::Sequential) finds such layers when it plans; [`Layer::set_fused`] turns it
//! off. For inference alone, normalizations beside products can be [`folded`](crate::folded) away
//! altogether.

mod cpu;
mod cuda;
#[cfg(test)]
mod tests;

use crate::batch_normalization::cpu::statistics_of_moments;
use crate::max_pooling2d::Geometry;
use crate::stored::{Stored, StoredMut};
use crate::{
    Activation, BatchNormalization, Conv2D, Dropout, Layer, MaxPooling2D, Mode, Plan, Saved,
    ShapeError, Slot, batch_normalization,
};
use cpu::Passes;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut};
use gradus_tensor::simd::Isa;
use gradus_tensor::{Context, Device, Shape, Spec, Tensor, Workspace};
use std::any::Any;

/// The layers, borrowed to be read.
#[derive(Clone, Copy, Debug)]
struct Layers<'a> {
    conv: &'a Conv2D,
    normalization: &'a BatchNormalization,
    pool: &'a MaxPooling2D,
    dropout: Option<&'a Dropout>,
}

/// The layer as what it is.
fn as_layer<L: Layer>(layer: &dyn Layer) -> Option<&L> {
    (layer as &dyn Any).downcast_ref()
}

impl<'a> Layers<'a> {
    /// Those at the front of a chain, if they are of these kinds.
    fn at_front(chain: &'a [Box<dyn Layer>]) -> Option<Self> {
        let [conv, normalization, pool, rest @ ..] = chain else { return None };
        Some(Self {
            conv: as_layer(&**conv)?,
            normalization: as_layer(&**normalization)?,
            pool: as_layer(&**pool)?,
            dropout: rest.first().and_then(|layer| as_layer(&**layer)),
        })
    }

    /// How many they are.
    fn count(&self) -> usize {
        3 + usize::from(self.dropout.is_some())
    }

    /// The sizes of the pooling, if they can be done together for such an x.
    fn geometry(&self, x: Shape) -> Result<Option<Geometry>, ShapeError> {
        let g = self.pool.geometry(self.conv.output_shape(x)?)?;
        let simple = matches!(self.conv.activation_option(), Activation::Relu | Activation::Linear);
        let beside = g.strides == [g.r, g.s] && g.before == [0, 0];
        let within = g.p * g.r <= g.h && g.q * g.s <= g.w && g.r * g.s <= cpu::TAPS;
        Ok((simple && beside && within).then_some(g))
    }

    fn planned(&self, x: &Tensor) -> Geometry {
        self.geometry(x.shape()).ok().flatten().expect("what was planned")
    }

    fn relu(&self) -> bool {
        self.conv.activation_option() == Activation::Relu
    }
}

/// z, activated, and its statistics (mean, the rest of the mean, variance), towards which the moving
/// ones are moved; unless the normalization is frozen. z is read again only where the convolution has
/// no moments of it.
fn convolve_and_judge(
    chain: &mut [Box<dyn Layer>],
    cx: &mut Context,
    x: &Tensor,
    z: &mut Tensor,
    [mean, rest, variance]: [&mut Tensor; 3],
) {
    let (first, others) = chain.split_at_mut(1);
    let conv = &*as_layer_mut::<Conv2D>(&mut first[0]);
    let normalization = as_layer_mut::<BatchNormalization>(&mut others[0]);
    if normalization.is_frozen() {
        return convolve(conv, cx, x, z);
    }
    match &cx.device {
        Device::Cpu => {
            let statistics = [&mut *mean, rest, &mut *variance].map(|t| t.slice_mut());
            let (ws, shift) = (&mut cx.workspace, normalization.moving().mean);
            convolve_with_statistics(conv, ws, x, z, shift, statistics);
            normalization.move_statistics(z.shape(), mean, variance);
        }
        Device::Cuda(gpu) => {
            let (gpu, statistics, shape) = (gpu.clone(), [mean, rest, variance], z.shape());
            let bf16 = conv.keeps_bf16_there(&gpu, cx, x);
            match conv.convolve_with_moments_there(&gpu, cx, x, StoredMut::of(z, bf16)) {
                Some(pieces) => {
                    normalization.judge_pieces_there(&gpu, &pieces, shape, statistics);
                }
                None => {
                    let (scratch, z) = (&mut cx.workspace.scratch, (shape, Stored::of(z, bf16)));
                    normalization.judge_there(&gpu, scratch, z, statistics);
                }
            }
        }
    }
}

/// z, activated.
fn convolve(conv: &Conv2D, cx: &mut Context, x: &Tensor, z: &mut Tensor) {
    let relu = conv.activation_option() == Activation::Relu;
    if let Device::Cuda(gpu) = &cx.device {
        let gpu = gpu.clone();
        let z = StoredMut::of(z, conv.keeps_bf16_there(&gpu, cx, x));
        return conv.convolve_there(&gpu, cx, x, z, relu);
    }
    conv.convolve(cx, x, z, relu);
}

/// z, activated, with the statistics of the batch, on the CPU. The convolution sums around the
/// moving mean, which is not far off once training goes.
fn convolve_with_statistics(
    conv: &Conv2D,
    ws: &mut Workspace,
    x: &Tensor,
    z: &mut Tensor,
    shift: &[f32],
    statistics: [&mut [f32]; 3],
) {
    let g = conv.planned(x);
    let rows = z.len() / g.k;
    match conv.convolve_with_moments(ws, x, &g, shift, z) {
        Some(sums) => statistics_of_moments(sums, shift, rows, statistics),
        None => {
            batch_normalization::cpu::statistics(Isa::detect(), ws, z.rows(), statistics);
        }
    }
}

/// The plan of the layers at the front of a chain, if they can be done together: it says how many
/// they are.
pub(crate) fn plan(chain: &[Box<dyn Layer>], x: Spec, mode: Mode) -> Option<Plan> {
    let layers = Layers::at_front(chain)?;
    let g = layers.geometry(x.shape).ok()??;
    let conv = layers.conv.plan(x, mode).ok()?;
    layers.normalization.output_shape(g.x()).ok()?;
    let rows = g.n * g.h * g.w;
    let scratch = cpu::scratch(&g).max(batch_normalization::cpu::scratch(rows, g.c));
    let scratch = scratch.max(cpu::scratch_of_kernel(&g, &layers.conv.geometry(x.shape).ok()?));
    let own = Plan::new(Spec::f32(g.y())).with_scratch(scratch.max(conv.scratch));
    let there = match mode {
        Mode::Train => layers.conv.scratch_with_moments_there(x.shape).ok()?,
        Mode::Infer => conv.gpu_scratch,
    };
    let own = own.with_gpu_scratch(cuda::scratch(&g).max(there));
    let statistic = Slot::fixed(Spec::f32(Shape::new(&[g.c])));
    let mut slots = vec![Slot::per_batch(Spec::f32(g.x()))];
    if mode == Mode::Train {
        slots.extend([Spec::f32(g.y()), Spec::u8(g.y())].map(Slot::per_batch));
        slots.extend([statistic; 5]);
    }
    let own = own.saving(slots).with_desk(conv.desk);
    Some(Plan { layers: layers.count(), ..own })
}

/// As [`Layer::infer`], for the layers together.
pub(crate) fn infer(
    chain: &[Box<dyn Layer>],
    cx: &mut Context,
    x: &Tensor,
    y: &mut Tensor,
    saved: &mut Saved,
) {
    let (layers, [z]) = (Layers::at_front(chain).expect("what was planned"), saved.slots());
    let g = layers.planned(x);
    convolve(layers.conv, cx, x, z);
    match &cx.device {
        Device::Cpu => {
            let n = layers.normalization.moving();
            let (isa, relu) = (Isa::detect(), layers.relu());
            let passes = Passes { isa, g: &g, n: &n, factor: 1.0, relu };
            passes.infer(&mut cx.workspace, z.slice(), y.slice_mut());
        }
        Device::Cuda(gpu) => {
            let n = layers.normalization.moving_there();
            let z = Stored::of(z, layers.conv.keeps_bf16_there(gpu, cx, x));
            cuda::Passes::new(gpu, &g, &n, layers.relu()).infer(z, y.gpu_mut());
        }
    }
}

/// As [`Layer::forward`], for the layers together.
pub(crate) fn forward(
    chain: &mut [Box<dyn Layer>],
    cx: &mut Context,
    x: &Tensor,
    y: &mut Tensor,
    saved: &mut Saved,
) {
    let layers = Layers::at_front(chain).expect("what was planned");
    let (g, relu) = (layers.planned(x), layers.relu());
    let draw = layers.dropout.map(|dropout| dropout.draw(cx));
    let [z, won, codes, mean, rest, variance, _, _] = saved.slots();
    convolve_and_judge(chain, cx, x, z, [&mut *mean, &mut *rest, &mut *variance]);
    let Layers { conv, normalization, .. } = Layers::at_front(chain).expect("what was planned");
    match &cx.device {
        Device::Cpu => {
            let (isa, ws) = (Isa::detect(), &mut cx.workspace);
            let n = normalization.of_training([mean, rest, variance]);
            let factor = draw.map_or(1.0, |draw| draw.scale());
            let passes = Passes { isa, g: &g, n: &n, factor, relu };
            let kept = (won.slice_mut(), codes.slice_mut());
            passes.forward(ws, draw.as_ref(), z.slice(), y.slice_mut(), kept);
        }
        Device::Cuda(gpu) => {
            let n = normalization.of_training_there([mean, rest, variance]);
            let bf16 = conv.keeps_bf16_there(gpu, cx, x);
            let (now, kept) = (cx.published_step(), (StoredMut::of(won, bf16), codes.gpu_mut()));
            let z = Stored::of(z, bf16);
            let passes = cuda::Passes::new(gpu, &g, &n, relu);
            passes.forward(draw.as_ref(), now, z, y.gpu_mut(), kept);
        }
    }
}

/// As [`Layer::backward`], for the layers together.
pub(crate) fn backward(
    chain: &mut [Box<dyn Layer>],
    cx: &mut Context,
    x: &Tensor,
    dy: &Tensor,
    dx: Option<&mut Tensor>,
    saved: &mut Saved,
) {
    let layers = Layers::at_front(chain).expect("what was planned");
    let (g, relu) = (layers.planned(x), layers.relu());
    let factor = layers.dropout.map_or(1.0, |dropout| dropout.draw(cx).scale());
    let (first, others) = chain.split_at_mut(1);
    let conv = as_layer_mut::<Conv2D>(&mut first[0]);
    let normalization = as_layer_mut::<BatchNormalization>(&mut others[0]);
    let of = (&g, factor, relu);
    match &cx.device {
        Device::Cpu => {
            backward_here(cx, of, (conv, normalization), [x, dy], dx, saved);
        }
        Device::Cuda(gpu) => {
            let (gpu, bf16) = (gpu.clone(), conv.keeps_bf16_there(gpu, cx, x));
            let dbias = conv.bias_gradient();
            let scratch = cx.workspace.scratch.take_gpu(cuda::scratch(&g));
            backward_there((&gpu, bf16, scratch), of, normalization, dy, dbias, saved);
            let [z, ..] = saved.slots::<8>();
            conv.backward_there(&gpu, cx, x, Stored::of(z, bf16), dx);
        }
    }
}

/// On the CPU: all gradients, and dz in the place of z, unless the kernel's gradient alone wants it.
fn backward_here(
    cx: &mut Context,
    (g, factor, relu): (&Geometry, f32, bool),
    (conv, normalization): (&mut Conv2D, &mut BatchNormalization),
    [x, dy]: [&Tensor; 2],
    dx: Option<&mut Tensor>,
    saved: &mut Saved,
) {
    let ws = &mut cx.workspace;
    let [z, won, codes, mean, rest, variance, dgamma, dbeta] = saved.slots();
    let (dy, codes) = (dy.slice(), codes.slice());
    let n = normalization.of_training([mean, rest, variance]);
    let passes = Passes { isa: Isa::detect(), g, n: &n, factor, relu };
    let [sum_x_hat, sum] = [&mut *dgamma, &mut *dbeta].map(|t| t.slice_mut::<f32>());
    if normalization.is_frozen() {
        // The statistics do not depend on x.
        sum_x_hat.fill(0.0);
        sum.fill(0.0);
    } else {
        let sums = [&mut *sum_x_hat, &mut *sum];
        passes.backward_parameters(ws, [won.slice(), dy], codes, sums);
    }
    let sums = [&*sum_x_hat, &*sum];
    match conv.gradients_by_rows(ws.exact, x) {
        Some((of_conv, dkernel, dbias)) if dx.is_none() => {
            let of_conv = (&of_conv, x.view(), dkernel.view_mut());
            let dbias = dbias.map(|dbias| dbias.slice_mut());
            passes.backward_kernel(ws, (dy, codes), sums, z.slice(), of_conv, dbias);
        }
        _ => {
            let dbias = conv.bias_gradient().map(|dbias| dbias.slice_mut());
            passes.backward_input(ws, dy, codes, sums, z.slice_mut(), dbias);
            conv.backward_kernel_and_input(cx, x, z, dx);
        }
    }
    if !normalization.is_frozen() {
        normalization.take_gradients([dgamma, dbeta]);
    }
}

/// The same on a GPU, where z and dz may be bf16.
fn backward_there(
    (gpu, bf16, mut scratch): (&Gpu, bool, GpuViewMut<'_, f32>),
    (g, factor, relu): (&Geometry, f32, bool),
    normalization: &mut BatchNormalization,
    dy: &Tensor,
    dbias: Option<&mut Tensor>,
    saved: &mut Saved,
) {
    let [z, won, codes, mean, rest, variance, dgamma, dbeta] = saved.slots();
    let (dy, codes) = (dy.gpu(), (codes.gpu(), factor));
    let mut sums = [GpuView::none(); 2];
    if !normalization.is_frozen() {
        let statistics = [&*mean, &*rest, &*variance].map(Tensor::gpu);
        let (n, gradients) = normalization.with_gradients(statistics);
        let into = [[dgamma.gpu_mut(), dbeta.gpu_mut()], gradients];
        let passes = cuda::Passes::new(gpu, g, &n, relu);
        let won = Stored::of(won, bf16);
        passes.backward_parameters(scratch.reborrow(), (won, dy), codes, into);
        sums = [dgamma.gpu(), dbeta.gpu()];
    }
    let n = normalization.of_training_there([mean, rest, variance]);
    let dbias = dbias.map_or_else(GpuViewMut::none, Tensor::gpu_mut);
    let passes = cuda::Passes::new(gpu, g, &n, relu);
    passes.backward_input(scratch, dy, codes, sums, StoredMut::of(z, bf16), dbias);
}

/// The layer as what it was found to be.
fn as_layer_mut<L: Layer>(layer: &mut Box<dyn Layer>) -> &mut L {
    (&mut **layer as &mut dyn Any).downcast_mut().expect("what was planned")
}
