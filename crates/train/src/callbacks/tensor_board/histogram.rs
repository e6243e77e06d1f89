//! How the numbers of a tensor are spread.
//!
//! ```text
//! Formula      thirty buckets of equal width from the least to the greatest; of x it is bucket
//!              min(⌊(x − least) / width⌋, 29)
//! Conventions  as `tf.summary.histogram`: where all numbers are the same, all edges are that number
//!              and the last bucket has them all; numbers that are not finite are left out and told
//! Reference    tensorboard 2.21, `plugins/histogram/summary_v2.py`
//! ```

const BUCKETS: usize = 30;

/// Rows of left edge, right edge and count, and how many values were not finite. No row where none
/// was finite.
pub(super) fn histogram(values: &[f32]) -> (Vec<[f64; 3]>, usize) {
    let finite = || values.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v));
    let (least, most) = finite()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let mut counts = [0u64; BUCKETS];
    let width = (most - least) / BUCKETS as f64;
    for value in finite() {
        let bucket = if width > 0.0 { ((value - least) / width) as usize } else { BUCKETS };
        counts[bucket.min(BUCKETS - 1)] += 1;
    }
    let lost = values.len() - counts.iter().sum::<u64>() as usize;
    if lost == values.len() {
        return (Vec::new(), lost);
    }
    let edge = |i: usize| if i == BUCKETS { most } else { least + i as f64 * width };
    let rows = counts.iter().enumerate().map(|(i, n)| [edge(i), edge(i + 1), *n as f64]);
    (rows.collect(), lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_one_bucket_and_the_greatest_in_the_last() {
        let values: Vec<f32> = (0..=60).map(|i| i as f32 - 20.0).collect();
        let (rows, lost) = histogram(&values);
        assert_eq!((rows.len(), lost), (30, 0));
        assert_eq!((rows[0], rows[29]), ([-20.0, -18.0, 2.0], [38.0, 40.0, 3.0]));
        assert!(rows.windows(2).all(|pair| pair[0][1] == pair[1][0]));
    }

    #[test]
    fn equal_numbers_are_in_the_last_bucket() {
        let (rows, _) = histogram(&[0.5; 7]);
        assert_eq!((rows[0], rows[29]), ([0.5, 0.5, 0.0], [0.5, 0.5, 7.0]));
    }

    #[test]
    fn numbers_that_are_not_finite_are_counted_apart() {
        let (rows, lost) = histogram(&[1.0, f32::NAN, 2.0, f32::INFINITY]);
        assert_eq!((rows.iter().map(|row| row[2]).sum::<f64>(), lost), (2.0, 2));
        assert_eq!(histogram(&[f32::NAN]), (Vec::new(), 1));
        assert_eq!(histogram(&[f32::MAX, -f32::MAX]).0[29][2], 1.0);
    }
}
