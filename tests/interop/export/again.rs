//! A model that went to Keras and came back, and is trained on: it begins where it was.

use super::back::{LIMIT, replace};
use anyhow::{Context as _, Result, bail, ensure};
use gradus::data::DataLoader;
use gradus::prelude::*;
use gradus::train::Verbosity;
use std::fs;
use std::path::Path;

/// Batches that are evaluated, and those of the epoch more.
const STEPS: usize = 4;
/// What gradus found before, beside `model.keras`.
const BEFORE: &str = "evaluation.txt";
/// `model.keras`, opened and saved by Keras.
const SAME: &str = "same.keras";

/// A row of the table, and whether what is in it will do.
#[derive(Debug)]
pub(crate) struct Row {
    text: String,
    off: f64,
}

fn evaluate(model: &mut Model, data: &mut DataLoader) -> Result<[f64; 2]> {
    let found = model.evaluate(data, Some(STEPS))?;
    Ok([found.loss, found.accuracy.context("no accuracy")?])
}

/// Notes what the model that goes out is worth.
pub(crate) fn note(model: &mut Model, data: &mut DataLoader, folder: &Path) -> Result<()> {
    let [loss, accuracy] = evaluate(model, data)?;
    Ok(fs::write(folder.join(BEFORE), format!("{loss} {accuracy}"))?)
}

/// Takes the layers and weights that Keras left, evaluates them, and trains for one epoch more. `None` where Keras left nothing.
pub(crate) fn ask(
    name: &str,
    mut model: Model,
    [train, validation]: [&mut DataLoader; 2],
    folder: &Path,
) -> Result<Option<Row>> {
    if !folder.join(SAME).exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(folder.join(BEFORE)).context(BEFORE)?;
    let before: Vec<f64> = text.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let path = folder.join(SAME);
    replace(&mut model, &path)?;
    model.compile(SGD::new().learning_rate(0.01), CategoricalCrossentropy::new())?;
    let after = evaluate(&mut model, validation)?;
    ensure!(before.len() == after.len(), "{BEFORE}: {text:?}");
    let off = before.iter().zip(after).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let fit = Fit { steps_per_epoch: Some(STEPS), verbose: Verbosity::Silent, ..Fit::default() };
    model.fit(train, fit)?;
    let more = evaluate(&mut model, validation)?;
    ensure!(more[0].is_finite() && more != after, "{name}: nothing was learned");
    let text = format!(
        "| {name} | {:.6}, {:.4} | {:.6}, {:.4} | {off:.1e} | {:.6}, {:.4} |",
        before[0], before[1], after[0], after[1], more[0], more[1]
    );
    Ok(Some(Row { text, off }))
}

/// The table; an error where a model came back as another.
pub(crate) fn report(rows: &[Row]) -> Result<()> {
    println!(
        "\n## Trained on\n\ngradus to `.keras`, to Keras, to `.keras`, to gradus: `evaluate` on \
         {STEPS} batches of photos, loss and accuracy; the epoch more has as many.\n"
    );
    println!("| network | before | come back | largest difference | after one epoch more |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    rows.iter().for_each(|row| println!("{}", row.text));
    if rows.iter().any(|row| row.off > f64::from(LIMIT)) {
        bail!("a model came back as another");
    }
    Ok(())
}
