//! gradus's side of `cargo xtask full interop`: networks, in every form that others load, and what
//! gradus itself answers.
//!
//! ```text
//! cargo run --example interop_export -- OUT [--layers-only]
//! cargo run --example interop_export -- OUT --back | --theirs
//! ```
//!
//! Each network becomes a folder: the model in every form, `x.npy` and `y.npy`. The trained ones
//! see photos of `GRADUS_TEST_DATA` where it is set, else drawn ones; those of `layers.rs` hold
//! every layer with every option, and have random weights. With `--back` nothing is written: what
//! other programs left in the folders is read into the same networks, and asked again.

#![allow(clippy::print_stdout, reason = "a program for people says what it does")]

mod again;
mod back;
mod layers;
mod npy;
mod pixels;
mod theirs;
mod trained;

use anyhow::Result;
use back::Back;
use clap::Parser;
use gradus::export::{Error, Export, Layout, ModuleNames};
use gradus::layers::{Layer as _, Mode, Saved, Sequential};
use gradus::prelude::{Context, Device};
use gradus::tensor::{Shape, Spec, Tensor};
use ndarray::ArrayView4;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Parser)]
struct Args {
    /// Where the folders go
    out: PathBuf,
    /// Only the small networks that hold every layer
    #[arg(long)]
    layers_only: bool,
    /// Read what others left, and print how far the answers are from theirs
    #[arg(long)]
    back: bool,
    /// Of what others left, only the models that Keras made itself
    #[arg(long)]
    theirs: bool,
}

/// A network, built, and the images that it is asked about.
struct Case<'a> {
    name: &'a str,
    network: &'a Sequential,
    images: ArrayView4<'a, f32>,
    labels: &'a [String],
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.theirs {
        return theirs::ask(&args.out);
    }
    if args.back {
        let mut back = Back::default();
        layers::each(|case| back.ask(&case, &args.out))?;
        let rows = trained::each(&args.out, 0, |case| back.ask(&case, &args.out))?;
        back.report()?;
        again::report(&rows)?;
        return theirs::ask(&args.out);
    }
    layers::each(|case| case.write(&args.out))?;
    if !args.layers_only {
        trained::each(&args.out, 2, |case| case.write(&args.out))?;
    }
    println!("written to {}", args.out.display());
    Ok(())
}

impl Case<'_> {
    /// Writes every form, and what gradus answers.
    fn write(&self, out: &Path) -> Result<()> {
        let folder = out.join(self.name);
        fs::create_dir_all(&folder)?;
        let images = self.images.as_slice().expect("in the standard order");
        npy::write(&folder.join("x.npy"), self.images.shape(), images)?;
        let answer = answer(self.network, self.images)?;
        npy::write::<f32>(&folder.join("y.npy"), answer.shape().dims(), answer.slice())?;

        let (_, h, w, c) = self.images.dim();
        let export = Export::new(self.network, [h, w, c])
            .labels(self.labels)
            .rescale(1.0 / 255.0)
            .note("case", self.name);
        export.onnx().write(folder.join("nhwc.onnx"))?;
        export.onnx().layout(Layout::Nchw).write(folder.join("nchw.onnx"))?;
        export.saved_model().write(folder.join("saved_model"))?;
        export.saved_model().variables(true).write(folder.join("variables"))?;
        export.pytorch().write(folder.join("pytorch.safetensors"))?;
        if self.name == "resnet18" {
            let torchvision = export.pytorch().names(ModuleNames::Torchvision);
            torchvision.write(folder.join("torchvision.safetensors"))?;
        }
        match export.keras().write(folder.join("model.keras")) {
            // Keras pads by two words only.
            Err(Error::Layer { .. }) => Ok(()),
            written => {
                written?;
                Ok(export.keras().write_weights(folder.join("model.weights.h5"))?)
            }
        }
    }
}

/// What gradus answers. `Model::predict` would do, but for networks that give images.
fn answer(network: &Sequential, images: ArrayView4<'_, f32>) -> Result<Tensor> {
    let mut context = Context::new(Device::Cpu, 2);
    let values = images.as_slice().expect("in the standard order");
    let x = Tensor::from_slice(Shape::new(images.shape()), values);
    let plan = network.plan(x.spec(), Mode::Infer)?;
    plan.reserve(&mut context);
    let mut saved = Saved::allocate(&plan, &context.device);
    let y = network.output_shape(x.shape())?;
    let mut y = Tensor::zeros(Spec::f32(y), &context.device);
    network.infer(&mut context, &x, &mut y, &mut saved);
    network.head().forward(&context, &mut y);
    Ok(y)
}
