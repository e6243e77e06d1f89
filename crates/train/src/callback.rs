//! What may hook into training.
//!
//! Callbacks observe a [`Run`] and act through a small [`Control`]: stop, set the learning rate,
//! put weights back, say something. They are called in the order in which they stand, and each
//! sees what the ones before it did.

use crate::Error;
use gradus_tensor::{Fields, Tensor};

/// The figures of an epoch by name, in the order in which they came: `loss`, `accuracy`,
/// `val_loss`, `val_accuracy`, `lr`.
#[derive(Clone, Debug, Default, PartialEq)]
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

    /// All of them, as names and values.
    #[must_use]
    pub fn entries(&self) -> Vec<(&str, f64)> {
        self.0.iter().map(|(n, v)| (n.as_str(), *v)).collect()
    }
}

/// What a callback sees.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The epoch that has just ended, from 0.
    pub epoch: u32,
    /// How many epochs were asked for.
    pub epochs: u32,
    /// The figures of the epoch.
    pub logs: &'a Logs,
    /// The network, for those who keep weights.
    pub network: &'a dyn Fields,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Run { epoch, epochs, logs, .. } = self;
        write!(f, "epoch {epoch} of {epochs}: {logs:?}")
    }
}

/// What a callback can do.
#[derive(Debug, Default)]
pub struct Control {
    /// The learning rate from the next step on.
    pub learning_rate: f32,
    /// Set to end the training after this epoch, saying why.
    pub stop: Option<String>,
    /// Weights to put back into the network, in visiting order.
    pub restore: Option<Vec<Tensor>>,
    /// Sentences for the person who watches.
    pub messages: Vec<String>,
}

/// An observer of the training. Every method does nothing unless it is written.
pub trait Callback {
    /// Before the first epoch: forget earlier runs.
    ///
    /// # Errors
    /// Whatever keeps the callback from its work; the training does not start.
    fn fit_start(&mut self) -> Result<(), Error> {
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
}
