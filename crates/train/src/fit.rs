//! The training loop.
//!
//! ```text
//! Conventions  Keras 2's epochs: before each, the rows are shuffled and so is the order of all
//!              ⌈N/B⌉ batches, of which `steps_per_epoch` are run; validation follows; then the
//!              callbacks, in their order; the learning rate in the history is the one that the
//!              epoch ended with. The reported loss is the mean over the samples of the epoch,
//!              taken while the weights move
//! Resume       everything that the next step depends on stands in the checkpoint, so that a run
//!              that was killed and resumed gives the bits of the one that was not
//! ```

use crate::batches;
use crate::checkpoint::Identity;
use crate::profile::WAITING;
use crate::subnormal;
use crate::{
    Batch, Batches, Callback, Checkpoint, Control, Error, History, Logs, Model, Progress, Run,
    Verbosity,
};
use gradus_layers::Tally;
use gradus_tensor::{Device, Phase, Work};
use std::sync::atomic::{AtomicBool, Ordering};

/// Reading the figures of a GPU waits for it, so that they are read after every so many steps: what
/// is shown, and what callbacks see at the end of a step, may be as old.
const READ_EVERY: usize = 10;

/// The arguments of Keras's `fit`.
pub struct Fit<'a> {
    /// The epoch to end before, as in Keras: with an `initial_epoch` fewer are run. 1 by default.
    pub epochs: u32,
    /// The number of the first epoch, from 0. 0 by default.
    pub initial_epoch: u32,
    /// Batches in an epoch; all of them if not said.
    pub steps_per_epoch: Option<usize>,
    /// Data to validate on after an epoch.
    pub validation_data: Option<&'a mut dyn Batches>,
    /// Batches to validate on; all of them if not said.
    pub validation_steps: Option<usize>,
    /// Validation follows each epoch whose number, from 1, this divides. 1 by default: each.
    pub validation_freq: u32,
    /// How much a sample of each class counts in the loss of training; all the same if empty.
    /// Multiplied with the weights that the data gives.
    pub class_weight: Vec<f32>,
    /// What hooks in, in this order.
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
    /// Where the state of the run is kept, to be resumed from.
    pub checkpoint: Option<Checkpoint>,
    /// Set by someone else to stop after the step: see [`on_signals`](crate::on_signals).
    pub interrupt: Option<&'a AtomicBool>,
    /// What the person who watches is shown.
    pub verbose: Verbosity,
}

impl Default for Fit<'_> {
    fn default() -> Self {
        Self {
            epochs: 1,
            initial_epoch: 0,
            steps_per_epoch: None,
            validation_data: None,
            validation_steps: None,
            validation_freq: 1,
            class_weight: Vec::new(),
            callbacks: Vec::new(),
            checkpoint: None,
            interrupt: None,
            verbose: Verbosity::default(),
        }
    }
}

impl std::fmt::Debug for Fit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fit {{ epochs: {}, callbacks: {} }}", self.epochs, self.callbacks.len())
    }
}

/// How far a run has come.
#[derive(Debug, Default)]
pub(crate) struct Position {
    /// The epoch under way, from 0.
    pub(crate) epoch: u32,
    /// Its steps that are done.
    pub(crate) step: usize,
    /// What they added up to.
    pub(crate) tally: Tally,
    /// The figures that were last told.
    pub(crate) logs: Logs,
    /// Why the run ended before its last epoch, once it did.
    pub(crate) stop: Option<String>,
    /// Problems of the data and of the validation data that were told already.
    pub(crate) told: [usize; 2],
}

/// One call of `fit`.
struct Session<'f, 'a> {
    fit: &'f mut Fit<'a>,
    steps: usize,
    /// What a checkpoint of this run says it is: worked out once, as it hashes every row.
    identity: Option<Identity>,
    at: Position,
    progress: Progress,
}

impl Session<'_, '_> {
    fn is_interrupted(&self) -> bool {
        self.fit.interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Whether the state is to be saved after this step.
    fn is_due(&self, updates: u64) -> bool {
        self.fit.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.is_due(updates))
    }

    /// Says where the data ended before the epoch.
    fn look_for_missing_steps(&mut self, data: &dyn Batches) -> Result<(), Error> {
        let (done, steps) = (data.position().unwrap_or(self.at.step), self.steps);
        if done == 0 {
            return Err(Error::NoBatches);
        }
        if done < steps && self.at.stop.is_none() {
            self.progress.message(&format!(
                "Your input ran out of data: an epoch has {done} batches, {steps} were asked for."
            ));
        }
        Ok(())
    }

    /// Says once of each image that it was skipped or replaced.
    fn tell_problems(&mut self, data: &dyn Batches) {
        let validation = self.fit.validation_data.as_deref().map(Batches::problems);
        let both = [data.problems(), validation.unwrap_or_default()];
        for (problems, told) in both.iter().zip(&mut self.at.told) {
            problems.iter().skip(*told).for_each(|problem| self.progress.message(problem));
            *told = problems.len();
        }
    }

    /// Ends the run if it is interrupted. Its state is saved by then.
    fn heed(&self, interrupted: bool) -> Result<(), Error> {
        if !interrupted {
            return Ok(());
        }
        let checkpoint = self.fit.checkpoint.as_ref().map(|c| c.path().to_owned());
        Err(Error::Interrupted { epoch: self.at.epoch + 1, step: self.at.step, checkpoint })
    }
}

impl Model {
    /// Trains until `fit.epochs` epochs are done and returns the history of the run. It is also in
    /// [`Model::history`], even if an error ends the training.
    ///
    /// # Errors
    /// If the model is not compiled, the data does not fit it or cannot be read, a callback fails,
    /// a checkpoint cannot be written or does not belong to this run, or the run is interrupted.
    pub fn fit(&mut self, data: &mut dyn Batches, mut fit: Fit<'_>) -> Result<History, Error> {
        let mut session = self.start(data, &mut fit)?;
        // Stopped in the middle of an epoch, the epoch is still brought to its end.
        while session.at.step > 0
            || session.at.epoch < session.fit.epochs && session.at.stop.is_none()
        {
            self.start_epoch(&mut session)?;
            if session.at.stop.is_some() && session.at.step == 0 {
                break;
            }
            self.train_epoch(data, &mut session)?;
            self.validate(&mut session)?;
            self.end_epoch(data, &mut session)?;
        }
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        training.step.optimizer_mut().finish(&mut self.network);
        let last = session.at.epoch.saturating_sub(1);
        self.tell(&mut session, last, |callback, run, control| callback.fit_end(run, control))?;
        Ok(self.history.clone())
    }

    /// Checks what there is to work on, and finds where to begin.
    fn start<'f, 'a>(
        &mut self,
        data: &mut dyn Batches,
        fit: &'f mut Fit<'a>,
    ) -> Result<Session<'f, 'a>, Error> {
        fit.checkpoint.as_ref().map_or(Ok(()), Checkpoint::check)?;
        self.plan_for(data)?;
        if let Some(validation) = &fit.validation_data {
            self.plan_for(&**validation)?;
        }
        self.training.as_mut().ok_or(Error::NotCompiled)?.step.weigh_classes(&fit.class_weight)?;
        // What a run that ended in an error left on a GPU.
        let _ = self.context.sums.take();
        self.history = History::default();
        fit.callbacks.iter_mut().try_for_each(|callback| callback.fit_start())?;
        let steps = fit.steps_per_epoch.unwrap_or(data.batches());
        let mut progress = Progress::new(fit.epochs, fit.verbose);
        let mut at = Position { epoch: fit.initial_epoch, ..Position::default() };
        let identity = fit.checkpoint.is_some().then(|| Identity::of(self, data, steps, fit));
        let identity = identity.transpose()?;
        if let (Some(checkpoint), Some(identity)) = (fit.checkpoint.clone(), &identity) {
            if checkpoint.is_to_resume() {
                at = self.resume(&checkpoint, identity, data, fit)?;
                progress.message(&checkpoint.greeting(&at, fit.epochs));
            } else {
                // What cannot be written is known before the first step, and what callbacks found
                // at the beginning outlives a process that is killed in its first epoch.
                checkpoint.save(self, identity, &at, data, fit)?;
            }
        }
        Ok(Session { fit, steps, identity, at, progress })
    }

    /// Tells that an epoch begins, unless it did before.
    fn start_epoch(&mut self, session: &mut Session<'_, '_>) -> Result<(), Error> {
        let epoch = session.at.epoch;
        session.progress.start_epoch(epoch, session.steps);
        session.progress.skip(session.at.step);
        if session.at.step > 0 {
            return Ok(());
        }
        session.at.logs.clear();
        self.training.iter_mut().for_each(|training| training.metrics.reset());
        self.tell(session, epoch, |callback, run, control| callback.epoch_start(run, control))
    }

    /// The steps of the epoch that are not done yet.
    fn train_epoch(
        &mut self,
        data: &mut dyn Batches,
        session: &mut Session<'_, '_>,
    ) -> Result<(), Error> {
        let epoch = session.at.epoch;
        batches::start(data, &self.context, epoch, [session.at.step, session.steps]);
        while session.at.stop.is_none()
            && let Some(batch) = self.wait_for(|| data.next_batch())
        {
            self.train_step(&batch?, session)?;
            session.at.step = data.position().unwrap_or(session.at.step);
            self.tell(session, epoch, |callback, run, control| callback.step_end(run, control))?;
            let interrupted = session.is_interrupted();
            if interrupted || session.is_due(self.updates()) {
                self.read_figures(&mut session.at);
                self.save_checkpoint(data, session)?;
            }
            session.heed(interrupted)?;
        }
        self.read_figures(&mut session.at);
        self.context.check()?;
        session.look_for_missing_steps(data)
    }

    /// One step, and what came of it.
    fn train_step(
        &mut self,
        batch: &Batch<'_>,
        session: &mut Session<'_, '_>,
    ) -> Result<(), Error> {
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        training.step.check(batch)?;
        let at = &mut session.at;
        self.context.step.learning_rate = training.learning_rate(self.context.step.step);
        training.step.train(&mut self.network, &mut self.context, batch, &mut at.tally);
        self.context.check()?;
        at.step += 1;
        if !training.metrics.is_empty() {
            let memory = training.step.answer(&self.network, &self.context);
            training.metrics.judge(memory, batch.targets);
        }
        let waited = training.metrics.reads_answers();
        if self.context.device == Device::Cpu || at.step % READ_EVERY == 1 {
            self.read_figures(at);
        } else if waited {
            self.read_metrics(at);
        }
        session.progress.step(batch.len(), || session.at.logs.entries());
        Ok(())
    }

    /// Brings the figures of the epoch up to the last step.
    fn read_figures(&mut self, at: &mut Position) {
        let Some(training) = &self.training else { return };
        at.tally.collect(&mut self.context);
        if at.tally.samples == 0 {
            return;
        }
        at.logs.set("loss", at.tally.loss());
        if training.step.loss().accuracy().is_some() {
            at.logs.set("accuracy", at.tally.accuracy());
        }
        self.read_metrics(at);
    }

    /// The same of the metrics alone.
    fn read_metrics(&mut self, at: &mut Position) {
        let Some(training) = &mut self.training else { return };
        training.metrics.collect();
        for (name, metric) in training.metrics.iter() {
            at.logs.set(name, metric.result());
        }
    }

    /// Asks for a batch; the time that takes is time in which nothing is computed.
    fn wait_for<T>(&mut self, next: impl FnOnce() -> T) -> T {
        self.context.timed(WAITING, Phase::Other, Work::default(), |_| next())
    }

    fn validate(&mut self, session: &mut Session<'_, '_>) -> Result<(), Error> {
        let at = &mut session.at;
        let due = (at.epoch + 1).is_multiple_of(session.fit.validation_freq);
        if let Some(validation) = session.fit.validation_data.as_deref_mut().filter(|_| due) {
            let steps = session.fit.validation_steps.unwrap_or(validation.batches());
            self.evaluate_epoch(validation, at.epoch, steps, None)?.log(&mut at.logs);
        }
        at.logs.set("lr", f64::from(self.context.step.learning_rate));
        Ok(())
    }

    /// Writes the row of the epoch, tells the callbacks, and saves.
    fn end_epoch(
        &mut self,
        data: &dyn Batches,
        session: &mut Session<'_, '_>,
    ) -> Result<(), Error> {
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        subnormal::flush(&mut self.network);
        subnormal::flush(training.step.optimizer_mut());
        let (at, epoch) = (&session.at, session.at.epoch);
        self.history.push(epoch, &at.logs.entries());
        session.progress.end_epoch(&at.logs.entries());
        session.tell_problems(data);
        self.tell(session, epoch, |callback, run, control| callback.epoch_end(run, control))?;
        let at = &mut session.at;
        (at.epoch, at.step, at.tally) = (epoch + 1, 0, Tally::default());
        if let Some(why) = at.stop.as_ref().filter(|why| !why.is_empty()) {
            session.progress.message(why);
        }
        let interrupted = session.is_interrupted();
        self.save_checkpoint(data, session)?;
        session.heed(interrupted)
    }

    fn save_checkpoint(&self, data: &dyn Batches, session: &Session<'_, '_>) -> Result<(), Error> {
        match (&session.fit.checkpoint, &session.identity) {
            (Some(checkpoint), Some(identity)) => {
                checkpoint.save(self, identity, &session.at, data, session.fit)
            }
            _ => Ok(()),
        }
    }

    /// Calls every callback, in order, and carries out what they ask for.
    fn tell(
        &mut self,
        session: &mut Session<'_, '_>,
        epoch: u32,
        mut event: impl FnMut(&mut (dyn Callback + '_), &Run<'_>, &mut Control) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if session.fit.callbacks.is_empty() {
            return Ok(());
        }
        let training = self.training.as_ref().ok_or(Error::NotCompiled)?;
        let learning_rate = training.learning_rate(self.context.step.step);
        let mut control = Control { learning_rate, ..Control::default() };
        let Session { fit, steps, at, progress, .. } = session;
        let Position { step, ref logs, .. } = *at;
        let run = Run { epoch, epochs: fit.epochs, step, steps: *steps, logs, model: self };
        for callback in &mut fit.callbacks {
            event(&mut **callback, &run, &mut control)?;
        }
        for message in &control.messages {
            progress.message(message);
        }
        at.stop = at.stop.take().or(control.stop);
        if control.learning_rate != learning_rate {
            self.set_learning_rate(control.learning_rate)?;
        }
        if let Some(weights) = control.restore {
            self.put_back(weights);
        }
        Ok(())
    }
}
