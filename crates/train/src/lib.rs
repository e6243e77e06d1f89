//! The training loop and everything that hooks into it: callbacks, metrics, history, plots, checkpoints.
