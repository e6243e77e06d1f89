//! How numbers and times look in a progress line: Keras's formats, and Python's where Rust's differ.
//!
//! ```text
//! Reference    `keras/src/utils/progbar.py`, Keras 3
//! ```

use std::fmt::Write as _;
use std::time::Duration;

/// ` - name: value` for each value: `%.4f` above 10⁻³ in magnitude, else `%.4e`.
pub(super) fn push_values(line: &mut String, values: &[(&str, f64)]) {
    for (name, value) in values {
        line.push_str(" - ");
        line.push_str(name);
        line.push_str(": ");
        push_value(line, *value);
    }
}

fn push_value(line: &mut String, value: f64) {
    if value.is_nan() {
        line.push_str("nan");
    } else if value.abs() > 1e-3 {
        push(line, format_args!("{value:.4}"));
    } else {
        // Python writes the exponent with its sign and at least two digits: 5.0000e-04.
        let text = format!("{value:.4e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        push(line, format_args!("{digits}e{sign}{:02}", exponent.abs()));
    }
}

/// `12s`, `1:05`, `2:00:05`: the time left while an epoch runs, the time taken at its end.
pub(super) fn push_duration(line: &mut String, time: Duration) {
    let seconds = time.as_secs_f64().round() as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match seconds {
        0..=60 => push(line, format_args!("{seconds}s")),
        61..=3600 => push(line, format_args!("{}:{:02}", seconds / 60, seconds % 60)),
        _ => push(line, format_args!("{hours}:{minutes:02}:{:02}", seconds % 60)),
    }
}

/// `46ms/step`: whole seconds, milliseconds or microseconds, whichever the first digit is in.
pub(super) fn push_step_time(line: &mut String, seconds: f64) {
    if seconds >= 1.0 || seconds == 0.0 {
        push(line, format_args!("{seconds:.0}s/step"));
    } else if seconds >= 1e-3 {
        push(line, format_args!("{:.0}ms/step", seconds * 1e3));
    } else {
        push(line, format_args!("{:.0}us/step", seconds * 1e6));
    }
}

pub(super) fn push(line: &mut String, text: std::fmt::Arguments<'_>) {
    line.write_fmt(text).expect("a String takes every character");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut line = String::new();
        write(&mut line);
        line
    }

    #[test]
    fn values_look_as_in_keras() {
        let values =
            [0.61, 1e-3, 0.0, -0.5, 5e-4, 1.234_56e-12, f64::NAN, f64::INFINITY, 12345.67891];
        let line = written(|l| push_values(l, &values.map(|v| ("v", v))));
        let expected = " - v: 0.6100 - v: 1.0000e-03 - v: 0.0000e+00 - v: -0.5000 - v: 5.0000e-04 \
                        - v: 1.2346e-12 - v: nan - v: inf - v: 12345.6789";
        assert_eq!(line, expected);
    }

    #[test]
    fn durations_grow_a_minute_and_an_hour() {
        let text = |s| written(|l| push_duration(l, Duration::from_secs_f64(s)));
        assert_eq!([text(0.2), text(12.4), text(60.0)], ["0s", "12s", "60s"]);
        assert_eq!([text(65.0), text(3600.0), text(7205.0)], ["1:05", "60:00", "2:00:05"]);
    }

    #[test]
    fn a_step_is_told_in_the_unit_that_shows_it() {
        let text = |s| written(|l| push_step_time(l, s));
        assert_eq!(
            [text(2.4), text(0.0464), text(0.000_25), text(0.0)],
            ["2s/step", "46ms/step", "250us/step", "0s/step"]
        );
    }
}
