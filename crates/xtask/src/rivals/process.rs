//! One run of one program, and what it printed.

use super::comparison::Program;
use super::tools::Tools;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::process::Command;

/// The tutorial's network, moving means and variances too.
const PARAMETERS: u64 = 12_942_786;

/// What a program printed.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) version: String,
    /// Name and how much a second, in the order of the lines.
    pub(super) rates: Vec<(String, f64)>,
}

/// The first line: what is measured.
#[derive(Deserialize)]
struct Head {
    version: String,
    /// None where no network takes part.
    parameters: Option<u64>,
    threads: usize,
}

/// Every other line.
#[derive(Deserialize)]
struct Line {
    measure: String,
    rate: f64,
}

impl Measured {
    /// How much a second, by name.
    pub(super) fn rate(&self, measure: &str) -> Result<f64> {
        let found = self.rates.iter().find(|(name, _)| name == measure);
        let found = found.with_context(|| format!("{} printed no {measure:?}", self.version))?;
        Ok(found.1)
    }

    /// From what a program printed.
    fn parse(text: &str) -> Result<(Self, Head)> {
        let mut lines = text.lines().filter(|line| line.starts_with('{'));
        let head: Head = serde_json::from_str(lines.next().context("it printed nothing")?)?;
        let mut rates = Vec::new();
        for line in lines {
            let Line { measure, rate } = serde_json::from_str(line)?;
            if !(rate.is_finite() && rate > 0.0) {
                bail!("{measure}: {rate} a second");
            }
            rates.push((measure, rate));
        }
        if rates.is_empty() {
            bail!("it measured nothing");
        }
        Ok((Self { version: head.version.clone(), rates }, head))
    }
}

/// Runs it, and refuses what is not the same work.
pub(super) fn run(program: &Program, tools: &Tools) -> Result<Measured> {
    let mut words = tools.launcher.iter().map(String::as_str).map(std::ffi::OsStr::new);
    let own = program.program.as_os_str();
    let mut command = Command::new(words.next().unwrap_or(own));
    if !tools.launcher.is_empty() {
        command.args(words).arg(own);
    }
    // Set by hand on some machines, to the kernels of an older processor.
    command.args(&program.args).env_remove("OPENBLAS_CORETYPE");
    command.envs(program.environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let (measured, head) = Measured::parse(&text).with_context(|| format!("{command:?}"))?;
    let wanted = program.args.windows(2).find(|pair| pair[0] == "--threads");
    let wanted = wanted.map_or(0, |pair| pair[1].parse().unwrap_or(0));
    if head.parameters.is_some_and(|found| found != PARAMETERS) || head.threads != wanted {
        bail!(
            "{}: {:?} parameters on {} threads; the work is {PARAMETERS} on {wanted}",
            measured.version,
            head.parameters,
            head.threads,
        );
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"version": "x", "parameters": 1, "threads": 2}"#;

    #[test]
    fn lines_of_json_are_read_and_others_are_not() {
        let text = format!("a warning\n{HEAD}\n{{\"measure\": \"train\", \"rate\": 2.5}}\n");
        let (measured, head) = Measured::parse(&text).expect("valid");
        assert_eq!((head.parameters, head.threads), (Some(1), 2));
        assert_eq!(measured.rate("train").expect("printed"), 2.5);
        assert!(measured.rate("infer").is_err());
    }

    #[test]
    fn a_program_that_measured_nothing_is_refused() {
        for rest in ["", "{\"measure\": \"train\", \"rate\": 0.0}", "{\"rate\": 1.0}"] {
            assert!(Measured::parse(&format!("{HEAD}\n{rest}")).is_err(), "{rest:?}");
        }
    }
}
