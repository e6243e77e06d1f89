//! A network at work: built, compiled, fitted, evaluated, asked.
//!
//! The words are Keras's. What they do stands elsewhere: a step in `step.rs`, the loop in
//! `fit.rs`, files in `save.rs`.

use crate::{Batches, ConfusionMatrix, Error, History, Memory, Step};
use gradus_layers::{Layer, Loss, Mode, Sequential, ShapeError, Summary, Tally, argmax};
use gradus_optim::Optimizer;
use gradus_tensor::{Context, Fields, Shape};
use ndarray::{Array2, ArrayView4};

/// A network with its parameters, and all it needs to learn and to answer.
#[derive(Debug)]
pub struct Model {
    pub(crate) network: Sequential,
    /// Height, width and channels.
    pub(crate) image: [usize; 3],
    pub(crate) classes: Vec<String>,
    pub(crate) rescale: f32,
    pub(crate) context: Context,
    pub(crate) training: Option<Training>,
    pub(crate) history: History,
    asked: Option<Memory>,
}

/// What `compile` adds.
#[derive(Debug)]
pub(crate) struct Training {
    pub(crate) step: Step,
    pub(crate) learning_rate: f32,
}

/// How good a model is on some data.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The mean loss of a sample.
    pub loss: f64,
    /// The fraction of samples whose most probable class is the right one.
    pub accuracy: f64,
    /// Which classes were taken for which.
    pub confusion: ConfusionMatrix,
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
        let [h, w, c] = image;
        network.build_on(Shape::new(&[1, h, w, c]), &context.device, seed)?;
        context.step.seed = seed;
        Ok(Self {
            network,
            image,
            classes: Vec::new(),
            rescale: 1.0,
            context,
            training: None,
            history: History::default(),
            asked: None,
        })
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
        mut loss: impl Loss + 'static,
    ) -> Result<(), Error> {
        self.network.split_head(|head| loss.take_logits(head));
        let learning_rate = optimizer.default_learning_rate();
        let (loss, optimizer) = (Box::new(loss), Box::new(optimizer));
        let input = self.input(1);
        let step = Step::new(&self.network, input, &mut self.context, loss, optimizer)?;
        self.training = Some(Training { step, learning_rate });
        Ok(())
    }

    /// The table of layers, as Keras prints it.
    ///
    /// # Panics
    /// Never: the network was built for this input.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(&self.network, self.input(1)).expect("built for this input")
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

    /// The network's tensors, to read or to set.
    pub fn fields_mut(&mut self) -> &mut dyn Fields {
        &mut self.network
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

    /// Mean loss, accuracy and confusion over `steps` batches, or all of them.
    ///
    /// # Errors
    /// If the model is not compiled, the data does not fit it or cannot be read, or there is none.
    pub fn evaluate(
        &mut self,
        data: &mut dyn Batches,
        steps: Option<usize>,
    ) -> Result<Evaluation, Error> {
        self.plan_for(data)?;
        let steps = steps.unwrap_or(data.batches());
        self.evaluate_epoch(data, 0, steps)
    }

    /// One pass over `steps` batches of the data's `epoch`.
    pub(crate) fn evaluate_epoch(
        &mut self,
        data: &mut dyn Batches,
        epoch: u32,
        steps: usize,
    ) -> Result<Evaluation, Error> {
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        let mut confusion = ConfusionMatrix::new(data.classes().to_vec());
        let mut tally = Tally::default();
        data.start(epoch, steps);
        while let Some(batch) = data.next_batch() {
            let batch = batch?;
            let y = training.step.evaluate(&self.network, &mut self.context, &batch, &mut tally);
            for (row, target) in y.rows::<f32>().rows().into_iter().zip(batch.targets.rows()) {
                confusion.add(argmax(target), argmax(row));
            }
        }
        if tally.samples == 0 {
            return Err(Error::NoBatches);
        }
        Ok(Evaluation { loss: tally.loss(), accuracy: tally.accuracy(), confusion })
    }

    /// The probabilities of the classes for each image (N·H·W·C, already rescaled): N·classes.
    ///
    /// # Errors
    /// If the images are not of the size that the network was built for.
    ///
    /// # Panics
    /// Never: the network was built for this input.
    pub fn predict(&mut self, images: ArrayView4<'_, f32>) -> Result<Array2<f32>, Error> {
        let (n, h, w, c) = images.dim();
        if [h, w, c] != self.image {
            return Err(Error::Images { expected: self.image, found: [h, w, c] });
        }
        if n == 0 {
            return Err(Error::NoBatches);
        }
        let input = self.input(n);
        if !self.asked.as_ref().is_some_and(|memory| memory.holds(n)) {
            self.asked = Some(Memory::new(&self.network, input, Mode::Infer, &mut self.context)?);
        }
        let memory = self.asked.as_mut().expect("made just now");
        memory.load(images);
        let Memory { x, y, saved, .. } = memory;
        self.network.infer(&mut self.context, x, y, saved);
        self.network.head().forward(&self.context, y);
        Ok(y.rows::<f32>().to_owned())
    }

    /// Checks that the data fits, and makes room for its batches.
    pub(crate) fn plan_for(&mut self, data: &dyn Batches) -> Result<(), Error> {
        if data.image_shape() != self.image {
            return Err(Error::Images { expected: self.image, found: data.image_shape() });
        }
        let outputs = self.network.output_shape(self.input(1))?.last();
        if data.classes().len() != outputs {
            let (found, names) = (data.classes().len(), data.classes().join(", "));
            return Err(Error::Classes { expected: outputs, found, names });
        }
        let input = self.input(data.batch_size());
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        Ok(training.step.plan(&self.network, input, &mut self.context)?)
    }

    fn input(&self, n: usize) -> Shape {
        let [h, w, c] = self.image;
        Shape::new(&[n, h, w, c])
    }
}
