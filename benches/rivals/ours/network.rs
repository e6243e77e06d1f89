//! The reference training step and inference: a batch in memory, the tutorial's network.

use crate::reference::Reference;
use crate::{Args, report};
use gradus::prelude::*;

/// The network's parameters, moving means and variances too.
pub(crate) fn parameters() -> usize {
    let context = Context::new(Device::Cpu, 1);
    let model = Model::build(models::dogs_vs_cats(), [128, 128, 3], context, 0);
    model.expect("the layers fit").summary().total()
}

/// Dropout, loss, accuracy and RMSprop included.
pub(crate) fn train(args: &Args) {
    let mut reference = Reference::new(args.batch, args.threads);
    report("train", args.batch as f64, args.seconds, || reference.train());
}

/// Loss and accuracy are counted too, which the rivals' inference leaves out.
pub(crate) fn infer(args: &Args) {
    let mut reference = Reference::new(args.batch, args.threads);
    report("infer", args.batch as f64, args.seconds, || reference.infer());
}
