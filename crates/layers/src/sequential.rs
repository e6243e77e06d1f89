//! A chain of layers.
//!
//! ```text
//! Formula      y = fₙ(… f₂(f₁(x)))
//! Backward     the chain rule from the last layer to the first
//! Saved        in training every activation but the last, and two gradients as large as the
//!              largest activation, used in turn; in inference two activations, used in turn
//! Fusion       layers that [`fused`](crate::fused) can do together are one link of the chain: there
//!              is no activation between them
//! Names        as Keras numbers them: conv2d, batch_normalization, …, conv2d_1, …
//! ```

#[cfg(test)]
mod on_a_gpu;
#[cfg(test)]
mod tests;

use crate::{
    Activation, Config, ConfigError, Described, Init, Layer, Mode, Plan, Registry, Saved,
    ShapeError, Slot, Wanted, folded, fused, layer::bounded,
};
use gradus_tensor::{
    Context, Device, Field, FieldMut, Fields, Path, Phase, Shape, Spec, Tensor, Work,
};
use std::borrow::Cow;

/// Keras's `Sequential`. In PyTorch: `nn.Sequential`.
#[derive(Debug, Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer>>,
    names: Vec<String>,
    /// The closing activation, where it was taken off: see [`Sequential::split_head`].
    head: Activation,
    /// Whether every layer does its own work: see [`Layer::set_fused`].
    one_by_one: bool,
}

impl Sequential {
    /// A chain of no layers: y = x.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The chain with one more layer at its end, named as Keras would name it.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "Keras's word, and no sum")]
    pub fn add(self, layer: impl Layer + 'static) -> Self {
        let class = snake_case(&layer.config().class_name);
        let same = self.layers.iter().filter(|l| snake_case(&l.config().class_name) == class);
        let name = match same.count() {
            0 => class,
            n => format!("{class}_{n}"),
        };
        self.add_named(&name, Box::new(layer))
    }

    /// The chain with one more layer of that name at its end.
    ///
    /// # Panics
    /// If the name is taken.
    #[must_use]
    pub fn add_named(mut self, name: &str, layer: Box<dyn Layer>) -> Self {
        assert!(!self.names.iter().any(|n| n == name), "two layers are called {name}");
        self.layers.push(layer);
        self.names.push(name.to_owned());
        self
    }

    /// Takes the closing activation off the chain where `absorbs` says that the loss works on what
    /// comes before it: `network.split_head(|head| loss.take_logits(head))`. One that was taken off
    /// for another loss is put back first.
    ///
    /// A loss wants logits, because the logarithm of a saturated probability is lost, so a model
    /// that is trained splits its softmax or sigmoid off, as Keras does behind the scenes. Whoever
    /// wants probabilities applies [`Sequential::head`]. The description still names it.
    pub fn split_head(&mut self, absorbs: impl FnOnce(Activation) -> bool) {
        let last = self.layers.last_mut().and_then(|layer| layer.closing_activation());
        let Some(activation) = last else { return };
        if self.head != Activation::Linear {
            *activation = std::mem::take(&mut self.head);
        }
        if absorbs(*activation) {
            self.head = std::mem::take(activation);
        }
    }

    /// The activation that [`Sequential::split_head`] took off: what makes probabilities of y.
    #[must_use]
    pub fn head(&self) -> Activation {
        self.head
    }

    /// The layer of that name, or of that path, such as `block.conv2d`, within a container.
    #[must_use]
    pub fn layer_mut(&mut self, path: &str) -> Option<&mut dyn Layer> {
        let mut names = path.split('.');
        let first = self.child_mut(names.next()?)?;
        names.try_fold(first, |layer, name| layer.child_mut(name))
    }

    /// Every layer with the shape of its output for a batch of one.
    ///
    /// # Errors
    /// If the chain cannot take such an input.
    pub fn shapes(&self, x: Shape) -> Result<Vec<Shape>, ShapeError> {
        let mut shape = x;
        let mut shapes = Vec::with_capacity(self.layers.len());
        for (layer, name) in self.layers.iter().zip(&self.names) {
            let y = layer.output_shape(shape).and_then(|y| bounded(shape, y));
            shape = y.map_err(|e| e.within(name))?;
            shapes.push(shape);
        }
        Ok(shapes)
    }

    /// The output of every layer in the last `forward`, by name, where `saved` and `y` are what it
    /// was given. Of layers that are done together it is the last.
    ///
    /// # Panics
    /// If `saved` was not planned for training.
    pub fn activations<'a>(
        &'a self,
        saved: &'a Saved,
        y: &'a Tensor,
    ) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        let between = &saved.tensors[..saved.inner.len() - 1];
        let ends = saved.inner.iter().scan(0, |end, link| {
            *end += link.layers();
            Some(self.names[*end - 1].as_str())
        });
        ends.zip(between.iter().chain([y]))
    }

    /// The plan of the link that begins with layer `first`: of that layer, or of several that are
    /// done together.
    pub(crate) fn plan_link(&self, first: usize, x: Spec, mode: Mode) -> Result<Plan, ShapeError> {
        let together = match self.one_by_one {
            true => None,
            false => fused::plan(&self.layers[first..], x, mode),
        };
        let alone = || self.layers[first].plan(x, mode).map_err(|e| e.within(&self.names[first]));
        together.map_or_else(alone, Ok)
    }

    /// Every layer described, with its name, and with the closing activation where it belongs.
    #[must_use]
    pub(crate) fn configs(&self) -> Vec<Config> {
        let mut layers: Vec<Config> = self.layers.iter().map(|layer| layer.config()).collect();
        for (config, name) in layers.iter_mut().zip(&self.names) {
            config.config.insert("name".into(), name.as_str().into());
        }
        if let Some(last) = layers.last_mut()
            && self.head != Activation::Linear
        {
            let head = serde_json::to_value(self.head).expect("a plain enum");
            last.config.insert("activation".into(), head);
        }
        layers
    }

    /// The activations between the layers and two gradients, for training.
    fn slots_of_training(x: Spec, plans: &[Plan]) -> Vec<Slot> {
        let between = &plans[..plans.len() - 1];
        let mut slots: Vec<Slot> = between.iter().map(|p| Slot::per_batch(p.output)).collect();
        slots.extend(Self::two_of_the_largest(x, plans));
        slots
    }

    fn two_of_the_largest(x: Spec, plans: &[Plan]) -> [Slot; 2] {
        let batch = x.shape.batch();
        let largest = plans.iter().map(|p| p.output.shape.len()).max().unwrap_or(0);
        [Slot::per_batch(Spec::f32(Shape::new(&[batch, largest / batch.max(1)]))); 2]
    }
}

/// What a profile calls the layers of a link. Nothing is allocated without one.
fn link_name<'a>(names: &'a [String], cx: &Context) -> Cow<'a, str> {
    match names {
        [first, _, ..] if cx.profile.is_none() => first.into(),
        [name] => name.into(),
        together => together.join("+").into(),
    }
}

/// What one pass of a link comes to.
fn amount(link: &[Box<dyn Layer>], x: Shape, y: Shape) -> Work {
    let mut shape = x;
    let flops = link.iter().enumerate().map(|(i, layer)| {
        let last = i + 1 == link.len();
        let (x, y) = (shape, if last { y } else { layer.output_shape(shape).unwrap_or(y) });
        shape = y;
        layer.flops(x, y)
    });
    Work { flops: flops.sum(), bytes: 4 * (x.len() + y.len()) as u64 }
}

/// `BatchNormalization` → `batch_normalization`, `MaxPooling2D` → `max_pooling2d`: Keras's rule.
pub(crate) fn snake_case(class: &str) -> String {
    let mut name = String::new();
    let mut before = None;
    for (i, c) in class.char_indices() {
        let next_is_lower = class[i + c.len_utf8()..].starts_with(|n: char| n.is_lowercase());
        let starts_word = c.is_uppercase()
            && (before.is_some_and(|b: char| b.is_lowercase())
                || before.is_some_and(|b: char| b.is_uppercase()) && next_is_lower);
        if starts_word {
            name.push('_');
        }
        name.extend(c.to_lowercase());
        before = Some(c);
    }
    name
}

impl Fields for Sequential {
    fn visit(&self, path: &mut Path, f: &mut dyn FnMut(&Path, Field<'_>)) {
        for (layer, name) in self.layers.iter().zip(&self.names) {
            path.within(name, |path| layer.visit(path, f));
        }
    }

    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, FieldMut<'_>)) {
        for (layer, name) in self.layers.iter_mut().zip(&self.names) {
            path.within(name, |path| layer.visit_mut(path, f));
        }
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Options {
    layers: Vec<Config>,
}

impl Described for Sequential {
    const CLASS_NAME: &'static str = "Sequential";

    fn from_config(config: &Config, registry: &Registry) -> Result<Self, ConfigError> {
        let mut chain = Self::new();
        for config in config.options::<Options>()?.layers {
            let layer = registry.layer(&config)?;
            let name = config.name().unwrap_or_default().to_owned();
            if name.is_empty() || chain.names.contains(&name) {
                let reason = format!("{name:?} is no name for layer {}", chain.names.len());
                return Err(ConfigError::Options { class_name: config.class_name, reason });
            }
            chain = chain.add_named(&name, layer);
        }
        Ok(chain)
    }
}

impl Layer for Sequential {
    fn config(&self) -> Config {
        Config::new(Self::CLASS_NAME, &Options { layers: self.configs() })
    }

    fn children(&self) -> Vec<(&str, &dyn Layer)> {
        let names = self.names.iter().map(String::as_str);
        names.zip(self.layers.iter().map(AsRef::as_ref)).collect()
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut dyn Layer> {
        let i = self.names.iter().position(|n| n == name)?;
        Some(self.layers[i].as_mut())
    }

    fn set_trainable(&mut self, trainable: bool) {
        self.layers.iter_mut().for_each(|layer| layer.set_trainable(trainable));
    }

    fn set_fused(&mut self, fused: bool) {
        self.one_by_one = !fused;
        self.layers.iter_mut().for_each(|layer| layer.set_fused(fused));
    }

    fn fold_batch_normalization(&mut self) -> usize {
        let inside =
            self.layers.iter_mut().map(|layer| layer.fold_batch_normalization()).sum::<usize>();
        inside + folded::fold(&mut self.layers, &mut self.names)
    }

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        Ok(self.shapes(x)?.last().copied().unwrap_or(x))
    }

    fn build(&mut self, x: Shape, init: &mut Init<'_>) -> Result<(), ShapeError> {
        let mut shape = x;
        for (layer, name) in self.layers.iter_mut().zip(&self.names) {
            init.within(name, |init| layer.build(shape, init)).map_err(|e| e.within(name))?;
            let y = layer.output_shape(shape).and_then(|y| bounded(shape, y));
            shape = y.map_err(|e| e.within(name))?;
        }
        Ok(())
    }

    fn plan(&self, x: Spec, mode: Mode) -> Result<Plan, ShapeError> {
        if self.layers.is_empty() || x.shape.is_empty() {
            return Err(ShapeError::new(x.shape, "expected a batch, and a chain of layers"));
        }
        let (mut plans, mut first): (Vec<Plan>, _) = (Vec::with_capacity(self.layers.len()), 0);
        while first < self.layers.len() {
            let input = plans.last().map_or(x, |plan| plan.output);
            let plan = self.plan_link(first, input, mode)?;
            first += plan.layers;
            plans.push(plan);
        }
        let saved = match mode {
            Mode::Train => Self::slots_of_training(x, &plans),
            Mode::Infer => Self::two_of_the_largest(x, &plans).to_vec(),
        };
        let output = plans.last().map_or(x, |plan| plan.output);
        Ok(Plan::containing(output, plans).saving(saved))
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        let [mut from, mut into] = saved.tensors.get_disjoint_mut([0, 1]).expect("two are planned");
        let (mut first, last) = (0, saved.inner.len() - 1);
        for (i, saved) in saved.inner.iter_mut().enumerate() {
            let link = first..first + saved.layers();
            first = link.end;
            let (name, layers) = (link_name(&self.names[link.clone()], cx), &self.layers[link]);
            let input = if i == 0 { x } else { &*from };
            let output = if i == last { &mut *y } else { &mut *into };
            output.set_shape(saved.output());
            let work = amount(layers, input.shape(), output.shape());
            cx.timed(&name, Phase::Infer, work, |cx| match layers {
                [layer] => layer.infer(cx, input, output, saved),
                together => fused::infer(together, cx, input, output, saved),
            });
            std::mem::swap(&mut from, &mut into);
        }
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        let (mut first, last) = (0, saved.inner.len() - 1);
        for (i, inner) in saved.inner.iter_mut().enumerate() {
            let link = first..first + inner.layers();
            first = link.end;
            let name = link_name(&self.names[link.clone()], cx);
            let (before, after) = saved.tensors.split_at_mut(i);
            let input = before.last().unwrap_or(x);
            let output = if i == last { &mut *y } else { &mut after[0] };
            let layers = &mut self.layers[link];
            let work = amount(layers, input.shape(), inner.output());
            cx.timed(&name, Phase::Forward, work, |cx| match layers {
                [layer] => layer.forward(cx, input, output, inner),
                together => fused::forward(together, cx, input, output, inner),
            });
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
        let (mut end, last) = (self.layers.len(), saved.inner.len() - 1);
        let (activations, gradients) = saved.tensors.split_at_mut(last);
        let [g0, g1] = gradients else { panic!("two gradients are planned") };
        let (mut above, mut below) = (g0, g1);
        for (i, inner) in saved.inner.iter_mut().enumerate().rev() {
            let link = end - inner.layers()..end;
            end = link.start;
            let name = link_name(&self.names[link.clone()], cx);
            let input = if i == 0 { x } else { &activations[i - 1] };
            let output = if i == last { y } else { &activations[i] };
            let dy = if i == last { &mut *dy } else { &mut *above };
            let dx = if i == 0 {
                dx.take()
            } else {
                below.set_shape(input.shape());
                Some(&mut *below)
            };
            let layers = &mut self.layers[link];
            // One pass for the parameters and one for dx; x, y and dy are read, dx is written.
            let Work { flops, bytes } = amount(layers, input.shape(), output.shape());
            let work = Work { flops: flops * (1 + u64::from(dx.is_some())), bytes: 2 * bytes };
            cx.timed(&name, Phase::Backward, work, |cx| match layers {
                [layer] => layer.backward(cx, input, output, dy, dx, inner),
                together => fused::backward(together, cx, input, dy, dx, inner),
            });
            std::mem::swap(&mut above, &mut below);
        }
    }
}

impl Sequential {
    /// Parameters on `device` from `seed`, for inputs of this shape (the batch extent means
    /// nothing).
    ///
    /// # Errors
    /// If a layer cannot take what the one before it gives.
    pub fn build_on(&mut self, x: Shape, device: &Device, seed: u64) -> Result<(), ShapeError> {
        self.build(x, &mut Init::new(device, seed))
    }

    /// Parameters on `device` that will be filled from a file, for inputs of this shape, without
    /// gradients. If `wanted` is not met then, the network is not to be used.
    ///
    /// # Errors
    /// If a layer cannot take what the one before it gives.
    pub fn build_to_be_filled(
        &mut self,
        x: Shape,
        device: &Device,
        wanted: &Wanted,
    ) -> Result<(), ShapeError> {
        bounded(x, x)?;
        self.build(x, &mut Init::to_be_filled(device, wanted))
    }
}
