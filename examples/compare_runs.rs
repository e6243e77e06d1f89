//! Draws one column of several histories into one picture.
//!
//! ```text
//! cargo run --release --example compare_runs -- val_accuracy compare.svg \
//!     gradus=runs/dogs_vs_cats-1/history.csv gradus=runs/dogs_vs_cats-2/history.csv keras=k.csv
//! ```
//!
//! Runs of one group share a colour; the group's mean is bold. The CSVs are those that the main job
//! writes, or those of Keras's `CSVLogger`.

use anyhow::{Context, Result};
use clap::Parser;
use gradus::prelude::*;
use gradus::train::plot::{Run, plot_runs};
use std::path::PathBuf;

/// Compare training runs in one plot.
#[derive(Debug, Parser)]
struct Args {
    /// The column, such as val_accuracy
    column: String,
    /// The picture: .svg or .png
    picture: PathBuf,
    /// Histories, each as GROUP=FILE
    #[arg(required = true)]
    runs: Vec<String>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut runs = Vec::new();
    for run in &args.runs {
        let (group, file) =
            run.split_once('=').with_context(|| format!("{run} is not GROUP=FILE"))?;
        runs.push((group, History::read_csv(file)?));
    }
    let runs: Vec<Run<'_>> = runs.iter().map(|(group, history)| Run { group, history }).collect();
    Ok(plot_runs(&runs, &args.column)?.save(&args.picture)?)
}
