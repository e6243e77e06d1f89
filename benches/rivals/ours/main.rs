//! gradus's side of `cargo xtask rivals`: the same work and the same output as the scripts beside.
//!
//! ```text
//! cargo run --release --example rivals_ours -- train --batch 15 --threads 2 --seconds 3
//! ```
//!
//! The first line says what was measured: version, parameters. Each other line is one measure as
//! JSON: its name, and how often a second the median call gets done (images, or 1e9 operations).

#![allow(clippy::print_stdout, reason = "a program that hands on what it measured")]

mod conv2d;
mod epoch;
mod network;
mod pipeline;
#[path = "../../common/reference.rs"]
mod reference;
#[path = "../../common/tutorial.rs"]
mod tutorial;

use clap::{Parser, ValueEnum};
use gradus::tensor::simd::Isa;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What the rivals' scripts take too.
#[derive(Debug, Parser)]
struct Args {
    what: What,
    /// Images in a batch
    #[arg(long, default_value_t = 15)]
    batch: usize,
    /// Threads that compute
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// How long a measure is repeated
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// The folder with the two CSVs, for `epoch`, or with files, for `pipeline`
    #[arg(long, required_if_eq_any([("what", "epoch"), ("what", "pipeline")]))]
    data: Option<PathBuf>,
    /// Keep decoded images in memory, in `epoch`
    #[arg(long)]
    cache: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Train,
    Infer,
    Conv2d,
    Pipeline,
    Epoch,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (version, isa) = (env!("CARGO_PKG_VERSION"), Isa::detect());
    println!(
        "{}",
        json!({
            "version": format!("gradus {version} ({isa:?})"),
            "parameters": (!matches!(args.what, What::Pipeline)).then(network::parameters),
            "threads": args.threads,
        })
    );
    match args.what {
        What::Train => network::train(&args),
        What::Infer => network::infer(&args),
        What::Conv2d => conv2d::passes(&args),
        What::Pipeline => pipeline::rates(&args),
        What::Epoch => return epoch::epochs(&args),
    }
    Ok(())
}

/// Calls it for some seconds, warmed up, and prints how much work a second the median call does.
fn report(measure: &str, work: f64, seconds: f64, mut call: impl FnMut()) {
    (0..3).for_each(|_| call());
    let (mut times, begin) = (Vec::new(), Instant::now());
    while times.len() < 5 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        call();
        times.push(start.elapsed());
    }
    print_rate(measure, work, times);
}

/// Prints how much work a second the median takes.
fn print_rate(measure: &str, work: f64, mut times: Vec<Duration>) {
    times.sort();
    let middle = times.len() / 2;
    let median = match times.len() % 2 {
        0 => (times[middle - 1] + times[middle]) / 2,
        _ => times[middle],
    };
    println!("{}", json!({ "measure": measure, "rate": work / median.as_secs_f64() }));
}
