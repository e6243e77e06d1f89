//! Stopping a run from outside without losing it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Lets SIGINT (Ctrl-C) and SIGTERM ask the training to stop: it finishes its step, saves its
/// checkpoint and returns [`Error::Interrupted`](crate::Error::Interrupted). A second signal ends
/// the process at once. To be handed to [`Fit::interrupt`](crate::Fit::interrupt).
///
/// A library does not take a process's signals by itself: nothing happens unless this is called.
///
/// # Errors
/// If the system refuses.
pub fn on_signals() -> io::Result<&'static AtomicBool> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // What shells report of a process that a signal ended.
        let status = 128 + signal;
        signal_hook::flag::register_conditional_shutdown(signal, status, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    // The handlers stay until the process ends, and so does what they set.
    Ok(Box::leak(Box::new(flag)))
}
