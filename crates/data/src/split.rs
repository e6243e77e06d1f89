//! Two data sets from one: `validation_split` and `subset`.
//!
//! ```text
//! Validation   the first ⌊v · n⌋ of n rows
//! Training     the others
//! Conventions  Keras's: nothing is shuffled before. A table that is sorted by class gives a
//!              validation set of one class, which is warned of; `prepare` splits class by class
//! ```

use crate::Error;
use std::ops::Range;

/// Which part of the rows is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subset {
    /// All but the first rows.
    Training,
    /// The first rows.
    Validation,
}

impl Subset {
    fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
        }
    }
}

/// The share of the rows that is for validation, and the part that is wanted, if not all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Split {
    pub(crate) validation_split: f64,
    pub(crate) subset: Option<Subset>,
}

impl Split {
    /// Which of `n` rows are wanted.
    pub(crate) fn range(self, n: usize) -> Result<Range<usize>, Error> {
        let Some(subset) = self.subset else {
            return Ok(0..n);
        };
        let v = self.validation_split;
        if !(v > 0.0 && v < 1.0) {
            return Err(Error::Argument {
                argument: "validation_split",
                found: format!("{v}, and the {} subset is wanted", subset.name()),
                remedy: "give a share between 0 and 1, both excluded",
            });
        }
        let first = (v * n as f64) as usize;
        Ok(match subset {
            Subset::Validation => 0..first,
            Subset::Training => first..n,
        })
    }

    /// What is to be said about a subset in which one class is left of several.
    pub(crate) fn warning(self, labels: &[u32], classes: &[String]) -> Option<String> {
        let subset = self.subset?.name();
        let first = *labels.first()?;
        let alone = classes.len() > 1 && labels.iter().all(|&label| label == first);
        alone.then(|| {
            format!(
                "All {} images of the {subset} subset are of class {:?}: validation_split takes \
                 the first rows as they come. Shuffle the rows, or give each subset a manifest.",
                labels.len(),
                classes[first as usize]
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_are_for_validation_rounded_down() {
        let range = |validation_split, subset, n| {
            Split { validation_split, subset }.range(n).map_err(|e| e.to_string())
        };
        assert_eq!(range(0.25, Some(Subset::Validation), 7), Ok(0..1));
        assert_eq!(range(0.25, Some(Subset::Training), 7), Ok(1..7));
        assert_eq!(range(0.25, None, 7), Ok(0..7));
        for v in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(range(v, Some(Subset::Training), 7).is_err(), "{v}");
        }
    }

    #[test]
    fn a_subset_of_one_class_is_warned_of() {
        let classes = ["cat".to_string(), "dog".to_string()];
        let split = Split { validation_split: 0.5, subset: Some(Subset::Validation) };
        let text = split.warning(&[1, 1], &classes).unwrap();
        assert!(text.contains("All 2 images of the validation subset are of class \"dog\""));
        assert_eq!(split.warning(&[1, 0], &classes), None);
        assert_eq!(split.warning(&[0, 0], &classes[..1]), None);
        assert_eq!(Split::default().warning(&[1, 1], &classes), None);
    }
}
