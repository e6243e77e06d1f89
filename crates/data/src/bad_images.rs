//! What happens when an image cannot be read: the user's choice.
//!
//! ```text
//! Stop         the epoch ends with the error, as Keras's does
//! Skip         the batch has one image fewer; a batch without any is passed over
//! Replace      another row stands in: the first that can be read of those that (seed, epoch, row)
//!              draws. It is augmented with the numbers of the row it stands in for
//! Before       `verify` reads every image before the first epoch; what cannot be read leaves the
//!              rows, so that order and draws are those of a data set that never had it
//! Always       the same for any number of workers
//! ```

use crate::in_order::in_order;
use crate::selected::Selected;
use crate::{Dataset, Error, Found, Ignored, Key, Reason, Sample};
use gradus_random::Domain;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

const REPLACE: Domain = Domain::named("data.replace");

/// How many rows are tried in place of a bad one.
const TRIES: usize = 100;

/// What happens when an image cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadImages {
    /// The epoch ends with the error. Keras's way, and the default.
    #[default]
    Stop,
    /// Its batch goes without it.
    Skip,
    /// Another image of the data set stands in.
    Replace,
}

/// An image that could not be read when its turn came, and was skipped or replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its row in the data set.
    pub row: u32,
    /// Its file, or what else the data set calls it.
    pub name: String,
    /// Why it could not be read.
    pub reason: String,
    /// The epoch in which that was seen first.
    pub epoch: u32,
    /// How often it was seen.
    pub times: u32,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} time(s), first in epoch {})", self.reason, self.times, self.epoch)
    }
}

/// Why an image was not read.
pub(crate) enum Failure {
    Error(Error),
    /// A decoder gave up in a way it should not have.
    Panic(Box<dyn Any + Send>),
}

impl Failure {
    fn raise(self) -> Error {
        match self {
            Self::Error(error) => error,
            Self::Panic(panic) => resume_unwind(panic),
        }
    }

    fn reason(&self, name: &str) -> String {
        match self {
            Self::Error(error) => error.to_string(),
            Self::Panic(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                format!("{name}: reading it panicked: {}", text.unwrap_or("it says not why"))
            }
        }
    }
}

/// Reads an image, and survives a decoder that panics.
pub(crate) fn attempt(
    dataset: &dyn Dataset,
    row: usize,
    sample: &mut Sample,
) -> Result<(), Failure> {
    match catch_unwind(AssertUnwindSafe(|| dataset.read(row, sample))) {
        Ok(outcome) => outcome.map_err(Failure::Error),
        Err(panic) => Err(Failure::Panic(panic)),
    }
}

impl BadImages {
    /// Reads the image of `key` into `sample`, or the one that stands in for it, and says which
    /// row that is: none where it is skipped. What was bad is added to `problems`.
    pub(crate) fn read(
        self,
        dataset: &dyn Dataset,
        key: Key,
        sample: &mut Sample,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<u32>, Error> {
        let row = key.index;
        let Err(failure) = attempt(dataset, row as usize, sample) else {
            return Ok(Some(row));
        };
        if self == Self::Stop {
            return Err(failure.raise());
        }
        let name = dataset.name(row as usize);
        let reason = failure.reason(&name);
        problems.push(Problem { row, name, reason, epoch: key.epoch, times: 1 });
        if self == Self::Skip {
            return Ok(None);
        }
        let mut rng = key.stream(REPLACE);
        let rows = dataset.len() as u32;
        for _ in 0..TRIES {
            let other = rng.below(rows);
            if attempt(dataset, other as usize, sample).is_ok() {
                return Ok(Some(other));
            }
        }
        Err(failure.raise())
    }

    /// Reads every image on some threads. Those that cannot be read are left out and noted in
    /// `found`, or, where bad images stop, are the error.
    pub(crate) fn verify(
        self,
        dataset: Arc<dyn Dataset>,
        threads: usize,
        found: &mut Found,
    ) -> Result<Arc<dyn Dataset>, Error> {
        let mut good = Vec::with_capacity(dataset.len());
        let mut first = None;
        in_order(
            dataset.len(),
            threads,
            || Sample::new(dataset.size()),
            |sample, row| attempt(&*dataset, row, sample),
            |row, outcome| {
                let Err(failure) = outcome else {
                    good.push(row);
                    return Ok(());
                };
                if self == Self::Stop {
                    return Err(failure.raise());
                }
                let filename = dataset.name(row);
                let reason = Reason::Bad(failure.reason(&filename));
                found.ignored.push(Ignored { line: None, filename, reason });
                first.get_or_insert(failure);
                Ok(())
            },
        )?;
        found.images = good.len();
        match first {
            None => Ok(dataset),
            Some(failure) if good.is_empty() => Err(failure.raise()),
            Some(_) => Ok(Arc::new(Selected::new(dataset, good))),
        }
    }
}
