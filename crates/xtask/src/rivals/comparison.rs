//! One rival at one kind of work: its programs and ours, run in turns.

use super::process::{self, Measured};
use super::record::Row;
use super::{machine, tools::Tools};
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A program that does the work for some seconds and prints how fast it was.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// The setting, as the table says it: `channels_last`. Empty where there is one only.
    pub(super) setting: String,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) environment: Vec<(&'static str, String)>,
}

impl Program {
    /// The same program in an environment of its own.
    pub(super) fn within(
        mut self,
        setting: &str,
        environment: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Self {
        let named = [&self.setting, setting].into_iter().filter(|name| !name.is_empty());
        self.setting = named.collect::<Vec<_>>().join(", ");
        self.environment.extend(environment.into_iter().map(|(n, v)| (n, v.to_owned())));
        self
    }
}

/// What is written down of one measure that all programs print.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// The name under which the programs print it.
    pub(super) measure: &'static str,
    /// What the table calls it.
    pub(super) work: String,
    pub(super) unit: &'static str,
    /// The ratio that we want to reach.
    pub(super) goal: f64,
}

/// One rival, in all its settings, and gradus.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    /// As it is asked for on the command line.
    pub(super) rival: &'static str,
    /// As the table says it.
    pub(super) title: &'static str,
    pub(super) theirs: Vec<Program>,
    pub(super) ours: Program,
    pub(super) works: Vec<Work>,
}

impl Comparison {
    /// Their programs and ours, in turns, that many times.
    pub(super) fn measure(&self, subject: &str, tools: &Tools, rounds: usize) -> Result<Vec<Row>> {
        let works: Vec<&str> = self.works.iter().map(|work| work.work.as_str()).collect();
        crate::say(&format!("{subject}: {} beside {}", works.join(", "), self.title));
        let load = machine::load();
        let mut results: BTreeMap<usize, Vec<Measured>> = BTreeMap::new();
        for round in 1..=rounds {
            for (i, program) in self.theirs.iter().chain([&self.ours]).enumerate() {
                let measured = process::run(program, tools)?;
                let rates: Vec<String> =
                    measured.rates.iter().map(|(_, rate)| format!("{rate:.1}")).collect();
                let setting = [&measured.version, " ", &program.setting].concat();
                crate::say(&format!("  {round}/{rounds} {setting}: {}", rates.join(" ")));
                results.entry(i).or_default().push(measured);
            }
        }
        let ours = self.theirs.len();
        let row = |work: &Work| {
            let rates = |i: usize| {
                let rate = |m: &Measured| m.rate(work.measure);
                results[&i].iter().map(rate).collect::<Result<Vec<f64>>>()
            };
            let settings = self.theirs.iter().enumerate();
            Ok(Row {
                subject: subject.to_owned(),
                work: work.work.clone(),
                rival: self.title.to_owned(),
                version: results[&0][0].version.clone(),
                our_version: results[&ours][0].version.clone(),
                unit: work.unit.to_owned(),
                goal: work.goal,
                ours: rates(ours)?,
                theirs: settings
                    .map(|(i, p)| Ok((p.setting.clone(), rates(i)?)))
                    .collect::<Result<_>>()?,
                measured: machine::now()?,
                load,
            })
        };
        self.works.iter().map(row).collect::<Result<_>>().context(self.title)
    }
}
