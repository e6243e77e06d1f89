//! The ranges that parameters are drawn from, and how Keras reads what is given for them.
//!
//! ```text
//! Formula      uniform: low + (high − low) · u, u in [0, 1)
//! Conventions  a range that is off draws nothing, so the numbers after it do not depend on it
//! ```

use crate::Error;
use gradus_random::Stream;

/// How far an image may be shifted along one axis: Keras's `width_shift_range` and
/// `height_shift_range`. Written as a float, an integer or a list, as in Keras.
#[derive(Clone, Debug, PartialEq)]
pub enum ShiftRange {
    /// Uniform in ±range: a fraction of the image below 1, pixels from 1 on. 0 is off.
    Uniform(f64),
    /// Whole pixels −(n−1), …, n−1. 0 is off.
    Pixels(u32),
    /// One of the list, with either sign: fractions if all are below 1, otherwise pixels.
    OneOf(Vec<f64>),
}

impl ShiftRange {
    /// A shift in pixels along an axis of `extent` pixels.
    pub(crate) fn draw(&self, rng: &mut Stream<'_>, extent: f64) -> f64 {
        let (shift, largest) = match self {
            Self::Uniform(range) => (symmetric(*range, rng), *range),
            Self::Pixels(0) => return 0.0,
            Self::Pixels(n) => (f64::from(rng.below(*n)) * sign(rng), f64::from(*n)),
            Self::OneOf(list) => {
                let shift = list[rng.below(list.len() as u32) as usize];
                (shift * sign(rng), list.iter().copied().fold(f64::MIN, f64::max))
            }
        };
        if largest < 1.0 { shift * extent } else { shift }
    }

    pub(crate) fn check(&self, argument: &'static str) -> Result<(), Error> {
        match self {
            Self::Uniform(range) => check_range(argument, *range),
            Self::Pixels(_) => Ok(()),
            Self::OneOf(list) if list.is_empty() => Err(Error::NoShift { argument }),
            Self::OneOf(list) => match list.iter().find(|shift| !shift.is_finite()) {
                Some(&found) => Err(Error::Range { argument, found }),
                None => Ok(()),
            },
        }
    }
}

impl From<f64> for ShiftRange {
    fn from(range: f64) -> Self {
        Self::Uniform(range)
    }
}

impl From<u32> for ShiftRange {
    fn from(pixels: u32) -> Self {
        Self::Pixels(pixels)
    }
}

impl From<Vec<f64>> for ShiftRange {
    fn from(list: Vec<f64>) -> Self {
        Self::OneOf(list)
    }
}

/// The factors an image may be zoomed by, drawn for each axis by itself: Keras's `zoom_range`.
/// Written as z for \[1 − z, 1 + z\], or as `[low, high]`. A factor below 1 *enlarges*.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZoomRange {
    /// The smallest factor.
    pub low: f64,
    /// The largest factor.
    pub high: f64,
}

impl ZoomRange {
    /// No zoom at all.
    pub(crate) const OFF: Self = Self { low: 1.0, high: 1.0 };

    /// The factors for x and for y.
    pub(crate) fn draw(self, rng: &mut Stream<'_>) -> [f64; 2] {
        if self == Self::OFF {
            return [1.0; 2];
        }
        [rng.between(self.low, self.high), rng.between(self.low, self.high)]
    }

    pub(crate) fn check(self) -> Result<(), Error> {
        let Self { low, high } = self;
        let ordered = 0.0 < low && low <= high && high.is_finite();
        if ordered { Ok(()) } else { Err(Error::ZoomRange { low, high }) }
    }
}

impl From<f64> for ZoomRange {
    fn from(z: f64) -> Self {
        Self { low: 1.0 - z, high: 1.0 + z }
    }
}

impl From<[f64; 2]> for ZoomRange {
    fn from([low, high]: [f64; 2]) -> Self {
        Self { low, high }
    }
}

/// The factors that the brightness may have: Keras's `brightness_range`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BrightnessRange {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl BrightnessRange {
    pub(crate) fn check(self) -> Result<(), Error> {
        let Self { low, high } = self;
        let ordered = 0.0 <= low && low <= high && high.is_finite();
        if ordered { Ok(()) } else { Err(Error::BrightnessRange { low, high }) }
    }
}

/// Uniform in ±range, or 0 without drawing where the range is off.
pub(crate) fn symmetric(range: f64, rng: &mut Stream<'_>) -> f64 {
    if range == 0.0 { 0.0 } else { rng.between(-range, range) }
}

pub(crate) fn check_range(argument: &'static str, found: f64) -> Result<(), Error> {
    if found.is_finite() && found >= 0.0 { Ok(()) } else { Err(Error::Range { argument, found }) }
}

/// A number within bounds.
pub(crate) fn check_bounds(
    argument: &'static str,
    found: f64,
    [low, high]: [f64; 2],
) -> Result<(), Error> {
    let within = (low..=high).contains(&found);
    if within { Ok(()) } else { Err(Error::Bounds { argument, found, low, high }) }
}

/// Two bounds above zero, in order.
pub(crate) fn check_interval(
    argument: &'static str,
    [low, high]: [f64; 2],
    most: f64,
) -> Result<(), Error> {
    let ordered = 0.0 < low && low <= high && high <= most && high.is_finite();
    if ordered { Ok(()) } else { Err(Error::Interval { argument, low, high, most }) }
}

fn sign(rng: &mut Stream<'_>) -> f64 {
    if rng.below(2) == 0 { -1.0 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_random::Mt19937;

    fn draws(range: impl Into<ShiftRange>) -> Vec<f64> {
        let range = range.into();
        let rng = &mut Stream::Philox(gradus_random::Philox::new(3, [0; 3]));
        (0..4000).map(|_| range.draw(rng, 200.0)).collect()
    }

    #[test]
    fn a_float_below_one_is_a_fraction_and_from_one_on_pixels() {
        let largest = |range: f64| draws(range).into_iter().fold(0.0f64, |m, d| m.max(d.abs()));
        assert!((19.9..=20.0).contains(&largest(0.1)), "{}", largest(0.1));
        assert!((2.99..=3.0).contains(&largest(3.0)), "{}", largest(3.0));
    }

    #[test]
    fn an_integer_gives_every_whole_pixel_below_it() {
        let mut seen: Vec<i32> = draws(3u32).into_iter().map(|d| d as i32).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [-2, -1, 0, 1, 2]);
    }

    #[test]
    fn a_list_gives_its_members_with_either_sign() {
        for (list, expected) in [
            (vec![0.1, 0.25], [-50.0, -20.0, 20.0, 50.0]),
            (vec![0.5, 7.0], [-7.0, -0.5, 0.5, 7.0]),
        ] {
            let mut seen = draws(list);
            seen.sort_by(f64::total_cmp);
            seen.dedup();
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn what_is_off_draws_nothing() {
        let mut rng = Mt19937::new(3);
        let mut stream = Stream::Mt19937(&mut rng);
        assert_eq!(ShiftRange::Uniform(0.0).draw(&mut stream, 9.0), 0.0);
        assert_eq!(ShiftRange::Pixels(0).draw(&mut stream, 9.0), 0.0);
        assert_eq!(ZoomRange::from(0.0).draw(&mut stream), [1.0, 1.0]);
        assert_eq!(rng, Mt19937::new(3));
    }
}
