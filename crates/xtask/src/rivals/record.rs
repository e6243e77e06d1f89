//! All that was measured on a day, as JSON.

use super::machine;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// A day's measures, on one machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) date: String,
    pub(super) machine: String,
    pub(super) rows: Vec<Row>,
}

/// One rival at one work, and gradus in the same minutes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) subject: String,
    pub(super) work: String,
    pub(super) rival: String,
    pub(super) version: String,
    pub(super) our_version: String,
    pub(super) unit: String,
    /// The ratio that we want to reach.
    pub(super) goal: f64,
    /// How much a second, round by round.
    pub(super) ours: Vec<f64>,
    /// The same for each of the rival's settings.
    pub(super) theirs: Vec<(String, Vec<f64>)>,
    /// The time of day at which the last round ended, UTC.
    pub(super) measured: String,
    /// The load of the machine before the first round.
    pub(super) load: f64,
}

impl Row {
    /// The rival's best setting: by the median.
    pub(super) fn best(&self) -> (&str, Rates) {
        let settings = self.theirs.iter().map(|(name, rates)| (name.as_str(), Rates::of(rates)));
        let best = settings.max_by(|(_, a), (_, b)| a.median.total_cmp(&b.median));
        best.expect("a rival has a program")
    }

    /// Our median over the best of theirs.
    pub(super) fn ratio(&self) -> f64 {
        Rates::of(&self.ours).median / self.best().1.median
    }
}

/// What the rounds come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) most: f64,
}

impl Rates {
    /// Of at least one round.
    pub(super) fn of(rounds: &[f64]) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = (sorted.len() - 1) / 2;
        let median = (sorted[middle] + sorted[sorted.len() / 2]) / 2.0;
        Self { least: sorted[0], median, most: sorted[sorted.len() - 1] }
    }
}

impl Record {
    /// That of today: the one that is there if it is of this machine, or an empty one.
    pub(super) fn of_today() -> Result<Self> {
        let (date, machine) = (crate::today()?, machine::describe());
        let empty = Self { date, machine, rows: Vec::new() };
        let path = empty.path("json");
        let Ok(text) = fs::read(&path) else {
            return Ok(empty);
        };
        let old: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{}: not what rivals wrote", path.display()))?;
        Ok(if old.machine == empty.machine { old } else { empty })
    }

    /// All that there are, this one among them, the newest first.
    pub(super) fn all(self) -> Result<Vec<Self>> {
        let mut records = vec![self];
        for entry in fs::read_dir("docs/benchmarks")? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with("-rivals.json") && path != records[0].path("json") {
                let old = serde_json::from_slice(&fs::read(&path)?);
                records.push(old.with_context(|| path.display().to_string())?);
            }
        }
        records.sort_by(|a, b| b.date.cmp(&a.date));
        Ok(records)
    }

    /// Its file with that extension.
    pub(super) fn path(&self, extension: &str) -> PathBuf {
        Path::new("docs/benchmarks").join(format!("{}-rivals.{extension}", self.date))
    }

    /// Adds rows, or replaces those of the same work beside the same rival.
    pub(super) fn put(&mut self, rows: Vec<Row>) {
        for row in rows {
            let same = |old: &&mut Row| (&old.work, &old.rival) == (&row.work, &row.rival);
            match self.rows.iter_mut().find(same) {
                Some(old) => *old = row,
                None => self.rows.push(row),
            }
        }
        let place = |row: &Row| super::SUBJECTS.iter().position(|(name, _)| *name == row.subject);
        self.rows.sort_by_key(place);
    }

    /// Writes the JSON.
    pub(super) fn write(&self) -> Result<()> {
        write(&self.path("json"), &(serde_json::to_string_pretty(self)? + "\n"))
    }
}

/// Writes beside and renames, so that no half of a file is ever left.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text).with_context(|| beside.display().to_string())?;
    fs::rename(&beside, path).with_context(|| path.display().to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn row(work: &str, ours: &[f64]) -> Row {
        let theirs = [("slow", vec![1.0, 2.0, 1.0]), ("fast", vec![2.0, 3.0, 2.5])];
        Row {
            subject: "training".to_owned(),
            work: work.to_owned(),
            rival: "Other".to_owned(),
            version: "Other 1".to_owned(),
            our_version: "gradus 0".to_owned(),
            unit: "images/s".to_owned(),
            goal: 4.5,
            ours: ours.to_vec(),
            theirs: theirs.map(|(name, rates)| (name.to_owned(), rates)).to_vec(),
            measured: "12:00".to_owned(),
            load: 0.0,
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        let rates = Rates { least: 1.0, median: 2.0, most: 9.0 };
        assert_eq!(Rates::of(&[9.0, 1.0, 2.0]), rates);
        assert_eq!(Rates::of(&[4.0, 1.0, 2.0, 9.0]).median, 3.0);
    }

    #[test]
    fn the_rival_s_best_setting_counts() {
        let row = row("step", &[10.0, 5.0, 7.0]);
        assert_eq!((row.best().0, row.ratio()), ("fast", 2.8));
    }

    #[test]
    fn what_is_measured_again_takes_the_old_place() {
        let mut record = Record { date: String::new(), machine: String::new(), rows: Vec::new() };
        record.put(vec![row("a", &[1.0]), row("b", &[2.0])]);
        record.put(vec![row("a", &[3.0])]);
        let ours: Vec<f64> = record.rows.iter().map(|row| row.ours[0]).collect();
        assert_eq!(ours, [3.0, 2.0]);
    }
}
