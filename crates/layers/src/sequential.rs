//! A chain of layers.
//!
//! ```text
//! Formula      y = fₙ(… f₂(f₁(x)))
//! Backward     the chain rule from the last layer to the first
//! Saved        in training every activation but the last, and two gradients as large as the
//!              largest activation, used in turn; in inference two activations, used in turn
//! Names        as Keras numbers them: conv2d, batch_normalization, …, conv2d_1, …
//! ```

use crate::{
    Activation, Config, ConfigError, Described, Init, Layer, Mode, Plan, Registry, Saved,
    ShapeError, Slot,
};
use gradus_tensor::{
    Context, Device, Field, FieldMut, Fields, Path, Phase, Shape, Spec, Tensor, Work,
};

/// Keras's `Sequential`. In PyTorch: `nn.Sequential`.
#[derive(Debug, Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer>>,
    names: Vec<String>,
    /// The closing activation, where it was taken off: see [`Sequential::split_head`].
    head: Activation,
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
            shape = layer.output_shape(shape).map_err(|e| e.within(name))?;
            shapes.push(shape);
        }
        Ok(shapes)
    }

    /// The output of every layer in the last `forward`, by name, where `saved` and `y` are what it
    /// was given.
    ///
    /// # Panics
    /// If `saved` was not planned for training.
    pub fn activations<'a>(
        &'a self,
        saved: &'a Saved,
        y: &'a Tensor,
    ) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        let between = &saved.tensors[..self.layers.len() - 1];
        self.names.iter().map(String::as_str).zip(between.iter().chain([y]))
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

/// What one pass of a layer comes to.
fn amount(layer: &dyn Layer, x: Shape, y: Shape) -> Work {
    Work { flops: layer.flops(x, y), bytes: 4 * (x.len() + y.len()) as u64 }
}

/// `BatchNormalization` → `batch_normalization`, `MaxPooling2D` → `max_pooling2d`: Keras's rule.
fn snake_case(class: &str) -> String {
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

    fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        Ok(self.shapes(x)?.last().copied().unwrap_or(x))
    }

    fn build(&mut self, x: Shape, init: &mut Init<'_>) -> Result<(), ShapeError> {
        let mut shape = x;
        for (layer, name) in self.layers.iter_mut().zip(&self.names) {
            init.within(name, |init| layer.build(shape, init)).map_err(|e| e.within(name))?;
            shape = layer.output_shape(shape).map_err(|e| e.within(name))?;
        }
        Ok(())
    }

    fn plan(&self, x: Spec, mode: Mode) -> Result<Plan, ShapeError> {
        if self.layers.is_empty() || x.shape.is_empty() {
            return Err(ShapeError::new(x.shape, "expected a batch, and a chain of layers"));
        }
        let mut plans: Vec<Plan> = Vec::with_capacity(self.layers.len());
        for (layer, name) in self.layers.iter().zip(&self.names) {
            let input = plans.last().map_or(x, |plan| plan.output);
            plans.push(layer.plan(input, mode).map_err(|e| e.within(name))?);
        }
        let saved = match mode {
            Mode::Train => Self::slots_of_training(x, &plans),
            Mode::Infer => Self::two_of_the_largest(x, &plans).to_vec(),
        };
        let output = plans.last().map_or(x, |plan| plan.output);
        Ok(Plan::containing(output, plans).saving(saved))
    }

    fn infer(&self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        let last = self.layers.len() - 1;
        let [mut from, mut into] = saved.tensors.get_disjoint_mut([0, 1]).expect("two are planned");
        for (i, (layer, saved)) in self.layers.iter().zip(&mut saved.inner).enumerate() {
            let input = if i == 0 { x } else { &*from };
            let (name, work) = (&self.names[i], amount(&**layer, input.shape(), saved.output()));
            if i == last {
                cx.timed(name, Phase::Infer, work, |cx| layer.infer(cx, input, y, saved));
            } else {
                into.set_shape(saved.output());
                cx.timed(name, Phase::Infer, work, |cx| layer.infer(cx, input, into, saved));
                std::mem::swap(&mut from, &mut into);
            }
        }
    }

    fn forward(&mut self, cx: &mut Context, x: &Tensor, y: &mut Tensor, saved: &mut Saved) {
        let last = self.layers.len() - 1;
        for (i, (layer, inner)) in self.layers.iter_mut().zip(&mut saved.inner).enumerate() {
            let (before, after) = saved.tensors.split_at_mut(i);
            let input = before.last().unwrap_or(x);
            let output = if i == last { &mut *y } else { &mut after[0] };
            let (name, work) = (&self.names[i], amount(&**layer, input.shape(), inner.output()));
            cx.timed(name, Phase::Forward, work, |cx| layer.forward(cx, input, output, inner));
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
        let last = self.layers.len() - 1;
        let (activations, gradients) = saved.tensors.split_at_mut(last);
        let [g0, g1] = gradients else { panic!("two gradients are planned") };
        let (mut above, mut below) = (g0, g1);
        for i in (0..=last).rev() {
            let (layer, inner) = (&mut self.layers[i], &mut saved.inner[i]);
            let input = if i == 0 { x } else { &activations[i - 1] };
            let output = if i == last { y } else { &activations[i] };
            let dy = if i == last { &mut *dy } else { &mut *above };
            let dx = if i == 0 {
                dx.take()
            } else {
                below.set_shape(input.shape());
                Some(&mut *below)
            };
            // One pass for the parameters and one for dx; x, y and dy are read, dx is written.
            let Work { flops, bytes } = amount(&**layer, input.shape(), output.shape());
            let work = Work { flops: flops * (1 + u64::from(dx.is_some())), bytes: 2 * bytes };
            cx.timed(&self.names[i], Phase::Backward, work, |cx| {
                layer.backward(cx, input, output, dy, dx, inner);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D};
    use gradus_testing::Cases;

    fn small() -> Sequential {
        Sequential::new()
            .add(Conv2D::new(4, 3).activation(Activation::Relu))
            .add(BatchNormalization::new())
            .add(MaxPooling2D::new(2))
            .add(Dropout::new(0.0))
            .add(Conv2D::new(3, 3))
            .add(Flatten)
            .add(Dense::new(2).activation(Activation::Softmax))
    }

    #[test]
    fn names_are_numbered_as_in_keras() {
        let chain = small().add(BatchNormalization::new()).add(Dense::new(1));
        let names = [
            "conv2d",
            "batch_normalization",
            "max_pooling2d",
            "dropout",
            "conv2d_1",
            "flatten",
            "dense",
            "batch_normalization_1",
            "dense_1",
        ];
        assert_eq!(chain.names, names);
        assert_eq!(snake_case("GlobalAveragePooling2D"), "global_average_pooling2d");
        assert_eq!(snake_case("ReLU"), "re_lu");
    }

    #[test]
    fn a_shape_that_does_not_fit_names_the_layer() {
        let error = small().build_on(Shape::new(&[1, 6, 6, 3]), &Device::Cpu, 0).unwrap_err();
        assert_eq!(error.layer, "conv2d_1");
    }

    #[test]
    fn the_description_rebuilds_the_chain_with_its_softmax() {
        let mut chain = small();
        chain.split_head(|head| head == Activation::Softmax);
        assert_eq!(chain.head(), Activation::Softmax);
        let config = chain.config();
        let again = Sequential::from_config(&config, &Registry::default()).unwrap();
        assert_eq!(again.config(), config);
        assert_eq!(again.names, chain.names);
        let last = &config.config["layers"][6];
        assert_eq!(last["config"]["activation"], "softmax");
    }

    #[test]
    fn a_head_goes_back_where_the_next_loss_does_not_absorb_it() {
        let (mut chain, whole) = (small(), small().config());
        chain.split_head(|_| true);
        chain.split_head(|head| {
            assert_eq!(head, Activation::Softmax, "the loss is asked for the activation itself");
            false
        });
        assert_eq!((chain.head(), chain.config()), (Activation::Linear, whole));
        let last = chain.layers.last_mut().unwrap();
        assert_eq!(last.closing_activation(), Some(&mut Activation::Softmax));
    }

    /// The chain as a function of one image batch: loss = Σ r·y, by training's forward.
    fn run(chain: &mut Sequential, x: &Tensor, r: &[f32]) -> (f64, Tensor) {
        let mut cx = Context::new(Device::Cpu, 1);
        let plan = chain.plan(x.spec(), Mode::Train).unwrap();
        plan.reserve(&mut cx.workspace);
        let mut saved = Saved::allocate(&plan, &Device::Cpu);
        let mut y = Tensor::zeros(plan.output, &Device::Cpu);
        chain.forward(&mut cx, x, &mut y, &mut saved);
        let loss = y.slice::<f32>().iter().zip(r).map(|(y, r)| f64::from(y * r)).sum();
        let mut dx = Tensor::zeros(x.spec(), &Device::Cpu);
        let mut dy = Tensor::from_slice(y.shape(), r);
        chain.backward(&mut cx, x, &y, &mut dy, Some(&mut dx), &mut saved);
        (loss, dx)
    }

    /// Every room's gradient is proved in f64; here the chain rule is: in f32, along the gradient
    /// itself, where the change of the loss is largest.
    #[test]
    fn the_chain_rule_reaches_the_first_input() {
        let mut cases = Cases::new("chain rule", 0);
        let shape = Shape::new(&[2, 10, 9, 3]);
        let (x, r) = (cases.normal(shape.len()), cases.normal(4));
        let mut chain = small();
        chain.build_on(shape, &Device::Cpu, 5).unwrap();
        let (_, dx) = run(&mut chain, &Tensor::from_slice(shape, &x), &r);
        let dx = dx.slice::<f32>();
        let norm2: f64 = dx.iter().map(|d| f64::from(d * d)).sum();
        assert!(norm2 > 1e-6, "a gradient that vanishes proves nothing");
        let mut at = |h: f32| {
            let moved: Vec<f32> = x.iter().zip(dx).map(|(x, d)| x + h * d).collect();
            run(&mut chain, &Tensor::from_slice(shape, &moved), &r).0
        };
        let h = 1e-3 / norm2.sqrt();
        let slope = (at(h as f32) - at(-h as f32)) / (2.0 * h);
        assert!((slope / norm2 - 1.0).abs() < 1e-2, "slope {slope}, ‖dx‖² {norm2}");
    }

    #[test]
    fn inference_of_a_smaller_batch_gives_the_same_rows() {
        let mut cases = Cases::new("smaller batch", 0);
        let shape = Shape::new(&[3, 10, 9, 3]);
        let x = Tensor::from_slice(shape, &cases.normal(shape.len()));
        let mut chain = small();
        chain.build_on(shape, &Device::Cpu, 5).unwrap();
        let mut cx = Context::new(Device::Cpu, 2);
        let plan = chain.plan(x.spec(), Mode::Infer).unwrap();
        plan.reserve(&mut cx.workspace);
        let mut saved = Saved::allocate(&plan, &Device::Cpu);
        let mut y = Tensor::zeros(plan.output, &Device::Cpu);
        chain.infer(&mut cx, &x, &mut y, &mut saved);
        let whole = y.slice::<f32>().to_vec();
        let mut part = x.clone();
        part.set_shape(shape.with_batch(2));
        saved.set_batch(2);
        y.set_shape(saved.output());
        chain.infer(&mut cx, &part, &mut y, &mut saved);
        assert_eq!(y.slice::<f32>(), &whole[..4]);
    }

    #[test]
    fn a_layer_is_frozen_by_name_and_stays_so() {
        let shape = Shape::new(&[1, 10, 9, 3]);
        let frozen = |chain: &Sequential| {
            let mut frozen = Vec::new();
            chain.visit(&mut Path::default(), &mut |path, field| match field {
                Field::Param(param) if param.frozen => frozen.push(path.to_string()),
                _ => {}
            });
            frozen
        };
        let mut chain = Sequential::new().add_named("block", Box::new(small()));
        assert!(chain.layer_mut("block.dense_7").is_none() && chain.layer_mut("conv2d").is_none());
        let layer = chain.layer_mut("block.conv2d_1").expect("a convolution");
        layer.set_trainable(false);
        let names = ["block.conv2d_1.kernel", "block.conv2d_1.bias"];
        let unbuilt = chain.config();
        chain.build_on(shape, &Device::Cpu, 5).unwrap();
        assert_eq!(frozen(&chain), names, "building keeps it");
        let mut again = Sequential::from_config(&unbuilt, &Registry::default()).unwrap();
        again.build_on(shape, &Device::Cpu, 5).unwrap();
        assert_eq!((frozen(&again), again.config()), (frozen(&chain), unbuilt));
        chain.set_trainable(false);
        assert_eq!(frozen(&chain).len(), 8);
        chain.set_trainable(true);
        assert_eq!(frozen(&chain), [""; 0]);
    }
}
