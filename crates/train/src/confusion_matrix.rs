//! Which classes are taken for which.
//!
//! ```text
//! Shape        counts \[classes, classes\]: row = actual, column = predicted
//! Formulas     accuracy = Σᵢ nᵢᵢ / N; of class c: precision = n꜀꜀ / Σᵢ nᵢ꜀ (of those called c, how
//!              many are), recall = n꜀꜀ / Σⱼ n꜀ⱼ (of those that are c, how many are called so),
//!              F₁ = 2 · precision · recall / (precision + recall)
//! Conventions  a ratio without a denominator is 0, as in scikit-learn and Keras
//! ```

use crate::plot::{Plot, plot_confusion};
use std::fmt;

/// Counts of (actual, predicted) pairs.
///
/// ```no_run
/// use gradus_train::ConfusionMatrix;
/// let mut matrix = ConfusionMatrix::new(["cat", "dog"]);
/// matrix.add(0, 1);                      // a cat taken for a dog
/// println!("{matrix}");
/// matrix.plot().save("confusion.png")?;
/// # Ok::<(), gradus_train::plot::PlotError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: Vec<String>,
    /// \[classes, classes\], row-major.
    counts: Vec<u64>,
}

/// How well one class is recognised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassReport {
    /// Of the images called so, the fraction that are.
    pub precision: f64,
    /// Of the images that are, the fraction called so.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// How many images are of this class.
    pub support: u64,
}

impl ConfusionMatrix {
    /// No counts yet, for classes in the order of their numbers.
    ///
    /// # Panics
    /// If there is no class.
    #[must_use]
    pub fn new<S: Into<String>>(classes: impl IntoIterator<Item = S>) -> Self {
        let classes: Vec<String> = classes.into_iter().map(Into::into).collect();
        assert!(!classes.is_empty(), "a confusion matrix needs a class");
        let counts = vec![0; classes.len() * classes.len()];
        Self { classes, counts }
    }

    /// Counts one image of class `actual` that was called `predicted`.
    ///
    /// # Panics
    /// If either is not the number of a class.
    pub fn add(&mut self, actual: usize, predicted: usize) {
        self.add_many(actual, predicted, 1);
    }

    /// The same for so many images.
    pub(crate) fn add_many(&mut self, actual: usize, predicted: usize, images: u64) {
        let n = self.classes.len();
        assert!(actual < n && predicted < n, "classes {actual}, {predicted} of only {n}");
        self.counts[actual * n + predicted] += images;
    }

    /// The names of the classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How many images of class `actual` were called `predicted`.
    ///
    /// # Panics
    /// If either is not the number of a class.
    #[must_use]
    pub fn count(&self, actual: usize, predicted: usize) -> u64 {
        let n = self.classes.len();
        assert!(actual < n && predicted < n, "classes {actual}, {predicted} of only {n}");
        self.counts[actual * n + predicted]
    }

    /// How many images were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The fraction of images called what they are; 0 where there are none.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right = (0..self.classes.len()).map(|c| self.count(c, c)).sum();
        ratio(right, self.total())
    }

    /// Precision, recall and F₁ of one class.
    ///
    /// # Panics
    /// If `class` is not the number of a class.
    #[must_use]
    pub fn class(&self, class: usize) -> ClassReport {
        let all = 0..self.classes.len();
        let right = self.count(class, class);
        let support = all.clone().map(|predicted| self.count(class, predicted)).sum();
        let called = all.map(|actual| self.count(actual, class)).sum();
        let (precision, recall) = (ratio(right, called), ratio(right, support));
        // 2pr / (p + r) in counts, which needs no case for p = r = 0.
        ClassReport { precision, recall, f1: ratio(2 * right, called + support), support }
    }

    /// The matrix as a picture.
    #[must_use]
    pub fn plot(&self) -> Plot {
        let accuracy = self.accuracy() * 100.0;
        let subtitle = format!("{} images, accuracy {accuracy:.1} %", self.total());
        plot_confusion(&self.classes, &self.counts, subtitle)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The counts, beside them each class's recall, below them each class's precision.
impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.classes.len();
        let length = |text: &String| text.chars().count();
        let first = self.classes.iter().map(length).chain([18]).max().unwrap_or(0);
        let number = self.counts.iter().map(|c| c.to_string().len()).max().unwrap_or(0);
        let widths: Vec<usize> =
            self.classes.iter().map(|c| length(c).max(number).max(6)).collect();

        write!(f, "{:<first$}", "actual \\ predicted")?;
        for (class, width) in self.classes.iter().zip(&widths) {
            write!(f, "  {class:>width$}")?;
        }
        write!(f, "  recall")?;
        for (row, class) in self.classes.iter().enumerate() {
            write!(f, "\n{class:<first$}")?;
            for (column, width) in widths.iter().enumerate() {
                write!(f, "  {:>width$}", self.count(row, column))?;
            }
            write!(f, "  {:>6.4}", self.class(row).recall)?;
        }
        for (name, value) in [
            ("precision", (|r: ClassReport| r.precision) as fn(ClassReport) -> f64),
            ("f1", |r: ClassReport| r.f1),
        ] {
            write!(f, "\n{name:<first$}")?;
            for (class, width) in (0..n).zip(&widths) {
                write!(f, "  {:>width$.4}", value(self.class(class)))?;
            }
        }
        write!(f, "\naccuracy {:.4} of {} images", self.accuracy(), self.total())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 50 cats, 8 of them called dogs; 40 dogs, 10 of them called cats.
    fn matrix() -> ConfusionMatrix {
        let mut matrix = ConfusionMatrix::new(["cat", "dog"]);
        for (actual, predicted, times) in [(0, 0, 42), (0, 1, 8), (1, 0, 10), (1, 1, 30)] {
            (0..times).for_each(|_| matrix.add(actual, predicted));
        }
        matrix
    }

    #[test]
    fn the_ratios_are_those_of_the_definition() {
        let matrix = matrix();
        assert_eq!((matrix.total(), matrix.accuracy()), (90, 72.0 / 90.0));
        let cat = matrix.class(0);
        assert_eq!((cat.precision, cat.recall, cat.support), (42.0 / 52.0, 42.0 / 50.0, 50));
        let harmonic = 2.0 / (1.0 / cat.precision + 1.0 / cat.recall);
        assert!((cat.f1 - harmonic).abs() < 1e-15);
    }

    #[test]
    fn a_ratio_of_nothing_is_zero() {
        let mut matrix = ConfusionMatrix::new(["cat", "dog"]);
        assert_eq!(matrix.accuracy(), 0.0);
        matrix.add(0, 0);
        let dog = matrix.class(1);
        assert_eq!((dog.precision, dog.recall, dog.f1, dog.support), (0.0, 0.0, 0.0, 0));
    }

    #[test]
    fn it_prints_as_an_aligned_table() {
        let expected = "\
actual \\ predicted     cat     dog  recall
cat                     42       8  0.8400
dog                     10      30  0.7500
precision           0.8077  0.7895
f1                  0.8235  0.7692
accuracy 0.8000 of 90 images";
        assert_eq!(matrix().to_string(), expected);
    }

    #[test]
    fn the_picture_has_the_names_and_the_numbers() {
        let plot = matrix().plot();
        let svg = plot.svg();
        for text in ["Confusion matrix", "90 images, accuracy 80.0 %", "cat", "42", "84 %", "25 %"]
        {
            assert!(svg.contains(&format!(">\n{text}\n</text>")), "{text:?} is not in the picture");
        }
        let image = image::load_from_memory(&plot.png()).unwrap();
        assert_eq!((image.width(), image.height()), (1000, 1000));
    }

    #[test]
    fn a_hundred_classes_still_make_a_picture() {
        let matrix = ConfusionMatrix::new((0..100).map(|i| format!("class {i}")));
        assert!(!matrix.plot().svg().contains("NaN"));
    }

    #[test]
    #[should_panic(expected = "classes 2, 0 of only 2")]
    fn a_class_that_is_none_is_refused() {
        matrix().add(2, 0);
    }
}
