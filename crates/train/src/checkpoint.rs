//! Checkpoints: everything that the next step depends on, in one file.
//!
//! ```text
//! File         safetensors, written beside and renamed. Tensors: those of the network by their Keras
//!              names, the optimizer's as `optim.<slot>.<parameter>`, those that callbacks keep as
//!              `callbacks.<number>.<number>`, what augmentation has fitted on the data as
//!              `batches.training.<number>`. Beside them, as text: what `model.json` says, epoch,
//!              step and the sums so far, the learning rate, the seed and the updates from which
//!              dropout, order and augmentation follow, the history, the images that could not be
//!              read, and what each callback remembers
//! Resume       a run that was killed at any moment and resumed gives the weights, the history and
//!              the logs of one that was not, bit for bit: nothing random depends on anything but
//!              seed, epoch, row and update
//! ```

mod identity;

use crate::exact::Exact;
use crate::fit::Position;
use crate::model::Training;
use crate::save::About;
use crate::tensors_file::{Tensors, TensorsError, TensorsFile};
use crate::{Batches, Error, Fit, History, Logs, Model, State};
use gradus_layers::Tally;
use gradus_tensor::Fields;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Display;
use std::path::{Path, PathBuf};

pub(crate) use identity::Identity;

/// The version of a [`Snapshot`].
const FORMAT: u32 = 2;

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

    /// Saves every `steps` steps too, counted over all epochs. Off by default. Every 0 steps is an
    /// error of [`Model::fit`].
    #[must_use]
    pub fn every_steps(mut self, steps: u64) -> Self {
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

    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> Result<(), CheckpointError> {
        match self.every_steps {
            Some(0) => Err(CheckpointError::EverySteps { path: self.path.clone() }),
            _ => Ok(()),
        }
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

/// Why a run cannot go on from a checkpoint, or cannot keep one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read, or has other tensors than this run.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// The state is to be saved every 0 steps.
    #[error("{}: a checkpoint every 0 steps cannot be written: give 1 or more", path.display())]
    EverySteps {
        /// The file.
        path: PathBuf,
    },
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
        what: String,
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
    remembered: Remembered,
    /// Problems of the data and of the validation data that were told already.
    told: [usize; 2],
}

/// What others remember: values, and how many tensors each keeps.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// In their order.
    callbacks: Vec<(Value, usize)>,
    data: (Value, usize),
    validation: Option<(Value, usize)>,
}

impl Snapshot {
    fn of(
        model: &Model,
        training: &Training,
        identity: &Identity,
        at: &Position,
        remembered: Remembered,
    ) -> Self {
        Self {
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
            remembered,
            told: at.told,
        }
    }
}

impl Checkpoint {
    /// Writes the state of a run: all of it, or nothing and the file stays what it was.
    pub(crate) fn save(
        &self,
        model: &Model,
        identity: &Identity,
        at: &Position,
        data: &dyn Batches,
        fit: &Fit<'_>,
    ) -> Result<(), Error> {
        let training = model.training.as_ref().ok_or(Error::NotCompiled)?;
        let mut tensors = Tensors::default();
        tensors.add_all(&model.network);
        tensors.add_all(training.step.optimizer());
        let mut keep = |owner: &str, State { values, tensors: own }: State| {
            for (i, tensor) in own.iter().enumerate() {
                tensors.add(tensor_name(owner, i), tensor);
            }
            (values, own.len())
        };
        let callbacks = fit.callbacks.iter().enumerate();
        let remembered = Remembered {
            callbacks: callbacks.map(|(i, c)| keep(&callback(i), c.state())).collect(),
            data: keep(DATA, data.state()),
            validation: fit.validation_data.as_deref().map(|data| keep(VALIDATION, data.state())),
        };
        let snapshot = Snapshot::of(model, training, identity, at, remembered);
        let checkpoint = serde_json::to_value(&snapshot).expect("plain values");
        let about = About { model: model.description(), checkpoint };
        Ok(tensors.write(&self.path, Some(&about))?)
    }

    /// Gives data and callbacks back what they remembered.
    fn give_back(
        &self,
        contents: &TensorsFile,
        remembered: Remembered,
        data: &mut dyn Batches,
        fit: &mut Fit<'_>,
    ) -> Result<(), CheckpointError> {
        let not_its =
            |who: &str, e: &dyn Display| self.format(format!("what {who} remembered: {e}"));
        data.restore(state(contents, DATA, remembered.data)?)
            .map_err(|e| not_its("the data", &e))?;
        if let (Some(data), Some(kept)) = (&mut fit.validation_data, remembered.validation) {
            data.restore(state(contents, VALIDATION, kept)?)
                .map_err(|e| not_its("the validation data", &e))?;
        }
        for (number, (to, kept)) in fit.callbacks.iter_mut().zip(remembered.callbacks).enumerate() {
            to.restore(state(contents, &callback(number), kept)?)
                .map_err(|e| not_its(to.name(), &e))?;
        }
        Ok(())
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

    fn other_run(&self, what: String, [expected, found]: [String; 2]) -> CheckpointError {
        CheckpointError::OtherRun { path: self.path.clone(), what, expected, found }
    }
}

fn exact(sums: &[f64]) -> Vec<Exact> {
    sums.iter().copied().map(Exact).collect()
}

/// Whose tensors those of the data are called.
const DATA: &str = "batches.training";
const VALIDATION: &str = "batches.validation";

fn callback(number: usize) -> String {
    format!("callbacks.{number}")
}

fn tensor_name(owner: &str, i: usize) -> String {
    format!("{owner}.{i}")
}

/// What `owner` is to be given back, of which the file holds the tensors.
fn state(
    contents: &TensorsFile,
    owner: &str,
    (values, count): (Value, usize),
) -> Result<State, CheckpointError> {
    let tensors = (0..count).map(|i| contents.tensor(&tensor_name(owner, i)));
    Ok(State { values, tensors: tensors.collect::<Result<_, _>>()? })
}

impl Model {
    /// Takes the state of a run from its checkpoint: everything is checked before anything is
    /// changed. Only a disk that fails in between leaves weights of which some are the file's.
    pub(crate) fn resume(
        &mut self,
        checkpoint: &Checkpoint,
        now: &Identity,
        data: &mut dyn Batches,
        fit: &mut Fit<'_>,
    ) -> Result<Position, Error> {
        let contents = TensorsFile::open(&checkpoint.path).map_err(CheckpointError::from)?;
        let about: About = contents.about().map_err(CheckpointError::from)?;
        let was = checkpoint.snapshot(about.checkpoint)?;
        if about.model != self.description() {
            let words = ["as its file says".to_owned(), "another".to_owned()];
            return Err(checkpoint.other_run("model".to_owned(), words).into());
        }
        let training = self.training.as_ref().ok_or(Error::NotCompiled)?;
        if let Some((what, words)) = was.identity.difference(now) {
            return Err(checkpoint.other_run(what, words).into());
        }
        let owners: [&dyn Fields; 2] = [&self.network, training.step.optimizer()];
        contents.expect(&owners, &["callbacks.", "batches."]).map_err(CheckpointError::from)?;
        checkpoint.give_back(&contents, was.remembered, data, fit)?;
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
        let Snapshot { epoch, step, logs, stop, told, .. } = was;
        Ok(Position { epoch, step, tally, logs, stop, told })
    }
}
