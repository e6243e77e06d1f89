//! Stopping when the loss is lost.
//!
//! ```text
//! Rule         after each step: stop if the mean loss of the epoch so far is NaN or infinite
//! Conventions  Keras 2's: the epoch's validation still runs, and its row is in the history. Beyond
//!              Keras: the first layer that gave such a number is named
//! Reference    tf_keras 2.21, `callbacks.TerminateOnNaN`
//! ```

use crate::{Callback, Control, Error, Run};

/// Keras's `TerminateOnNaN`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TerminateOnNaN;

impl Callback for TerminateOnNaN {
    fn step_end(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        if let Some(loss) = run.logs.get("loss").filter(|loss| !loss.is_finite()) {
            let (epoch, step) = (run.epoch + 1, run.step);
            let place = run.model.first_not_finite();
            let place = place.map(|place| format!("; {place}")).unwrap_or_default();
            control.stop = Some(format!(
                "Epoch {epoch}, step {step}: the loss is {loss}, terminating the training{place}"
            ));
        }
        Ok(())
    }
}
