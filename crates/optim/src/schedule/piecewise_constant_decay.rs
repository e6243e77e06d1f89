//! A learning rate in steps.
//!
//! ```text
//! Formula      lr(n) = vᵢ, i the number of boundaries below n
//! Conventions  as Keras: update b still has the value before boundary b
//! Reference    keras.optimizers.schedules.PiecewiseConstantDecay; in PyTorch: `MultiStepLR`
//! ```

use super::Schedule;
use crate::formula::not_negative;

/// One learning rate up to each boundary, and one after the last.
///
/// ```
/// use gradus_optim::{PiecewiseConstantDecay, Schedule};
/// let schedule = PiecewiseConstantDecay::new(&[1000, 2000], &[0.1, 0.01, 0.001]);
/// assert_eq!([0, 1000, 1001, 2001].map(|n| schedule.at(n)), [0.1, 0.1, 0.01, 0.001]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PiecewiseConstantDecay {
    boundaries: Vec<u64>,
    values: Vec<f64>,
}

impl PiecewiseConstantDecay {
    /// One more value than there are boundaries.
    ///
    /// # Panics
    /// If there are not so many, the boundaries do not grow, or a value is negative or not finite.
    #[must_use]
    pub fn new(boundaries: &[u64], values: &[f64]) -> Self {
        let (between, found) = (boundaries.len(), values.len());
        assert!(
            found == between + 1,
            "{between} boundaries part {} values, got {found}",
            between + 1
        );
        assert!(boundaries.is_sorted_by(|a, b| a < b), "boundaries grow, got {boundaries:?}");
        let values = values.iter().map(|&value| not_negative("a value", value)).collect();
        Self { boundaries: boundaries.to_vec(), values }
    }
}

impl Schedule for PiecewiseConstantDecay {
    fn at(&self, update: u64) -> f32 {
        self.values[self.boundaries.partition_point(|&boundary| boundary < update)] as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_boundary_it_is_one_value() {
        assert_eq!(PiecewiseConstantDecay::new(&[], &[0.5]).at(7), 0.5);
    }

    #[test]
    #[should_panic(expected = "2 boundaries part 3 values, got 2")]
    fn a_missing_value_is_refused() {
        let _ = PiecewiseConstantDecay::new(&[10, 20], &[0.1, 0.01]);
    }

    #[test]
    #[should_panic(expected = "boundaries grow, got [20, 10]")]
    fn boundaries_out_of_order_are_refused() {
        let _ = PiecewiseConstantDecay::new(&[20, 10], &[0.1, 0.01, 0.001]);
    }
}
