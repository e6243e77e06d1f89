//! What other programs left of their own, read into the networks that they were given.

use super::{Case, answer};
use anyhow::{Context as _, Result, bail, ensure};
use gradus::export::{Import, LoadError, ModuleNames, load_keras};
use gradus::layers::{Described as _, Registry, Sequential};
use gradus::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Files by kind: how many were read, and the largest difference from what the other program
/// answered with it.
#[derive(Debug, Default)]
pub(crate) struct Back(BTreeMap<&'static str, (usize, f32)>);

/// A file, what the other program answered with it, and what reads it.
type Kind = (&'static str, &'static str, fn(&mut Model, &Path) -> Result<(), LoadError>);

const KINDS: [Kind; 6] = [
    ("back.keras", "back.npy", |model, path| Import::into(model).keras(path)),
    ("back.weights.h5", "back.npy", |model, path| Import::into(model).keras(path)),
    ("back.keras, with its layers", "back.npy", replace),
    ("back.h5, with its layers", "back2.npy", replace),
    ("back.safetensors", "back_torch.npy", |model, path| {
        Import::into(model).pytorch(path, ModuleNames::Paths)
    }),
    ("back_torchvision.safetensors", "back_torch.npy", |model, path| {
        Import::into(model).pytorch(path, ModuleNames::Torchvision)
    }),
];

/// The model as the file describes it.
pub(crate) fn replace(model: &mut Model, path: &Path) -> Result<(), LoadError> {
    *model = load_keras(path, Context::new(Device::Cpu, 2))?;
    Ok(())
}

impl Back {
    /// Asks the network of a case with all that was left for it.
    pub(crate) fn ask(&mut self, case: &Case<'_>, out: &Path) -> Result<()> {
        let folder = out.join(case.name);
        for (kind, expected, read) in KINDS {
            let file = kind.split(',').next().unwrap_or(kind);
            if !folder.join(file).exists() {
                continue;
            }
            let (_, h, w, c) = case.images.dim();
            let network = Sequential::from_config(&case.network.config(), &Registry::default())?;
            let mut model = Model::build(network, [h, w, c], Context::new(Device::Cpu, 2), 9)?;
            read(&mut model, &folder.join(file)).with_context(|| case.name.to_owned())?;
            let ours = answer(model.network(), case.images)?;
            let theirs = numbers(&folder.join(expected))?;
            let off = difference(ours.slice(), &theirs).with_context(|| case.name.to_owned())?;
            if off.is_nan() || off > LIMIT {
                eprintln!("{}: {kind}: {off:e}", case.name);
            }
            let (count, worst) = self.0.entry(kind).or_default();
            (*count, *worst) = (*count + 1, worst.max(off));
        }
        Ok(())
    }

    /// The table; an error where an answer is off.
    pub(crate) fn report(&self) -> Result<()> {
        println!(
            "## Read from others\n\n| file | read | largest difference |\n| --- | ---: | ---: |"
        );
        for (kind, (count, worst)) in &self.0 {
            println!("| {kind} | {count} | {worst:.1e} |");
        }
        if self.0.values().any(|(_, worst)| *worst > LIMIT) {
            bail!("an answer is off by more than {LIMIT}");
        }
        Ok(())
    }
}

pub(crate) const LIMIT: f32 = 1e-5;

/// The largest difference, in proportion where their numbers are above 1.
pub(crate) fn difference(ours: &[f32], theirs: &[f32]) -> Result<f32> {
    ensure!(theirs.len() == ours.len(), "other answers");
    let pairs = ours.iter().zip(theirs);
    let off = pairs.map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
    // A NaN is no small difference.
    Ok(off.fold(0.0, |most, off| if off <= most { most } else { off }))
}

/// The floats of a file of NumPy.
pub(crate) fn numbers(path: &Path) -> Result<Vec<f32>> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    ensure!(bytes.len() > 10 && bytes.starts_with(b"\x93NUMPY\x01"), "{}", path.display());
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..start.min(bytes.len())]);
    ensure!(header.contains("'<f4'") && header.contains("False"), "{}: {header}", path.display());
    Ok(bytes[start..].as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect())
}
