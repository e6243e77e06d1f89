//! Measures, kept line by line in a file.

use anyhow::{Context as _, Result};
use gradus::tensor::gpu::Gpu;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// How long a measure is repeated, in seconds, and at least how often. A stage has eight minutes, and
/// all of ours is one: on a Hopper 35 convolutions have 315 rows of their passes and some 230 in which
/// two ways or the ladder's rungs stand beside each other; passes bound by memory and steps add 49. A
/// row takes 0.2 s, ten calls before, and its part of the arrays: about four minutes in all.
const SECONDS: f64 = 0.2;
const SAMPLES: usize = 7;

/// What was measured, here or in a run before.
pub(crate) struct Rows {
    file: File,
    done: HashSet<[String; 3]>,
    /// Small sizes, once each.
    pub(crate) quick: bool,
}

/// What a measure is about: a table, a line of it, and a column.
pub(crate) type Key<'a> = [&'a str; 3];

impl Rows {
    /// Reads what is there, and says which machine the rest comes from.
    pub(crate) fn open(path: &Path, gpu: &Gpu, quick: bool) -> Result<Self> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let done = lines.filter_map(|line| {
            let of = |key: &str| line[key].as_str().map(str::to_owned);
            Some([of("table")?, of("line")?, of("column")?])
        });
        let done = done.collect();
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.with_context(|| path.display().to_string())?;
        if !text.is_empty() && !text.ends_with('\n') {
            writeln!(file)?; // the end of a line that was cut off
        }
        let machine = json!({
            "machine": gpu.info().to_string(),
            "program": format!("gradus {}", env!("CARGO_PKG_VERSION")),
            "quick": quick,
        });
        writeln!(file, "{machine}")?;
        Ok(Self { file, done, quick })
    }

    /// The median of what the device takes for one `call`, which does so much `work`: operations,
    /// bytes or images.
    pub(crate) fn device(
        &mut self,
        gpu: &Gpu,
        key: Key<'_>,
        work: f64,
        mut call: impl FnMut(),
    ) -> Result<()> {
        self.keep(key, work, |calls| Ok(gpu.seconds(|| (0..calls).for_each(|_| call()))?))
    }

    /// The same by the host's clock, until the device has done it all.
    pub(crate) fn host(
        &mut self,
        gpu: &Gpu,
        key: Key<'_>,
        work: f64,
        mut call: impl FnMut(),
    ) -> Result<()> {
        self.keep(key, work, |calls| {
            gpu.synchronize()?;
            let start = Instant::now();
            (0..calls).for_each(|_| call());
            gpu.synchronize()?;
            Ok(start.elapsed().as_secs_f64())
        })
    }

    fn keep(
        &mut self,
        key: Key<'_>,
        work: f64,
        mut seconds: impl FnMut(usize) -> Result<f64>,
    ) -> Result<()> {
        if !self.done.insert(key.map(String::from)) {
            return Ok(());
        }
        let (calls, samples) = match self.quick {
            true => (1, 1),
            false => {
                seconds(5)?; // the first calls load kernels, and record a step
                let warm = seconds(5)? / 5.0;
                (((SECONDS / SAMPLES as f64 / warm) as usize).clamp(1, 1000), SAMPLES)
            }
        };
        let times: Result<Vec<f64>> =
            (0..samples).map(|_| Ok(seconds(calls)? / calls as f64)).collect();
        let mut times = times?;
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let [table, line, column] = key;
        println!(
            "{table:12} {line:28} {column:22} {:10.1} µs  {:.3e}/s",
            median * 1e6,
            work / median
        );
        let row = json!({
            "table": table, "line": line, "column": column, "seconds": median,
            "least": times[0], "most": times[times.len() - 1], "work": work,
        });
        writeln!(self.file, "{row}")?;
        Ok(())
    }
}
