//! Branches side by side: what each makes of x becomes some of the channels of y.
//!
//! ```text
//! Formula      y[…, oᵢ + c] = branchᵢ(x)[…, c], oᵢ the channels of the branches before it
//! Shapes       branchᵢ(x): M·Cᵢ, M = N·H·W or N; y: M·ΣCᵢ
//! Backward     every branch receives its channels of dy; dx = Σᵢ dxᵢ, the first branch first
//! Saved        what each branch gave, and in backward the dy of one branch and its dx
//! Cost         reads and writes y once forward and dy once backward, and adds the dx of all but
//!              the first branch, beside what the branches cost
//! Conventions  in Keras this is written with the functional API: `Concatenate()([f(x), g(x)])`,
//!              axis −1, the channels
//! Reference    Szegedy et al.: Going Deeper with Convolutions. CVPR 2015
//! ```

pub mod cpu;
pub mod cuda;
#[cfg(test)]
mod tests;

use crate::residual;
use crate::{
    Config, ConfigError, Described, Flow, Init, Layer, Mode, Plan, Registry, Saved, ShapeError,
    Slot, layer::bounded,
};
use gradus_tensor::{
    Context, Device, Field, FieldMut, Fields, Path, Phase, Shape, Spec, Tensor, Work,
};

/// The formula as loops.
pub mod definition {
    use gradus_tensor::Real;
    use gradus_tensor::ndarray::{ArrayView2, ArrayViewMut2};

    /// The columns of y that begin at `offset`, from what one branch gave.
    pub fn forward<T: Real>(part: ArrayView2<'_, T>, offset: usize, mut y: ArrayViewMut2<'_, T>) {
        for ((m, c), &part) in part.indexed_iter() {
            y[[m, offset + c]] = part;
        }
    }

    /// What one branch receives, from the columns of dy that begin at `offset`.
    pub fn backward<T: Real>(dy: ArrayView2<'_, T>, offset: usize, mut part: ArrayViewMut2<'_, T>) {
        for ((m, c), part) in part.indexed_iter_mut() {
            *part = dy[[m, offset + c]];
        }
    }
}

/// Branches that all take x, joined along the channels. In PyTorch: `torch.cat(…, dim=1)`.
#[derive(Debug, Default)]
pub struct Concatenate {
    branches: Vec<Box<dyn Layer>>,
    /// `branch_1`, `branch_2`, …
    names: Vec<String>,
}

impl Concatenate {
    /// No branches yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more branch, whose channels come last.
    #[must_use]
    pub fn branch(self, branch: impl Layer + 'static) -> Self {
        self.with(Box::new(branch))
    }

    fn with(mut self, branch: Box<dyn Layer>) -> Self {
        self.branches.push(branch);
        self.names.push(format!("branch_{}", self.branches.len()));
        self
    }

    fn named(&self) -> impl Iterator<Item = (&str, &dyn Layer)> {
        self.names.iter().map(String::as_str).zip(self.branches.iter().map(AsRef::as_ref))
    }

    /// The shape of y from those of the branches.
    fn joined(&self, x: Shape, parts: &[Shape]) -> Result<Shape, ShapeError> {
        let Some(first) = parts.first().filter(|part| part.rank() > 1) else {
            return Err(ShapeError::new(x, "expected a branch that gives (N, …, channels)"));
        };
        let outer = |part: &Shape| Shape::new(&part.dims()[..part.rank() - 1]);
        if let Some(i) = parts.iter().position(|part| outer(part) != outer(first)) {
            let (name, part) = (&self.names[i], parts[i]);
            let expected = format!(
                "of which branch_1 makes {first} and {name} {part}: expected the same extents \
                 but for the channels"
            );
            return Err(ShapeError::new(x, expected));
        }
        let mut dims = [0; 4];
        let dims = &mut dims[..first.rank()];
        dims.copy_from_slice(first.dims());
        dims[first.rank() - 1] = parts.iter().map(Shape::last).sum();
        bounded(x, Shape::new(dims))
    }
}

impl Fields for Concatenate {
    fn visit(&self, path: &mut Path, f: &mut dyn FnMut(&Path, Field<'_>)) {
        for (branch, name) in self.branches.iter().zip(&self.names) {
            path.within(name, |path| branch.visit(path, f));
        }
    }

    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, FieldMut<'_>)) {
        for (branch, name) in self.branches.iter_mut().zip(&self.names) {
            path.within(name, |path| branch.visit_mut(path, f));
        }
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Options {
    branches: Vec<Config>,
}

impl Described for Concatenate {
    const CLASS_NAME: &'static str = "Concatenate";

    fn from_config(config: &Config, registry: &Registry) -> Result<Self, ConfigError> {
        let Options { branches } = config.options()?;
        branches.iter().try_fold(Self::new(), |all, config| Ok(all.with(registry.layer(config)?)))
    }
}

impl Layer for Concatenate {
    fn config(&self) -> Config {
        let branches = self.branches.iter().map(|branch| branch.config()).collect();
        Config::new(Self::CLASS_NAME, &Options { branches })
    }

    fn children(&self) -> Vec<(&str, &dyn Layer)> {
        self.named().collect()
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut dyn Layer> {
        let at = self.names.iter().position(|n| n == name)?;
        Some(&mut *self.branches[at])
    }

    fn fold_batch_normalization(&mut self) -> usize {
        self.branches.iter_mut().map(|branch| branch.fold_batch_normalization()).sum()
    }

    fn set_trainable(&mut self, trainable: bool) {
        self.branches.iter_mut().for_each(|branch| branch.set_trainable(trainable));
    }

    fn set_fused(&mut self, fused: bool) {
        self.branches.iter_mut().for_each(|branch| branch.set_fused(fused));
    }

    fn flow(&self) -> Flow {
        Flow::Branches { identity: false }
    }

    fn branch_outputs<'a>(&self, saved: &'a Saved) -> Vec<&'a Tensor> {
        saved.tensors.iter().take(self.branches.len()).collect()
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        let shapes = self.named().map(|(n, b)| b.output_shape(x).map_err(|e| e.within(n)));
        self.joined(x, &shapes.collect::<Result<Vec<_>, _>>()?)
    }

    fn build(&mut self, x: Shape, init: &mut Init<'_>) -> Result<(), ShapeError> {
        for (branch, name) in self.branches.iter_mut().zip(&self.names) {
            init.within(name, |init| branch.build(x, init)).map_err(|e| e.within(name))?;
        }
        self.output_shape(x).map(|_| ())
    }

    fn plan(&self, x: Spec, mode: Mode) -> Result<Plan, ShapeError> {
        let plans = self.named().map(|(n, b)| b.plan(x, mode).map_err(|e| e.within(n)));
        let inner = plans.collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<Shape> = inner.iter().map(|plan| plan.output.shape).collect();
        let output = Spec::f32(self.joined(x.shape, &parts)?);
        let largest = parts.iter().copied().max_by_key(Shape::len).map(Spec::f32);
        let specs: Vec<Spec> = match mode {
            Mode::Train => parts.into_iter().map(Spec::f32).chain(largest).chain([x]).collect(),
            Mode::Infer => largest.into_iter().collect(),
        };
        let saved: Vec<Slot> = specs.into_iter().map(Slot::per_batch).collect();
        Ok(Plan::containing(output, inner).saving(saved))
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        let ([part], mut offset) = (saved.tensors.as_mut_slice(), 0) else {
            panic!("one is planned")
        };
        for ((name, branch), inner) in self.named().zip(&mut saved.inner) {
            part.set_shape(inner.output());
            cx.timed(name, Phase::Infer, Work::default(), |cx| branch.infer(cx, x, part, inner));
            join(cx, part, offset, y);
            offset += part.shape().last();
        }
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        let (parts, mut offset) = (saved.tensors.iter_mut(), 0);
        let branches = self.names.iter().zip(&mut self.branches);
        for (((name, branch), part), inner) in branches.zip(parts).zip(&mut saved.inner) {
            cx.timed(name, Phase::Forward, Work::default(), |cx| {
                branch.forward(cx, x, part, inner);
            });
            join(cx, part, offset, y);
            offset += part.shape().last();
        }
    }

    fn backward(
        &mut self,
        cx: &mut Context,
        x: &Tensor,
        _: &Tensor,
        dy: &mut Tensor,
        mut dx: Option<&mut Tensor>,
        saved: &mut Saved,
    ) {
        let [parts @ .., dpart, other] = &mut *saved.tensors else { panic!("two are planned") };
        let mut offset = 0;
        for (i, (branch, inner)) in self.branches.iter_mut().zip(&mut saved.inner).enumerate() {
            dpart.set_shape(parts[i].shape());
            split(cx, dy, offset, dpart);
            offset += dpart.shape().last();
            let into = match (&mut dx, i) {
                (None, _) => None,
                (Some(dx), 0) => Some(&mut **dx),
                (Some(_), _) => Some(&mut *other),
            };
            cx.timed(&self.names[i], Phase::Backward, Work::default(), |cx| {
                branch.backward(cx, x, &parts[i], dpart, into, inner);
            });
            let Some(dx) = dx.as_deref_mut().filter(|_| i > 0) else { continue };
            match &cx.device {
                Device::Cpu => {
                    residual::cpu::add(&cx.workspace.pool, other.slice(), dx.slice_mut())
                }
                Device::Cuda(gpu) => residual::cuda::add(gpu, false, other.gpu(), dx.gpu_mut()),
            }
        }
    }
}

/// What a branch gave becomes channels of y.
fn join(cx: &Context, part: &Tensor, offset: usize, y: &mut Tensor) {
    match &cx.device {
        Device::Cpu => cpu::forward(&cx.workspace.pool, part.rows(), offset, y.rows_mut()),
        Device::Cuda(gpu) => {
            let columns = [offset, part.shape().last(), y.shape().last()];
            cuda::forward(gpu, columns, part.gpu(), y.gpu_mut());
        }
    }
}

/// Channels of dy become what a branch receives.
fn split(cx: &Context, dy: &Tensor, offset: usize, part: &mut Tensor) {
    match &cx.device {
        Device::Cpu => cpu::backward(&cx.workspace.pool, dy.rows(), offset, part.rows_mut()),
        Device::Cuda(gpu) => {
            let columns = [offset, part.shape().last(), dy.shape().last()];
            cuda::backward(gpu, columns, dy.gpu(), part.gpu_mut());
        }
    }
}
