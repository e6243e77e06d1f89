//! The training loop.
//!
//! ```text
//! Conventions  Keras 2's epochs: before each, the rows are shuffled and so is the order of all
//!              ⌈N/B⌉ batches, of which `steps_per_epoch` are run; validation follows; then the
//!              callbacks, in their order; the learning rate in the history is the one that the
//!              epoch was trained with. The reported loss is the mean over the samples of the
//!              epoch, taken while the weights move
//! ```

use crate::{Batches, Callback, Control, Error, History, Logs, Model, Progress, Run, Verbosity};
use gradus_layers::Tally;

/// The arguments of Keras's `fit`.
#[derive(Default)]
pub struct Fit<'a> {
    /// Epochs to run.
    pub epochs: u32,
    /// Batches in an epoch; all of them if not said.
    pub steps_per_epoch: Option<usize>,
    /// Data to validate on after each epoch.
    pub validation_data: Option<&'a mut dyn Batches>,
    /// Batches to validate on; all of them if not said.
    pub validation_steps: Option<usize>,
    /// What hooks in, in this order.
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
    /// What the person who watches is shown.
    pub verbose: Verbosity,
}

impl std::fmt::Debug for Fit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fit {{ epochs: {}, callbacks: {} }}", self.epochs, self.callbacks.len())
    }
}

impl Model {
    /// Trains for `fit.epochs` epochs and returns the history of this call. The epochs are also in
    /// [`Model::history`], even if an error ends the training.
    ///
    /// # Errors
    /// If the model is not compiled, or the data does not fit it or cannot be read.
    pub fn fit(&mut self, data: &mut dyn Batches, mut fit: Fit<'_>) -> Result<History, Error> {
        self.plan_for(data)?;
        if let Some(validation) = &fit.validation_data {
            self.plan_for(&**validation)?;
        }
        let steps = fit.steps_per_epoch.unwrap_or(data.batches());
        let learning_rate = self.training.as_ref().ok_or(Error::NotCompiled)?.learning_rate;
        let mut control = Control { learning_rate, ..Control::default() };
        self.history = History::default();
        fit.callbacks.iter_mut().try_for_each(|callback| callback.fit_start())?;
        let mut progress = Progress::new(fit.epochs, fit.verbose);
        let mut logs = Logs::default();
        for epoch in 0..fit.epochs {
            progress.start_epoch(epoch, steps);
            logs = self.train_epoch(data, epoch, steps, &mut progress)?;
            if let Some(validation) = fit.validation_data.as_deref_mut() {
                let steps = fit.validation_steps.unwrap_or(validation.batches());
                let scores = self.evaluate_epoch(validation, epoch, steps)?;
                logs.set("val_loss", scores.loss);
                logs.set("val_accuracy", scores.accuracy);
            }
            logs.set("lr", f64::from(control.learning_rate));
            self.history.push(epoch, &logs.entries());
            progress.end_epoch(&logs.entries());
            let run = Run { epoch, epochs: fit.epochs, logs: &logs, network: &self.network };
            fit.callbacks.iter_mut().try_for_each(|c| c.epoch_end(&run, &mut control))?;
            self.obey(&mut control, &mut progress);
            if let Some(why) = control.stop.take() {
                progress.message(&why);
                break;
            }
        }
        let epoch = self.history.len().saturating_sub(1) as u32;
        let run = Run { epoch, epochs: fit.epochs, logs: &logs, network: &self.network };
        fit.callbacks.iter_mut().try_for_each(|c| c.fit_end(&run, &mut control))?;
        self.obey(&mut control, &mut progress);
        Ok(self.history.clone())
    }

    /// `steps` batches of the data's `epoch`, and what came of them.
    fn train_epoch(
        &mut self,
        data: &mut dyn Batches,
        epoch: u32,
        steps: usize,
        progress: &mut Progress,
    ) -> Result<Logs, Error> {
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        self.context.step.learning_rate = training.learning_rate;
        let (mut tally, mut done) = (Tally::default(), 0);
        data.start(epoch, steps);
        while let Some(batch) = data.next_batch() {
            let batch = batch?;
            training.step.train(&mut self.network, &mut self.context, &batch, &mut tally);
            done += 1;
            let images = batch.images.dim().0;
            progress.step(images, || [("loss", tally.loss()), ("accuracy", tally.accuracy())]);
        }
        if done == 0 {
            return Err(Error::NoBatches);
        }
        if done < steps {
            progress.message(&format!(
                "Your input ran out of data: an epoch has {done} batches, {steps} were asked for."
            ));
        }
        let mut logs = Logs::default();
        logs.set("loss", tally.loss());
        logs.set("accuracy", tally.accuracy());
        Ok(logs)
    }

    /// Carries out what the callbacks asked for.
    fn obey(&mut self, control: &mut Control, progress: &mut Progress) {
        for message in control.messages.drain(..) {
            progress.message(&message);
        }
        if let Some(training) = &mut self.training {
            training.learning_rate = control.learning_rate;
        }
        if let Some(weights) = control.restore.take() {
            self.put_back(weights);
        }
    }
}
