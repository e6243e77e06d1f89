//! Keeping models while training: each epoch's, or the best.
//!
//! ```text
//! Rule         after each epoch, or every so many steps: the file name is filled in and the model
//!              saved; with `save_best_only` only if the figure is better than the best so far
//! Conventions  Keras 2's: `{epoch}` counts from 1; better is strict; where the figure is missing the
//!              model is saved, and it is said. The file is one that `Model::load` takes; with
//!              `save_weights_only` one for `Model::load_weights`
//! Reference    tf_keras 2.21, `callbacks.ModelCheckpoint`
//! ```

use super::monitor::Monitor;
use super::template::Template;
use crate::exact::Exact;
use crate::history::Mode;
use crate::{Callback, Control, Error, Run, State};

/// Keras's `ModelCheckpoint`.
///
/// ```
/// use gradus_train::ModelCheckpoint;
/// let best = ModelCheckpoint::new("runs/1/best.safetensors")?.save_best_only(true);
/// let each = ModelCheckpoint::new("runs/1/{epoch:02d}-{val_accuracy:.4f}.safetensors")?;
/// # Ok::<(), gradus_train::Error>(())
/// ```
#[derive(Debug)]
pub struct ModelCheckpoint {
    path: Template,
    monitor: Monitor,
    save_best_only: bool,
    save_weights_only: bool,
    verbose: bool,
    every_steps: Option<u64>,
    best: Option<f64>,
    threshold: Option<f64>,
}

impl ModelCheckpoint {
    /// Saves after every epoch under that name, in which `{epoch:02d}`, `{val_loss:.2f}` and the
    /// like are filled in.
    ///
    /// # Errors
    /// [`Error::Callback`] if the name cannot be understood.
    pub fn new(path: &str) -> Result<Self, Error> {
        Ok(Self {
            path: Template::parse(path).map_err(error)?,
            monitor: Monitor::new("val_loss", 0.0),
            save_best_only: false,
            save_weights_only: false,
            verbose: false,
            every_steps: None,
            best: None,
            threshold: None,
        })
    }

    /// The figure to watch, `val_loss` by default. Its mode follows from its name: see
    /// [`Mode::auto`].
    #[must_use]
    pub fn monitor(mut self, name: &str) -> Self {
        self.monitor = Monitor::new(name, 0.0);
        self
    }

    /// Whether small or large is good, where the name does not tell.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.monitor.mode = mode;
        self
    }

    /// Saves only what is better than all before. `false` by default.
    #[must_use]
    pub fn save_best_only(mut self, best_only: bool) -> Self {
        self.save_best_only = best_only;
        self
    }

    /// Saves the weights alone, without the network that they are of: [`Model::load_weights`](crate::Model::load_weights) puts
    /// them into one that is built. `false` by default.
    #[must_use]
    pub fn save_weights_only(mut self, weights_only: bool) -> Self {
        self.save_weights_only = weights_only;
        self
    }

    /// Says what is saved where, and what is not because it is no better. `false` by default.
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    /// Saves every `steps` steps, counted over all epochs, instead of after each epoch: Keras's
    /// `save_freq`. The figures are then those of the epoch so far. Every 0 steps is an error of
    /// [`Model::fit`](crate::Model::fit).
    #[must_use]
    pub fn save_freq(mut self, steps: u64) -> Self {
        self.every_steps = Some(steps);
        self
    }

    /// What the first model has to beat.
    #[must_use]
    pub fn initial_value_threshold(mut self, value: f64) -> Self {
        self.threshold = Some(value);
        self
    }

    fn save(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        let Some(why) = self.reason(run, control) else { return Ok(()) };
        let path = self.path.fill(run.epoch, run.logs).map_err(error)?;
        self.tell(run, control, || format!("{why}saving model to {path}"));
        match self.save_weights_only {
            true => run.model.save_weights(path),
            false => run.model.save_file(path),
        }
    }

    /// Whether there is a reason to save, and how the sentence about it begins.
    fn reason(&mut self, run: &Run<'_>, control: &mut Control) -> Option<String> {
        if !self.save_best_only {
            return Some(String::new());
        }
        let Some(value) = self.monitor.value("ModelCheckpoint", run, control) else {
            return Some(String::new());
        };
        let (name, best) = (&self.monitor.name, self.best.or(self.threshold));
        let before = best.unwrap_or(self.monitor.mode.worst());
        if !self.monitor.improves(value, best) {
            self.tell(run, control, || format!("{name} did not improve from {before:.5}"));
            return None;
        }
        let why = format!("{name} improved from {before:.5} to {value:.5}, ");
        self.best = Some(value);
        Some(why)
    }

    fn tell(&self, run: &Run<'_>, control: &mut Control, what: impl FnOnce() -> String) {
        if self.verbose {
            control.messages.push(format!("Epoch {}: {}", run.epoch + 1, what()));
        }
    }
}

fn error(reason: String) -> Error {
    Error::Callback { callback: "ModelCheckpoint", reason }
}

impl Callback for ModelCheckpoint {
    fn description(&self) -> String {
        let Self { monitor, save_best_only, every_steps, threshold, .. } = self;
        format!(
            "ModelCheckpoint {{ {monitor:?}, save_best_only: {save_best_only}, save_freq: \
             {every_steps:?}, initial_value_threshold: {threshold:?} }}"
        )
    }

    fn fit_start(&mut self) -> Result<(), Error> {
        self.best = None;
        match self.every_steps {
            Some(0) => Err(error("save_freq is 0 steps: give 1 or more".to_owned())),
            _ => Ok(()),
        }
    }

    fn step_end(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        match self.every_steps {
            Some(every) if run.model.updates().is_multiple_of(every) => self.save(run, control),
            _ => Ok(()),
        }
    }

    fn epoch_end(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        match self.every_steps {
            None => self.save(run, control),
            Some(_) => Ok(()),
        }
    }

    fn state(&self) -> State {
        let values = serde_json::to_value(self.best.map(Exact)).expect("a plain value");
        State { values, tensors: Vec::new() }
    }

    fn restore(&mut self, state: State) -> Result<(), serde_json::Error> {
        let best: Option<Exact> = serde_json::from_value(state.values)?;
        self.best = best.map(|Exact(best)| best);
        Ok(())
    }
}
