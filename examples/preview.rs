//! A contact sheet: what augmentation makes of a few images, before any network is trained on it.
//!
//! ```text
//! cargo run --release --example preview                               drawings of cats and dogs
//! cargo run --release --example preview -- --data DIR --augment strong
//! ```
//!
//! Each row is an image; the first column shows it as it is, each further one as one epoch would.
//! Writes `runs/preview.png`.

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum, value_parser};
use gradus::augment::preview::{contact_sheet, encode_png};
use gradus::augment::{
    ColorJitter, Erasure, ImageDataGenerator, Pipeline, RandAugment, RandomErasing,
    RandomResizedCrop, Rect,
};
use gradus::data::synthetic::{Class, Synthetic};
use gradus::data::{Decoder, write_beside};
use image::RgbImage;
use ndarray::{Array3, Array4, ArrayViewMut3};
use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Show what augmentation makes of a few images, on one sheet.
#[derive(Debug, Parser)]
struct Args {
    /// Folder of images, which may lie in folders of their own; without it, cats and dogs are drawn
    #[arg(long)]
    data: Option<PathBuf>,
    /// What is done to them
    #[arg(long, value_enum, default_value_t = Augment::Tutorial)]
    augment: Augment,
    /// How many images: the rows
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=1000))]
    images: u32,
    /// How many epochs: the columns beside the images
    #[arg(long, default_value_t = 7, value_parser = value_parser!(u32).range(1..=1000))]
    epochs: u32,
    /// Height and width that images are resized to
    #[arg(long, default_value_t = 128, value_parser = value_parser!(u32).range(1..=4096))]
    size: u32,
    /// The seed of the run
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The file to write
    #[arg(long, default_value = "runs/preview.png")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Augment {
    /// Rotation, shifts, zoom and flips of the Keras tutorial
    Tutorial,
    /// More of everything that Keras's ImageDataGenerator has, brightness and channel shift too
    Keras,
    /// Random resized crop, colour jitter and flips: the usual for ImageNet
    Imagenet,
    /// Random resized crop, RandAugment and random erasing
    Strong,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let images = match &args.data {
        Some(folder) => photos(folder, args.images as usize)?,
        None => drawings(args.images, args.seed),
    };
    let side = args.size as usize;
    let mut batch = Array4::zeros((images.len(), side, side, 3));
    for (image, into) in images.iter().zip(batch.outer_iter_mut()) {
        resize(image, into);
    }
    let transform = pipeline(args.augment)?.transform();
    let png = encode_png(contact_sheet(batch.view(), args.epochs, args.seed, transform).view());
    if let Some(folder) = args.out.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    write_beside(&args.out, |file| file.write_all(&png))?;
    println!("{} images in {} epochs: {}", images.len(), args.epochs, args.out.display());
    Ok(())
}

fn pipeline(augment: Augment) -> Result<Pipeline> {
    let rescale = ImageDataGenerator::builder().rescale(1.0 / 255.0);
    let flip = rescale.horizontal_flip(true);
    let noise = Erasure::Noise { low: 0.0, high: 255.0 };
    let moved = |shift, zoom| {
        let shifted = flip.clone().width_shift_range(shift).height_shift_range(shift);
        shifted.zoom_range(zoom)
    };
    Ok(match augment {
        Augment::Tutorial => {
            let tutorial = moved(0.1, 0.2).rotation_range(15.0).shear_range(0.1);
            Pipeline::new().then(tutorial.build()?)
        }
        Augment::Keras => {
            let all = moved(0.2, 0.3).rotation_range(40.0).shear_range(10.0);
            let all = all.channel_shift_range(40.0).brightness_range([0.5, 1.5]);
            Pipeline::new().then(all.build()?)
        }
        Augment::Imagenet => Pipeline::new()
            .then(RandomResizedCrop::default())
            .then(ColorJitter::new(0.4, 0.4, 0.4, 0.1)?)
            .then(flip.build()?),
        Augment::Strong => Pipeline::new()
            .then(RandomResizedCrop::new([0.35, 1.0], [3.0 / 4.0, 4.0 / 3.0])?)
            .then(RandAugment::new(2, 9)?)
            .then(RandomErasing::new(0.5, [0.02, 0.33], [0.3, 3.3], noise)?)
            .then(flip.build()?),
    })
}

/// Cats and dogs in turn.
fn drawings(count: u32, seed: u64) -> Vec<Array3<u8>> {
    let set = Synthetic::default().seed(seed);
    (0..count).map(|i| pixels(set.draw(i, Class::ALL[i as usize % 2]))).collect()
}

fn pixels(image: RgbImage) -> Array3<u8> {
    let (width, height) = image.dimensions();
    Array3::from_shape_vec((height as usize, width as usize, 3), image.into_raw())
        .expect("three bytes a pixel")
}

/// All of the image, smoothly, as a crop that leaves nothing out.
fn resize(image: &Array3<u8>, mut into: ArrayViewMut3<'_, u8>) {
    let (height, width, _) = image.dim();
    let whole = Rect { top: 0, left: 0, height, width };
    let mut resized = Array3::<f32>::zeros(into.dim());
    RandomResizedCrop::default().apply(&whole, image.view(), resized.view_mut());
    into.zip_mut_with(&resized, |level, value| *level = value.round() as u8);
}

/// What the names of images end with.
const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "bmp", "ppm", "gif", "tif", "tiff"];

/// Images from all over the folder, sorted by name, so that every class has its part. One that
/// cannot be read is left out, and told.
fn photos(folder: &Path, count: usize) -> Result<Vec<Array3<u8>>> {
    let mut files = Vec::new();
    find(folder, &mut HashSet::new(), &mut files)?;
    files.sort();
    ensure!(!files.is_empty(), "{} holds no file named like {ENDINGS:?}", folder.display());
    let count = count.min(files.len());
    let chosen = (0..count).map(|i| &files[i * files.len() / count]);
    let mut decoder = Decoder::default();
    let mut images = Vec::new();
    for file in chosen {
        match decoder.read(file) {
            Ok(image) => images.push(image.to_owned()),
            Err(error) => eprintln!("left out: {error}"),
        }
    }
    ensure!(!images.is_empty(), "none of the {count} chosen images can be read");
    Ok(images)
}

/// Adds the images in that folder and those in it, each once wherever links lead.
fn find(folder: &Path, seen: &mut HashSet<PathBuf>, into: &mut Vec<PathBuf>) -> Result<()> {
    let real = folder.canonicalize();
    if !seen.insert(real.with_context(|| format!("cannot list {}", folder.display()))?) {
        return Ok(());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()));
    for entry in entries? {
        let path = entry?.path();
        let kind = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        if path.is_dir() {
            find(&path, seen, into)?;
        } else if kind.is_some_and(|k| ENDINGS.contains(&k.as_str())) {
            into.push(path);
        }
    }
    Ok(())
}
