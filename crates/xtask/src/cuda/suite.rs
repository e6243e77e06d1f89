//! The programs that test kernels, run on one emulated driver under one schedule.

use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A mutant may wait for ever; the tests as they are take a tenth of it, checked.
const PATIENCE: Duration = Duration::from_secs(180);

/// Packages, what cargo builds of each, and which of its tests are about kernels.
const PROGRAMS: [(&str, &str, &[&str]); 6] = [
    ("gradus-layers", "--lib", &["cuda::", "on_a_gpu"]),
    ("gradus-augment", "--lib", &["cuda::"]),
    ("gradus-optim", "--lib", &["cuda::"]),
    ("gradus-train", "--lib", &["cuda::"]),
    ("gradus-cuda-emu", "--test=kernels", &[]),
    ("gradus", "--test=cuda", &[]),
];

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
}

impl Suite {
    /// Compiles them.
    pub(super) fn build(scratch: &Path) -> Result<Self> {
        fs::create_dir_all(scratch)?;
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
        Ok(Self { programs, scratch: scratch.to_owned() })
    }

    /// Runs all, or the tests of that room, which is named behind its package.
    pub(super) fn run(
        &self,
        library: &Path,
        schedule: &str,
        room: Option<[&str; 2]>,
    ) -> Result<End> {
        let mut passed = 0;
        let of_room = |program: &&Program| {
            room.is_none_or(|[package, _]| program.package.strip_prefix("gradus-") == Some(package))
        };
        for program in self.programs.iter().filter(of_room) {
            let room = room.map(|[_, room]| format!("{room}::cuda::"));
            let tests = room.as_deref().map_or(program.tests.to_vec(), |room| vec![room]);
            match self.run_one(program, &tests, library, schedule)? {
                End::Passed(more) => passed += more,
                failed => return Ok(failed),
            }
        }
        Ok(End::Passed(passed))
    }

    fn run_one(
        &self,
        program: &Program,
        tests: &[&str],
        library: &Path,
        schedule: &str,
    ) -> Result<End> {
        let log = self.scratch.join("log");
        let file = File::create(&log)?;
        let mut child = Command::new(&program.path)
            .args(tests)
            .env("GRADUS_CUDA_EMU_LIBRARY", library)
            .env("GRADUS_EMULATED_SCHEDULE", schedule)
            .env_remove("GRADUS_REQUIRE_GPU")
            .current_dir(&program.folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| program.path.display().to_string())?;
        let start = Instant::now();
        let status = loop {
            match child.try_wait()? {
                Some(status) => break status,
                None if start.elapsed() > PATIENCE => {
                    child.kill()?;
                    child.wait()?;
                    return Ok(End::Failed("a test that waits for ever".to_owned()));
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        Ok(match status.success() {
            true => End::Passed(passed(&said)),
            false => End::Failed(failed(&said).unwrap_or_else(|| status.to_string())),
        })
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
    #[test]
    fn what_a_program_of_tests_says_is_read() {
        let said = "test a ... ok\ntest b::c ... FAILED\ntest d ... FAILED\n";
        assert_eq!(super::failed(said).as_deref(), Some("b::c"));
        assert_eq!(super::passed("test result: ok. 45 passed; 0 failed;"), 45);
        assert_eq!(super::passed("nothing"), 0);
    }
}
