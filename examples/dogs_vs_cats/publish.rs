//! The trained model, published: its own files, those that other programs serve, and what is known
//! of it.

use crate::args::{Args, EVALUATION, ExportAs};
use anyhow::{Context as _, Result};
use gradus::export::{Export, Layout};
use gradus::prelude::*;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Saves the model as the next version, with every form that was asked for and copies of what the
/// run wrote beside it.
pub(crate) fn publish(
    args: &Args,
    model: &Model,
    known: &[PathBuf],
    evaluation: &str,
) -> Result<PathBuf> {
    let export = Export::of(model).note("seed", args.seed.to_string());
    // Before the version: a server that sees it has read what it needs.
    if args.export.contains(&ExportAs::Triton) {
        export.onnx().write_triton_config(&args.models, 64)?;
    }
    model.save_with(&args.models, |version| {
        args.export.iter().try_for_each(|form| write(*form, &export, version))?;
        let path = version.join(EVALUATION);
        gradus::train::write_beside(&path, |file| writeln!(file, "{evaluation}"))?;
        for file in known {
            let name = file.file_name().context("a file of the run")?;
            fs::copy(file, version.join(name)).with_context(|| file.display().to_string())?;
        }
        Ok(())
    })
}

fn write(form: ExportAs, export: &Export<'_>, version: &Path) -> Result<()> {
    match form {
        ExportAs::SavedModel => export.saved_model().write(version)?,
        ExportAs::Variables => export.saved_model().variables(true).write(version)?,
        ExportAs::Onnx | ExportAs::Triton => export.onnx().write(version.join("model.onnx"))?,
        ExportAs::OnnxNchw => {
            export.onnx().layout(Layout::Nchw).write(version.join("model-nchw.onnx"))?;
        }
        ExportAs::Keras => export.keras().write(version.join("model.keras"))?,
        ExportAs::Pytorch => export.pytorch().write(version.join("pytorch.safetensors"))?,
        ExportAs::None => {}
    }
    Ok(())
}
