//! What may hook into training.
//!
//! Callbacks observe a [`Run`] and act through a small [`Control`]: stop, set the learning rate,
//! put weights back, say something. They are called in the order in which they stand, and each
//! sees what the ones before it did.

use crate::exact::Exact;
use crate::{Error, Model};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The figures of an epoch by name, in the order in which they came: `loss`, `accuracy`,
/// `val_loss`, `val_accuracy`, `lr`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<(String, Exact)>", from = "Vec<(String, Exact)>")]
pub struct Logs(Vec<(String, f64)>);

impl Logs {
    /// Adds a figure, or replaces it.
    pub fn set(&mut self, name: &str, value: f64) {
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// A figure by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    /// Forgets all figures.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, as names and values.
    #[must_use]
    pub fn entries(&self) -> Vec<(&str, f64)> {
        self.0.iter().map(|(n, v)| (n.as_str(), *v)).collect()
    }
}

impl From<Logs> for Vec<(String, Exact)> {
    fn from(logs: Logs) -> Self {
        logs.0.into_iter().map(|(name, value)| (name, Exact(value))).collect()
    }
}

impl From<Vec<(String, Exact)>> for Logs {
    fn from(entries: Vec<(String, Exact)>) -> Self {
        Logs(entries.into_iter().map(|(name, Exact(value))| (name, value)).collect())
    }
}

/// What a callback sees.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The epoch, from 0.
    pub epoch: u32,
    /// How many epochs were asked for.
    pub epochs: u32,
    /// Steps of this epoch that are done.
    pub step: usize,
    /// Steps that an epoch has.
    pub steps: usize,
    /// The figures of the epoch so far; at its end those of validation and `lr` too.
    pub logs: &'a Logs,
    /// The model: its weights, its updates, its history.
    pub model: &'a Model,
}

/// What a callback can do.
#[derive(Debug, Default)]
pub struct Control {
    /// The learning rate from the next step on. It is the optimizer's own until a callback sets
    /// another.
    pub learning_rate: f32,
    /// Set to end the training, saying why: after this step, or after this epoch. Nothing is told
    /// where the reason is empty.
    pub stop: Option<String>,
    /// Weights to put back into the network, in visiting order.
    pub restore: Option<Vec<Tensor>>,
    /// Sentences for the person who watches.
    pub messages: Vec<String>,
}

/// What a callback or a source of batches remembers, for a checkpoint.
#[derive(Debug, Default)]
pub struct State {
    /// Numbers and words.
    pub values: serde_json::Value,
    /// Weights, perhaps, or what was fitted.
    pub tensors: Vec<Tensor>,
}

/// An observer of the training. Every method does nothing unless it is written.
///
/// A run that is resumed goes on exactly if its callbacks do: one that remembers anything from
/// epoch to epoch says so in [`Callback::state`] and takes it back in [`Callback::restore`].
pub trait Callback {
    /// What a checkpoint calls it: the name of the type, unless overridden.
    fn name(&self) -> &str {
        let whole = std::any::type_name::<Self>();
        let path = whole.split('<').next().unwrap_or(whole);
        path.rsplit("::").next().unwrap_or(path)
    }

    /// What it does, with all its options: a run is resumed with the same only. Its name, unless
    /// overridden. Where it writes to does not belong in here.
    fn description(&self) -> String {
        self.name().to_owned()
    }

    /// Before the first epoch: forget earlier runs.
    ///
    /// # Errors
    /// Whatever keeps the callback from its work; the training does not start.
    fn fit_start(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Before the first step of an epoch; `run.logs` is empty. The place to set its learning rate.
    ///
    /// # Errors
    /// Whatever keeps the callback from its work; the training ends with it.
    fn epoch_start(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        let _ = (run, control);
        Ok(())
    }

    /// After every step. `run.logs` has the means of the epoch so far.
    ///
    /// # Errors
    /// Whatever keeps the callback from its work; the training ends with it.
    fn step_end(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        let _ = (run, control);
        Ok(())
    }

    /// After an epoch and its validation.
    ///
    /// # Errors
    /// Whatever keeps the callback from its work; the training ends with it.
    fn epoch_end(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        let _ = (run, control);
        Ok(())
    }

    /// After the last epoch, however it came to be the last.
    ///
    /// # Errors
    /// Whatever keeps the callback from its work.
    fn fit_end(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        let _ = (run, control);
        Ok(())
    }

    /// What it remembers.
    fn state(&self) -> State {
        State::default()
    }

    /// Takes back what [`Callback::state`] gave, after `fit_start`.
    ///
    /// # Errors
    /// If the values are not those of such a callback.
    fn restore(&mut self, state: State) -> Result<(), serde_json::Error> {
        let _ = state;
        Ok(())
    }
}
