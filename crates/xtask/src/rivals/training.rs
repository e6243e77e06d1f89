//! The reference training step: dropout, loss and RMSprop included.

use super::comparison::{Comparison, Program, Work};
use super::tools::Tools;

/// What lets glibc keep the memory that it was given back, and ask for huge pages: as installed,
/// PyTorch has a fresh gradient of 51 MB mapped and zeroed in every step.
pub(super) const KEEPS_MEMORY: [(&str, &str); 6] = [
    ("MALLOC_MMAP_MAX_", "0"),
    ("MALLOC_TRIM_THRESHOLD_", "1099511627776"),
    ("MALLOC_TOP_PAD_", "268435456"),
    ("MALLOC_ARENA_MAX", "1"),
    ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
    ("THP_MEM_ALLOC_ENABLE", "1"),
];

const LAYOUTS: [&str; 2] = ["channels_last", "nchw"];

pub(super) fn comparisons(tools: &Tools) -> Vec<Comparison> {
    let all = tools.threads;
    let pytorch = |threads| -> Vec<Program> {
        LAYOUTS.iter().map(|layout| tools.pytorch("train", 15, threads, layout)).collect()
    };
    let tuned = |programs: Vec<Program>| -> Vec<Program> {
        programs.into_iter().map(|p| p.within("memory kept", KEEPS_MEMORY)).collect()
    };
    let narrow = |threads| {
        let ours = tools.ours("train", 15, threads);
        vec![ours.within("", [("GRADUS_ISA", "avx2")])]
    };
    let row = |rival, title, theirs, batch, threads, goal| Comparison {
        rival,
        title,
        theirs,
        ours: tools.ours("train", batch, threads),
        works: vec![Work {
            measure: "train",
            work: format!("training step, batch {batch}, {}", counted(threads)),
            unit: "images/s",
            goal,
        }],
    };
    let keras = |batch| tools.keras3("train", batch, all);
    let built = |rival| vec![tools.built(rival, "train", 15, all)];
    vec![
        row("pytorch", "PyTorch as installed", pytorch(all), 15, all, 4.5),
        row("pytorch", "PyTorch with tuned memory", tuned(pytorch(all)), 15, all, 3.5),
        row("pytorch", "PyTorch as installed", pytorch(1), 15, 1, 3.2),
        row("keras", "Keras 3", keras(15), 15, all, 4.0),
        row("keras", "Keras 3", keras(32), 32, all, 4.0),
        row("keras", "Keras 3", keras(128), 128, all, 4.0),
        row("burn", "burn (flex)", built("burn"), 15, all, 15.0),
        row("candle", "candle", built("candle"), 15, all, 35.0),
        row("avx2", "gradus held to AVX2", narrow(all), 15, all, 1.0),
        row("avx2", "gradus held to AVX2", narrow(1), 15, 1, 1.0),
    ]
}

/// One thread, two threads: as the table says it.
pub(super) fn counted(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}
