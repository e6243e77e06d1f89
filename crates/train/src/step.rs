//! One training step: forward, loss, backward, update.
//!
//! A [`Step`] owns what all steps share: the loss, the optimizer and the memory for the largest
//! batch, made once. After that nothing is allocated. The trainer's loop calls it, and so may a
//! loop of your own.

use crate::{Batch, Memory};
use gradus_layers::{Layer, Loss, Mode, Sequential, ShapeError, Tally, Target};
use gradus_optim::Optimizer;
use gradus_tensor::{Context, Shape, Tensor};

/// The loss, the optimizer and the memory of training and validation.
#[derive(Debug)]
pub struct Step {
    loss: Box<dyn Loss>,
    optimizer: Box<dyn Optimizer>,
    training: Memory,
    validation: Memory,
    dy: Tensor,
}

impl Step {
    /// A step for batches of up to `input.batch()`.
    ///
    /// # Errors
    /// If the network cannot take such an input.
    pub fn new(
        network: &Sequential,
        input: Shape,
        cx: &mut Context,
        loss: Box<dyn Loss>,
        mut optimizer: Box<dyn Optimizer>,
    ) -> Result<Self, ShapeError> {
        let training = Memory::new(network, input, Mode::Train, cx)?;
        let validation = Memory::new(network, input, Mode::Infer, cx)?;
        let dy = Tensor::zeros(training.output().spec(), &cx.device);
        optimizer.build(network, &cx.device);
        Ok(Self { loss, optimizer, training, validation, dy })
    }

    /// Makes room for larger batches. The optimizer keeps what it has learnt.
    ///
    /// # Errors
    /// If the network cannot take such an input.
    pub fn plan(
        &mut self,
        network: &Sequential,
        input: Shape,
        cx: &mut Context,
    ) -> Result<(), ShapeError> {
        if !self.training.holds(input.batch()) {
            self.training = Memory::new(network, input, Mode::Train, cx)?;
            self.validation = Memory::new(network, input, Mode::Infer, cx)?;
            self.dy = Tensor::zeros(self.training.output().spec(), &cx.device);
        }
        Ok(())
    }

    /// The optimizer.
    #[must_use]
    pub fn optimizer(&self) -> &dyn Optimizer {
        self.optimizer.as_ref()
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
        self.training.load_targets(batch.targets);
        let Memory { x, targets, y, saved, .. } = &mut self.training;
        self.dy.set_shape(y.shape());
        network.forward(cx, x, y, saved);
        self.loss.evaluate(cx, y, Target::new(targets), Some(&mut self.dy), tally);
        network.backward(cx, x, y, &mut self.dy, None, saved);
        self.optimizer.step(cx, network);
        cx.step.step += 1;
    }

    /// Judges one batch with frozen statistics; loss and hits go into `tally`. Returns the
    /// network's outputs, one row a sample.
    ///
    /// # Panics
    /// If the batch is larger than planned.
    pub fn evaluate(
        &mut self,
        network: &Sequential,
        cx: &mut Context,
        batch: &Batch<'_>,
        tally: &mut Tally,
    ) -> &Tensor {
        self.validation.load(batch.images);
        self.validation.load_targets(batch.targets);
        let Memory { x, targets, y, saved, .. } = &mut self.validation;
        network.infer(cx, x, y, saved);
        self.loss.evaluate(cx, y, Target::new(targets), None, tally);
        y
    }
}
