//! gradus's side of `cargo xtask bench-gpu`: convolutions, passes bound by memory, training steps.
//!
//! ```text
//! cargo run --release --example bench_gpu -- --out ours.jsonl
//! ```
//!
//! The program needs nothing but the NVIDIA driver, so that it can be carried to the machine with the
//! GPU. Each measure is a line of JSON, added to the file as soon as it is there; what is in the file
//! already is not measured again, so that a run that was cut off goes on. Times are the device's own,
//! by events; those of training steps are the host's, who sends a batch for each.

#![allow(clippy::print_stdout, reason = "a program for people says what it does")]

mod convolutions;
mod memory;
mod rows;
mod step;
#[path = "../../common/tutorial.rs"]
mod tutorial;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use gradus::tensor::gpu::Gpu;
use rows::Rows;
use std::path::PathBuf;

/// Measures gradus on a GPU.
#[derive(Debug, Parser)]
struct Args {
    /// What to measure [default: all]
    #[arg(value_enum)]
    what: Vec<What>,
    /// Where the measures are written, one a line; those that are there are not made again
    #[arg(long, default_value = "ours.jsonl")]
    out: PathBuf,
    /// Which GPU, as nvidia-smi counts
    #[arg(long, default_value_t = 0)]
    device: usize,
    /// Sizes that an emulated GPU can do, once each: to see that everything runs, not how fast
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The three passes of single convolutions
    Convolutions,
    /// What moves numbers and hardly computes, beside a plain copy
    Memory,
    /// The tutorial's training step
    Step,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let gpu = if args.quick { gradus_testing::gpu() } else { Some(Gpu::open(args.device)?) };
    let Some(gpu) = gpu else { return Ok(()) };
    let mut rows = Rows::open(&args.out, &gpu, args.quick)?;
    for (what, measure) in [
        (What::Convolutions, convolutions::measure as fn(&Gpu, &mut Rows) -> Result<()>),
        (What::Memory, memory::measure),
        (What::Step, step::measure),
    ] {
        if args.what.is_empty() || args.what.contains(&what) {
            measure(&gpu, &mut rows).with_context(|| format!("measuring {what:?}"))?;
        }
    }
    Ok(())
}
