//! The tutorial's epoch on photos, with validation: what `keras2_epoch.py` does.

use crate::tutorial::tutorial;
use crate::{Args, print_rate};
use anyhow::Result;
use gradus::data::{Cache, DataLoader};
use gradus::prelude::*;
use gradus::train::{Callback, Control, Error, Run, Verbosity};
use std::path::Path;
use std::time::{Duration, Instant};

/// The first one warms up, and fills the cache.
const EPOCHS: u32 = 3;

pub(crate) fn epochs(args: &Args) -> Result<()> {
    let folder = args.data.as_deref().unwrap_or(Path::new("."));
    let plain = ImageDataGenerator::builder().rescale(1.0 / 255.0);
    let mut train = open(args, folder, "train", &tutorial().build()?)?;
    let mut validation = open(args, folder, "val", &plain.build()?)?;
    let context = Context::new(Device::Cpu, args.threads);
    let mut model = Model::build(models::dogs_vs_cats(), [128, 128, 3], context, 0)?;
    model.compile(RMSprop::default(), CategoricalCrossentropy::new())?;
    let steps = [train.len() / args.batch, validation.len() / args.batch].map(|n| n.max(1));
    let images = (steps[0] + steps[1]) * args.batch;
    let mut clock = Clock { start: Instant::now(), times: Vec::new() };
    model.fit(
        &mut train,
        Fit {
            epochs: EPOCHS,
            steps_per_epoch: Some(steps[0]),
            validation_data: Some(&mut validation),
            validation_steps: Some(steps[1]),
            callbacks: vec![Box::new(&mut clock)],
            verbose: Verbosity::Silent,
            ..Fit::default()
        },
    )?;
    print_rate("epoch", images as f64, clock.times.split_off(1));
    Ok(())
}

fn open(
    args: &Args,
    folder: &Path,
    part: &str,
    generator: &ImageDataGenerator,
) -> Result<DataLoader> {
    let frame = Manifest::read(folder.join(format!("dogs_vs_cats-{part}.csv")))?;
    let mut flow = flow_from_dataframe(&frame, folder)
        .x_col("filename")
        .y_col("category")
        .target_size(128, 128)
        .batch_size(args.batch)
        .workers(args.threads)
        .transform(generator.transform());
    if args.cache {
        flow = flow.cache(Cache::Memory { limit_bytes: 4 << 30 });
    }
    Ok(flow.open()?)
}

/// How long each epoch takes, with its validation.
struct Clock {
    start: Instant,
    times: Vec<Duration>,
}

impl Callback for &mut Clock {
    fn epoch_start(&mut self, _: &Run<'_>, _: &mut Control) -> Result<(), Error> {
        self.start = Instant::now();
        Ok(())
    }

    fn epoch_end(&mut self, _: &Run<'_>, _: &mut Control) -> Result<(), Error> {
        self.times.push(self.start.elapsed());
        Ok(())
    }
}
