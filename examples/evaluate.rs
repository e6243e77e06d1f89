//! How good a saved model is on the images of a CSV, and where it is wrong.
//!
//! ```text
//! cargo run --release --example evaluate -- models/1 --csv pets-val.csv
//! cargo run --release --example evaluate                  models/1 on what dogs_vs_cats drew
//! ```
//!
//! Prints accuracy, the confusion matrix, and precision, recall and F1 of each class; writes the
//! matrix as a picture, every answer as a row of a CSV, and the mistakes of which the model was most
//! sure as a sheet. File names in the CSV are relative to its folder. The example `dogs_vs_cats`
//! makes the model and the images of the second line without any download. A file that cannot be
//! read is reported and left out, and the exit status is 1.

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Parser;
use gradus::prelude::*;
use gradus::tensor::ndarray::Array3;
use gradus::train::plot::{Card, contact_sheet};
use gradus::train::{Answer, Classifier, ConfusionMatrix, Progress, Verbosity, write_beside};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Evaluate a saved model on the images of a CSV.
#[derive(Debug, Parser)]
struct Args {
    /// A version of a saved model
    #[arg(default_value = "models/1")]
    model: PathBuf,
    /// The images and their classes
    #[arg(long, default_value = "runs/synthetic/dogs_vs_cats-val.csv")]
    csv: PathBuf,
    /// The column of the file names
    #[arg(long, default_value = "filename")]
    x_col: String,
    /// The column of the classes
    #[arg(long, default_value = "category")]
    y_col: String,
    /// The folder that pictures and tables go to
    #[arg(long, default_value = "runs/evaluation")]
    out: PathBuf,
    /// How many of the mistakes are shown
    #[arg(long, default_value_t = 24)]
    worst: usize,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
}

/// What the model said of one row.
struct Row {
    file: String,
    actual: usize,
    answer: Answer,
}

impl Row {
    fn is_wrong(&self) -> bool {
        self.answer.index() != self.actual
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let hint =
        "`cargo run --release --example dogs_vs_cats` makes a model and images to begin with";
    let (device, no_gpu) = Device::named(&args.device)?;
    if let Some(reason) = no_gpu {
        eprintln!("No GPU: {reason}");
    }
    let context = Context::new(device, 0);
    let model = Model::load(&args.model, context).map_err(|error| anyhow!("{error}\n{hint}"))?;
    let mut classifier = Classifier::new(model);
    let frame = Manifest::read(&args.csv).map_err(|error| anyhow!("{error}\n{hint}"))?;
    let classes = classifier.model().classes().to_vec();
    ensure!(!classes.is_empty(), "{} does not know the names of its classes", args.model.display());
    let folder = args.csv.parent().unwrap_or(Path::new(""));
    let (rows, failed) = ask(&args, &frame, &mut classifier, folder)?;
    ensure!(!rows.is_empty(), "there is no image to evaluate on in {}", args.csv.display());
    report(&args, &classes, &rows, &mut classifier, folder)?;
    ensure!(failed == 0, "{failed} of {} files could not be read", frame.len());
    Ok(())
}

/// What the model says of each row, and how many files could not be read.
fn ask(
    args: &Args,
    frame: &Manifest,
    classifier: &mut Classifier,
    folder: &Path,
) -> Result<(Vec<Row>, usize)> {
    let classes = classifier.model().classes().to_vec();
    let (mut rows, mut failed) = (Vec::new(), 0);
    let mut progress = Progress::new(1, Verbosity::Auto);
    progress.start_pass(frame.len());
    let labels = frame.column(&args.y_col)?;
    for (i, (file, label)) in frame.column(&args.x_col)?.zip(labels).enumerate() {
        let actual = classes.iter().position(|class| class == label).with_context(|| {
            let (csv, line) = (args.csv.display(), frame.line(i));
            format!("{csv}, line {line}: the model knows {}, not {label:?}", classes.join(", "))
        })?;
        match classifier.predict(folder.join(file)) {
            Ok(answer) => rows.push(Row { file: file.to_owned(), actual, answer }),
            Err(error) => {
                progress.message(&error.to_string());
                failed += 1;
            }
        }
        progress.step(1, || []);
    }
    progress.end_epoch(&[]);
    Ok((rows, failed))
}

fn report(
    args: &Args,
    classes: &[String],
    rows: &[Row],
    classifier: &mut Classifier,
    folder: &Path,
) -> Result<()> {
    let mut confusion = ConfusionMatrix::new(classes.to_vec());
    rows.iter().for_each(|row| confusion.add(row.actual, row.answer.index()));
    println!("{confusion}");
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let out = |name: &str| args.out.join(name);
    for name in ["confusion.png", "confusion.svg"] {
        confusion.plot().save(out(name))?;
    }
    write_beside(&out("answers.csv"), |file| table(file, args, classes, rows))?;
    let mut files = vec!["confusion.png", "confusion.svg", "answers.csv"];
    let sheet = worst(args, classes, rows, classifier, folder)?;
    if let Some(png) = &sheet {
        write_beside(&out("mistakes.png"), |file| file.write_all(png))?;
        files.push("mistakes.png");
    }
    println!("\nWritten:");
    files.iter().for_each(|name| println!("  {}", out(name).display()));
    Ok(())
}

/// Every answer, with the probability of each class.
fn table(
    file: &mut impl Write,
    args: &Args,
    classes: &[String],
    rows: &[Row],
) -> std::io::Result<()> {
    let quoted = |text: &str| match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let names: Vec<String> = classes.iter().map(|class| quoted(class)).collect();
    let (x_col, y_col) = (quoted(&args.x_col), quoted(&args.y_col));
    let mut text = format!("{x_col},{y_col},predicted,{}\n", names.join(","));
    for Row { file, actual, answer } in rows {
        let (actual, predicted) = (&names[*actual], quoted(answer.class()));
        let all = (0..classes.len()).map(|class| format!(",{}", answer.probability_of(class)));
        text += &format!("{},{actual},{predicted}{}\n", quoted(file), all.collect::<String>());
    }
    file.write_all(text.as_bytes())
}

/// The mistakes of which the model was most sure, as a sheet; none where there is none.
fn worst(
    args: &Args,
    classes: &[String],
    rows: &[Row],
    classifier: &mut Classifier,
    folder: &Path,
) -> Result<Option<Vec<u8>>> {
    let mut wrong: Vec<&Row> = rows.iter().filter(|row| row.is_wrong()).collect();
    wrong.sort_by(|a, b| b.answer.probability().total_cmp(&a.answer.probability()));
    wrong.truncate(args.worst);
    let mut pictures: Vec<Array3<u8>> = Vec::new();
    for row in &wrong {
        classifier.predict(folder.join(&row.file))?;
        pictures.push(classifier.seen().to_owned());
    }
    let cards: Vec<Card<'_>> = std::iter::zip(&wrong, &pictures)
        .map(|(row, picture)| {
            let is = format!("is {}", classes[row.actual]);
            let lines = vec![row.answer.to_string(), is, row.file.clone()];
            Card { picture: picture.view(), lines, wrong: true }
        })
        .collect();
    Ok((!cards.is_empty()).then(|| contact_sheet(&cards, 6)))
}
