//! What an image shows beyond its border.
//!
//! ```text
//! Formula      fold: ℝ → [0, n−1], where the pixel centres of one axis lie at 0, 1, …, n−1
//! Conventions  those of `scipy.ndimage`, which Keras calls. The row `1 2 3 4`, five pixels
//!              further on each side:
//! ```
//!
//! | mode | left | | right | |
//! | --- | --- | --- | --- | --- |
//! | nearest  | `1 1 1 1 1` | `1 2 3 4` | `4 4 4 4 4` | the last pixel goes on |
//! | constant | `c c c c c` | `1 2 3 4` | `c c c c c` | cval at any x outside \[0, n−1\]: no blending |
//! | reflect  | `4 4 3 2 1` | `1 2 3 4` | `4 3 2 1 1` | about the pixel's outer edge, period 2n |
//! | wrap     | `2 3 4 2 3` | `1 2 3 4` | `2 3 1 2 3` | period n−**1**: first and last pixel coincide |
//!
//! Between the outermost pixel's centre and the line of reflection both neighbours are the same
//! pixel, so reflecting and then clamping is exact: one interpolation serves all four modes.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// How the outside of an image is filled: Keras's `fill_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FillMode {
    /// The nearest pixel of the image goes on for ever. Keras's default.
    #[default]
    Nearest,
    /// `cval` everywhere outside the centres of the outermost pixels.
    Constant,
    /// The image and its mirror images, the outermost pixel twice.
    Reflect,
    /// The image again and again, with period n−1.
    Wrap,
}

impl FillMode {
    /// In the order of the codes that a device knows them by.
    const ALL: [Self; 4] = [Self::Nearest, Self::Constant, Self::Reflect, Self::Wrap];

    /// The number by which a device knows it.
    pub(crate) fn code(self) -> u32 {
        self as u32
    }

    /// The mode of that code; the nearest pixel for what is none.
    pub(crate) fn of_code(code: u32) -> Self {
        Self::ALL.get(code as usize).copied().unwrap_or_default()
    }

    /// The coordinate within \[0, n−1\] whose value is shown at `x`, on an axis of `n` pixels.
    /// `None` where that is no pixel's but `cval`.
    #[inline]
    #[must_use]
    pub fn fold(self, x: f64, n: usize) -> Option<f64> {
        let last = n as f64 - 1.0;
        if x >= 0.0 && x <= last {
            return Some(x);
        }
        let folded = match self {
            Self::Nearest => x,
            Self::Constant => return None,
            Self::Reflect => reflect(x, n as f64),
            Self::Wrap if n == 1 => 0.0,
            Self::Wrap => wrap(x, last),
        };
        Some(folded.max(0.0).min(last))
    }
}

/// `x` in the period of `2 n` that an image and its mirror image fill.
fn reflect(x: f64, n: f64) -> f64 {
    let u = x.rem_euclid(2.0 * n);
    if u < n { u } else { 2.0 * n - 1.0 - u }
}

/// `x` in one period. Whole periods to the left end on the last pixel, to the right on the first:
/// at the seam `scipy` is not symmetric, and pixels on it shall agree too.
fn wrap(x: f64, period: f64) -> f64 {
    if x < 0.0 {
        x + period * ((-x / period).trunc() + 1.0)
    } else {
        x - period * (x / period).trunc()
    }
}

impl fmt::Display for FillMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nearest => "nearest",
            Self::Constant => "constant",
            Self::Reflect => "reflect",
            Self::Wrap => "wrap",
        })
    }
}

impl FromStr for FillMode {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let mode = Self::ALL.into_iter().find(|mode| mode.to_string() == word);
        mode.ok_or_else(|| Error::FillMode { found: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row 1 2 3 4 with five pixels more on each side; 0 stands for `cval`.
    fn extended(mode: FillMode) -> Vec<f64> {
        (-5..9).map(|x| mode.fold(f64::from(x), 4).map_or(0.0, |x| 1.0 + x)).collect()
    }

    #[test]
    fn a_row_of_four_is_extended_as_the_table_says() {
        let digits = |text: &str| text.bytes().map(|b| f64::from(b - b'0')).collect::<Vec<_>>();
        assert_eq!(extended(FillMode::Nearest), digits("11111123444444"));
        assert_eq!(extended(FillMode::Constant), digits("00000123400000"));
        assert_eq!(extended(FillMode::Reflect), digits("44321123443211"));
        assert_eq!(extended(FillMode::Wrap), digits("23423123423123"));
    }

    #[test]
    fn every_coordinate_is_folded_onto_the_image() {
        for mode in [FillMode::Nearest, FillMode::Reflect, FillMode::Wrap] {
            for n in [1, 2, 3, 7] {
                for x in [-1e300, -1e9, -7.5, -0.5, -1e-300, 0.3, 6.999, 1e9, 1e300, f64::NAN] {
                    let folded = mode.fold(x, n).expect("only constant leaves the image");
                    assert!((0.0..=n as f64 - 1.0).contains(&folded), "{mode} {x} {n}: {folded}");
                }
            }
        }
    }

    #[test]
    fn a_mode_is_found_by_the_word_it_is_shown_as() {
        for mode in FillMode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
            assert_eq!(FillMode::of_code(mode.code()), mode);
        }
        assert_eq!(
            "mirror".parse::<FillMode>(),
            Err(Error::FillMode { found: "mirror".to_owned() })
        );
    }
}
