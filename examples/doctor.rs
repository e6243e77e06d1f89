//! Looks at every image of one or several CSVs before a network trains on them.
//!
//! ```text
//! cargo run --release --example doctor -- --data datasets/pets
//! cargo run --release --example doctor -- a-train.csv a-val.csv --y-col label
//! ```
//!
//! Missing, damaged and misnamed files, files in two CSVs or two classes, what the classes and the
//! sizes are: with line numbers. The exit status is 1 if there are errors, 2 if a CSV cannot be
//! read.

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use gradus::data::Manifest;
use gradus::data::doctor::Doctor;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Examine the images that CSVs name.
#[derive(Debug, Parser)]
struct Args {
    /// The CSVs; file names in them are relative to the folder of each
    csv: Vec<PathBuf>,
    /// A folder with <NAME>-train.csv and <NAME>-val.csv, as `prepare` makes them
    #[arg(long, conflicts_with = "csv")]
    data: Option<PathBuf>,
    /// What the CSVs in --data are called
    #[arg(long, default_value = "dogs_vs_cats")]
    name: String,
    /// The column of the file names
    #[arg(long, default_value = "filename")]
    x_col: String,
    /// The column of the classes; give "" where there is none
    #[arg(long, default_value = "category")]
    y_col: String,
    /// Look for pictures that look alike though their files differ, too
    #[arg(long)]
    near: bool,
    /// Name every finding, not ten of each kind
    #[arg(long)]
    all: bool,
    /// Threads that read files [0: one for each core]
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Prints the report and gives how many errors it has.
fn run(args: &Args) -> Result<usize> {
    let paths = match &args.data {
        Some(data) => ["train", "val"].map(|p| data.join(format!("{}-{p}.csv", args.name))).into(),
        None => args.csv.clone(),
    };
    ensure!(!paths.is_empty(), "nothing to look at: name CSVs, or a folder with --data");
    let frames = paths.iter().map(|path| Ok((path, Manifest::read(path)?)));
    let frames: Vec<(&PathBuf, Manifest)> = frames.collect::<Result<_>>()?;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = if args.threads == 0 { cores } else { args.threads };
    let mut doctor = Doctor::new().x_col(&args.x_col).threads(threads).near_duplicates(args.near);
    if !args.y_col.is_empty() {
        doctor = doctor.y_col(&args.y_col);
    }
    for (path, frame) in &frames {
        let name = path.file_stem().context("a CSV has a name")?.to_string_lossy();
        doctor = doctor.part(&name, frame, path.parent().unwrap_or(Path::new("")));
    }
    let report = doctor.examine()?;
    match args.all {
        true => println!("{report:#}"),
        false => println!("{report}"),
    }
    Ok(report.errors())
}
