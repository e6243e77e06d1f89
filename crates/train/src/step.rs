//! One training step: forward, loss, backward, update.
//!
//! A [`Step`] owns what all steps share: the loss, the optimizer and the memory for the largest
//! batch, made once. After that nothing is allocated. The trainer's loop calls it, and so may a
//! loop of your own.

use crate::recorded::{Next, Recorded};
use crate::{Batch, Error, Memory, Planned};
use gradus_layers::{Accuracy, Layer, Loss, Mode, Sequential, Tally, Target, regularizer};
use gradus_optim::Optimizer;
use gradus_tensor::{Context, Field, Fields as _, Path, Phase, Shape, Tensor, Work};

/// What a profile calls that which belongs to no layer.
const LOSS: &str = "loss";
const OPTIMIZER: &str = "optimizer";

/// The loss, the optimizer and the memory of training and validation.
#[derive(Debug)]
pub struct Step {
    loss: Box<dyn Loss>,
    optimizer: Box<dyn Optimizer>,
    training: Memory,
    validation: Memory,
    dy: Tensor,
    /// How much a sample of each class counts in training; empty where all count the same.
    class_weight: Vec<f32>,
    /// Bytes of gradients and of the optimizer's state that are made and not yet written: the system
    /// gives zeros when they are first touched, and counts them as free until then.
    untouched: u64,
    /// Kept, so that walking the model in a step allocates nothing.
    path: Path,
    /// Whole steps as recorded on a GPU.
    recorded: Recorded,
}

impl Step {
    /// A step for batches of up to `input.batch()`.
    ///
    /// # Errors
    /// If the network cannot take such an input, or the machine has not the memory for it.
    pub fn new(
        network: &Sequential,
        input: Shape,
        cx: &mut Context,
        loss: Box<dyn Loss>,
        mut optimizer: Box<dyn Optimizer>,
    ) -> Result<Self, Error> {
        let untouched = optimizer.state_bytes(network) + gradient_bytes(network);
        let [training, validation] = memories(network, loss.as_ref(), input, untouched, cx)?;
        optimizer.build(network, &cx.device);
        let dy = Tensor::zeros(training.output().spec(), &cx.device);
        cx.check()?;
        let (class_weight, path, recorded) = Default::default();
        Ok(Self {
            loss,
            optimizer,
            training,
            validation,
            dy,
            class_weight,
            untouched,
            path,
            recorded,
        })
    }

    /// Makes room for larger batches. The optimizer keeps what it has learnt.
    ///
    /// # Errors
    /// If the network cannot take such an input, or the machine has not the memory for it.
    pub fn plan(
        &mut self,
        network: &Sequential,
        input: Shape,
        cx: &mut Context,
    ) -> Result<(), Error> {
        if !self.training.holds(input.batch()) {
            let (loss, untouched) = (self.loss.as_ref(), self.untouched);
            // What was recorded works on memory that is no more.
            self.recorded = Recorded::default();
            [self.training, self.validation] = memories(network, loss, input, untouched, cx)?;
            self.dy = Tensor::zeros(self.training.output().spec(), &cx.device);
        }
        Ok(())
    }

    /// The optimizer.
    #[must_use]
    pub fn optimizer(&self) -> &dyn Optimizer {
        self.optimizer.as_ref()
    }

    /// The optimizer, to be filled from a checkpoint.
    pub(crate) fn optimizer_mut(&mut self) -> &mut dyn Optimizer {
        self.optimizer.as_mut()
    }

    /// The network's answers to the last batch that was judged, one row a sample: probabilities,
    /// where it ends in a softmax or sigmoid.
    #[must_use]
    pub fn evaluated(&self) -> &Tensor {
        self.validation.answered()
    }

    /// The loss.
    #[must_use]
    pub fn loss(&self) -> &dyn Loss {
        self.loss.as_ref()
    }

    pub(crate) fn training_memory(&self) -> &Memory {
        &self.training
    }

    /// Lets a sample of each class count that much in training; all the same if empty.
    ///
    /// # Errors
    /// If there is not one weight for each class, or the loss knows no classes.
    pub fn weigh_classes(&mut self, class_weight: &[f32]) -> Result<(), Error> {
        let expected = match (self.loss.accuracy(), self.training.output().shape().last()) {
            (None, _) => 0,
            (Some(_), 1) => 2,
            (Some(_), classes) => classes,
        };
        let found = class_weight.len();
        if found != 0 && found != expected {
            return Err(Error::ClassWeight { expected, found });
        }
        self.class_weight = class_weight.to_vec();
        Ok(())
    }

    /// Refuses a batch with a class that the network has no output for, or with something between
    /// two classes.
    pub(crate) fn check(&self, batch: &Batch<'_>) -> Result<(), Error> {
        if self.loss.accuracy() != Some(Accuracy::SparseCategorical) {
            return Ok(());
        }
        let mut counted = batch.targets.iter().filter(|t| self.loss.counts(&[**t]));
        if let Some(&found) = counted.find(|target| target.fract() != 0.0) {
            return Err(Error::MixedLabel { found, loss: self.loss.name() });
        }
        let outputs = self.training.output().shape().last();
        let unknown = |target: &&f32| !(0.0..outputs as f32).contains(*target);
        match batch.targets.iter().filter(|t| self.loss.counts(&[**t])).find(unknown) {
            Some(&found) => Err(Error::Label { found, outputs }),
            None => Ok(()),
        }
    }

    /// What the network gave for the last training batch: logits, where it ends in a softmax.
    #[must_use]
    pub fn output(&self) -> &Tensor {
        self.training.output()
    }

    /// Learns from one batch, with `cx.step.learning_rate`; loss and hits go into `tally`.
    ///
    /// # Panics
    /// If the batch is larger than planned.
    pub fn train(
        &mut self,
        network: &mut Sequential,
        cx: &mut Context,
        batch: &Batch<'_>,
        tally: &mut Tally,
    ) {
        self.training.load(batch.images);
        self.training.load_targets(batch, &self.class_weight);
        self.dy.set_shape(self.training.y.shape());
        self.optimizer.prepare(cx);
        cx.publish_step();
        let (capturable, walk) = (self.is_capturable(), (&*network, &mut self.path));
        match self.recorded.plan(cx, walk, capturable, batch.len()) {
            Next::Work => self.work(network, cx, tally),
            Next::Record(gpu, key) => {
                let graph = gpu.capture(|| self.work(network, cx, tally));
                self.recorded.keep(&gpu, key, graph);
            }
            Next::Recorded => {}
        }
        cx.step.step += 1;
        self.untouched = 0;
    }

    /// Whether every step launches the same, and nothing but kernels.
    fn is_capturable(&self) -> bool {
        self.optimizer.is_capturable() && self.loss.kernel().is_some()
    }

    /// The step itself, on what was loaded. On a GPU it waits for nothing and reads nothing back, so
    /// that it can be recorded and launched again as it is.
    fn work(&mut self, network: &mut Sequential, cx: &mut Context, tally: &mut Tally) {
        let Memory { x, targets, weights, y, saved, .. } = &mut self.training;
        let target = Target { y: targets, weights: Some(weights) };
        network.forward(cx, x, y, saved);
        cx.timed(LOSS, Phase::Other, Work::default(), |cx| {
            self.loss.evaluate(cx, y, target, Some(&mut self.dy), tally);
        });
        self.optimizer.offer(cx, network);
        network.backward(cx, x, y, &mut self.dy, None, saved);
        // Every sample's loss has the penalty in it, as the mean that is minimised has.
        regularizer::apply(cx, &mut self.path, network, x.shape().batch(), tally);
        cx.timed(OPTIMIZER, Phase::Other, Work::default(), |cx| self.optimizer.step(cx, network));
    }

    /// Works out what the network answered to the last training batch, its outputs behind the
    /// activation that was taken off its end. How much each sample counted is in the memory too, its
    /// class's weight included.
    pub(crate) fn answer(&mut self, network: &Sequential, cx: &Context) -> &mut Memory {
        self.training.answer(network.head(), cx);
        &mut self.training
    }

    /// Judges one batch with frozen statistics; loss and hits go into `tally`, the answers are in
    /// [`Step::evaluated`].
    ///
    /// # Panics
    /// If the batch is larger than planned.
    pub fn evaluate(
        &mut self,
        network: &Sequential,
        cx: &mut Context,
        batch: &Batch<'_>,
        tally: &mut Tally,
    ) {
        self.judge(network, cx, batch, tally);
        self.validation.tell();
    }

    /// The same, and waits for no GPU: the answers are where [`Step::judged`] says.
    pub(crate) fn judge(
        &mut self,
        network: &Sequential,
        cx: &mut Context,
        batch: &Batch<'_>,
        tally: &mut Tally,
    ) {
        self.validation.load(batch.images);
        self.validation.load_targets(batch, &[]);
        let Memory { x, targets, weights, y, saved, .. } = &mut self.validation;
        let target = Target { y: targets, weights: Some(weights) };
        network.infer(cx, x, y, saved);
        self.loss.evaluate(cx, y, target, None, tally);
        regularizer::penalty(cx, &mut self.path, network, batch.len(), tally);
        self.validation.answer(network.head(), cx);
    }

    /// The loss, and the memory that has the answers to the last batch that was judged.
    pub(crate) fn judged(&mut self) -> (&dyn Loss, &mut Memory) {
        (self.loss.as_ref(), &mut self.validation)
    }
}

/// What the gradients of a network take: they are made when it is built, and written first in
/// training.
fn gradient_bytes(network: &Sequential) -> u64 {
    let mut bytes = 0;
    network.visit(&mut Path::default(), &mut |_, field| {
        if let Field::Param(param) = field {
            bytes += param.grad.spec().bytes() as u64;
        }
    });
    bytes
}

/// The memory of training and of validation: planned, held with `besides` against what there is,
/// made.
fn memories(
    network: &Sequential,
    loss: &dyn Loss,
    input: Shape,
    besides: u64,
    cx: &mut Context,
) -> Result<[Memory; 2], Error> {
    let planned = |mode| {
        let planned = Planned::new(network, input, mode)?;
        let targets = loss.target_shape(planned.output());
        Ok::<_, Error>(planned.with_targets(targets))
    };
    let (training, validation) = (planned(Mode::Train)?, planned(Mode::Infer)?);
    training.afford(cx, validation.bytes(cx) + besides)?;
    Ok([training.make(cx)?, validation.make(cx)?])
}
