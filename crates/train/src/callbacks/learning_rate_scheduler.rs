//! A learning rate for each epoch.
//!
//! ```text
//! Rule         before each epoch: lr ← schedule(epoch, lr)
//! Reference    tf_keras 2.21, `callbacks.LearningRateScheduler`
//! ```

use crate::{Callback, Control, Error, Run};

/// Keras's `LearningRateScheduler`: any function of the epoch (from 0) and the rate so far.
///
/// ```
/// use gradus_train::LearningRateScheduler;
/// let halved = LearningRateScheduler::new(|epoch, lr| if epoch < 10 { lr } else { lr * 0.5 });
/// ```
pub struct LearningRateScheduler<F> {
    schedule: F,
    verbose: bool,
}

impl<F: FnMut(u32, f32) -> f32> LearningRateScheduler<F> {
    /// Asks that function before each epoch.
    #[must_use]
    pub fn new(schedule: F) -> Self {
        Self { schedule, verbose: false }
    }

    /// Says before each epoch what its rate is. `false` by default.
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }
}

impl<F> std::fmt::Debug for LearningRateScheduler<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LearningRateScheduler")
    }
}

impl<F: FnMut(u32, f32) -> f32> Callback for LearningRateScheduler<F> {
    fn epoch_start(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        let rate = (self.schedule)(run.epoch, control.learning_rate);
        if !rate.is_finite() || rate < 0.0 {
            let reason = format!("the schedule gave {rate} for epoch {}", run.epoch);
            return Err(Error::Callback { callback: "LearningRateScheduler", reason });
        }
        control.learning_rate = rate;
        if self.verbose {
            let epoch = run.epoch + 1;
            control.messages.push(format!(
                "Epoch {epoch}: LearningRateScheduler setting learning rate to {rate}."
            ));
        }
        Ok(())
    }
}
