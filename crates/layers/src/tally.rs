//! What an epoch adds up to.
//!
//! Sums over samples, kept in f64 and as counts: the mean of an epoch is the mean of its samples,
//! however they fell into batches. On a GPU the sums of a [`Context`] are added to instead, and no
//! step waits for them: [`Tally::collect`] brings them here.

use gradus_tensor::Context;

/// Loss and hits of the samples seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// The losses of the samples, added up.
    pub loss_sum: f64,
    /// Right judgements, of the kind that [`Loss::accuracy`](crate::Loss::accuracy) names.
    pub correct: u64,
    /// Judgements: one for each sample, or for each label of a sample.
    pub judged: u64,
    /// Samples.
    pub samples: u64,
}

impl Tally {
    /// Adds what the kernels of a GPU have added up since the last call, and waits for them: to be
    /// called before the figures are read, and before another tally begins. Does nothing on the CPU.
    pub fn collect(&mut self, cx: &mut Context) {
        let [loss_sum, correct, judged, samples] = cx.sums.take();
        self.loss_sum += loss_sum;
        // Counts: whole, and exact in f64 up to 2⁵³.
        self.correct += correct as u64;
        self.judged += judged as u64;
        self.samples += samples as u64;
    }

    /// The mean loss of a sample; NaN before the first.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.samples as f64
    }

    /// The fraction of right judgements: Keras's `accuracy`; NaN before the first.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.judged as f64
    }
}

/// The index of the largest number; the lowest of equals, as in Keras. A NaN is never the largest.
#[must_use]
pub fn argmax<'a>(values: impl IntoIterator<Item = &'a f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (i, &value) in values.into_iter().enumerate() {
        if value > best.1 {
            best = (i, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lowest_index() {
        assert_eq!(argmax(&[0.2, 0.4, 0.4]), 1);
        assert_eq!(argmax(&[f32::NAN, 0.1]), 1);
        assert_eq!(argmax(&[]), 0);
    }

    #[test]
    fn means_are_over_samples() {
        let tally = Tally { loss_sum: 3.0, correct: 1, judged: 2, samples: 4 };
        assert_eq!((tally.loss(), tally.accuracy()), (0.75, 0.5));
    }
}
