//! What the measures were taken on, and when.

use anyhow::{Context as _, Result};
use std::fs;
use std::process::Command;

/// Processor, cores, memory, kernel and huge pages, as far as Linux tells them.
pub(super) fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.split(':').next().map(str::trim) == Some(name));
        line.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown").trim()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    let memory = memory.map_or("unknown".to_owned(), |kib| format!("{} GiB", kib >> 20));
    let [system, rustc] = [["uname", "-sr"], ["rustc", "--version"]]
        .map(|words| said(&words).unwrap_or("unknown".to_owned()));
    let pages = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let pages = pages.unwrap_or_default();
    let pages = pages.split(['[', ']']).nth(1).unwrap_or("unknown");
    format!(
        "{cores} cores of {} (family {}, model {}), {memory} of memory, {system}, huge pages \
         {pages}, {rustc}",
        field("model name"),
        field("cpu family"),
        field("model"),
    )
}

/// The time of day in UTC.
pub(super) fn now() -> Result<String> {
    said(&["date", "-u", "+%H:%M"])
}

/// How many programs ran or waited in the last minute: 0 on an idle machine. −1: unknown.
pub(super) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(-1.0)
}

fn said(words: &[&str]) -> Result<String> {
    let output = Command::new(words[0]).args(&words[1..]).output();
    let output = output.with_context(|| format!("cannot start {}", words[0]))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
