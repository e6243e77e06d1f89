//! The reference network with frozen statistics.

use super::comparison::{Comparison, Work};
use super::tools::Tools;
use super::training::counted;

pub(super) fn comparisons(tools: &Tools) -> Vec<Comparison> {
    let threads = tools.threads;
    let row = |rival, title, theirs, batch, goal| Comparison {
        rival,
        title,
        theirs,
        ours: tools.ours("infer", batch, threads),
        works: vec![Work {
            measure: "infer",
            work: format!("inference, batch {batch}, {}", counted(threads)),
            unit: "images/s",
            goal,
        }],
    };
    let keras = tools.keras3("infer", 64, threads);
    let pytorch =
        ["channels_last", "nchw"].map(|layout| tools.pytorch("infer", 1, threads, layout));
    let built = |rival| vec![tools.built(rival, "infer", 64, threads)];
    vec![
        row("keras", "Keras 3", keras, 64, 2.0),
        row("pytorch", "PyTorch as installed", pytorch.into(), 1, 1.8),
        row("burn", "burn (flex)", built("burn"), 64, 1.0),
        row("candle", "candle", built("candle"), 64, 1.0),
    ]
}
