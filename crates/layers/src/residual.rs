//! A residual block: two ways through the network, added.
//!
//! ```text
//! Formula      y = f(body(x) + shortcut(x)); without a shortcut y = f(body(x) + x)
//! Shapes       both ways give the shape of y
//! Backward     dz = f'(y) dy goes down both ways; dx = dx_body + dx_shortcut, in that order, or
//!              dx_body + dz where there is no shortcut
//! Saved        what both ways gave, and in backward a copy of dz, which the body consumes, and the
//!              dx of the shortcut
//! Cost         reads and writes 3 numbers forward and up to 5 backward for each of y, beside what
//!              the two ways cost
//! Conventions  in Keras this is written with the functional API: `Add()([body(x), shortcut(x)])`
//!              and an activation; f is linear unless given, or relu
//! Reference    He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. CVPR 2016
//! ```

pub mod cpu;
pub mod cuda;
#[cfg(test)]
pub(crate) mod tests;

use crate::{
    Activation, Config, ConfigError, Described, Flow, Init, Layer, Mode, Plan, Registry, Saved,
    ShapeError, Slot,
};
use gradus_tensor::{
    Context, Device, Field, FieldMut, Fields, Path, Phase, Shape, Spec, Tensor, Work,
};

/// The formula as a loop.
pub mod definition {
    use gradus_tensor::Real;

    /// z from what the two ways gave. Backward, both receive dz.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn forward<T: Real>(body: &[T], shortcut: &[T], z: &mut [T]) {
        assert!(body.len() == z.len() && shortcut.len() == z.len(), "three of one length");
        for ((z, &body), &shortcut) in z.iter_mut().zip(body).zip(shortcut) {
            *z = body + shortcut;
        }
    }
}

/// Two ways through the network, added. In PyTorch: `torchvision`'s `BasicBlock` and its like.
#[derive(Debug)]
pub struct Residual {
    body: Box<dyn Layer>,
    shortcut: Option<Box<dyn Layer>>,
    activation: Activation,
}

impl Residual {
    /// y = body(x) + x.
    #[must_use]
    pub fn new(body: impl Layer + 'static) -> Self {
        Self { body: Box::new(body), shortcut: None, activation: Activation::Linear }
    }

    /// The other way, where x itself does not have the shape of the body's output. Default: x.
    #[must_use]
    pub fn shortcut(mut self, shortcut: impl Layer + 'static) -> Self {
        self.shortcut = Some(Box::new(shortcut));
        self
    }

    /// What is applied to the sum: relu, or nothing, which is the default.
    ///
    /// # Panics
    /// If it is another: put a layer of its own behind the block.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        assert!(is_known(activation), "{activation:?} behind a residual: expected relu or linear");
        self.activation = activation;
        self
    }

    fn relu(&self) -> bool {
        self.activation == Activation::Relu
    }

    /// The shape of y, where both ways agree on it.
    fn joined(&self, x: Shape, body: Shape, shortcut: Shape) -> Result<Shape, ShapeError> {
        let other = if self.shortcut.is_some() { "shortcut" } else { "way around it" };
        let expected = format!("of which the body makes {body} and the {other} {shortcut}");
        let expected = format!("{expected}: expected the same shape, to add them");
        if body == shortcut { Ok(body) } else { Err(ShapeError::new(x, expected)) }
    }
}

/// Measures what a way through the block takes: its layers say how much they did.
fn timed(cx: &mut Context, name: &str, phase: Phase, f: impl FnOnce(&mut Context)) {
    cx.timed(name, phase, Work::default(), f);
}

/// Those that are differentiated by what they gave.
fn is_known(activation: Activation) -> bool {
    matches!(activation, Activation::Linear | Activation::Relu)
}

impl Fields for Residual {
    fn visit(&self, path: &mut Path, f: &mut dyn FnMut(&Path, Field<'_>)) {
        path.within("body", |path| self.body.visit(path, f));
        if let Some(shortcut) = &self.shortcut {
            path.within("shortcut", |path| shortcut.visit(path, f));
        }
    }

    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, FieldMut<'_>)) {
        path.within("body", |path| self.body.visit_mut(path, f));
        if let Some(shortcut) = &mut self.shortcut {
            path.within("shortcut", |path| shortcut.visit_mut(path, f));
        }
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Options {
    body: Config,
    #[serde(default)]
    shortcut: Option<Config>,
    #[serde(default)]
    activation: Activation,
}

impl Described for Residual {
    const CLASS_NAME: &'static str = "Residual";

    fn from_config(config: &Config, registry: &Registry) -> Result<Self, ConfigError> {
        let Options { body, shortcut, activation } = config.options()?;
        if !is_known(activation) {
            let reason = format!("activation is {activation:?}, expected relu or linear");
            return Err(ConfigError::Options { class_name: config.class_name.clone(), reason });
        }
        let shortcut = shortcut.map(|config| registry.layer(&config)).transpose()?;
        Ok(Self { body: registry.layer(&body)?, shortcut, activation })
    }
}

impl Layer for Residual {
    fn config(&self) -> Config {
        let (body, shortcut) = (self.body.config(), self.shortcut.as_ref().map(|s| s.config()));
        Config::new(Self::CLASS_NAME, &Options { body, shortcut, activation: self.activation })
    }

    fn children(&self) -> Vec<(&str, &dyn Layer)> {
        let shortcut = self.shortcut.iter().map(|layer| ("shortcut", &**layer));
        std::iter::once(("body", &*self.body)).chain(shortcut).collect()
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut dyn Layer> {
        match name {
            "body" => Some(&mut *self.body),
            "shortcut" => Some(&mut **self.shortcut.as_mut()?),
            _ => None,
        }
    }

    fn fold_batch_normalization(&mut self) -> usize {
        let shortcut = self.shortcut.as_mut().map_or(0, |layer| layer.fold_batch_normalization());
        self.body.fold_batch_normalization() + shortcut
    }

    fn set_trainable(&mut self, trainable: bool) {
        self.body.set_trainable(trainable);
        if let Some(shortcut) = &mut self.shortcut {
            shortcut.set_trainable(trainable);
        }
    }

    fn set_fused(&mut self, fused: bool) {
        self.body.set_fused(fused);
        if let Some(shortcut) = &mut self.shortcut {
            shortcut.set_fused(fused);
        }
    }

    fn flow(&self) -> Flow {
        Flow::Branches { identity: self.shortcut.is_none() }
    }

    fn branch_outputs<'a>(&self, saved: &'a Saved) -> Vec<&'a Tensor> {
        let shortcut = self.shortcut.as_ref().map(|_| &saved.tensors[2]);
        std::iter::once(&saved.tensors[0]).chain(shortcut).collect()
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        let body = self.body.output_shape(x).map_err(|e| e.within("body"))?;
        let shortcut = match &self.shortcut {
            Some(layer) => layer.output_shape(x).map_err(|e| e.within("shortcut"))?,
            None => x,
        };
        self.joined(x, body, shortcut)
    }

    fn build(&mut self, x: Shape, init: &mut Init<'_>) -> Result<(), ShapeError> {
        let body = &mut self.body;
        init.within("body", |init| body.build(x, init)).map_err(|e| e.within("body"))?;
        if let Some(shortcut) = &mut self.shortcut {
            let built = init.within("shortcut", |init| shortcut.build(x, init));
            built.map_err(|e| e.within("shortcut"))?;
        }
        self.output_shape(x).map(|_| ())
    }

    fn plan(&self, x: Spec, mode: Mode) -> Result<Plan, ShapeError> {
        let mut inner = vec![self.body.plan(x, mode).map_err(|e| e.within("body"))?];
        if let Some(shortcut) = &self.shortcut {
            inner.push(shortcut.plan(x, mode).map_err(|e| e.within("shortcut"))?);
        }
        let other = inner.get(1).map_or(x, |plan| plan.output);
        let y = Spec::f32(self.joined(x.shape, inner[0].output.shape, other.shape)?);
        let specs = match (mode, &self.shortcut) {
            (Mode::Infer, None) => vec![],
            (Mode::Infer, Some(_)) => vec![y],
            (Mode::Train, None) => vec![y, y],
            (Mode::Train, Some(_)) => vec![y, y, y, x],
        };
        let saved: Vec<Slot> = specs.into_iter().map(Slot::per_batch).collect();
        Ok(Plan::containing(y, inner).saving(saved))
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        timed(cx, "body", Phase::Infer, |cx| {
            self.body.infer(cx, x, y, &mut saved.inner[0]);
        });
        let other = match &self.shortcut {
            None => x,
            Some(shortcut) => {
                timed(cx, "shortcut", Phase::Infer, |cx| {
                    shortcut.infer(cx, x, &mut saved.tensors[0], &mut saved.inner[1]);
                });
                &saved.tensors[0]
            }
        };
        match &cx.device {
            Device::Cpu => {
                cpu::add(&cx.workspace.pool, other.slice(), y.slice_mut());
                self.activation.forward(cx, y);
            }
            Device::Cuda(gpu) => cuda::add(gpu, self.relu(), other.gpu(), y.gpu_mut()),
        }
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        let [body, _, rest @ ..] = &mut *saved.tensors else { panic!("two are planned") };
        timed(cx, "body", Phase::Forward, |cx| {
            self.body.forward(cx, x, body, &mut saved.inner[0]);
        });
        let other = match &mut self.shortcut {
            None => x,
            Some(shortcut) => {
                timed(cx, "shortcut", Phase::Forward, |cx| {
                    shortcut.forward(cx, x, &mut rest[0], &mut saved.inner[1]);
                });
                &rest[0]
            }
        };
        match &cx.device {
            Device::Cpu => {
                let pool = &cx.workspace.pool;
                cpu::forward(pool, body.slice(), other.slice(), y.slice_mut());
                self.activation.forward(cx, y);
            }
            Device::Cuda(gpu) => {
                cuda::forward(gpu, self.relu(), body.gpu(), other.gpu(), y.gpu_mut());
            }
        }
    }

    fn backward(
        &mut self,
        cx: &mut Context,
        x: &Tensor,
        y: &Tensor,
        dy: &mut Tensor,
        mut dx: Option<&mut Tensor>,
        saved: &mut Saved,
    ) {
        let [body, dz, rest @ ..] = &mut *saved.tensors else { panic!("two are planned") };
        match &cx.device {
            Device::Cuda(gpu) if self.relu() => {
                cuda::backward(gpu, y.gpu(), dy.gpu_mut(), dz.gpu_mut());
            }
            _ => {
                self.activation.backward(cx, y, dy);
                dz.copy_from(dy);
            }
        }
        timed(cx, "body", Phase::Backward, |cx| {
            self.body.backward(cx, x, body, dy, dx.as_deref_mut(), &mut saved.inner[0]);
        });
        let other = match (&mut self.shortcut, rest) {
            (Some(shortcut), [given, other]) => {
                let into = dx.is_some().then_some(&mut *other);
                timed(cx, "shortcut", Phase::Backward, |cx| {
                    shortcut.backward(cx, x, given, dz, into, &mut saved.inner[1]);
                });
                other
            }
            _ => dz,
        };
        let Some(dx) = dx else { return };
        match &cx.device {
            Device::Cpu => cpu::add(&cx.workspace.pool, other.slice(), dx.slice_mut()),
            Device::Cuda(gpu) => cuda::add(gpu, false, other.gpu(), dx.gpu_mut()),
        }
    }
}
