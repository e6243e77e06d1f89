//! Where values stand on the upright axis of a plot, and which of them are written there.
//!
//! ```text
//! Fractions    (accuracy, precision …) in percent, within 0 and 1, no wider than the data needs
//! Others       from 0 where the smallest value is near it. Validation loss has spikes, and one of
//!              them must not flatten the rest: if the values beyond Q₃ + 3 (Q₃ − Q₁) (Tukey's outer
//!              fence) would take more than half of the axis, it ends below them. If what is left
//!              still spans more than a factor of 20, the axis is logarithmic and shows everything
//! ```

/// An axis that fits the values of one metric.
#[derive(Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    percent: bool,
    /// Ascending, within `low` and `high`.
    pub(super) ticks: Vec<f64>,
    /// Digits after the point in the ticks' labels.
    digits: usize,
}

/// Wider than this and the axis is logarithmic.
const LINEAR_RATIO: f64 = 20.0;

impl Axis {
    /// The axis for `values` (NaN and infinity among them) of `metric`.
    pub(super) fn fitting(metric: &str, values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Self::linear(0.0, 1.0, false);
        };
        if is_fraction(metric) && min >= 0.0 && max <= 1.0 {
            let span = (max - min).max(0.05);
            // The head leaves room for the label of the best point.
            let (low, high) = ((min - span / 20.0).max(0.0), (max + span / 8.0).min(1.0));
            return Self::linear(low, high, true);
        }
        let top = robust_max(&values);
        if min > 0.0 && top / min > LINEAR_RATIO {
            return Self::logarithmic(min, max);
        }
        let near_zero = min >= 0.0 && min <= top / 2.0;
        let span = if top > min { top - min } else { top.abs().max(1e-9) };
        Self::linear(if near_zero { 0.0 } else { min - span / 20.0 }, top + span / 20.0, false)
    }

    /// About six steps of 1, 2 or 5 times a power of ten; the axis ends at a tick or between two.
    fn linear(low: f64, high: f64, percent: bool) -> Self {
        let raw = (high - low) / 6.0;
        let power = raw.log10().floor();
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|s| s * 10f64.powf(power))
            .into_iter()
            .find(|&s| s >= raw * (1.0 - 1e-9))
            .unwrap_or(raw);
        let half = step / 2.0;
        let low = (low / half + 1e-9).floor() * half;
        let high = (high / half - 1e-9).ceil() * half;
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        let ticks = (first as i64..=last as i64).map(|i| i as f64 * step).collect();
        let shown = if percent { step * 100.0 } else { step };
        let digits = (-(shown * (1.0 + 1e-9)).log10().floor()).max(0.0) as usize;
        Self { low, high, log: false, percent, ticks, digits }
    }

    /// Ticks at 1, 2 and 5 times every power of ten; over many powers only at the powers.
    fn logarithmic(min: f64, max: f64) -> Self {
        let powers = min.log10().floor() as i32..=max.log10().ceil() as i32;
        let all: Vec<f64> =
            powers.flat_map(|p| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(p))).collect();
        let low = all.iter().copied().rfind(|&t| t <= min * (1.0 + 1e-9)).unwrap_or(min);
        let high = all.iter().copied().find(|&t| t >= max * (1.0 - 1e-9)).unwrap_or(max);
        let mut ticks: Vec<f64> = all.into_iter().filter(|t| (low..=high).contains(t)).collect();
        if ticks.len() > 10 {
            ticks.retain(|t| (t.log10() - t.log10().round()).abs() < 1e-9);
        }
        Self { low, high, log: true, percent: false, ticks, digits: 0 }
    }

    /// Where on the axis a value stands: 0 at its foot, 1 at its head, never beyond either.
    pub(super) fn place(&self, value: f64) -> f64 {
        let at = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        at.clamp(0.0, 1.0)
    }

    /// Whether a value is too large for the axis.
    pub(super) fn is_above(&self, value: f64) -> bool {
        value > self.high * (1.0 + 1e-9)
    }

    /// What is written beside a tick.
    pub(super) fn tick_label(&self, tick: f64) -> String {
        // What rounding left of zero must not be written as −0.
        let tick = if tick.abs() < (self.high - self.low) * 1e-9 { 0.0 } else { tick };
        match (self.percent, self.log) {
            (true, _) => format!("{:.*} %", self.digits, tick * 100.0),
            (_, true) => short(tick),
            _ if self.digits > 4 || tick.abs() >= 1e6 => short(tick),
            _ => format!("{tick:.*}", self.digits),
        }
    }

    /// What is written beside a point.
    pub(super) fn value_label(&self, value: f64) -> String {
        if self.percent { format!("{:.1} %", value * 100.0) } else { short(value) }
    }
}

/// Whether a metric is a fraction of one, best read in percent.
fn is_fraction(metric: &str) -> bool {
    ["accuracy", "acc", "auc", "precision", "recall", "f1"].iter().any(|m| metric.contains(m))
}

/// The largest of the sorted values, or the largest within the fence where those beyond it would
/// take more than half of an axis.
fn robust_max(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    let (q1, q3, max) = (sorted[n / 4], sorted[n * 3 / 4], sorted[n - 1]);
    let fence = q3 + 3.0 * (q3 - q1);
    let within = sorted.iter().copied().rfind(|&v| v <= fence).unwrap_or(max);
    if within > 0.0 && max > 2.0 * within { within } else { max }
}

/// Three significant digits, an exponent where the number is very large or small: `0.362`, `5e-4`.
pub(super) fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let text = format!("{value:.2e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-2..5).contains(&power) {
        let places = (2 - power).max(0) as usize;
        let text = format!("{value:.places$}");
        if !text.contains('.') {
            return text;
        }
        // 0.500 stays a measured 0.500 only where it is not exactly one half.
        let exact = text.parse() == Ok(value);
        let trimmed = text.trim_end_matches('0').trim_end_matches('.');
        return if exact { trimmed.to_owned() } else { text };
    }
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}e{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|&t| axis.tick_label(t)).collect()
    }

    #[test]
    fn accuracy_is_in_percent_and_never_leaves_zero_to_one() {
        let axis = Axis::fitting("val_accuracy", [0.52, 0.85, f64::NAN].into_iter());
        assert_eq!(labels(&axis), ["50 %", "60 %", "70 %", "80 %", "90 %"]);
        let axis = Axis::fitting("accuracy", [0.985, 0.9991].into_iter());
        assert_eq!(labels(&axis).last().unwrap(), "100.0 %");
        assert_eq!(axis.place(1.0), 1.0);
        assert_eq!(axis.value_label(0.84649), "84.6 %");
        let axis = Axis::fitting("accuracy", [0.0].into_iter());
        assert_eq!(axis.ticks[0], 0.0);
    }

    #[test]
    fn loss_begins_at_zero_unless_that_would_hide_it() {
        let axis = Axis::fitting("loss", [0.3, 1.05].into_iter());
        assert_eq!(labels(&axis), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert!(axis.place(1.05) < 1.0, "the axis goes on half-way to the next tick");
        let axis = Axis::fitting("loss", [6.90, 6.91].into_iter());
        assert!(axis.ticks[0] > 6.89);
    }

    #[test]
    fn a_spike_does_not_flatten_the_rest() {
        let calm = (0..30).map(|i| 0.4 + 0.01 * f64::from(i));
        let axis = Axis::fitting("loss", calm.chain([3.06, f64::INFINITY]));
        assert!(axis.is_above(3.06) && axis.is_above(f64::INFINITY) && !axis.is_above(0.69));
        assert_eq!(axis.place(3.06), 1.0);
        // One that takes less than half of the axis stays on it.
        let calm = (0..30).map(|i| 0.4 + 0.01 * f64::from(i));
        assert!(!Axis::fitting("loss", calm.chain([1.3])).is_above(1.3));
    }

    #[test]
    fn wide_ranges_are_logarithmic() {
        let values = (0..40).map(|i| 10f64.powf(1.0 - f64::from(i) / 10.0));
        let axis = Axis::fitting("loss", values);
        assert!(axis.log && !axis.is_above(10.0));
        assert_eq!((axis.ticks[0], axis.place(10.0)), (0.001, 1.0));
        assert!((axis.place(0.1) - 0.5).abs() < 0.01);
    }

    #[test]
    fn nothing_and_one_value_have_an_axis_too() {
        for values in [vec![], vec![f64::NAN], vec![0.0], vec![0.7], vec![-3.0], vec![1e-12]] {
            let axis = Axis::fitting("loss", values.iter().copied());
            assert!(axis.low < axis.high && axis.ticks.len() >= 2, "{values:?}: {axis:?}");
            assert!(axis.ticks.iter().all(|&t| axis.place(t).is_finite()));
        }
    }

    #[test]
    fn short_numbers_have_three_digits() {
        let texts =
            [0.36243, 0.5, 0.0005000000237, 0.000125, 12.345, 3.0617, 123456.0, 1500.0, 0.02]
                .map(short);
        assert_eq!(
            texts,
            ["0.362", "0.5", "5e-4", "1.25e-4", "12.3", "3.06", "1.23e5", "1500", "0.02"]
        );
    }
}
