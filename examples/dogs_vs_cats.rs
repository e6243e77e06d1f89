//! The main job: the Keras dogs-vs-cats notebook, from CSVs and photos to a saved model.
//!
//! ```text
//! cargo run --release --example dogs_vs_cats                    draws its own data, two minutes
//! cargo run --release --example dogs_vs_cats -- --data DIR      trains on yours, 20 epochs
//! ```
//!
//! `DIR` holds `dogs_vs_cats-train.csv` and `dogs_vs_cats-val.csv` with the columns `filename` and
//! `category`; file names are relative to `DIR`. `gradus::data::prepare` makes the two from a
//! folder of images. Every step of the notebook is here, in its order.

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

use anyhow::{Context as _, Result};
use clap::Parser;
use gradus::data::{DataLoader, synthetic::Synthetic};
use gradus::prelude::*;
use gradus::tensor::simd::Isa;
use gradus::train::plot;
use gradus::train::{Evaluation, Mode, Verbosity};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Train the dogs-vs-cats network of the Keras tutorial and save it for serving.
#[derive(Debug, Parser)]
struct Args {
    /// Folder with dogs_vs_cats-train.csv and dogs_vs_cats-val.csv; without it, drawings of cats
    /// and dogs are made and trained on
    #[arg(long)]
    data: Option<PathBuf>,
    /// The volume for models: the result becomes its next version, models/1, models/2, …
    #[arg(long, default_value = "models")]
    models: PathBuf,
    /// Where history, plots and the picture of the model go: a new folder in here for each run
    #[arg(long, default_value = "runs")]
    out: PathBuf,
    /// Epochs to train [default: 20 with --data, 15 without]
    #[arg(long)]
    epochs: Option<u32>,
    /// Images in a batch
    #[arg(long, default_value_t = 15)]
    batch_size: usize,
    /// Seed of weights, order, augmentation and dropout: the same seed gives the same bits
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads that read and augment images
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Threads that compute [0: one for each core]
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Train on the images as they are
    #[arg(long)]
    no_augment: bool,
    /// Print the results only
    #[arg(long)]
    quiet: bool,
}

const IMAGE: [usize; 3] = [128, 128, 3];
const RESCALE: f32 = 1.0 / 255.0;

fn main() -> Result<()> {
    let args = Args::parse();
    let say = |text: &str| {
        if !args.quiet {
            println!("{text}");
        }
    };

    let context = open_device(&args, &say)?;
    let folder = data_folder(&args, &say)?;
    let augment = if args.no_augment { plain()? } else { tutorial()? };
    let mut train = open(&args, &folder, "train", &augment, &say)?;
    let mut validation = open(&args, &folder, "val", &plain()?, &say)?;

    let mut model = Model::build(models::dogs_vs_cats(), IMAGE, context, args.seed)?
        .with_classes(train.classes())
        .with_rescale(RESCALE);
    model.compile(RMSprop::default(), CategoricalCrossentropy::new())?;
    say(&format!("\n{}", model.summary()));

    let run = new_run(&args.out)?;
    let start = Instant::now();
    let trained = fit(&args, &mut model, &mut train, &mut validation);
    let seconds = start.elapsed().as_secs_f64();
    // Whatever ended the training, what it reached is written down first.
    let mut files = draw(&model, &run)?;
    if let Err(error) = trained {
        let kept = model.save(run.join("interrupted"))?;
        return Err(error).context(format!("training ended early; kept {}", kept.display()));
    }
    say(&format!("\nTrained for {} epochs in {seconds:.0} s", model.history().len()));

    let scores = model.evaluate(&mut validation, None)?;
    report(&model, &scores);
    files.push(model.save(&args.models)?);
    println!("\nWritten:");
    files.iter().for_each(|file| println!("  {}", file.display()));
    Ok(())
}

/// Is there a GPU?
fn open_device(args: &Args, say: &impl Fn(&str)) -> Result<Context> {
    let device = if args.device == "auto" {
        let (device, reason) = Device::auto();
        if let Some(reason) = reason {
            say(&format!("No GPU: {reason}"));
        }
        device
    } else {
        args.device.parse()?
    };
    let context = Context::new(device, args.threads);
    let threads = context.workspace.pool.threads();
    say(&format!("Device: {}, {threads} threads, {:?}", context.device, Isa::detect()));
    Ok(context)
}

/// The folder with the two CSVs: the one that was named, or one that is drawn.
fn data_folder(args: &Args, say: &impl Fn(&str)) -> Result<PathBuf> {
    if let Some(folder) = &args.data {
        return Ok(folder.clone());
    }
    let folder = args.out.join("synthetic");
    say(&format!("No --data: drawing cats and dogs into {}", folder.display()));
    Synthetic::default().write(&folder)?;
    Ok(folder)
}

/// The tutorial's augmentation.
fn tutorial() -> Result<ImageDataGenerator> {
    Ok(ImageDataGenerator::builder()
        .rotation_range(15.0)
        .rescale(RESCALE)
        .shear_range(0.1)
        .zoom_range(0.2)
        .horizontal_flip(true)
        .width_shift_range(0.1)
        .height_shift_range(0.1)
        .build()?)
}

/// No augmentation: what validation sees.
fn plain() -> Result<ImageDataGenerator> {
    Ok(ImageDataGenerator::builder().rescale(RESCALE).build()?)
}

fn open(
    args: &Args,
    folder: &Path,
    part: &str,
    generator: &ImageDataGenerator,
    say: &impl Fn(&str),
) -> Result<DataLoader> {
    let csv = folder.join(format!("dogs_vs_cats-{part}.csv"));
    let frame = Manifest::read(&csv)
        .context("the example `prepare` makes the two CSVs from a folder of images")?;
    let loader = flow_from_dataframe(&frame, folder)
        .x_col("filename")
        .y_col("category")
        .target_size(IMAGE[0], IMAGE[1])
        .batch_size(args.batch_size)
        .seed(args.seed)
        .workers(args.workers)
        .transform(generator.transform())
        .open()?;
    say(&format!("{}: {}", csv.display(), loader.found()));
    Ok(loader)
}

fn fit(
    args: &Args,
    model: &mut Model,
    train: &mut DataLoader,
    validation: &mut DataLoader,
) -> Result<()> {
    let (steps, validation_steps) =
        (train.len() / args.batch_size, validation.len() / args.batch_size);
    model.fit(
        train,
        Fit {
            epochs: args.epochs.unwrap_or(if args.data.is_some() { 20 } else { 15 }),
            // At least one, for data that is smaller than a batch.
            steps_per_epoch: Some(steps.max(1)),
            validation_data: Some(validation),
            validation_steps: Some(validation_steps.max(1)),
            callbacks: vec![
                Box::new(EarlyStopping::new(10)),
                Box::new(
                    ReduceLROnPlateau::new("val_accuracy").patience(2).factor(0.5).min_lr(1e-5),
                ),
            ],
            verbose: if args.quiet { Verbosity::Silent } else { Verbosity::Auto },
        },
    )?;
    Ok(())
}

/// A new folder for this run: `runs/1`, `runs/2`, …
fn new_run(out: &Path) -> Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    for number in 1.. {
        let run = out.join(format!("dogs_vs_cats-{number}"));
        match fs::create_dir(&run) {
            Ok(()) => return Ok(run),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).context(format!("cannot make {}", run.display())),
        }
    }
    unreachable!("there is always a next number")
}

/// The history as a table and as the notebook's two plots, and the picture of the model.
fn draw(model: &Model, run: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut file = |name: &str| {
        files.push(run.join(name));
        run.join(name)
    };
    gradus::train::write_beside(&file("model.svg"), |f| {
        std::io::Write::write_all(f, model.picture().as_bytes())
    })?;
    if !model.history().is_empty() {
        model.history().write_csv(file("history.csv"))?;
        for metric in ["accuracy", "loss"] {
            let plot = plot::plot_history(model.history(), metric)?;
            plot.save(file(&format!("{metric}.svg")))?;
            plot.save(file(&format!("{metric}.png")))?;
        }
    }
    Ok(files)
}

fn report(model: &Model, scores: &Evaluation) {
    if let Some((epoch, best)) = model.history().best("val_accuracy", Mode::Max) {
        println!("Best validation accuracy {:.2} % in epoch {}", 100.0 * best, epoch + 1);
    }
    println!("Evaluation: loss {:.4}, accuracy {:.2} %", scores.loss, 100.0 * scores.accuracy);
    println!("\n{}", scores.confusion);
}
