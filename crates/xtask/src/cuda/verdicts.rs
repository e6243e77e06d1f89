//! What earlier runs found out, in a file: a run that was cut off goes on where it was.
//!
//! A line of JSON for each verdict, added as soon as it is known, under a hash of all that the
//! verdict depends on. What no longer has that hash is found out anew, and its line stays unread. A
//! line that is damaged, as by a run that ended while it wrote, is one that is not there.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// What was found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Found {
    /// So many tests passed, of the kernels as they are.
    Passed(usize),
    /// The bug was noticed under that schedule by that test.
    Noticed { schedule: String, test: String },
    /// Nobody noticed the bug.
    Missed,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    key: u64,
    found: Found,
    seconds: f64,
}

/// The file, and what it knew when it was opened.
pub(super) struct Verdicts {
    file: File,
    known: HashMap<u64, (Found, f64)>,
}

impl Verdicts {
    /// Reads what is there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let text = fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let known = lines.map(|line| (line.key, (line.found, line.seconds))).collect();
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.with_context(|| path.display().to_string())?;
        if !text.is_empty() && !text.ends_with('\n') {
            writeln!(file)?; // the end of a line that was cut off
        }
        Ok(Self { file, known })
    }

    /// Whether a verdict is known under that hash.
    pub(super) fn knows(&self, key: u64) -> bool {
        self.known.contains_key(&key)
    }

    /// What is known under that hash, and how many seconds it took to find out; else what `find`
    /// finds out, which is kept.
    pub(super) fn take_or(
        &mut self,
        key: u64,
        find: impl FnOnce() -> Result<Found>,
    ) -> Result<(Found, f64)> {
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let start = Instant::now();
        let found = find()?;
        let seconds = start.elapsed().as_secs_f64();
        let line = Line { key, found, seconds };
        self.file.write_all((serde_json::to_string(&line)? + "\n").as_bytes())?;
        Ok((line.found, seconds))
    }
}

/// A hash of all that is given.
pub(super) fn fingerprint(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noticed() -> Found {
        Found::Noticed { schedule: "checked".into(), test: "a::b".into() }
    }

    /// The verdict under a key, which has to be known.
    fn known(verdicts: &mut Verdicts, key: u64) -> Found {
        assert!(verdicts.knows(key), "{key}");
        verdicts.take_or(key, || panic!("{key} is found out once more")).expect("known").0
    }

    #[test]
    fn what_was_found_out_is_taken_over_under_its_own_hash_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("verdicts");
        let mut first = Verdicts::open(&path).expect("a new file");
        let mut seconds = Vec::new();
        for (key, found) in [(1, noticed()), (u64::MAX, Found::Missed), (3, Found::Passed(109))] {
            let (again, took) = first.take_or(key, || Ok(found.clone())).expect("found out");
            assert_eq!(again, found);
            seconds.push(took);
        }
        assert!(first.take_or(4, || anyhow::bail!("it was cut off")).is_err());
        let mut second = Verdicts::open(&path).expect("the file");
        assert_eq!(known(&mut second, 1), noticed());
        assert_eq!(known(&mut second, u64::MAX), Found::Missed);
        assert_eq!(known(&mut second, 3), Found::Passed(109));
        let took = [1, u64::MAX, 3].map(|key| second.known[&key].1);
        assert_eq!(took[..], seconds, "as long as it took then");
        assert!(!second.knows(4));
    }

    #[test]
    fn a_damaged_line_is_not_there_and_the_next_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("verdicts");
        let mut first = Verdicts::open(&path).expect("a new file");
        for key in [1, 2] {
            first.take_or(key, || Ok(noticed())).expect("found out");
        }
        let whole = fs::read(&path).expect("two lines");
        fs::write(&path, &whole[..whole.len() - 9]).expect("the second one cut off");
        let mut second = Verdicts::open(&path).expect("the file");
        assert_eq!(known(&mut second, 1), noticed());
        assert!(!second.knows(2));
        second.take_or(2, || Ok(Found::Missed)).expect("found out anew");
        let mut third = Verdicts::open(&path).expect("the file");
        assert_eq!([1, 2].map(|key| known(&mut third, key)), [noticed(), Found::Missed]);
        fs::write(&path, b"\xff\x00nothing\n{}\n").expect("written");
        assert!(Verdicts::open(&path).expect("the file").known.is_empty());
    }

    #[test]
    fn a_hash_is_of_everything_that_is_given() {
        let of = |mutant: &str, program: &[u8]| fingerprint((mutant, program));
        assert_eq!(of("a", b"bc"), of("a", b"bc"));
        assert_ne!(of("a", b"bc"), of("ab", b"c"));
        assert_ne!(of("a", b"bc"), of("a", b"bd"));
    }
}
