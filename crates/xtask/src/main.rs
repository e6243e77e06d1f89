//! The project's tasks, as a program: `cargo xtask check`.
//!
//! `check` runs everything that guards the project, cheapest first, and stops at the first that
//! fails. CI runs the same, so green here is green there.

use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::Instant;

const HELP: &str = "\
cargo xtask check    format, lints, tests and documentation: all that CI runs
cargo xtask help     this text";

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("check") => check(),
        Some("help") | None => {
            say(HELP);
            Ok(())
        }
        Some(other) => bail!("there is no task {other:?}\n{HELP}"),
    }
}

/// The guards, cheapest first.
fn check() -> Result<()> {
    let start = Instant::now();
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], &[])?;
    cargo(&["test", "--workspace"], &[])?;
    let denied = [("RUSTDOCFLAGS", "--deny warnings")];
    cargo(&["doc", "--workspace", "--no-deps"], &denied)?;
    say(&format!("all checks passed in {:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// Runs cargo and fails as it does.
fn cargo(args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let line = format!("cargo {}", args.join(" "));
    say(&format!("$ {line}"));
    let start = Instant::now();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    let status = command.args(args).envs(environment.iter().copied()).status();
    if !status.with_context(|| format!("cannot start {line}"))?.success() {
        bail!("{line} failed");
    }
    say(&format!("{line}: {:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}

#[allow(clippy::print_stdout, reason = "a program for people says what it does")]
fn say(text: &str) {
    println!("{text}");
}
