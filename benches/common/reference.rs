//! The tutorial's network with a batch in memory: what every measure of a whole step repeats.

#![allow(dead_code, reason = "each measure takes what it needs")]

use gradus::layers::{Loss, Tally};
use gradus::prelude::*;
use gradus::tensor::Shape;
use gradus::train::{Batch, Step};
use ndarray::{Array2, Array4};

/// Dropout, loss, accuracy and RMSprop included.
pub(crate) struct Reference {
    network: Sequential,
    context: Context,
    step: Step,
    images: Array4<f32>,
    targets: Array2<f32>,
}

impl Reference {
    /// For batches of `n`, on that many threads.
    pub(crate) fn new(n: usize, threads: usize) -> Self {
        Self::on(&Device::Cpu, [n, 128], threads)
    }

    /// For batches of `n` images of `side` pixels each way, on that device.
    pub(crate) fn on(device: &Device, [n, side]: [usize; 2], threads: usize) -> Self {
        let input = Shape::new(&[n, side, side, 3]);
        let mut network = models::dogs_vs_cats();
        network.build_on(input, device, 0).expect("the layers fit");
        let mut context = Context::new(device.clone(), threads);
        context.step.learning_rate = 1e-3;
        let mut loss = CategoricalCrossentropy::new();
        network.split_head(|head| loss.take_logits(head));
        let optimizer = Box::new(RMSprop::default());
        let step = Step::new(&network, input, &mut context, Box::new(loss), optimizer);
        let images = Array4::from_shape_fn((n, side, side, 3), |(n, h, w, c)| {
            ((n * 7 + h * 3 + w * 5 + c * 11) % 256) as f32 / 255.0
        });
        let targets = Array2::from_shape_fn((n, 2), |(i, k)| f32::from(u8::from(i % 2 == k)));
        Self { network, context, step: step.expect("a plan"), images, targets }
    }

    /// Where and how it works.
    pub(crate) fn context(&mut self) -> &mut Context {
        &mut self.context
    }

    /// One training step.
    pub(crate) fn train(&mut self) {
        let batch = Batch::new(self.images.view(), self.targets.view());
        self.step.train(&mut self.network, &mut self.context, &batch, &mut Tally::default());
    }

    /// Waits for what a GPU has added up, and reads it.
    pub(crate) fn read(&mut self) -> f64 {
        let mut tally = Tally::default();
        tally.collect(&mut self.context);
        tally.loss()
    }

    /// The same network with frozen statistics; loss and accuracy are counted too.
    pub(crate) fn infer(&mut self) {
        let batch = Batch::new(self.images.view(), self.targets.view());
        self.step.evaluate(&self.network, &mut self.context, &batch, &mut Tally::default());
    }
}
