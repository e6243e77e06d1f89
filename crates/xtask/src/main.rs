//! The project's tasks: cargo xtask check and friends.
fn main() {}
