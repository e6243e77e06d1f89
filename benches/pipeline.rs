//! Images a second on one core, from JPEG files to the batches of the tutorial, and where the time
//! goes. `cargo xtask rivals pipeline` does the same beside Keras and torchvision.
//!
//! ```text
//! cargo bench --bench pipeline                                with drawings
//! GRADUS_BENCH_IMAGES=DIR cargo bench --bench pipeline        with files whose names begin with
//!                                                             their class, `cat` or `dog`
//! ```
//!
//! The whole of `flow_from_dataframe`: read, decode, resize to 128 x 128, augment, batches of 15,
//! in the calling thread (`workers(0)`). What is counted is processor time where Linux tells it, so
//! that other programs on the machine do little harm; elsewhere the clock. The stages are taken
//! one by one, each the median over all images.

#![allow(clippy::print_stdout, reason = "a program for people prints what it has to say")]

#[path = "common/pipeline.rs"]
mod pipeline;
#[path = "common/tutorial.rs"]
mod tutorial;

use gradus::data::synthetic::{Class, Synthetic};
use gradus::data::{Cache, DataLoader};
use std::path::{Path, PathBuf};

const ROUNDS: u32 = 7;

fn main() {
    let drawn = tempfile::tempdir().expect("a folder");
    let own = std::env::var_os("GRADUS_BENCH_IMAGES").map(PathBuf::from);
    let folder = own.unwrap_or_else(|| draw(drawn.path()));
    let files = pipeline::files(&folder);
    println!("{} files, {ROUNDS} rounds; median (least to most)", files.len());
    report("flow_from_dataframe", pipeline::open(&folder, &files, None));
    let cache = Some(Cache::Memory { limit_bytes: usize::MAX });
    report("the same with a cache in memory", pipeline::open(&folder, &files, cache));
    for (stage, median) in pipeline::stages(&files, ROUNDS) {
        println!("{stage:34} {:7.1} µs", median.as_secs_f64() * 1e6);
    }
}

/// Images a second of whole epochs; the first one warms up, and fills the cache.
fn report(name: &str, mut loader: DataLoader) {
    let rates = (0..=ROUNDS).map(|round| pipeline::epoch(&mut loader, round));
    let mut rates: Vec<f64> = rates.skip(1).collect();
    rates.sort_by(f64::total_cmp);
    let [least, median, most] = [0, rates.len() / 2, rates.len() - 1].map(|i| rates[i]);
    println!("{name:34} {median:7.0} images/s ({least:.0} to {most:.0})");
}

fn draw(folder: &Path) -> PathBuf {
    let set = Synthetic::default().size(200);
    for index in 0..200 {
        let class = Class::ALL[index as usize % 2];
        let path = folder.join(format!("{}.{index}.jpg", class.name()));
        set.draw(index, class).save(path).expect("a file");
    }
    folder.to_path_buf()
}
