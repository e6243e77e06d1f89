//! The project's tasks, as a program: `cargo xtask check`.
//!
//! `check` runs everything that guards the project, cheapest first, and stops at the first that
//! fails. CI runs the same, so green here is green there.

mod bench_gpu;
mod cuda;
mod interop;
mod neon;
mod nvrtc;
mod packages;
mod percent;
mod ptx;
mod python;
mod rivals;
mod vectors;

use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::Instant;

const HELP: &str = "\
cargo xtask check    format, lints, tests and documentation: all that CI runs
cargo xtask fmt      formats everything, the rooms of the layers too
cargo xtask vectors  counts the vector instructions of the hot loops, a part of check
cargo xtask neon     the engines' tests on emulated 64-bit Arm, a part of check
cargo xtask packages builds each crate from its package, a part of check
cargo xtask ptx      compiles the CUDA kernels that changed to the PTX beside them; with --check
                     all of them, to compare: a part of check
cargo xtask nvrtc    compiles them as GRADUS_KERNELS=source does, a part of check
cargo xtask interop  onnxruntime on networks with every layer, a part of check
cargo xtask full     what takes too long for check: full interop loads what gradus writes with all
                     that serve models, and the other way, and writes a dated table (PyTorch is
                     fetched for it, 5.5 GB: --no-torch leaves it out); full hostile
                     loads ten thousand mutations of each kind of file; full cuda plants bugs in
                     the kernels and looks whether a test notices, under every schedule
cargo xtask rivals   measures gradus beside PyTorch, Keras and others (--help tells more)
cargo xtask percent  what the benches that were run reach of the machine's peaks
cargo xtask bench-gpu  the same on a GPU; packs a bundle for a machine without Rust
cargo xtask help     this text";

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("check") => check(),
        Some("bench-gpu") => bench_gpu::main(std::env::args().skip(2)),
        Some("fmt") => format(&[]),
        Some("neon") => neon::check(),
        Some("packages") => packages::check(),
        Some("percent") => percent::print(std::env::args().skip(2)),
        Some("nvrtc") => nvrtc::check(),
        Some("ptx") => ptx::run(std::env::args().skip(2)),
        Some("vectors") => vectors::check(),
        Some("interop") => interop::check(),
        Some("full") => match std::env::args().nth(2).as_deref() {
            Some("cuda") => cuda::full(std::env::args().skip(3)),
            Some("interop") => interop::full(std::env::args().skip(3)),
            Some("hostile") => cargo(
                &["test", "-p", "gradus-export", "--test", "hostile", "--", "--nocapture"],
                &[("GRADUS_MUTATIONS", "10000")],
            ),
            other => {
                bail!("full cuda, full interop and full hostile are what there is, not {other:?}")
            }
        },
        Some("rivals") => rivals::run(std::env::args().skip(2)),
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
    format(&["--check"])?;
    ptx::fresh()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], &[])?;
    cargo(&["test", "--workspace"], &[])?;
    let denied = [("RUSTDOCFLAGS", "--deny warnings")];
    cargo(&["doc", "--workspace", "--no-deps"], &denied)?;
    vectors::check()?;
    ptx::check()?;
    nvrtc::check()?;
    bench_gpu::quick()?;
    other_machines()?;
    neon::check()?;
    interop::check()?;
    packages::check()?;
    say(&format!("all checks passed in {:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// The crates that compute build for the browser, all for 64-bit Arm.
fn other_machines() -> Result<()> {
    const TARGETS: [&str; 2] = ["aarch64-unknown-linux-gnu", "wasm32-unknown-unknown"];
    run("rustup", &[&["target", "add"], &TARGETS[..]].concat(), &[])?;
    cargo(&["check", "--workspace", "--target", "aarch64-unknown-linux-gnu"], &[])?;
    const SMALL: [&str; 6] = [
        "--package=gradus-random",
        "--package=gradus-tensor",
        "--package=gradus-layers",
        "--package=gradus-models",
        "--package=gradus-optim",
        "--package=gradus-augment",
    ];
    cargo(&[&["check", "--target", "wasm32-unknown-unknown"], &SMALL[..]].concat(), &[])
}

/// All that `cargo fmt` finds, and the rooms of the layers: they are declared by a macro, behind
/// which it does not look.
fn format(options: &[&str]) -> Result<()> {
    cargo(&[&["fmt", "--all"], options].concat(), &[])?;
    let mut rooms = Vec::new();
    for entry in std::fs::read_dir("crates/layers/src").context("run it in the project's root")? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "rs") {
            rooms.push(path.display().to_string());
        }
    }
    let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
    run("rustfmt", &[&["--edition", "2024"], options, &rooms].concat(), &[])
}

/// Where cargo builds.
fn target() -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), Into::into)
}

/// Runs cargo and fails as it does.
fn cargo(args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".to_owned());
    run(&cargo, args, environment)
}

/// Runs a program and fails as it does.
fn run(program: &str, args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let name = std::path::Path::new(program).file_stem().unwrap_or_default().to_string_lossy();
    let mut line = format!("{name} {}", args.join(" "));
    if line.len() > 80 {
        line.truncate(line.floor_char_boundary(80));
        line.push('…');
    }
    say(&format!("$ {line}"));
    let start = Instant::now();
    let status = Command::new(program).args(args).envs(environment.iter().copied()).status();
    if !status.with_context(|| format!("cannot start {line}"))?.success() {
        bail!("{line} failed");
    }
    say(&format!("{line}: {:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// What cargo says that it has made.
fn artifacts(arguments: &[&str]) -> Result<Vec<serde_json::Value>> {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".to_owned());
    say(&format!("$ cargo {}", arguments.join(" ")));
    let run = Command::new(cargo)
        .args(arguments)
        .args(["--quiet", "--message-format=json"])
        .stderr(Stdio::inherit())
        .output()?;
    if !run.status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    let lines = String::from_utf8(run.stdout)?;
    let messages = lines.lines().filter_map(|line| serde_json::from_str(line).ok());
    Ok(messages
        .filter(|message: &serde_json::Value| message["reason"] == "compiler-artifact")
        .collect())
}

/// Today, for the names of tables: 2026-11-24.
fn today() -> Result<String> {
    let run = Command::new("date").args(["-u", "+%F"]).output().context("cannot start date")?;
    Ok(String::from_utf8(run.stdout)?.trim().to_owned())
}

#[allow(clippy::print_stdout, reason = "a program for people says what it does")]
fn say(text: &str) {
    println!("{text}");
}
