//! `cargo xtask percent`: what the benches of the rooms reach of what the machine can do.
//!
//! ```text
//! cargo bench --bench peaks && cargo bench --bench conv2d      criterion keeps what it measures
//! cargo xtask percent                                          the table of all that it has kept
//! cargo xtask percent conv2d pooling                           of some rooms only
//! ```
//!
//! Work counted in operations is held against the multiply-adds of `peaks`, work counted in bytes
//! against its copy of 128 MiB, both on all cores. More than all of it is possible: a convolution's
//! operations are counted as if it were direct, whatever its algorithm, and small arrays stay in
//! caches.

use crate::target;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// What criterion writes of a bench.
#[derive(Deserialize)]
struct Bench {
    group_id: String,
    function_id: Option<String>,
    /// `Elements` or `Bytes`, and how many in an iteration.
    throughput: Option<HashMap<String, f64>>,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    /// Nanoseconds.
    point_estimate: f64,
}

/// One bench, and how much it does a second.
#[derive(Debug, PartialEq)]
struct Measured {
    room: String,
    name: String,
    bytes: bool,
    /// 10⁹ operations, or bytes.
    rate: f64,
}

/// Prints the table.
pub(crate) fn print(rooms: impl Iterator<Item = String>) -> Result<()> {
    let rooms: Vec<String> = rooms.collect();
    let mut all = Vec::new();
    walk(&target().join("criterion"), &mut all)
        .context("criterion has kept nothing: run cargo bench --bench peaks, and those of rooms")?;
    all.sort_by(|a, b| (&a.room, &a.name).cmp(&(&b.room, &b.name)));
    let table = table(&all, &rooms).context("first run cargo bench --bench peaks")?;
    crate::say(&table);
    Ok(())
}

/// Adds what lies in this folder and below it.
fn walk(folder: &Path, found: &mut Vec<Measured>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && path.ends_with("new") {
            found.extend(read(&path)?);
        } else if path.is_dir() {
            walk(&path, found)?;
        }
    }
    Ok(())
}

/// Fewer elements than these in an iteration are images, which have no peak, and not operations.
const IMAGES: f64 = 10_000.0;

/// The bench of a folder, if it counts operations or bytes.
fn read(folder: &Path) -> Result<Option<Measured>> {
    let [bench, estimates] = ["benchmark.json", "estimates.json"].map(|name| folder.join(name));
    if !bench.exists() || !estimates.exists() {
        return Ok(None);
    }
    let bench: Bench = serde_json::from_slice(&fs::read(&bench)?)?;
    let Estimates { median } = serde_json::from_slice(&fs::read(&estimates)?)?;
    let work = bench.throughput.and_then(|work| work.into_iter().next());
    let work = work.filter(|(unit, amount)| unit == "Bytes" || *amount >= IMAGES);
    Ok(work.map(|(unit, amount)| Measured {
        room: bench.group_id,
        name: bench.function_id.unwrap_or_default(),
        bytes: unit == "Bytes",
        rate: amount / median.point_estimate,
    }))
}

/// The best of the benches of `peaks` whose name begins so.
fn peak(all: &[Measured], begin: &str) -> Option<f64> {
    let peaks = all.iter().filter(|m| m.room == "peaks" && m.name.starts_with(begin));
    peaks.map(|m| m.rate).max_by(f64::total_cmp)
}

/// A line for each bench of those rooms, or of all.
fn table(all: &[Measured], rooms: &[String]) -> Option<String> {
    let (fma, copy) = (peak(all, "fma")?, peak(all, "copy, 128 MiB")?);
    let mut lines = vec![
        format!("Multiply-adds: {fma:.0} GFLOP/s; a copy of 128 MiB: {copy:.1} GB/s.\n"),
        "| room | work | reaches | of the peak |".to_owned(),
        "| --- | --- | ---: | ---: |".to_owned(),
    ];
    let wanted = |m: &&Measured| m.room != "peaks" && (rooms.is_empty() || rooms.contains(&m.room));
    for Measured { room, name, bytes, rate } in all.iter().filter(wanted) {
        let (unit, of) = if *bytes { ("GB/s", copy) } else { ("GFLOP/s", fma) };
        let percent = 100.0 * rate / of;
        lines.push(format!("| {room} | {name} | {rate:.1} {unit} | {percent:.0} % |"));
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(room: &str, name: &str, bytes: bool, rate: f64) -> Measured {
        Measured { room: room.to_owned(), name: name.to_owned(), bytes, rate }
    }

    #[test]
    fn each_kind_of_work_has_its_peak() {
        let all = [
            measured("conv2d", "forward", false, 300.0),
            measured("peaks", "copy, 128 MiB, 2 threads", true, 20.0),
            measured("peaks", "copy, 16 KiB, 2 threads", true, 900.0),
            measured("peaks", "fma, Avx2, 1 threads", false, 200.0),
            measured("peaks", "fma, Avx2, 2 threads", false, 400.0),
            measured("pooling", "forward", true, 15.0),
        ];
        let text = table(&all, &[]).expect("peaks are there");
        assert!(text.contains("| conv2d | forward | 300.0 GFLOP/s | 75 % |"), "{text}");
        assert!(text.contains("| pooling | forward | 15.0 GB/s | 75 % |"), "{text}");
        assert!(!text.contains("| peaks"), "{text}");
        let one = table(&all, &["pooling".to_owned()]).expect("peaks are there");
        assert!(!one.contains("conv2d"), "{one}");
        assert_eq!(table(&all[..1], &[]), None);
    }

    #[test]
    fn what_criterion_wrote_is_found_below_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let new = folder.path().join("conv2d/forward/new");
        fs::create_dir_all(&new).expect("a folder");
        let bench =
            r#"{"group_id":"conv2d","function_id":"forward","throughput":{"Elements":60000}}"#;
        fs::write(new.join("benchmark.json"), bench).expect("a file");
        fs::write(new.join("estimates.json"), r#"{"median":{"point_estimate":3.0}}"#)
            .expect("a file");
        let mut found = Vec::new();
        walk(folder.path(), &mut found).expect("readable");
        assert_eq!(found, [measured("conv2d", "forward", false, 20_000.0)]);
    }
}
