//! Files to batches on one thread: what the scripts in `pipeline/` do.

#[path = "../../common/pipeline.rs"]
mod common;

use crate::Args;
use gradus::data::Cache;
use serde_json::json;
use std::path::Path;

const ROUNDS: u32 = 5;

/// Prints the rates of whole epochs, the first left out, and of each stage.
pub(crate) fn rates(args: &Args) {
    let folder = args.data.as_deref().unwrap_or(Path::new("."));
    let files = common::files(folder);
    let cache = Cache::Memory { limit_bytes: usize::MAX };
    for (measure, cache) in [("pipeline", None), ("cached", Some(cache))] {
        let mut loader = common::open(folder, &files, cache);
        let rates = (0..=ROUNDS).map(|round| common::epoch(&mut loader, round));
        let mut rates: Vec<f64> = rates.skip(1).collect();
        rates.sort_by(f64::total_cmp);
        println!("{}", json!({ "measure": measure, "rate": rates[rates.len() / 2] }));
    }
    for (stage, median) in common::stages(&files, ROUNDS) {
        println!("{}", json!({ "measure": stage, "rate": 1.0 / median.as_secs_f64() }));
    }
}
