//! Makes the two CSVs of the main job from a folder of images.
//!
//! ```text
//! cargo run --release --example prepare -- datasets/PetImages
//! ```
//!
//! The folder holds `cat.0.jpg`, `dog.0.jpg`, … or a folder for each class. The two CSVs are
//! written into it; `dogs_vs_cats --data` takes it from there.

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

use anyhow::Result;
use clap::Parser;
use gradus::data::prepare::{Prepare, prepare};
use std::path::PathBuf;

/// Split a folder of images into training and validation CSVs.
#[derive(Debug, Parser)]
struct Args {
    /// The folder of images
    folder: PathBuf,
    /// The fraction of each class to validate on
    #[arg(long, default_value_t = 0.2)]
    validation_split: f64,
    /// The seed of the split
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let Args { validation_split, seed, .. } = args;
    let prepared =
        prepare(&args.folder, &Prepare { validation_split, seed, ..Prepare::default() })?;
    println!("{prepared}");
    Ok(())
}
