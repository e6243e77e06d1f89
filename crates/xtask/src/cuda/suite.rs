//! The programs that test kernels, run on one emulated driver under one schedule.

use super::verdicts::fingerprint;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

/// Between two looks at a program that runs.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks after which a mutant waits for ever: ten minutes of them; the slowest program takes one as it
/// is, checked. Counted and not by the clock: what stops a machine for a while stops the looking, too.
const PATIENCE: usize = 30_000;

/// Packages, what cargo builds of each, and which of its tests are about kernels.
const PROGRAMS: [(&str, &str, &[&str]); 6] = [
    ("gradus-layers", "--lib", &["cuda::", "on_a_gpu"]),
    ("gradus-augment", "--lib", &["cuda::"]),
    ("gradus-optim", "--lib", &["cuda::"]),
    ("gradus-train", "--lib", &["cuda::"]),
    ("gradus-cuda-emu", "--test=kernels", &[]),
    ("gradus", "--test=cuda", &[]),
];

/// What a program is told of the emulated device, and a setting that it is not to have.
const GIVEN: [&str; 3] =
    ["GRADUS_CUDA_EMU_LIBRARY", "GRADUS_EMULATED_SCHEDULE", "GRADUS_REQUIRE_GPU"];

struct Program {
    package: &'static str,
    path: PathBuf,
    folder: PathBuf,
    tests: &'static [&'static str],
}

/// How the tests ended.
pub(super) enum End {
    /// So many, all of them.
    Passed(usize),
    /// The first that failed, or what happened to it.
    Failed(String),
}

/// All programs.
pub(super) struct Suite {
    programs: Vec<Program>,
    scratch: PathBuf,
    lock: File,
}

impl Suite {
    /// Compiles them. They hold the lock while they run.
    pub(super) fn build(scratch: &Path, lock: File) -> Result<Self> {
        let mut programs = Vec::new();
        for (package, what, tests) in PROGRAMS {
            let artifacts = crate::artifacts(&["test", "--no-run", "--package", package, what])?;
            let made = artifacts.iter().find(|made| made["executable"].is_string());
            let made = made.with_context(|| format!("cargo names no test program of {package}"))?;
            let of = |key: &str| made[key].as_str().map(PathBuf::from);
            let folder = of("manifest_path").and_then(|path| Some(path.parent()?.to_owned()));
            let (Some(path), Some(folder)) = (of("executable"), folder) else {
                bail!("cargo says {made}")
            };
            programs.push(Program { package, path, folder, tests });
        }
        Ok(Self { programs, scratch: scratch.to_owned(), lock })
    }

    /// A hash of the programs, of what is run of them, and of the settings that they read.
    pub(super) fn fingerprint(&self) -> Result<u64> {
        let read = |program: &Program| {
            fs::read(&program.path).with_context(|| program.path.display().to_string())
        };
        let programs = self.programs.iter().map(read).collect::<Result<Vec<_>>>()?;
        let set = |name: &str| name.starts_with("GRADUS_") && !GIVEN.contains(&name);
        let mut settings: Vec<_> =
            std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(set)).collect();
        settings.sort();
        Ok(fingerprint((programs, PROGRAMS, settings)))
    }

    /// Runs that part of all tests until one fails.
    pub(super) fn run(&self, library: &Path, schedule: &str, part: Part<'_>) -> Result<End> {
        let mut passed = 0;
        for program in &self.programs {
            let Some(arguments) = part.arguments(program) else { continue };
            match self.run_one(program, &arguments, library, schedule)? {
                End::Passed(more) => passed += more,
                failed => return Ok(failed),
            }
        }
        Ok(End::Passed(passed))
    }

    fn run_one(
        &self,
        program: &Program,
        arguments: &[String],
        library: &Path,
        schedule: &str,
    ) -> Result<End> {
        let log = self.scratch.join("log");
        let file = File::create(&log)?;
        let [given, at, refused] = GIVEN;
        let mut child = Command::new(&program.path)
            .args(arguments)
            .env(given, library)
            .env(at, schedule)
            .env_remove(refused)
            .current_dir(&program.folder)
            .stdin(self.lock.try_clone()?)
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| program.path.display().to_string())?;
        let said = || Ok::<_, io::Error>(String::from_utf8_lossy(&fs::read(&log)?).into_owned());
        for _ in 0..PATIENCE {
            if let Some(status) = child.try_wait()? {
                let said = said()?;
                return Ok(match status.success() {
                    true => End::Passed(passed(&said)),
                    false => End::Failed(failed(&said).unwrap_or_else(|| status.to_string())),
                });
            }
            // One is enough: nobody waits for the others.
            if let Some(test) = failed(&said()?) {
                end(&mut child)?;
                return Ok(End::Failed(test));
            }
            thread::sleep(PAUSE);
        }
        end(&mut child)?;
        Ok(End::Failed("a test that waits for ever".to_owned()))
    }
}

fn end(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Rooms, each behind its crate: `["layers", "conv2d"]`.
pub(super) type Rooms = BTreeSet<[String; 2]>;

/// Which of all tests to run.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    /// Those of the kernels of these rooms.
    Of(&'a Rooms),
    /// All but those.
    AllBut(&'a Rooms),
}

impl Part<'_> {
    /// What the program is told, unless none of its tests are of the part.
    fn arguments(self, program: &Program) -> Option<Vec<String>> {
        let tests = |rooms: &Rooms| -> Vec<String> {
            let own = |package: &String| program.package.strip_prefix("gradus-") == Some(package);
            let own = rooms.iter().filter(|[package, _]| own(package));
            own.map(|[_, room]| format!("{room}::cuda::")).collect()
        };
        match self {
            Self::Of(rooms) => Some(tests(rooms)).filter(|tests| !tests.is_empty()),
            Self::AllBut(rooms) => {
                let skipped = tests(rooms).into_iter().flat_map(|test| ["--skip".to_owned(), test]);
                Some(program.tests.iter().map(|&test| test.to_owned()).chain(skipped).collect())
            }
        }
    }
}

/// How many tests a program says have passed.
fn passed(said: &str) -> usize {
    let result = said.split_once("test result: ok. ").map_or("", |(_, rest)| rest);
    result.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// The first test that a program says has failed.
fn failed(said: &str) -> Option<String> {
    let line = said.lines().find(|line| line.starts_with("test ") && line.ends_with("FAILED"))?;
    Some(line.split(' ').nth(1)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Part, Program, Rooms};

    #[test]
    fn a_part_and_all_but_it_are_all() {
        let rooms = Rooms::from([["layers", "conv2d"].map(str::to_owned)]);
        let program =
            |package, tests| Program { package, path: "program".into(), folder: ".".into(), tests };
        let layers = program("gradus-layers", &["cuda::", "on_a_gpu"]);
        let facade = program("gradus", &[]);
        let told = |part: Part<'_>, program| part.arguments(program).map(|told| told.join(" "));
        assert_eq!(told(Part::Of(&rooms), &layers).as_deref(), Some("conv2d::cuda::"));
        assert_eq!(told(Part::Of(&rooms), &facade), None);
        let others = told(Part::AllBut(&rooms), &layers);
        assert_eq!(others.as_deref(), Some("cuda:: on_a_gpu --skip conv2d::cuda::"));
        assert_eq!(told(Part::AllBut(&rooms), &facade).as_deref(), Some(""));
        let none = Rooms::new();
        assert_eq!(told(Part::AllBut(&none), &layers).as_deref(), Some("cuda:: on_a_gpu"));
    }

    #[test]
    fn what_a_program_of_tests_says_is_read() {
        let said = "test a ... ok\ntest b::c ... FAILED\ntest d ... FAILED\n";
        assert_eq!(super::failed(said).as_deref(), Some("b::c"));
        assert_eq!(super::passed("test result: ok. 45 passed; 0 failed;"), 45);
        assert_eq!(super::passed("nothing"), 0);
    }
}
