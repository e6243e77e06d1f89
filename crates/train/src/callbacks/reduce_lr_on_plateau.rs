//! A smaller learning rate when nothing gets better.
//!
//! ```text
//! Rule         each epoch: a running cooldown counts down and resets wait; then, if the figure is
//!              better than the best, it is the best and wait = 0; else, unless cooling down,
//!              wait += 1, and once wait ≥ patience and lr > min_lr:
//!              lr ← max(lr · factor, min_lr), the cooldown starts, wait = 0
//! Conventions  Keras 2's, to the letter: a cooldown of n pauses n − 1 epochs, and at min_lr the
//!              wait goes on growing
//! Reference    tf_keras 2.21, `callbacks.ReduceLROnPlateau`
//! ```

use super::monitor::Monitor;
use crate::exact::Exact;
use crate::history::Mode;
use crate::{Callback, Control, Error, Run, State};
use serde::{Deserialize, Serialize};

/// Keras's `ReduceLROnPlateau`.
#[derive(Debug)]
pub struct ReduceLROnPlateau {
    monitor: Monitor,
    factor: f64,
    patience: u32,
    cooldown: u32,
    min_lr: f64,
    verbose: bool,
    best: Option<f64>,
    wait: u32,
    cooling: u32,
}

impl Default for ReduceLROnPlateau {
    /// Keras's defaults: `val_loss`, factor 0.1, patience 10, min_delta 1e-4, no cooldown, min_lr 0.
    fn default() -> Self {
        Self {
            monitor: Monitor::new("val_loss", 1e-4),
            best: None,
            factor: 0.1,
            patience: 10,
            cooldown: 0,
            min_lr: 0.0,
            verbose: true,
            wait: 0,
            cooling: 0,
        }
    }
}

impl ReduceLROnPlateau {
    /// Watches that figure, with Keras's defaults for the rest. Its mode follows from its name:
    /// see [`Mode::auto`].
    #[must_use]
    pub fn new(monitor: &str) -> Self {
        Self { monitor: Monitor::new(monitor, 1e-4), ..Self::default() }
    }

    /// Whether small or large is good, where the name does not tell.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.monitor.mode = mode;
        self
    }

    /// What the rate is multiplied with. `fit` refuses one that is not in 0..1: the rate would not
    /// get smaller.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Epochs without improvement before the rate is reduced.
    #[must_use]
    pub fn patience(mut self, patience: u32) -> Self {
        self.patience = patience;
        self
    }

    /// Changes smaller than this are none.
    #[must_use]
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta = min_delta;
        self
    }

    /// Epochs after a reduction in which nothing is counted.
    #[must_use]
    pub fn cooldown(mut self, epochs: u32) -> Self {
        self.cooldown = epochs;
        self
    }

    /// The rate never goes below this.
    #[must_use]
    pub fn min_lr(mut self, min_lr: f64) -> Self {
        self.min_lr = min_lr;
        self
    }

    /// Says when the rate is reduced, and to what. `true` by default, where Keras is silent: it
    /// happens seldom and matters.
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    fn reduce(&mut self, epoch: u32, control: &mut Control) {
        let old = control.learning_rate;
        if old > self.min_lr as f32 {
            let new = (f64::from(old) * self.factor).max(self.min_lr) as f32;
            control.learning_rate = new;
            let epoch = epoch + 1;
            let what = format!("Epoch {epoch}: ReduceLROnPlateau reducing learning rate to {new}.");
            control.messages.extend(self.verbose.then_some(what));
            self.cooling = self.cooldown;
            self.wait = 0;
        }
    }
}

/// What a checkpoint keeps.
#[derive(Serialize, Deserialize)]
struct Remembered {
    best: Option<Exact>,
    wait: u32,
    cooling: u32,
}

impl Callback for ReduceLROnPlateau {
    fn description(&self) -> String {
        let Self { monitor, factor, patience, cooldown, min_lr, .. } = self;
        format!(
            "ReduceLROnPlateau {{ {monitor:?}, factor: {factor}, patience: {patience}, cooldown: \
             {cooldown}, min_lr: {min_lr} }}"
        )
    }

    fn fit_start(&mut self) -> Result<(), Error> {
        if !(0.0..1.0).contains(&self.factor) {
            let reason = format!("a factor of {} does not reduce the rate", self.factor);
            return Err(Error::Callback { callback: "ReduceLROnPlateau", reason });
        }
        (self.wait, self.cooling) = (0, 0);
        self.best = None;
        Ok(())
    }

    fn epoch_end(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        let who = "ReduceLROnPlateau";
        let Some(value) = self.monitor.value(who, run, control) else { return Ok(()) };
        if self.cooling > 0 {
            self.cooling -= 1;
            self.wait = 0;
        }
        if self.monitor.improves(value, self.best) {
            self.best = Some(value);
            self.wait = 0;
        } else if self.cooling == 0 {
            self.wait += 1;
            if self.wait >= self.patience {
                self.reduce(run.epoch, control);
            }
        }
        Ok(())
    }

    fn state(&self) -> State {
        let (best, wait, cooling) = (self.best.map(Exact), self.wait, self.cooling);
        let values = serde_json::to_value(Remembered { best, wait, cooling });
        State { values: values.expect("plain values"), tensors: Vec::new() }
    }

    fn restore(&mut self, state: State) -> Result<(), serde_json::Error> {
        let Remembered { best, wait, cooling } = serde_json::from_value(state.values)?;
        (self.best, self.wait, self.cooling) = (best.map(|Exact(best)| best), wait, cooling);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_that_reduces_nothing_is_refused_before_the_first_epoch() {
        for factor in [1.0, 1.5, -0.1, f64::NAN] {
            let error = ReduceLROnPlateau::default().factor(factor).fit_start().unwrap_err();
            assert!(error.to_string().contains("does not reduce the rate"), "{error}");
        }
        assert!(ReduceLROnPlateau::default().factor(0.0).fit_start().is_ok());
    }
}
