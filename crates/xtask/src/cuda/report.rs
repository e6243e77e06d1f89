//! The table of the day.

use super::verdicts::Found;
use super::{Baseline, Verdict};
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;

/// Writes to `docs/cuda` what is known of `count` bugs.
pub(super) fn write(baselines: &[Baseline], verdicts: &[Verdict], count: usize) -> Result<()> {
    let date = crate::today()?;
    let path = format!("docs/cuda/{date}-campaign.md");
    let text = text(&date, baselines, verdicts, count)?;
    fs::write(&path, text).with_context(|| path.clone())
}

fn text(
    date: &str,
    baselines: &[Baseline],
    verdicts: &[Verdict],
    count: usize,
) -> Result<String, std::fmt::Error> {
    let noticed = verdicts.iter().filter(|verdict| verdict.found != Found::Missed).count();
    // Whichever run found it out.
    let seconds = baselines.iter().map(|baseline| baseline.seconds);
    let seconds: f64 = seconds.chain(verdicts.iter().map(|verdict| verdict.seconds)).sum();
    let mut text = format!(
        "# The kernels on the emulated device, {date}\n\n\
         Written by `cargo xtask full cuda`, which took {:.0} minutes. No GPU had a part in it.\n\n\
         ## All tests of kernels, under every schedule\n\n\
         | schedule | tests passed | seconds |\n| --- | ---: | ---: |\n",
        seconds / 60.0
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
    for Verdict { mutant, found, .. } in verdicts {
        if mutant.file != file {
            file = &mutant.file;
            write!(text, "\n`{file}`\n\n| bug | schedule | noticed by |\n| --- | --- | --- |\n")?;
        }
        match found {
            Found::Noticed { schedule, test } => {
                writeln!(text, "| {} | {schedule} | `{test}` |", mutant.bug)?;
            }
            _ => writeln!(text, "| {} | | **nobody** |", mutant.bug)?,
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::Mutant;
    use super::*;

    #[test]
    fn the_table_says_who_noticed_what_and_how_long_it_took_whoever_found_it_out() {
        let verdict = |bug: &str, found| {
            let [file, old, new] = ["a.cu", "x", "y"].map(str::to_owned);
            Verdict { mutant: Mutant { file, bug: bug.into(), old, new }, found, seconds: 30.0 }
        };
        let by = Found::Noticed { schedule: "checked".into(), test: "a::b".into() };
        let verdicts = [verdict("a race", by), verdict("a typo", Found::Missed)];
        let baselines = [Baseline { schedule: "0", passed: 7, seconds: 60.0 }];
        let text = text("today", &baselines, &verdicts, 3).expect("a table");
        for part in [
            "which took 2 minutes",
            "| 0 | 7 | 60 |",
            "2 of 3 were planted before the run was cut off. 1 of 2 were noticed.",
            "`a.cu`\n\n| bug | schedule | noticed by |",
            "| a race | checked | `a::b` |",
            "| a typo | | **nobody** |",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
