//! Asks a saved model what is on some pictures.
//!
//! ```text
//! cargo run --release --example classify -- models/1 photo.jpg another.png
//! cargo run --release --example classify -- models/1 photos/
//! ```
//!
//! Prints a line for each file: the most probable class, how probable, and the file; and writes a
//! sheet of the pictures with the answers under them. The example `dogs_vs_cats` makes `models/1`, and
//! pictures in `runs/synthetic`, without any download. A file that cannot be read is reported, the
//! others are still answered, and the exit status is 1.

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Parser;
use gradus::prelude::*;
use gradus::tensor::ndarray::Array3;
use gradus::train::plot::{Card, contact_sheet};
use gradus::train::{Answer, Classifier, write_beside};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Classify image files with a saved model.
#[derive(Debug, Parser)]
struct Args {
    /// A version of a saved model, such as models/1
    model: PathBuf,
    /// Image files, and folders of them
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The sheet of pictures and answers
    #[arg(long, default_value = "runs/classified.png")]
    sheet: PathBuf,
    /// The most pictures on it; 0 for no sheet
    #[arg(long, default_value_t = 40)]
    sheet_images: usize,
    /// Pictures in a row of it
    #[arg(long, default_value_t = 8)]
    columns: usize,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
}

/// A picture for the sheet, and what stands under it.
struct Seen {
    picture: Array3<u8>,
    lines: Vec<String>,
}

impl Seen {
    fn card(&self) -> Card<'_> {
        Card { picture: self.picture.view(), lines: self.lines.clone(), wrong: false }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.columns > 0, "--columns is 1 or more");
    let mut classifier = open(&args)?;
    let files = files(&args.images)?;
    let (mut seen, mut failed) = (Vec::new(), 0);
    for file in &files {
        match classifier.predict(file) {
            Ok(answer) => {
                print(&answer, file);
                if seen.len() < args.sheet_images {
                    let lines = vec![answer.to_string(), name(file)];
                    seen.push(Seen { picture: classifier.seen().to_owned(), lines });
                }
            }
            Err(error) => {
                eprintln!("{error}");
                failed += 1;
            }
        }
    }
    if !seen.is_empty() {
        write_sheet(&args, &seen)?;
    }
    ensure!(failed == 0, "{failed} of {} files could not be read", files.len());
    Ok(())
}

fn open(args: &Args) -> Result<Classifier> {
    let (device, no_gpu) = Device::named(&args.device)?;
    if let Some(reason) = no_gpu {
        eprintln!("No GPU: {reason}");
    }
    let context = Context::new(device, 0);
    let hint =
        "`cargo run --release --example dogs_vs_cats` trains a model and saves it as models/1";
    let mut model =
        Model::load(&args.model, context).map_err(|error| anyhow!("{error}\n{hint}"))?;
    model.fold_batch_normalization();
    Ok(Classifier::new(model))
}

fn print(answer: &Answer, file: &Path) {
    let (class, percent) = (answer.class(), 100.0 * answer.probability());
    println!("{class:12} {percent:6.2} %  {}", file.display());
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// The files that were named, and those in the folders that were, sorted by name.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries =
            fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
        let mut inside = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        inside.retain(|file| file.is_file());
        inside.sort();
        if inside.is_empty() {
            bail!("there is no file in {}: name a folder that has pictures", path.display());
        }
        files.extend(inside);
    }
    Ok(files)
}

fn write_sheet(args: &Args, seen: &[Seen]) -> Result<()> {
    let cards: Vec<Card<'_>> = seen.iter().map(Seen::card).collect();
    let png = contact_sheet(&cards, args.columns);
    if let Some(folder) = args.sheet.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    write_beside(&args.sheet, |file| file.write_all(&png))?;
    println!("\n{} pictures with their answers: {}", cards.len(), args.sheet.display());
    Ok(())
}
