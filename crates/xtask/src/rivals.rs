//! `cargo xtask rivals`: gradus and others at the same work, in turns.
//!
//! ```text
//! cargo xtask rivals                                  training, inference, conv2d; PyTorch, Keras
//! cargo xtask rivals training --rounds 9              one subject, more rounds
//! cargo xtask rivals training burn candle             these rivals only; they are built first
//! cargo xtask rivals pipeline                         files to batches, one thread
//! cargo xtask rivals epoch --data DIR                 the tutorial's epoch on photos
//! ```
//!
//! A round runs every setting of a rival and then gradus, each as a fresh process of some seconds;
//! what counts is the median over the rounds, and of a rival's settings the best. Each process
//! says how many parameters its network has: one that has others than the tutorial's is refused.
//! The results go into the record of the day, `docs/benchmarks/<date>-rivals.json`, where a row
//! that is measured again takes the place of the old one; its table is written from it, and the
//! README's from what was measured last of each work.

mod comparison;
mod conv2d;
mod epoch;
mod inference;
mod machine;
mod pipeline;
mod process;
mod record;
mod table;
mod tools;
mod training;

use anyhow::{Result, bail};
use clap::Parser;
use comparison::Comparison;
use record::Record;
use std::path::PathBuf;
use tools::Tools;

/// What is compared, by subject.
type Subject = fn(&Tools) -> Vec<Comparison>;
const SUBJECTS: &[(&str, Subject)] = &[
    ("training", training::comparisons),
    ("inference", inference::comparisons),
    ("conv2d", conv2d::comparisons),
    ("pipeline", pipeline::comparisons),
    ("epoch", epoch::comparisons),
];
/// Who is compared with: burn and candle have to be built, which takes minutes, and avx2 is gradus
/// with half as wide vectors.
const RIVALS: [&str; 5] = ["pytorch", "keras", "burn", "candle", "avx2"];
const INSTALLED: usize = 2;

/// Measures gradus beside others, in turns.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask rivals")]
pub(crate) struct Args {
    /// Subjects (training, inference, conv2d, pipeline, epoch) and rivals (pytorch, keras, burn,
    /// candle, avx2: gradus itself, held to that)
    /// [default: the subjects but epoch, pytorch and keras]
    only: Vec<String>,
    /// A Python with what benches/rivals/requirements.txt lists [default: one is set up under
    /// target/rivals, which downloads some gigabytes]
    #[arg(long)]
    python: Option<PathBuf>,
    /// How often each process is run
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a process repeats its work, in seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Threads, for us as for them
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Folder with the two CSVs of the tutorial, for `epoch`
    #[arg(long)]
    data: Option<PathBuf>,
    /// A command to put before each process, such as "taskset -c 0,1"
    #[arg(long, default_value = "")]
    launcher: String,
}

/// Measures what was asked for, and writes it down after each comparison.
pub(crate) fn run(words: impl Iterator<Item = String>) -> Result<()> {
    let args = Args::parse_from(std::iter::once("cargo xtask rivals".to_owned()).chain(words));
    let (subjects, rivals) = selected(&args)?;
    let tools = Tools::new(&args, &rivals)?;
    let mut record = Record::of_today()?;
    for (name, subject) in SUBJECTS.iter().filter(|(name, _)| subjects.contains(name)) {
        for comparison in subject(&tools).iter().filter(|c| rivals.contains(&c.rival)) {
            let rows = comparison.measure(name, &tools, args.rounds)?;
            record.put(rows);
            record.write()?;
            table::write_all(&record)?;
        }
    }
    crate::say(&format!("written: {}", record.path("md").display()));
    Ok(())
}

/// The subjects and the rivals that were named; where none of a kind was, those by default.
fn selected(args: &Args) -> Result<(Vec<&str>, Vec<&str>)> {
    let known: Vec<&str> = SUBJECTS.iter().map(|(name, _)| *name).collect();
    let (mut subjects, mut rivals) = (Vec::new(), Vec::new());
    for word in args.only.iter().map(String::as_str) {
        match (known.contains(&word), RIVALS.contains(&word)) {
            (true, _) => subjects.push(word),
            (_, true) => rivals.push(word),
            _ => bail!("{word:?} is neither a subject {known:?} nor a rival {RIVALS:?}"),
        }
    }
    if subjects.is_empty() {
        subjects = known.into_iter().filter(|name| *name != "epoch").collect();
    }
    if rivals.is_empty() {
        rivals = RIVALS[..INSTALLED].to_vec();
    }
    if subjects.contains(&"epoch") && args.data.is_none() {
        bail!("epoch needs --data, a folder with dogs_vs_cats-train.csv and dogs_vs_cats-val.csv");
    }
    if args.rounds == 0 {
        bail!("--rounds 0 measures nothing");
    }
    Ok((subjects, rivals))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<String> {
        let args = Args::parse_from([&["rivals"], words].concat());
        selected(&args).map(|(subjects, rivals)| format!("{subjects:?} {rivals:?}"))
    }

    #[test]
    fn words_select_subjects_and_rivals() {
        let all = r#"["training", "inference", "conv2d", "pipeline"] ["pytorch", "keras"]"#;
        assert_eq!(of(&[]).expect("valid"), all);
        assert_eq!(of(&["conv2d", "burn"]).expect("valid"), r#"["conv2d"] ["burn"]"#);
    }

    #[test]
    fn what_nobody_can_measure_is_refused() {
        for words in [&["tensorflow"][..], &["epoch"], &["--rounds", "0"]] {
            assert!(of(words).is_err(), "{words:?}");
        }
    }
}
