//! Stopping when nothing gets better.
//!
//! ```text
//! Rule         each epoch: wait += 1; if the figure is better than the best, it is the best, and
//!              wait = 0 (if a baseline is given: only if it beats that too); else if
//!              wait ≥ patience, and it is not the first epoch, stop
//! Conventions  Keras 2's, to the letter: an epoch that improves never stops, even one that stays
//!              behind the baseline; with `restore_best_weights` the best weights are put back at
//!              the end however it came about
//! Reference    tf_keras 2.21, `callbacks.EarlyStopping`; Prechelt: Early Stopping – But When? 1998
//! ```

use super::monitor::Monitor;
use crate::exact::Exact;
use crate::history::Mode;
use crate::{Callback, Control, Error, Run, State};
use gradus_tensor::{Fields, Path, Tensor};
use serde::{Deserialize, Serialize};

/// Keras's `EarlyStopping`.
#[derive(Debug)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: u32,
    baseline: Option<f64>,
    start_from_epoch: u32,
    restore_best_weights: bool,
    verbose: bool,
    wait: u32,
    /// The epoch and its figure.
    best: Option<(u32, f64)>,
    best_weights: Option<Vec<Tensor>>,
}

impl Default for EarlyStopping {
    /// Keras's defaults: `val_loss`, patience 0, no minimal change, no baseline, weights stay as
    /// they are.
    fn default() -> Self {
        Self {
            monitor: Monitor::new("val_loss", 0.0),
            patience: 0,
            baseline: None,
            start_from_epoch: 0,
            restore_best_weights: false,
            verbose: true,
            wait: 0,
            best: None,
            best_weights: None,
        }
    }
}

impl EarlyStopping {
    /// Keras's `EarlyStopping(patience=patience)`: the number of epochs without improvement after
    /// which training stops.
    #[must_use]
    pub fn new(patience: u32) -> Self {
        Self { patience, ..Self::default() }
    }

    /// The figure to watch. Its mode follows from its name: see [`Mode::auto`].
    #[must_use]
    pub fn monitor(mut self, name: &str) -> Self {
        self.monitor = Monitor::new(name, self.monitor.min_delta);
        self
    }

    /// Whether small or large is good, where the name does not tell.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.monitor.mode = mode;
        self
    }

    /// Changes smaller than this are none. 0 by default.
    #[must_use]
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta = min_delta;
        self
    }

    /// The figure to beat before waiting starts anew.
    #[must_use]
    pub fn baseline(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// Epochs before that one do not count.
    #[must_use]
    pub fn start_from_epoch(mut self, epoch: u32) -> Self {
        self.start_from_epoch = epoch;
        self
    }

    /// Puts the weights of the best epoch back at the end.
    #[must_use]
    pub fn restore_best_weights(mut self, restore: bool) -> Self {
        self.restore_best_weights = restore;
        self
    }

    /// Says why the training stops, and which weights are put back. `true` by default, where Keras is
    /// silent: nobody waits for epochs that never come.
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    /// The best epoch (from 0) and its figure, once there is one.
    #[must_use]
    pub fn best(&self) -> Option<(u32, f64)> {
        self.best
    }

    fn keep(&mut self, run: &Run<'_>) {
        if self.restore_best_weights {
            self.best_weights = Some(copy_of(run.model.network()));
        }
    }
}

/// Every tensor of the network, in visiting order.
fn copy_of(network: &dyn Fields) -> Vec<Tensor> {
    let mut copy = Vec::new();
    network.visit(&mut Path::default(), &mut |_, field| copy.push(field.value().clone()));
    copy
}

/// What a checkpoint keeps.
#[derive(Serialize, Deserialize)]
struct Remembered {
    wait: u32,
    best: Option<(u32, Exact)>,
}

impl Callback for EarlyStopping {
    fn description(&self) -> String {
        let Self { monitor, patience, baseline, start_from_epoch, restore_best_weights, .. } = self;
        format!(
            "EarlyStopping {{ {monitor:?}, patience: {patience}, baseline: {baseline:?}, \
             start_from_epoch: {start_from_epoch}, restore_best_weights: {restore_best_weights} }}"
        )
    }

    fn fit_start(&mut self) -> Result<(), Error> {
        self.wait = 0;
        self.best = None;
        self.best_weights = None;
        Ok(())
    }

    fn epoch_end(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        let Some(value) = self.monitor.value("EarlyStopping", run, control) else { return Ok(()) };
        if run.epoch < self.start_from_epoch {
            return Ok(());
        }
        if self.best_weights.is_none() {
            // What is put back if nothing ever gets better.
            self.keep(run);
        }
        self.wait += 1;
        if self.monitor.improves(value, self.best.map(|(_, best)| best)) {
            self.best = Some((run.epoch, value));
            self.keep(run);
            if self.baseline.is_none_or(|b| self.monitor.improves(value, Some(b))) {
                self.wait = 0;
            }
        } else if self.wait >= self.patience && run.epoch > 0 {
            let (epoch, name) = (run.epoch + 1, &self.monitor.name);
            let best = match self.best {
                Some((at, best)) => format!("was best in epoch {} ({best:.4})", at + 1),
                None => "was never a number to keep".to_owned(),
            };
            // A reason that is empty stops as any other, and is not told.
            control.stop = Some(match self.verbose {
                true => format!("Epoch {epoch}: early stopping, {name} {best}"),
                false => String::new(),
            });
        }
        Ok(())
    }

    fn fit_end(&mut self, _: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        if let Some(weights) = self.best_weights.take() {
            let what = match self.best {
                Some((at, _)) => format!("Restoring the weights of the best epoch: {}.", at + 1),
                None => "Restoring the weights of the first epoch: no other was better.".to_owned(),
            };
            control.messages.extend(self.verbose.then_some(what));
            control.restore = Some(weights);
        }
        Ok(())
    }

    fn state(&self) -> State {
        let best = self.best.map(|(epoch, value)| (epoch, Exact(value)));
        let values = serde_json::to_value(Remembered { wait: self.wait, best });
        let tensors = self.best_weights.clone().unwrap_or_default();
        State { values: values.expect("plain values"), tensors }
    }

    fn restore(&mut self, state: State) -> Result<(), serde_json::Error> {
        let Remembered { wait, best } = serde_json::from_value(state.values)?;
        self.wait = wait;
        self.best = best.map(|(epoch, Exact(value))| (epoch, value));
        self.best_weights = Some(state.tensors).filter(|tensors| !tensors.is_empty());
        Ok(())
    }
}
