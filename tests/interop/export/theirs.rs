//! Models that Keras made itself, loaded with their layers; `tests/interop/keras_models.py` leaves
//! them.

use super::back::{LIMIT, difference, numbers};
use anyhow::{Context as _, Result, bail, ensure};
use gradus::export::load_keras;
use gradus::prelude::*;
use ndarray::Array4;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Loads and asks each, and prints the table; nothing where Keras left nothing. An error where an
/// answer is off, or where another is refused than shall be.
pub(crate) fn ask(out: &Path) -> Result<()> {
    let Ok(folders) = fs::read_dir(out.join("of_keras")) else { return Ok(()) };
    let mut folders: Vec<_> = folders.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    folders.sort();
    println!("\n## Keras's own models, read\n\n| model | loaded in | largest difference |");
    println!("| --- | ---: | --- |");
    let mut wrong = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match row(&folder) {
            Ok(row) => println!("| {name} | {row} |"),
            Err(error) => wrong.push(format!("{name}: {error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn row(folder: &Path) -> Result<String> {
    let files = ["model.keras", "model.h5"].map(|name| folder.join(name));
    let file = files.iter().find(|file| file.exists()).context("no model")?;
    let (start, context) = (Instant::now(), Context::new(Device::Cpu, 2));
    let refused = fs::read_to_string(folder.join("refused.txt")).ok();
    let mut model = match (load_keras(file, context), refused) {
        (Ok(model), None) => model,
        (Err(error), Some(refused)) if error.to_string().contains(&refused) => {
            let text = error.to_string();
            let reason = text.split_once("not a model of Keras: ").map_or(&*text, |(_, it)| it);
            return Ok(format!("refused | {reason}"));
        }
        (Err(error), _) => return Err(error.into()),
        (Ok(_), Some(refused)) => bail!("it was loaded, although {refused} is not known"),
    };
    let loaded = start.elapsed();
    let [h, w, c] = model.image_shape();
    let x = numbers(&folder.join("x.npy"))?;
    let x = Array4::from_shape_vec((x.len() / (h * w * c), h, w, c), x)?;
    let answers = model.predict(x.view())?;
    let ours = answers.as_slice().context("in the standard order")?;
    let off = difference(ours, &numbers(&folder.join("y.npy"))?)?;
    ensure!(off <= LIMIT, "an answer is off by {off:e}");
    Ok(format!("{:.2} s | {off:.1e}", loaded.as_secs_f64()))
}
