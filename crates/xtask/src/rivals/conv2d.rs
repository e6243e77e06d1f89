//! The three passes of single convolutions, beside oneDNN, which PyTorch calls for them.

use super::comparison::{Comparison, Work};
use super::tools::Tools;
use super::training::{KEEPS_MEMORY, counted};

/// The measures that the programs print, and the shapes behind their names.
const PASSES: [(&str, &str); 6] = [
    ("conv2 forward", "forward, 63×63×32 to 61×61×64"),
    ("conv2 dx", "dx, 63×63×32 to 61×61×64"),
    ("conv2 dW", "dW, 63×63×32 to 61×61×64"),
    ("conv3 forward", "forward, 30×30×64 to 28×28×128"),
    ("conv3 dx", "dx, 30×30×64 to 28×28×128"),
    ("conv3 dW", "dW, 30×30×64 to 28×28×128"),
];

/// As installed PyTorch waits for fresh memory in every call: with memory kept, it is oneDNN alone.
pub(super) fn comparisons(tools: &Tools) -> Vec<Comparison> {
    let threads = tools.threads;
    let installed = tools.pytorch("conv2d", 15, threads, "channels_last");
    let kept = installed.clone().within("memory kept", KEEPS_MEMORY);
    let work = |&(measure, shape): &(&'static str, &str)| Work {
        measure,
        work: format!("conv2d 3×3 {shape}, batch 15, {}", counted(threads)),
        unit: "GFLOP/s",
        goal: 2.3,
    };
    vec![Comparison {
        rival: "pytorch",
        title: "oneDNN through PyTorch",
        theirs: vec![installed, kept],
        ours: tools.ours("conv2d", 15, threads),
        works: PASSES.iter().map(work).collect(),
    }]
}
