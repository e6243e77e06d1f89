//! What counts as a hit: Keras's three kinds of `accuracy`.
//!
//! ```text
//! Formula      categorical: the largest prediction stands where the largest target stands
//!              sparse categorical: the largest prediction stands at the index that is the target
//!              binary: each label by itself, (p > threshold) = t
//! Shapes       predictions N·K; targets N·K, N·1 (an index) and N·K
//! Conventions  ties go to the lowest index; a prediction that equals the threshold says no; the
//!              binary accuracy of a sample is the mean over its K labels
//! Reference    Keras 3, `metrics/accuracy_metrics.py`; "accuracy" by shapes as in
//!              `trainers/compile_utils.py`
//! ```

use crate::argmax;

/// A kind of hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Accuracy {
    /// Yes or no for each label.
    Binary {
        /// Above it a prediction says yes: 0.5 for probabilities, 0 for logits.
        threshold: f32,
    },
    /// One class, the targets one-hot or weights of the classes.
    Categorical,
    /// One class, the target its index.
    SparseCategorical,
}

impl Accuracy {
    /// What Keras takes `"accuracy"` for, given the columns of probabilities and of targets.
    #[must_use]
    pub fn by_shape(predictions: usize, targets: usize) -> Self {
        match (predictions, targets) {
            (1, _) => Accuracy::Binary { threshold: 0.5 },
            (_, 1) => Accuracy::SparseCategorical,
            _ => Accuracy::Categorical,
        }
    }

    /// Judgements for each sample, of that many predictions.
    #[must_use]
    pub fn judged(self, predictions: usize) -> u64 {
        match self {
            Accuracy::Binary { .. } => predictions as u64,
            Accuracy::Categorical | Accuracy::SparseCategorical => 1,
        }
    }

    /// Right judgements among those of one sample.
    ///
    /// # Panics
    /// If there is no target.
    #[must_use]
    pub fn hits(self, prediction: &[f32], target: &[f32]) -> u64 {
        match self {
            Accuracy::Binary { threshold } => {
                let hit = |(p, t): (&f32, &f32)| f32::from(u8::from(*p > threshold)) == *t;
                prediction.iter().zip(target).map(|pair| u64::from(hit(pair))).sum()
            }
            Accuracy::Categorical => u64::from(argmax(prediction) == argmax(target)),
            Accuracy::SparseCategorical => u64::from(argmax(prediction) as f32 == target[0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_say_which_accuracy_is_meant() {
        assert_eq!(Accuracy::by_shape(1, 1), Accuracy::Binary { threshold: 0.5 });
        assert_eq!(Accuracy::by_shape(4, 1), Accuracy::SparseCategorical);
        assert_eq!(Accuracy::by_shape(4, 4), Accuracy::Categorical);
    }

    #[test]
    fn each_label_is_judged_and_the_threshold_itself_says_no() {
        let binary = Accuracy::Binary { threshold: 0.5 };
        assert_eq!(binary.hits(&[0.5, 0.6, 0.6, 0.1], &[0.0, 1.0, 0.0, 0.3]), 2);
        assert_eq!(binary.judged(4), 4);
    }

    #[test]
    fn a_class_is_right_or_not() {
        let p = [0.2, 0.5, 0.3];
        assert_eq!(Accuracy::Categorical.hits(&p, &[0.0, 1.0, 0.0]), 1);
        assert_eq!(Accuracy::Categorical.hits(&p, &[0.0, 0.0, 1.0]), 0);
        assert_eq!(Accuracy::SparseCategorical.hits(&p, &[1.0]), 1);
        assert_eq!(Accuracy::SparseCategorical.hits(&p, &[-1.0]), 0);
        assert_eq!(Accuracy::SparseCategorical.judged(3), 1);
    }
}
