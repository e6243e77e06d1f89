//! The reference network, ResNet-18 and an Inception-like one, after a few steps of training: so
//! that no statistic of a normalization is 0 or 1.

use super::again::{self, Row};
use super::{Case, pixels};
use anyhow::{Context as _, Result};
use gradus::data::{DataLoader, synthetic::Synthetic};
use gradus::models::Stem;
use gradus::prelude::*;
use gradus_testing::test_data;
use std::path::Path;

/// Images in a batch: those that it learns from at once, and those that it is asked about.
const BATCH: usize = 16;

/// Shows the three after so many steps; what is drawn for them goes to `out`. After none, what came
/// back from Keras is trained on.
pub(crate) fn each(
    out: &Path,
    steps: usize,
    mut show: impl FnMut(Case<'_>) -> Result<()>,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let photos = match test_data("data/pets") {
        Some(folder) => folder,
        None => {
            let folder = out.join("drawn");
            Synthetic::default().train(64).validation(16).write(&folder)?;
            folder
        }
    };
    for (name, network, size) in [
        ("dogs_vs_cats", models::dogs_vs_cats(), 128),
        ("resnet18", models::resnet18(Stem::ImageNet, 2), 128),
        ("inception_like", models::inception_like(2), 96),
    ] {
        let mut data = open(&photos, "train", size)?;
        let mut model = Model::build(network, [size, size, 3], Context::new(Device::Cpu, 2), 1)?;
        model.compile(SGD::new().learning_rate(0.01), CategoricalCrossentropy::new())?;
        if steps > 0 {
            let folder = out.join(name);
            let board = TensorBoard::new(folder.join("logs")).histogram_freq(1).batch_images(2);
            let mut validation = open(&photos, "val", size)?;
            model.fit(
                &mut data,
                Fit {
                    epochs: 2,
                    steps_per_epoch: Some(steps),
                    validation_data: Some(&mut validation),
                    validation_steps: Some(1),
                    callbacks: vec![Box::new(board)],
                    ..Fit::default()
                },
            )?;
            model.history().write_csv(folder.join("history.csv"))?;
        }
        let mut asked = open(&photos, "val", size)?;
        asked.start(0, Some(1));
        let batch = asked.next_batch().context("no photos to answer for")??;
        let images = batch.images();
        show(Case { name, network: model.network(), images, labels: data.classes() })?;
        if name == "dogs_vs_cats" && steps > 0 {
            pixels::write(&mut model, &photos, out)?;
        }
        let mut validation = open(&photos, "val", size)?;
        let folder = out.join(name);
        if steps > 0 {
            again::note(&mut model, &mut validation, &folder)?;
        } else {
            rows.extend(again::ask(name, model, [&mut data, &mut validation], &folder)?);
        }
    }
    Ok(rows)
}

fn open(photos: &Path, part: &str, size: usize) -> Result<DataLoader> {
    let frame = Manifest::read(photos.join(format!("dogs_vs_cats-{part}.csv")))?;
    let rescale = ImageDataGenerator::builder().rescale(1.0 / 255.0).build()?;
    Ok(flow_from_dataframe(&frame, photos)
        .y_col("category")
        .target_size(size, size)
        .batch_size(BATCH)
        .transform(rescale.transform())
        .open()?)
}
