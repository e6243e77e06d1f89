//! The engines' tests on 64-bit Arm, emulated: is what NEON computes right?
//!
//! Builds with Debian's cross linker and runs under qemu-user. Where those are not installed, they
//! are if this is root on a system with apt; else it says that it skips. It takes two minutes.

use anyhow::Result;
use std::process::{Command, Stdio};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64";
const PACKAGES: [&str; 3] = ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user"];

/// Runs the unit tests of `gradus-tensor` and `gradus-layers`, among which every engine is held
/// against its definition.
pub(crate) fn check() -> Result<()> {
    if !(starts(LINKER) && starts(EMULATOR)) {
        if !may_install() {
            crate::say(&format!("neon: skipped, it needs {LINKER} and {EMULATOR}"));
            return Ok(());
        }
        crate::run("apt-get", &["update", "-qq"], &[])?;
        crate::run("apt-get", &[&["install", "-y", "-qq"], &PACKAGES[..]].concat(), &[])?;
    }
    crate::run("rustup", &["target", "add", TARGET], &[])?;
    let environment = [
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER),
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", "qemu-aarch64 -L /usr/aarch64-linux-gnu"),
    ];
    let packages = ["--package=gradus-tensor", "--package=gradus-layers"];
    crate::cargo(&[&["test", "--lib", "--target", TARGET], &packages[..]].concat(), &environment)
}

fn starts(program: &str) -> bool {
    quiet(program, "--version")
}

/// Root, with apt.
fn may_install() -> bool {
    let user = Command::new("id").arg("-u").output();
    user.is_ok_and(|id| id.stdout.trim_ascii() == b"0") && quiet("apt-get", "--version")
}

fn quiet(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
