//! How parameters move, and how fast: optimizers and learning-rate schedules.
