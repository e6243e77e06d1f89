//! `cargo xtask full cuda`: would the tests notice if a kernel were wrong?
//!
//! ```text
//! cargo xtask full cuda                 every schedule, every mutant, and a dated table in docs/cuda
//! cargo xtask full cuda --only TEXT     the mutants that have the text in their file or their bug
//! ```
//!
//! First all tests of kernels run on the emulated device under each of its schedules. Then the bugs
//! of `crates/cuda-emu/mutants` are planted one at a time in a copy of the kernels, the emulated
//! driver is built from the copy, and the same tests run on it until one fails: schedule by schedule,
//! and under each those of the rooms first whose kernels have the bug. A mutant that no test notices
//! fails the task.
//!
//! What was found out is kept in `target/cuda-mutants/verdicts`, and counts as long as the kernels,
//! the emulated device, the compiler and the programs of tests are the same: a run that was cut off
//! goes on where it was.

mod emulator;
mod mutants;
mod report;
mod suite;
mod verdicts;

use crate::{say, target};
use anyhow::{Result, bail};
use clap::Parser;
use emulator::Emulator;
use mutants::Mutant;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use suite::{End, Part, Rooms, Suite};
use verdicts::{Found, Verdicts, fingerprint};

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

/// A planted bug, and who noticed it, if anybody did.
struct Verdict {
    mutant: Mutant,
    found: Found,
    seconds: f64,
}

/// The campaign.
pub(crate) fn full(words: impl Iterator<Item = String>) -> Result<()> {
    let name = "cargo xtask full cuda".to_owned();
    let Args { only } = Args::parse_from(std::iter::once(name).chain(words));
    let (mutants, mut campaign) = (mutants::all(&only)?, Campaign::new()?);
    let known = mutants.iter().filter(|mutant| campaign.knows(mutant)).count();
    let count = mutants.len();
    say(&format!("{known} of {count} bugs were planted in earlier runs"));
    let baselines = match only.is_empty() {
        false => Vec::new(),
        true => campaign.baselines()?,
    };
    let mut verdicts = Vec::new();
    for (i, mutant) in mutants.into_iter().enumerate() {
        let verdict = campaign.verdict(mutant)?;
        say(&format!("[{}/{count}] {}", i + 1, verdict.line()));
        verdicts.push(verdict);
        if only.is_empty() {
            // Each time, since it takes so long that it may be cut off.
            report::write(&baselines, &verdicts, count)?;
        }
    }
    let missed = verdicts.iter().filter(|verdict| verdict.found == Found::Missed).count();
    if missed > 0 {
        bail!("{missed} of {count} planted bugs were noticed by no test");
    }
    say(&format!("all {count} planted bugs were noticed"));
    Ok(())
}

/// What mutants are tried with.
struct Campaign {
    suite: Suite,
    emulator: Emulator,
    /// The driver of the kernels as they are, until a bug is planted.
    library: PathBuf,
    verdicts: Verdicts,
    /// A hash of that driver and of the tests: what every verdict depends on.
    common: u64,
}

impl Campaign {
    fn new() -> Result<Self> {
        let scratch = std::path::absolute(target().join("cuda-mutants"))?;
        let lock = lock(&scratch)?;
        let suite = Suite::build(&scratch, lock.try_clone()?)?;
        let emulator = Emulator::new(scratch.clone(), lock)?;
        let library = emulator.build(None)?;
        let common = fingerprint((suite.fingerprint()?, emulator.fingerprint()?, SCHEDULES));
        let verdicts = Verdicts::open(&scratch.join("verdicts"))?;
        Ok(Self { suite, emulator, library, verdicts, common })
    }

    fn knows(&self, mutant: &Mutant) -> bool {
        self.verdicts.knows(fingerprint((self.common, mutant)))
    }

    /// The kernels as they are pass under every schedule: else no mutant proves anything.
    fn baselines(&mut self) -> Result<Vec<Baseline>> {
        let Self { suite, library, verdicts, common, .. } = self;
        let mut baselines = Vec::new();
        for schedule in SCHEDULES {
            let (found, seconds) = verdicts.take_or(fingerprint((*common, schedule)), || {
                match suite.run(library, schedule, Part::AllBut(&Rooms::new()))? {
                    End::Passed(0) => bail!("no test ran: is there a real GPU on this machine?"),
                    End::Passed(passed) => Ok(Found::Passed(passed)),
                    End::Failed(test) => {
                        bail!("{test} fails under schedule {schedule} without any mutant")
                    }
                }
            })?;
            let Found::Passed(passed) = found else { bail!("schedule {schedule}: {found:?}") };
            say(&format!("schedule {schedule}: {passed} tests passed in {seconds:.0} s"));
            baselines.push(Baseline { schedule, passed, seconds });
        }
        Ok(baselines)
    }

    /// What is known of the bug, or else what comes out.
    fn verdict(&mut self, mutant: Mutant) -> Result<Verdict> {
        let Self { suite, emulator, verdicts, common, .. } = self;
        let key = fingerprint((*common, &mutant));
        let (found, seconds) = verdicts.take_or(key, || trial(&mutant, suite, emulator))?;
        Ok(Verdict { mutant, found, seconds })
    }
}

impl Verdict {
    /// For whoever looks on.
    fn line(&self) -> String {
        let Self { mutant: Mutant { file, bug, .. }, found, seconds } = self;
        let by = match found {
            Found::Noticed { schedule, test } => format!("{test}, schedule {schedule}"),
            _ => "NOBODY".to_owned(),
        };
        format!("{file}: {bug} <- {by}, {seconds:.0} s")
    }
}

/// The scratch folder for this run alone. Whatever a run starts holds the lock, too, as its standard
/// input: what goes on after a run was killed is waited for, and does not meddle with the next.
fn lock(scratch: &Path) -> Result<File> {
    fs::create_dir_all(scratch)?;
    let lock = File::create(scratch.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            say("waiting for another run to end, or for what it has left running");
            lock.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    Ok(lock)
}

/// Plants the bug and looks for the first test that fails.
fn trial(mutant: &Mutant, suite: &Suite, emulator: &Emulator) -> Result<Found> {
    let noticed = |schedule: &str, test| Found::Noticed { schedule: schedule.to_owned(), test };
    let [first, ..] = SCHEDULES;
    let library = emulator.build_plain(mutant)?;
    let rooms = emulator.rooms_of(&mutant.file)?;
    if let End::Failed(test) = suite.run(&library, first, Part::Of(&rooms))? {
        return Ok(noticed(first, test));
    }
    let library = emulator.build(Some(mutant))?;
    let parts = [Part::Of(&rooms), Part::AllBut(&rooms)];
    let tries = SCHEDULES.into_iter().flat_map(|schedule| parts.map(|part| (schedule, part)));
    for (schedule, part) in tries.skip(1) {
        if let End::Failed(test) = suite.run(&library, schedule, part)? {
            return Ok(noticed(schedule, test));
        }
    }
    Ok(Found::Missed)
}
