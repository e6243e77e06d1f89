//! A network at work: built, compiled, fitted, evaluated, asked.
//!
//! The words are Keras's. What they do stands elsewhere: a step in `step.rs`, the loop in
//! `fit.rs`, evaluation in `evaluate.rs`, answers in `predict.rs`, files in `save.rs`.

use crate::metrics::{Metric, Metrics};
use crate::{Batches, Error, History, Memory, Step};
use gradus_data::Interpolation;
use gradus_layers::{Accuracy, Engines, Layer, Loss, Sequential, ShapeError, Summary, Wanted};
use gradus_optim::Optimizer;
use gradus_tensor::{Context, FieldMut, Fields, Path, Precision, Shape, Tensor};

/// A network with its parameters, and all it needs to learn and to answer.
#[derive(Debug)]
pub struct Model {
    pub(crate) network: Sequential,
    /// Height, width and channels.
    pub(crate) image: [usize; 3],
    pub(crate) classes: Vec<String>,
    pub(crate) rescale: f32,
    pub(crate) interpolation: Interpolation,
    pub(crate) context: Context,
    pub(crate) training: Option<Training>,
    pub(crate) history: History,
    /// The memory of [`Model::predict`], made when it is first asked.
    pub(crate) asked: Option<Memory>,
}

/// What `compile` adds.
#[derive(Debug)]
pub(crate) struct Training {
    pub(crate) step: Step,
    /// What a callback set; the optimizer's schedule counts no more then.
    pub(crate) rate: Option<f32>,
    /// Updates that were made before the model was compiled: its schedule begins there.
    pub(crate) before: u64,
    /// What is measured beside loss and accuracy.
    pub(crate) metrics: Metrics,
}

impl Training {
    /// The learning rate of the step after that many updates.
    pub(crate) fn learning_rate(&self, updates: u64) -> f32 {
        let schedule = self.step.optimizer().schedule();
        self.rate.unwrap_or_else(|| schedule.at(updates - self.before))
    }
}

impl Model {
    /// Builds the network for images of that height, width and number of channels: parameters on
    /// the context's device, drawn from `seed`, on which dropout depends too.
    ///
    /// # Errors
    /// If the layers do not fit together.
    pub fn build(
        mut network: Sequential,
        image: [usize; 3],
        mut context: Context,
        seed: u64,
    ) -> Result<Self, ShapeError> {
        network.build_on(input(image, 1), &context.device, seed)?;
        context.step.seed = seed;
        Ok(Self::of(network, image, context))
    }

    /// Builds the network with parameters that are to come from a file, through
    /// [`Model::fields_mut`]. If `wanted` is not met then, the model is not to be used.
    ///
    /// # Errors
    /// If the layers do not fit together.
    pub fn build_to_be_filled(
        mut network: Sequential,
        image: [usize; 3],
        context: Context,
        wanted: &Wanted,
    ) -> Result<Self, ShapeError> {
        network.build_to_be_filled(input(image, 1), &context.device, wanted)?;
        Ok(Self::of(network, image, context))
    }

    /// A network that is built.
    fn of(network: Sequential, image: [usize; 3], context: Context) -> Self {
        Self {
            network,
            image,
            classes: Vec::new(),
            rescale: 1.0,
            interpolation: Interpolation::Nearest,
            context,
            training: None,
            history: History::default(),
            asked: None,
        }
    }

    /// The names of the outputs; kept with the saved model, so that it can answer in words.
    #[must_use]
    pub fn with_classes(mut self, classes: &[String]) -> Self {
        self.classes = classes.to_vec();
        self
    }

    /// What the pixels (0 to 255) were multiplied with before training: `1/255` in the tutorial.
    /// Kept with the saved model.
    #[must_use]
    pub fn with_rescale(mut self, rescale: f32) -> Self {
        self.rescale = rescale;
        self
    }

    /// How images were resized before training; nearest, Keras's default, unless said. Kept with the
    /// saved model.
    #[must_use]
    pub fn with_interpolation(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = interpolation;
        self
    }

    /// Makes the model ready to learn.
    ///
    /// Where the network ends in a softmax or a sigmoid and the loss can work on its logits, the
    /// loss does, as in Keras: log(softmax(z)) is exact where the logarithm of a saturated
    /// probability is not.
    ///
    /// # Errors
    /// If the network's output is not one row of classes for each sample.
    pub fn compile(
        &mut self,
        optimizer: impl Optimizer + 'static,
        loss: impl Loss + 'static,
    ) -> Result<(), Error> {
        self.compile_with_metrics(optimizer, loss, Vec::new(), Vec::new())
    }

    /// Makes the model ready to learn, and to be measured by more than its loss and the accuracy
    /// that goes with it: Keras's `metrics=[…]`, for which all samples count the same, and its
    /// `weighted_metrics=[…]`, for which they count as in the loss: by the weights that the data
    /// gives, and in training by `class_weight` too.
    ///
    /// # Errors
    /// As [`Model::compile`]. A metric that does not fit the network's outputs and the data's targets
    /// is an [`Error::Metric`] of [`Model::fit`] and [`Model::evaluate`], before the first batch.
    pub fn compile_with_metrics(
        &mut self,
        optimizer: impl Optimizer + 'static,
        mut loss: impl Loss + 'static,
        metrics: Vec<Box<dyn Metric>>,
        weighted_metrics: Vec<Box<dyn Metric>>,
    ) -> Result<(), Error> {
        self.network.split_head(|head| loss.take_logits(head));
        self.make_gradients();
        let (loss, optimizer) = (Box::new(loss), Box::new(optimizer));
        let input = self.input(1);
        let step = Step::new(&self.network, input, &mut self.context, loss, optimizer)?;
        self.training = Some(Training {
            step,
            rate: None,
            before: self.updates(),
            metrics: Metrics::new(metrics, weighted_metrics),
        });
        Ok(())
    }

    /// Room for the gradients, where the parameters came from a file to be asked only.
    fn make_gradients(&mut self) {
        let device = &self.context.device;
        self.network.visit_mut(&mut Path::default(), &mut |_, field| {
            if let FieldMut::Param(param) = field
                && param.grad.len() != param.value.len()
            {
                param.grad = Tensor::zeros(param.value.spec(), device);
            }
        });
    }

    /// The table of layers, as Keras prints it.
    ///
    /// # Panics
    /// Never: the network was built for this input.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(&self.network, self.input(1)).expect("built for this input")
    }

    /// How the work is done: the algorithms that engines pick, the layers that are done together. With
    /// [`set_exact`](Self::set_exact) every `winograd` is `direct`.
    ///
    /// # Panics
    /// Never: the network was built for this input.
    #[must_use]
    pub fn engines(&self) -> Engines {
        Engines::of(&self.network, self.input(1)).expect("built for this input")
    }

    /// The network as a picture: an SVG document.
    ///
    /// # Panics
    /// Never: the network was built for this input.
    #[must_use]
    pub fn picture(&self) -> String {
        gradus_layers::picture(&self.network, self.input(1)).expect("built for this input")
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Sequential {
        &self.network
    }

    /// Whether layers, and the update of a large kernel, may be done together, in fewer passes over
    /// memory. Default: yes. Without it every activation and every gradient can be looked at.
    /// Takes effect with the next [`Model::compile`].
    pub fn set_fused(&mut self, fused: bool) {
        self.network.set_fused(fused);
        self.context.fused = fused;
    }

    /// Whether a GPU may record a training step and launch it as a whole, which takes the host less
    /// time and changes no bit. Default: yes. Takes effect with the next step.
    pub fn set_graphs(&mut self, graphs: bool) {
        self.context.graphs = graphs;
    }

    /// Whether a GPU takes images as bytes and does to each what was drawn for it, where the data's
    /// transform can say so in numbers: then the workers of a loader only read, and a quarter of the
    /// bytes is uploaded. It changes no bit. Default: yes. Takes effect with the next epoch.
    pub fn set_augment_on_gpu(&mut self, on: bool) {
        self.context.augment_on_gpu = on;
    }

    /// To what a GPU rounds the operands of convolutions and dense layers, so that its tensor cores
    /// can multiply them; sums, weights and everything else stay f32. Default: [`Precision::F32`],
    /// not at all. Some passes stay exact in any case: see [`Precision`]. Takes effect with the next
    /// step, and does nothing on the CPU.
    pub fn set_precision(&mut self, precision: Precision) {
        self.context.precision = precision;
    }

    /// Whether only plain sums will do: no algorithm such as Winograd's, which rounds differently, on
    /// the CPU or on a GPU. Default: no.
    pub fn set_exact(&mut self, exact: bool) {
        self.context.workspace.exact = exact;
    }

    /// The network's tensors, to read or to set. To freeze a layer use [`Model::set_trainable`]: a
    /// layer works its gradients out together, so that where only some of its parameters are marked
    /// as frozen here, the others' gradients may be those of an earlier step.
    pub fn fields_mut(&mut self) -> &mut dyn Fields {
        &mut self.network
    }

    /// Freezes the layer of that name, or of that path within a container, such as
    /// `residual.body.conv2d`; or thaws it. A frozen layer keeps its weights, and batch
    /// normalization its statistics too. As in Keras this is decided before [`Model::compile`],
    /// which is to be called again.
    ///
    /// # Errors
    /// [`Error::NoLayer`] if there is no such layer.
    pub fn set_trainable(&mut self, layer: &str, trainable: bool) -> Result<(), Error> {
        let Some(found) = self.network.layer_mut(layer) else {
            let found = nearest_layers(&self.network, layer);
            return Err(Error::NoLayer { layer: layer.to_owned(), found });
        };
        found.set_trainable(trainable);
        self.training = None;
        Ok(())
    }

    /// Folds batch normalization into the layers beside it, where that gives the same answers up to
    /// rounding: see [`gradus_layers::folded`]. How many normalizations are gone. For a model that
    /// only answers from now on: its optimizer is dropped, and layers that are gone cannot be
    /// trained any more.
    pub fn fold_batch_normalization(&mut self) -> usize {
        (self.training, self.asked) = (None, None);
        self.network.fold_batch_normalization()
    }

    /// Height, width and channels of the images that it takes.
    #[must_use]
    pub fn image_shape(&self) -> [usize; 3] {
        self.image
    }

    /// What pixels are multiplied with.
    #[must_use]
    pub fn rescale(&self) -> f32 {
        self.rescale
    }

    /// How images are resized for it.
    #[must_use]
    pub fn interpolation(&self) -> Interpolation {
        self.interpolation
    }

    /// The names of its outputs, if it was given any.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Every epoch so far: what survives even a fit that ended in an error.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Steps of training so far, those of an earlier `fit` included.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.context.step.step
    }

    /// The learning rate from the next step on, until it is set again.
    pub(crate) fn set_learning_rate(&mut self, rate: f32) -> Result<(), Error> {
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        if !training.step.optimizer().schedule().is_constant() {
            return Err(Error::Scheduled { found: rate });
        }
        training.rate = Some(rate);
        Ok(())
    }

    /// Checks that the data fits, and makes room for its batches.
    pub(crate) fn plan_for(&mut self, data: &dyn Batches) -> Result<(), Error> {
        if data.image_shape() != self.image {
            return Err(Error::Images { expected: self.image, found: data.image_shape() });
        }
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        let [h, w, c] = self.image;
        let outputs = self.network.output_shape(Shape::new(&[1, h, w, c]))?;
        let wanted = training.step.loss().target_shape(outputs).last();
        let (found, names) = (data.classes().len(), data.classes().join(", "));
        if data.outputs() == found && found != wanted {
            return Err(Error::Classes { expected: outputs.last(), found, names });
        }
        if data.outputs() != wanted {
            let (loss, found) = (training.step.loss().name(), data.outputs());
            return Err(Error::Targets { loss, expected: wanted, found });
        }
        let sparse = training.step.loss().accuracy() == Some(Accuracy::SparseCategorical);
        if sparse && found > outputs.last() {
            return Err(Error::Classes { expected: outputs.last(), found, names });
        }
        training.metrics.accept(outputs.last(), wanted)?;
        let input = self.input(data.batch_size());
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        training.metrics.plan(&self.context.device, data.batch_size());
        training.step.plan(&self.network, input, &mut self.context)
    }

    fn input(&self, n: usize) -> Shape {
        input(self.image, n)
    }
}

/// The shape of a batch of `n`.
fn input([h, w, c]: [usize; 3], n: usize) -> Shape {
    Shape::new(&[n, h, w, c])
}

/// The paths of all layers in the innermost container that the path leads to.
fn nearest_layers(network: &Sequential, path: &str) -> Vec<String> {
    let (mut container, mut before): (&dyn Layer, _) = (network, String::new());
    for name in path.split('.') {
        let inner = container.children().into_iter().find(|(child, _)| *child == name);
        let Some((_, inner)) = inner.filter(|(_, inner)| !inner.children().is_empty()) else {
            break;
        };
        container = inner;
        before = format!("{before}{name}.");
    }
    container.children().iter().map(|(name, _)| format!("{before}{name}")).collect()
}
