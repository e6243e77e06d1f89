//! The table of the day.

use super::{Baseline, Verdict};
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

/// Writes to `docs/cuda` what is known of `count` bugs.
pub(super) fn write(
    baselines: &[Baseline],
    verdicts: &[Verdict],
    count: usize,
    took: Duration,
) -> Result<()> {
    let date = crate::today()?;
    let path = format!("docs/cuda/{date}-campaign.md");
    let text = text(&date, baselines, verdicts, count, took)?;
    fs::write(&path, text).with_context(|| path.clone())
}

fn text(
    date: &str,
    baselines: &[Baseline],
    verdicts: &[Verdict],
    count: usize,
    took: Duration,
) -> Result<String, std::fmt::Error> {
    let noticed = verdicts.iter().filter(|verdict| verdict.noticed.is_some()).count();
    let mut text = format!(
        "# The kernels on the emulated device, {date}\n\n\
         Written by `cargo xtask full cuda`, which took {:.0} minutes. No GPU had a part in it.\n\n\
         ## All tests of kernels, under every schedule\n\n\
         | schedule | tests passed | seconds |\n| --- | ---: | ---: |\n",
        took.as_secs_f64() / 60.0
    );
    for Baseline { schedule, passed, seconds } in baselines {
        writeln!(text, "| {schedule} | {passed} | {seconds:.0} |")?;
    }
    let planted = match verdicts.len() {
        all if all == count => String::new(),
        some => format!("{some} of {count} were planted before the run was cut off. "),
    };
    write!(
        text,
        "\n## Planted bugs\n\n{planted}{noticed} of {} were noticed. Each was planted alone \
         (`crates/cuda-emu/mutants`); the test is the first that failed, the schedule the first under \
         which one did, in the order above.\n",
        verdicts.len()
    )?;
    let mut file = "";
    for Verdict { mutant, noticed } in verdicts {
        if mutant.file != file {
            file = &mutant.file;
            write!(text, "\n`{file}`\n\n| bug | schedule | noticed by |\n| --- | --- | --- |\n")?;
        }
        match noticed {
            Some((schedule, test)) => writeln!(text, "| {} | {schedule} | `{test}` |", mutant.bug)?,
            None => writeln!(text, "| {} | | **nobody** |", mutant.bug)?,
        }
    }
    Ok(text)
}
