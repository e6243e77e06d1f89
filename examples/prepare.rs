//! Makes the two CSVs of the main job from a folder of images.
//!
//! ```text
//! cargo run --release --example prepare -- datasets/PetImages
//! cargo run --release --example prepare -- birds/ --name birds --x-col file --y-col kind
//! ```
//!
//! The folder holds `cat.0.jpg`, `dog.0.jpg`, … or a folder for each class. The two CSVs are
//! written into it; `dogs_vs_cats --data` takes it from there, if name and columns are the usual.

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
    /// What the CSVs are called: <NAME>-train.csv and <NAME>-val.csv
    #[arg(long, default_value = "dogs_vs_cats")]
    name: String,
    /// The column of the file names
    #[arg(long, default_value = "filename")]
    x_col: String,
    /// The column of the classes
    #[arg(long, default_value = "category")]
    y_col: String,
    /// The seed of the split
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() -> Result<()> {
    let Args { folder, validation_split, name, x_col, y_col, seed } = Args::parse();
    let options = Prepare { name, validation_split, seed, x_col, y_col, out: None };
    println!("{}", prepare(folder, &options)?);
    Ok(())
}
