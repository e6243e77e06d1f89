//! Asks a saved model what is on some pictures.
//!
//! ```text
//! cargo run --release --example classify -- models/1 photo.jpg another.png
//! ```
//!
//! Prints a line for each file: the most probable class, how probable, and the file. A file that
//! cannot be read is reported, the others are still answered, and the exit status is 1.

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

use anyhow::{Result, ensure};
use clap::Parser;
use gradus::data::{Decoder, Interpolation};
use gradus::layers::argmax;
use gradus::prelude::*;
use gradus::tensor::ndarray::{Array3, Array4, Axis};
use std::path::PathBuf;

/// Classify image files with a saved model.
#[derive(Debug, Parser)]
struct Args {
    /// A version of a saved model, such as models/1
    model: PathBuf,
    /// Image files
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut model = Model::load(&args.model, Context::new(args.device.parse()?, 0))?;
    let [h, w, c] = model.image_shape();
    let mut decoder = Decoder::default();
    let mut pixels = Array3::<u8>::zeros((h, w, c));
    let mut failed = 0;
    for path in &args.images {
        match decoder.read(path) {
            Ok(image) => Interpolation::Nearest.resize(image, pixels.view_mut()),
            Err(error) => {
                eprintln!("{error}");
                failed += 1;
                continue;
            }
        }
        let rescale = model.rescale();
        let image: Array4<f32> = pixels.mapv(|p| f32::from(p) * rescale).insert_axis(Axis(0));
        let probabilities = model.predict(image.view())?;
        let class = argmax(probabilities.row(0));
        let probability = probabilities[[0, class]];
        let name = model.classes().get(class).cloned().unwrap_or(format!("class {class}"));
        println!("{name:12} {:6.2} %  {}", 100.0 * probability, path.display());
    }
    ensure!(failed == 0, "{failed} of {} files could not be read", args.images.len());
    Ok(())
}
