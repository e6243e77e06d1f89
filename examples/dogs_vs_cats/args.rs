//! What can be asked for, and the folder in which a run remembers it.

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};
use gradus::data::{BadImages, Cache};
use gradus::prelude::Precision;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Train the dogs-vs-cats network of the Keras tutorial and save it for serving.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Folder with dogs_vs_cats-train.csv and dogs_vs_cats-val.csv; without it, drawings of cats
    /// and dogs are made and trained on
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// The volume for models: the result becomes its next version, models/1, models/2, …
    #[arg(long, default_value = "models")]
    pub(crate) models: PathBuf,
    /// Forms in which other programs serve the model, beside its own: with saved-model TensorFlow
    /// Serving takes models/1 as it is
    #[arg(long, value_enum, value_delimiter = ',', default_value = "saved-model")]
    pub(crate) export: Vec<ExportAs>,
    /// Where history, plots, checkpoint and the picture of the model go: a new folder in here for
    /// each run
    #[arg(long, default_value = "runs")]
    pub(crate) out: PathBuf,
    /// Go on with the newest run under --out that has a checkpoint, with the arguments that it was started with; only
    /// --epochs and --quiet may be given anew
    #[arg(long)]
    pub(crate) resume: bool,
    /// Epochs to train [default: 20 with --data, 15 without]
    #[arg(long)]
    pub(crate) epochs: Option<u32>,
    /// Images in a batch
    #[arg(long, default_value_t = 15)]
    pub(crate) batch_size: usize,
    /// Seed of weights, order, augmentation and dropout: the same seed gives the same bits
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Threads that read and augment images
    #[arg(long, default_value_t = 2)]
    pub(crate) workers: usize,
    /// Threads that compute [0: one for each core]
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// To what a GPU rounds the operands of its products: f32 (not at all), tf32 or bf16. What tensor
    /// cores are not for stays f32: docs/engines/matmul.md names it
    #[arg(long, default_value_t = Precision::F32)]
    pub(crate) precision: Precision,
    /// Let the workers augment images also where a GPU could: the bits are the same
    #[arg(long)]
    pub(crate) augment_on_cpu: bool,
    /// Save the state of the run every so many steps, not only after each epoch
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) checkpoint_steps: Option<u64>,
    /// Measure every layer, and print where the time went
    #[arg(long)]
    pub(crate) profile: bool,
    /// Write events for TensorBoard into the run's folder: figures, histograms of the weights, and
    /// augmented images; `tensorboard --logdir runs` shows them
    #[arg(long)]
    pub(crate) tensorboard: bool,
    /// Keep decoded and resized images, so that they are decoded once
    #[arg(long, value_enum, default_value_t = CacheIn::None)]
    pub(crate) cache: CacheIn,
    /// What happens when an image cannot be read: end the training, leave it out, or let another
    /// stand in
    #[arg(long, value_enum, default_value_t = OnBadImage::Stop)]
    pub(crate) bad_images: OnBadImage,
    /// Train on the images as they are
    #[arg(long)]
    pub(crate) no_augment: bool,
    /// Print the results only
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// The options that name folders.
const FOLDERS: [&str; 3] = ["--data", "--models", "--out"];

impl Args {
    /// The words that were given, with the folders as absolute paths: a run may be resumed from
    /// elsewhere.
    fn kept(&self, given: impl Iterator<Item = String>) -> Result<Vec<String>> {
        let (mut words, mut value) = (Vec::new(), false);
        for word in given {
            let folder = FOLDERS.contains(&word.as_str());
            let both = FOLDERS.iter().any(|name| word.starts_with(&format!("{name}=")));
            if !(value || folder || both) {
                words.push(word);
            }
            value = folder && !value;
        }
        let folders = [self.data.as_ref(), Some(&self.models), Some(&self.out)];
        for (name, folder) in FOLDERS.iter().zip(folders) {
            let Some(folder) = folder else { continue };
            let folder =
                std::path::absolute(folder).with_context(|| folder.display().to_string())?;
            words.push(format!("{name}={}", folder.display()));
        }
        Ok(words)
    }
}

/// A form in which others load the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportAs {
    /// TensorFlow's SavedModel, the weights in its graph
    SavedModel,
    /// TensorFlow's SavedModel, the weights as variables
    Variables,
    /// model.onnx, images as (N, H, W, C)
    Onnx,
    /// model-nchw.onnx, images as (N, C, H, W)
    OnnxNchw,
    /// model.onnx, and beside the versions Triton's config.pbtxt
    Triton,
    /// model.keras, for Keras 3: compiled, and ready to be trained on
    Keras,
    /// pytorch.safetensors, for PyTorch's load_state_dict
    Pytorch,
    /// None
    None,
}

/// Where decoded images are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CacheIn {
    /// Nowhere
    None,
    /// In memory, up to 4 GB for each of the two sets
    Memory,
    /// In a file for each set, under --out
    Disk,
}

impl CacheIn {
    /// The cache of that part of the data.
    pub(crate) fn of(self, part: &str, out: &Path) -> Option<Cache> {
        match self {
            CacheIn::None => None,
            CacheIn::Memory => Some(Cache::Memory { limit_bytes: 4 << 30 }),
            CacheIn::Disk => Some(Cache::Disk(out.join(format!("{part}.cache")))),
        }
    }
}

/// What happens when an image cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnBadImage {
    /// The training ends with the error
    Stop,
    /// Its batch goes without it
    Skip,
    /// Another image stands in
    Replace,
}

impl From<OnBadImage> for BadImages {
    fn from(policy: OnBadImage) -> Self {
        match policy {
            OnBadImage::Stop => BadImages::Stop,
            OnBadImage::Skip => BadImages::Skip,
            OnBadImage::Replace => BadImages::Replace,
        }
    }
}

/// A run's own folder: `runs/dogs_vs_cats-1`.
pub(crate) struct RunFolder(PathBuf);

impl RunFolder {
    /// With `--resume` the newest folder of a run that can go on, and the arguments that are kept
    /// in it. A run that never came to its first step has no checkpoint, and one that has ended
    /// needs none.
    pub(crate) fn to_resume(args: Args) -> Result<(Option<Self>, Args)> {
        if !args.resume {
            return Ok((None, args));
        }
        let mut all = runs(&args.out).rev().map(|number| Self(numbered(&args.out, number)));
        let Some(folder) =
            all.find(|run| run.file(CHECKPOINT).exists() && !run.file(EVALUATION).exists())
        else {
            let out = args.out.display();
            bail!("{out} has no run to resume: each has ended, or never came to its first step");
        };
        let path = folder.file(ARGUMENTS);
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        let words: Vec<String> =
            serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        let mut kept = Args::try_parse_from(words).with_context(|| path.display().to_string())?;
        (kept.resume, kept.quiet) = (true, args.quiet);
        kept.epochs = args.epochs.or(kept.epochs);
        // The folder of the runs may have been moved since.
        kept.out.clone_from(&args.out);
        Ok((Some(folder), kept))
    }

    /// A new folder, with the words that the run was started with: to be made once there is
    /// nothing left that could keep the run from its first step.
    pub(crate) fn create(args: &Args, words: impl Iterator<Item = String>) -> Result<Self> {
        let folder = Self::next(&args.out)?;
        let text = serde_json::to_string_pretty(&args.kept(words)?)?;
        gradus::train::write_beside(&folder.file(ARGUMENTS), |file| writeln!(file, "{text}"))?;
        Ok(folder)
    }

    fn next(out: &Path) -> Result<Self> {
        fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        for number in runs(out).next_back().unwrap_or(0) + 1.. {
            let run = numbered(out, number);
            match fs::create_dir(&run) {
                Ok(()) => return Ok(Self(run)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e).context(format!("cannot make {}", run.display())),
            }
        }
        unreachable!("there is always a next number")
    }

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes down what the run came to: it has ended then, and its checkpoint is no longer needed.
    pub(crate) fn end(&self, evaluation: &str) -> Result<PathBuf> {
        let path = self.file(EVALUATION);
        gradus::train::write_beside(&path, |file| writeln!(file, "{evaluation}"))?;
        let checkpoint = self.file(CHECKPOINT);
        if checkpoint.exists() {
            fs::remove_file(&checkpoint).with_context(|| checkpoint.display().to_string())?;
        }
        Ok(path)
    }
}

const ARGUMENTS: &str = "arguments.json";
/// What the run came to.
pub(crate) const EVALUATION: &str = "evaluation.txt";
/// The state of a run that has not ended.
pub(crate) const CHECKPOINT: &str = "checkpoint.safetensors";

/// The numbers of the runs that there are, ascending.
fn runs(out: &Path) -> impl DoubleEndedIterator<Item = u32> {
    let entries = fs::read_dir(out).into_iter().flatten().filter_map(Result::ok);
    let number =
        |name: std::ffi::OsString| name.to_str()?.strip_prefix("dogs_vs_cats-")?.parse().ok();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| number(entry.file_name())).collect();
    numbers.sort_unstable();
    numbers.into_iter()
}

fn numbered(out: &Path, number: u32) -> PathBuf {
    out.join(format!("dogs_vs_cats-{number}"))
}
