//! Files to augmented batches, on one thread and without a network.

use super::comparison::{Comparison, Program, Work};
use super::tools::Tools;

pub(super) fn comparisons(tools: &Tools) -> Vec<Comparison> {
    let work = |measure, work: &str, goal| Work {
        measure,
        work: format!("JPEG files to augmented batches, 1 thread{work}"),
        unit: "images/s",
        goal,
    };
    let row = |rival, title, theirs: Vec<Program>, works| Comparison {
        rival,
        title,
        theirs,
        ours: tools.on_drawings(tools.ours("pipeline", 15, 1)),
        works,
    };
    let keras = tools.pipeline("pipeline/of_keras.py", &[], "");
    let torchvision = ["tensor", "pil"].map(|backend| {
        tools.pipeline("pipeline/of_torchvision.py", &["--backend", backend], backend)
    });
    let stages = [("decode", 1.0), ("resize", 1.0), ("augment", 1.0)];
    let mut of_keras = vec![work("pipeline", "", 6.0)];
    of_keras.extend(stages.map(|(stage, goal)| work(stage, &format!(", {stage} alone"), goal)));
    vec![
        row("keras", "Keras's ImageDataGenerator", vec![keras], of_keras),
        row("pytorch", "torchvision", torchvision.into(), vec![work("pipeline", "", 2.0)]),
    ]
}
