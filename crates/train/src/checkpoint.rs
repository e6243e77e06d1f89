//! Checkpoints: everything that the next step depends on, in one file.
//!
//! ```text
//! File         safetensors, written beside and renamed. Tensors: those of the network by their Keras
//!              names, the optimizer's as `optim.<slot>.<parameter>`, those that callbacks keep as
//!              `callbacks.<number>.<number>`. Beside them, as text: what `model.json` says, epoch,
//!              step and the sums so far, the learning rate, the seed and the updates from which
//!              dropout, order and augmentation follow, the history, and what each callback
//!              remembers
//! Resume       a run that was killed at any moment and resumed gives the weights, the history and
//!              the logs of one that was not, bit for bit: nothing random depends on anything but
//!              seed, epoch, row and update
//! ```

use crate::exact::Exact;
use crate::fit::Position;
use crate::model::Training;
use crate::save::About;
use crate::tensors_file::{Tensors, TensorsError, TensorsFile};
use crate::{Batches, CallbackState, Error, Fit, History, Logs, Model};
use gradus_layers::Tally;
use gradus_tensor::Fields;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The version of a [`Snapshot`].
const FORMAT: u32 = 1;

/// Where the state of a run is kept, and how often it is saved: after every epoch, and every so
/// many steps when asked.
///
/// ```
/// use gradus_train::{Checkpoint, Fit};
/// let checkpoint = Checkpoint::new("runs/1/checkpoint.safetensors").every_steps(500).resume(true);
/// let fit = Fit { epochs: 20, checkpoint: Some(checkpoint), ..Fit::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    every_steps: Option<u64>,
    resume: bool,
}

impl Checkpoint {
    /// Keeps the state in that file, in a folder that exists.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), every_steps: None, resume: false }
    }

    /// Saves every `steps` steps too, counted over all epochs. Off by default.
    ///
    /// # Panics
    /// If that is 0.
    #[must_use]
    pub fn every_steps(mut self, steps: u64) -> Self {
        assert!(steps > 0, "a checkpoint every 0 steps cannot be written");
        self.every_steps = Some(steps);
        self
    }

    /// Goes on from the file where it is there, and begins anew where it is not. Off by default:
    /// the file is written over.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_to_resume(&self) -> bool {
        self.resume && self.path.exists()
    }

    pub(crate) fn is_due(&self, updates: u64) -> bool {
        self.every_steps.is_some_and(|every| updates.is_multiple_of(every))
    }

    /// What is said when a run goes on.
    pub(crate) fn greeting(&self, at: &Position, epochs: u32) -> String {
        let path = self.path.display();
        match (&at.stop, at.epoch >= epochs) {
            (Some(why), _) => format!("{path}: the run has ended: {why}"),
            (None, true) => format!("{path}: all {epochs} epochs are done"),
            (None, false) => {
                format!("Resuming from {path}: epoch {}, {} steps done", at.epoch + 1, at.step)
            }
        }
    }
}

/// Why a run cannot go on from a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read, or has other tensors than this run.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// The file holds no state of a run that this version can read.
    #[error("{}: not a checkpoint that can be resumed from: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint is one of another run.
    #[error(
        "{}: made with another {what}: {expected}; now it is {found}. Resume with what the run \
         began with, or begin a new run", path.display()
    )]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What it was.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// What stands beside the tensors.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    /// [`FORMAT`].
    format: u32,
    identity: Identity,
    epoch: u32,
    step: usize,
    loss_sum: Exact,
    correct: u64,
    judged: u64,
    samples: u64,
    /// What each metric has added up, in their order.
    metrics: Vec<Vec<Exact>>,
    logs: Logs,
    stop: Option<String>,
    updates: u64,
    updates_before: u64,
    seed: u64,
    /// That of the last step, and what a callback set.
    learning_rate: Exact,
    rate: Option<Exact>,
    history: History,
    /// In their order: what each remembers, and how many tensors it keeps.
    callbacks: Vec<(Value, usize)>,
}

/// What has to be the same for a run to go on.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// With its options, and the rates of some updates, which tell schedules apart.
    optimizer: String,
    /// With its options.
    loss: String,
    data: String,
    validation: String,
    class_weight: String,
    steps_per_epoch: usize,
    metrics: Vec<String>,
    callbacks: Vec<String>,
}

impl Identity {
    pub(crate) fn of(
        training: &Training,
        data: &dyn Batches,
        steps_per_epoch: usize,
        fit: &Fit<'_>,
    ) -> Self {
        let (optimizer, loss) = (training.step.optimizer(), training.step.loss());
        let rates = [0, 1, 10, 100, 1_000, 10_000, 100_000].map(|n| optimizer.schedule().at(n));
        let validation = fit.validation_data.as_deref().map(|data| {
            let (steps, every) = (fit.validation_steps, fit.validation_freq);
            format!("{}, {steps:?} steps every {every} epochs", data.fingerprint())
        });
        let metrics = training.metrics.iter();
        Self {
            optimizer: format!("{} with learning rates {rates:?}", optimizer.description()),
            loss: format!("{loss:?}"),
            data: data.fingerprint(),
            validation: validation.unwrap_or_default(),
            class_weight: format!("{:?}", fit.class_weight),
            steps_per_epoch,
            metrics: metrics
                .map(|(name, m)| format!("{name} of {} sums", m.sums().len()))
                .collect(),
            callbacks: fit.callbacks.iter().map(|callback| callback.name().to_owned()).collect(),
        }
    }

    /// The first thing in which another run differs: what, and both of it.
    fn difference(&self, other: &Self) -> Option<(&'static str, [String; 2])> {
        let words = |i: &Self| {
            [
                ("optimizer", i.optimizer.clone()),
                ("loss", i.loss.clone()),
                ("data or seed", i.data.clone()),
                ("validation", i.validation.clone()),
                ("class_weight", i.class_weight.clone()),
                ("number of steps per epoch", i.steps_per_epoch.to_string()),
                ("list of metrics", i.metrics.join(", ")),
                ("list of callbacks", i.callbacks.join(", ")),
            ]
        };
        let mut pairs = words(self).into_iter().zip(words(other));
        pairs.find(|(a, b)| a != b).map(|((what, a), (_, b))| (what, [a, b]))
    }
}

impl Checkpoint {
    /// Writes the state of a run: all of it, or nothing and the file stays what it was.
    pub(crate) fn save(
        &self,
        model: &Model,
        identity: &Identity,
        at: &Position,
        fit: &Fit<'_>,
    ) -> Result<(), Error> {
        let training = model.training.as_ref().ok_or(Error::NotCompiled)?;
        let mut tensors = Tensors::default();
        tensors.add_all(&model.network);
        tensors.add_all(training.step.optimizer());
        let mut remembered = Vec::new();
        for (number, callback) in fit.callbacks.iter().enumerate() {
            let state = callback.state();
            for (i, tensor) in state.tensors.iter().enumerate() {
                tensors.add(tensor_name(number, i), tensor);
            }
            remembered.push((state.values, state.tensors.len()));
        }
        let snapshot = Snapshot {
            format: FORMAT,
            identity: identity.clone(),
            epoch: at.epoch,
            step: at.step,
            loss_sum: Exact(at.tally.loss_sum),
            correct: at.tally.correct,
            judged: at.tally.judged,
            samples: at.tally.samples,
            metrics: training.metrics.iter().map(|(_, metric)| exact(metric.sums())).collect(),
            logs: at.logs.clone(),
            stop: at.stop.clone(),
            updates: model.updates(),
            updates_before: training.before,
            seed: model.context.step.seed,
            learning_rate: Exact(f64::from(model.context.step.learning_rate)),
            rate: training.rate.map(|rate| Exact(f64::from(rate))),
            history: model.history.clone(),
            callbacks: remembered,
        };
        let checkpoint = serde_json::to_value(&snapshot).expect("plain values");
        let about = About { model: model.description(), checkpoint };
        Ok(tensors.write(&self.path, Some(&about))?)
    }

    fn format(&self, reason: impl Into<String>) -> CheckpointError {
        CheckpointError::Format { path: self.path.clone(), reason: reason.into() }
    }

    fn snapshot(&self, value: Value) -> Result<Snapshot, CheckpointError> {
        match value.get("format").map(Value::as_u64) {
            None => Err(self.format("it has only a model")),
            Some(Some(format)) if format == u64::from(FORMAT) => {
                serde_json::from_value(value).map_err(|e| self.format(e.to_string()))
            }
            Some(other) => {
                Err(self.format(format!("format {other:?}, this version reads {FORMAT}")))
            }
        }
    }

    fn other_run(&self, what: &'static str, [expected, found]: [String; 2]) -> CheckpointError {
        CheckpointError::OtherRun { path: self.path.clone(), what, expected, found }
    }
}

fn exact(sums: &[f64]) -> Vec<Exact> {
    sums.iter().copied().map(Exact).collect()
}

fn tensor_name(callback: usize, i: usize) -> String {
    format!("callbacks.{callback}.{i}")
}

impl Model {
    /// Takes the state of a run from its checkpoint: everything is checked before anything is
    /// changed. Only a disk that fails in between leaves weights of which some are the file's.
    pub(crate) fn resume(
        &mut self,
        checkpoint: &Checkpoint,
        now: &Identity,
        fit: &mut Fit<'_>,
    ) -> Result<Position, Error> {
        let contents = TensorsFile::open(&checkpoint.path).map_err(CheckpointError::from)?;
        let about: About = contents.about().map_err(CheckpointError::from)?;
        let was = checkpoint.snapshot(about.checkpoint)?;
        if about.model != self.description() {
            let words = ["as its file says".to_owned(), "another".to_owned()];
            return Err(checkpoint.other_run("model", words).into());
        }
        let training = self.training.as_ref().ok_or(Error::NotCompiled)?;
        if let Some((what, words)) = was.identity.difference(now) {
            return Err(checkpoint.other_run(what, words).into());
        }
        let owners: [&dyn Fields; 2] = [&self.network, training.step.optimizer()];
        contents.expect(&owners, &["callbacks."]).map_err(CheckpointError::from)?;
        for (number, (callback, (values, count))) in
            fit.callbacks.iter_mut().zip(was.callbacks).enumerate()
        {
            let tensors = (0..count).map(|i| contents.tensor(&tensor_name(number, i)));
            let tensors = tensors.collect::<Result<_, _>>().map_err(CheckpointError::from)?;
            callback.restore(CallbackState { values, tensors }).map_err(|e| {
                checkpoint.format(format!("what {} remembered: {e}", callback.name()))
            })?;
        }
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        for (metric, sums) in training.metrics.iter_mut().zip(&was.metrics) {
            let into = metric.sums_mut().iter_mut();
            into.zip(sums).for_each(|(into, Exact(sum))| *into = *sum);
        }
        contents.fill(&mut self.network).map_err(CheckpointError::from)?;
        contents.fill(training.step.optimizer_mut()).map_err(CheckpointError::from)?;
        training.rate = was.rate.map(|Exact(rate)| rate as f32);
        training.before = was.updates_before.min(was.updates);
        self.context.step.step = was.updates;
        self.context.step.seed = was.seed;
        self.context.step.learning_rate = was.learning_rate.0 as f32;
        self.history = was.history;
        let Snapshot { loss_sum: Exact(loss_sum), correct, judged, samples, .. } = was;
        let tally = Tally { loss_sum, correct, judged, samples };
        Ok(Position { epoch: was.epoch, step: was.step, tally, logs: was.logs, stop: was.stop })
    }
}
