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
//!              pass
//! Cost         passes over an array as large as the convolution's output: 4 forward instead of 6,
//!              5 backward instead of 12. Such passes are bound by memory, and in the tutorial's
//!              network that array has 31 MB
//! Conventions  inference has the bits that the layers give one by one; training has them up to
//!              the order of sums in f64
//! ```
//!
//! [`Sequential`](crate::Sequential) finds such layers when it plans; [`Layer::set_fused`] turns it
//! off. On a GPU every layer does its own work. For inference alone, normalizations beside products
//! can be [`folded`](crate::folded) away altogether.

mod cpu;
#[cfg(test)]
mod tests;

use crate::batch_normalization::cpu::statistics_of_moments;
use crate::max_pooling2d::Geometry;
use crate::{
    Activation, BatchNormalization, Conv2D, Dropout, Layer, MaxPooling2D, Mode, Plan, Saved,
    ShapeError, Slot, batch_normalization,
};
use cpu::Passes;
use gradus_tensor::simd::Isa;
use gradus_tensor::{Context, Device, Shape, Spec, Tensor};
use std::any::Any;

const ONE_BY_ONE: &str = "layers on a GPU are not planned to be done together";

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

    /// z, activated, with the statistics of the batch: mean, the rest of the mean, variance. The
    /// convolution sums around the moving mean, which is not far off once training goes.
    fn convolve_and_judge(
        &self,
        cx: &mut Context,
        x: &Tensor,
        z: &mut Tensor,
        statistics: [&mut [f32]; 3],
    ) {
        let (g, shift) = (self.conv.planned(x), self.normalization.moving().mean);
        let rows = z.len() / g.k;
        match self.conv.convolve_with_moments(cx, x, &g, shift, z) {
            Some(sums) => statistics_of_moments(sums, shift, rows, statistics),
            None => {
                let (isa, ws) = (Isa::detect(), &mut cx.workspace);
                batch_normalization::cpu::statistics(isa, ws, z.rows(), statistics);
            }
        }
    }
}

/// The plan of the layers at the front of a chain, if they can be done together: it says how many
/// they are.
pub(crate) fn plan(chain: &[Box<dyn Layer>], x: Spec, mode: Mode) -> Option<Plan> {
    let layers = Layers::at_front(chain)?;
    if layers.normalization.device() != Device::Cpu {
        return None;
    }
    let g = layers.geometry(x.shape).ok()??;
    let conv = layers.conv.plan(x, mode).ok()?;
    layers.normalization.output_shape(g.x()).ok()?;
    let rows = g.n * g.h * g.w;
    let scratch = cpu::scratch(&g).max(batch_normalization::cpu::scratch(rows, g.c));
    let own = Plan { scratch: scratch.max(conv.scratch), ..Plan::new(Spec::f32(g.y())) };
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
    layers.conv.convolve(cx, x, z, layers.relu());
    match &cx.device {
        Device::Cpu => {
            let n = layers.normalization.moving();
            let (isa, relu) = (Isa::detect(), layers.relu());
            let passes = Passes { isa, g: &g, n: &n, factor: 1.0, relu };
            passes.infer(&mut cx.workspace, z.slice(), y.slice_mut());
        }
        Device::Cuda(_) => unreachable!("{ONE_BY_ONE}"),
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
    let (layers, isa) = (Layers::at_front(chain).expect("what was planned"), Isa::detect());
    let (g, draw) = (layers.planned(x), layers.dropout.map(|dropout| dropout.draw(cx)));
    let [z, won, codes, mean, rest, variance, _, _] = saved.slots();
    let frozen = layers.normalization.is_frozen();
    if frozen {
        layers.conv.convolve(cx, x, z, layers.relu());
    } else {
        let statistics = [&mut *mean, &mut *rest, &mut *variance].map(|t| t.slice_mut());
        layers.convolve_and_judge(cx, x, z, statistics);
    }
    match &cx.device {
        Device::Cpu => {
            let ws = &mut cx.workspace;
            let n = layers.normalization.of_training([mean, rest, variance]);
            let (factor, relu) = (draw.map_or(1.0, |draw| draw.scale()), layers.relu());
            let passes = Passes { isa, g: &g, n: &n, factor, relu };
            let kept = (won.slice_mut(), codes.slice_mut());
            passes.forward(ws, draw.as_ref(), z.slice(), y.slice_mut(), kept);
        }
        Device::Cuda(_) => unreachable!("{ONE_BY_ONE}"),
    }
    if !frozen {
        as_layer_mut::<BatchNormalization>(&mut chain[1]).move_statistics(g.x(), mean, variance);
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
    let (layers, isa) = (Layers::at_front(chain).expect("what was planned"), Isa::detect());
    let (g, relu) = (layers.planned(x), layers.relu());
    let factor = layers.dropout.map_or(1.0, |dropout| dropout.draw(cx).scale());
    let [z, won, codes, mean, rest, variance, dgamma, dbeta] = saved.slots();
    let (first, others) = chain.split_at_mut(1);
    let conv = as_layer_mut::<Conv2D>(&mut first[0]);
    let normalization = as_layer_mut::<BatchNormalization>(&mut others[0]);
    match &cx.device {
        Device::Cpu => {
            let (ws, dy, codes) = (&mut cx.workspace, dy.slice(), codes.slice());
            let n = normalization.of_training([mean, rest, variance]);
            let passes = Passes { isa, g: &g, n: &n, factor, relu };
            let [sum_x_hat, sum] = [&mut *dgamma, &mut *dbeta].map(|t| t.slice_mut::<f32>());
            if normalization.is_frozen() {
                // The statistics do not depend on x.
                sum_x_hat.fill(0.0);
                sum.fill(0.0);
            } else {
                let sums = [&mut *sum_x_hat, &mut *sum];
                passes.backward_parameters(ws, [won.slice(), dy], codes, sums);
            }
            let dbias = conv.bias_gradient().map(|dbias| dbias.slice_mut());
            passes.backward_input(ws, dy, codes, [sum_x_hat, sum], z.slice_mut(), dbias);
        }
        Device::Cuda(_) => unreachable!("{ONE_BY_ONE}"),
    }
    if !normalization.is_frozen() {
        normalization.take_gradients([dgamma, dbeta]);
    }
    conv.backward_kernel_and_input(cx, x, z, dx);
}

/// The layer as what it was found to be.
fn as_layer_mut<L: Layer>(layer: &mut Box<dyn Layer>) -> &mut L {
    (&mut **layer as &mut dyn Any).downcast_mut().expect("what was planned")
}
