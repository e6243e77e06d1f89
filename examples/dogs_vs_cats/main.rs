//! The main job: the Keras dogs-vs-cats notebook, from CSVs and photos to a saved model.
//!
//! ```text
//! cargo run --release --example dogs_vs_cats                    draws its own data, two minutes
//! cargo run --release --example dogs_vs_cats -- --data DIR      trains on yours, 20 epochs
//! cargo run --release --example dogs_vs_cats -- --resume        goes on where a run was stopped
//! ```
//!
//! `DIR` holds `dogs_vs_cats-train.csv` and `dogs_vs_cats-val.csv` with the columns `filename` and
//! `category`; file names are relative to `DIR`. `gradus::data::prepare` makes the two from a
//! folder of images. Every step of the notebook is here, in its order.

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

mod args;
mod publish;

use anyhow::{Context as _, Result};
use args::{Args, CHECKPOINT, RunFolder};
use clap::Parser as _;
use gradus::data::{DataLoader, synthetic::Synthetic};
use gradus::prelude::*;
use gradus::tensor::simd::Isa;
use gradus::train::{Callback, Checkpoint, Evaluation, Mode, Verbosity, on_signals, plot};
use std::path::{Path, PathBuf};
use std::time::Instant;

const IMAGE: [usize; 3] = [128, 128, 3];
const RESCALE: f32 = 1.0 / 255.0;

fn main() -> Result<()> {
    let (resumed, args) = RunFolder::to_resume(Args::parse())?;
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
    say(&format!("\n{}\n{}\n", model.summary(), model.engines()));

    let run = match resumed {
        Some(run) => run,
        None => RunFolder::create(&args, words())?,
    };
    if args.profile {
        model.start_profile();
    }
    let start = Instant::now();
    let trained = fit(&args, &run, &mut model, &mut train, &mut validation);
    let seconds = start.elapsed().as_secs_f64();
    // Whatever ended the training, what it reached is written down first.
    let drawn = draw(&model, &run);
    if let Err(error) = trained {
        let out = args.out.display();
        return Err(error).context(format!("training stopped; to go on: --resume --out {out}"));
    }
    let mut files = drawn?;
    say(&format!("\nTrained for {} epochs in {seconds:.0} s", model.history().len()));

    if let Some(profile) = model.profile() {
        println!("\n{profile}\n");
    }
    let scores = model.evaluate_verbose(&mut validation, None, verbosity(&args))?;
    let report = report(&model, &scores);
    println!("{report}");
    files.push(publish::publish(&args, &model, &files, &report)?);
    files.push(run.end(&report)?);
    println!("\nWritten:");
    files.iter().for_each(|file| println!("  {}", file.display()));
    Ok(())
}

/// What the program was called with.
fn words() -> impl Iterator<Item = String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned())
}

/// Is there a GPU?
fn open_device(args: &Args, say: &impl Fn(&str)) -> Result<Context> {
    let (device, no_gpu) = Device::named(&args.device)?;
    if let Some(reason) = no_gpu {
        eprintln!("No GPU: {reason}");
    }
    let mut context = Context::new(device, args.threads);
    context.precision = args.precision;
    context.augment_on_gpu = !args.augment_on_cpu;
    let threads = context.workspace.pool.threads();
    say(&match &context.device {
        Device::Cpu => format!("Device: cpu, {threads} threads, {:?}", Isa::detect()),
        device => format!("Device: {device}, products in {}", args.precision),
    });
    Ok(context)
}

/// The folder with the two CSVs: the one that was named, or one that is drawn.
fn data_folder(args: &Args, say: &impl Fn(&str)) -> Result<PathBuf> {
    if let Some(folder) = &args.data {
        return Ok(folder.clone());
    }
    let folder = args.out.join("synthetic");
    if args.resume && folder.exists() {
        return Ok(folder);
    }
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
    let hint = "the example `prepare` makes the two CSVs from a folder of images";
    let frame = Manifest::read(&csv).map_err(|error| anyhow::anyhow!("{error}\n{hint}"))?;
    let mut flow = flow_from_dataframe(&frame, folder)
        .x_col("filename")
        .y_col("category")
        .target_size(IMAGE[0], IMAGE[1])
        .batch_size(args.batch_size)
        .seed(args.seed)
        .workers(args.workers)
        .bad_images(args.bad_images.into())
        .transform(generator.transform());
    if let Some(cache) = args.cache.of(part, &args.out) {
        flow = flow.cache(cache);
    }
    let loader = flow.open()?;
    say(&format!("{}: {}", csv.display(), loader.found()));
    Ok(loader)
}

fn fit(
    args: &Args,
    run: &RunFolder,
    model: &mut Model,
    train: &mut DataLoader,
    validation: &mut DataLoader,
) -> Result<()> {
    let mut checkpoint = Checkpoint::new(run.file(CHECKPOINT)).resume(args.resume);
    if let Some(steps) = args.checkpoint_steps {
        checkpoint = checkpoint.every_steps(steps);
    }
    let mut callbacks: Vec<Box<dyn Callback>> = vec![
        Box::new(EarlyStopping::new(10)),
        Box::new(ReduceLROnPlateau::new("val_accuracy").patience(2).factor(0.5).min_lr(1e-5)),
    ];
    if args.tensorboard {
        let board = TensorBoard::new(run.file("logs")).histogram_freq(1).batch_images(8);
        callbacks.push(Box::new(board));
    }
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
            callbacks,
            checkpoint: Some(checkpoint),
            // Ctrl-C finishes the step, saves, and says how to go on.
            interrupt: Some(on_signals()?),
            verbose: verbosity(args),
            ..Fit::default()
        },
    )?;
    Ok(())
}

fn verbosity(args: &Args) -> Verbosity {
    if args.quiet { Verbosity::Silent } else { Verbosity::Auto }
}

/// The history as a table and as the notebook's two plots, and the picture of the model.
fn draw(model: &Model, run: &RunFolder) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut file = |name: &str| {
        files.push(run.file(name));
        run.file(name)
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

fn report(model: &Model, scores: &Evaluation) -> String {
    let best = model.history().best("val_accuracy", Mode::Max).map(|(epoch, best)| {
        format!("Best validation accuracy {:.2} % in epoch {}\n", 100.0 * best, epoch + 1)
    });
    format!("{}Evaluation: {scores}", best.unwrap_or_default())
}
