//! The tutorial's epoch on photos: decoding, augmentation, training and validation.

use super::comparison::{Comparison, Work};
use super::tools::Tools;
use super::training::counted;

pub(super) fn comparisons(tools: &Tools) -> Vec<Comparison> {
    let ours = tools.on_photos(tools.ours("epoch", 15, tools.threads));
    let mut cached = ours.clone();
    cached.args.push("--cache".to_owned());
    let row = |ours, what, goal| Comparison {
        rival: "keras",
        title: "Keras 2",
        theirs: vec![tools.keras2_epoch()],
        ours,
        works: vec![Work {
            measure: "epoch",
            work: format!("the tutorial's epoch on photos{what}, {}", counted(tools.threads)),
            unit: "images/s",
            goal,
        }],
    };
    vec![row(ours, "", 3.3), row(cached, ", decoded images kept in memory", 3.7)]
}
