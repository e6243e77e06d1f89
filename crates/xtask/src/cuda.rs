//! `cargo xtask full cuda`: would the tests notice if a kernel were wrong?
//!
//! ```text
//! cargo xtask full cuda                 every schedule, every mutant, and a dated table in docs/cuda
//! cargo xtask full cuda --only TEXT     the mutants that have the text in their file or their bug
//! ```
//!
//! First all tests of kernels run on the emulated device under each of its schedules. Then the bugs
//! of `crates/cuda-emu/mutants` are planted one at a time in a copy of the kernels, the emulated
//! driver is built from the copy, and the same tests run on it until one fails: those of the room
//! first, then all, schedule by schedule. A mutant that no test notices fails the task.

mod emulator;
mod mutants;
mod report;
mod suite;

use crate::{say, target};
use anyhow::{Result, bail};
use clap::Parser;
use emulator::Emulator;
use mutants::Mutant;
use std::time::Instant;
use suite::{End, Suite};

/// In the order in which a mutant is tried: the first notice most.
const SCHEDULES: [&str; 6] = ["0", "checked", "1", "2", "3", "4"];

/// What can be asked for.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask full cuda")]
struct Args {
    /// Plants only the bugs whose file or line has this text, and writes no table; may be said more
    /// than once
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
}

/// All tests under one schedule, on the kernels as they are.
struct Baseline {
    schedule: &'static str,
    passed: usize,
    seconds: f64,
}

/// A planted bug, and who noticed it: the schedule and the test, if anybody did.
struct Verdict {
    mutant: Mutant,
    noticed: Option<(&'static str, String)>,
}

/// The campaign.
pub(crate) fn full(words: impl Iterator<Item = String>) -> Result<()> {
    let name = "cargo xtask full cuda".to_owned();
    let Args { only } = Args::parse_from(std::iter::once(name).chain(words));
    let (start, scratch) = (Instant::now(), std::path::absolute(target().join("cuda-mutants"))?);
    let mutants = mutants::all(&only)?;
    let suite = Suite::build(&scratch)?;
    let emulator = Emulator::new(scratch)?;
    let baselines = match only.is_empty() {
        false => Vec::new(),
        true => baselines(&suite, &emulator)?,
    };
    let mut verdicts = Vec::new();
    let count = mutants.len();
    for (i, mutant) in mutants.into_iter().enumerate() {
        let noticed = trial(&mutant, &suite, &emulator)?;
        let by = match &noticed {
            Some((schedule, test)) => format!("{test}, schedule {schedule}"),
            None => "NOBODY".to_owned(),
        };
        say(&format!("[{}/{count}] {}: {} <- {by}", i + 1, mutant.file, mutant.bug));
        verdicts.push(Verdict { mutant, noticed });
        if only.is_empty() {
            // Each time, since it takes so long that it may be cut off.
            report::write(&baselines, &verdicts, count, start.elapsed())?;
        }
    }
    let missed = verdicts.iter().filter(|verdict| verdict.noticed.is_none()).count();
    if missed > 0 {
        bail!("{missed} of {count} planted bugs were noticed by no test");
    }
    say(&format!("all {count} planted bugs were noticed"));
    Ok(())
}

/// The kernels as they are pass under every schedule: else no mutant proves anything.
fn baselines(suite: &Suite, emulator: &Emulator) -> Result<Vec<Baseline>> {
    let library = emulator.build(None)?;
    let mut baselines = Vec::new();
    for schedule in SCHEDULES {
        let start = Instant::now();
        match suite.run(&library, schedule, None)? {
            End::Passed(0) => bail!("no test ran: is there a real GPU on this machine?"),
            End::Passed(passed) => {
                let seconds = start.elapsed().as_secs_f64();
                say(&format!("schedule {schedule}: {passed} tests passed in {seconds:.0} s"));
                baselines.push(Baseline { schedule, passed, seconds });
            }
            End::Failed(test) => bail!("{test} fails under schedule {schedule} without any mutant"),
        }
    }
    Ok(baselines)
}

/// Plants the bug and looks for the first test that fails.
fn trial(
    mutant: &Mutant,
    suite: &Suite,
    emulator: &Emulator,
) -> Result<Option<(&'static str, String)>> {
    let library = emulator.build(Some(mutant))?;
    let room = mutant.room().map(|room| (SCHEDULES[0], Some(room)));
    let all = SCHEDULES.map(|schedule| (schedule, None));
    for (schedule, room) in room.into_iter().chain(all) {
        if let End::Failed(test) = suite.run(&library, schedule, room)? {
            return Ok(Some((schedule, test)));
        }
    }
    Ok(None)
}
