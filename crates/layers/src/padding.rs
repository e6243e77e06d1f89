//! How a window meets the border of an image.
//!
//! ```text
//! Formula      valid: P = ⌊(H − R')/stride⌋ + 1, nothing before or after;
//!              same: P = ⌈H/stride⌉, total = max((P − 1)·stride + R' − H, 0), ⌊total/2⌋ before
//!              and the rest after, where R' = (R − 1)·dilation + 1
//! Conventions  TensorFlow's: with `same` the odd row goes to the bottom and right
//! ```

/// Two extents, height before width: `3` means `[3, 3]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent(pub [usize; 2]);

impl From<usize> for Extent {
    fn from(both: usize) -> Self {
        Self([both; 2])
    }
}

impl From<[usize; 2]> for Extent {
    fn from(extents: [usize; 2]) -> Self {
        Self(extents)
    }
}

/// Keras's `padding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// Windows that lie within the image. The default, as in Keras.
    #[default]
    Valid,
    /// As many windows as strides fit, the image padded on both sides.
    Same,
}

/// One axis of a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Positions of the window.
    pub(crate) output: usize,
    /// Padding before the first input.
    pub(crate) before: usize,
}

impl Padding {
    /// Positions and padding of a window of `size` taps, `stride` apart, each `dilation` from the
    /// next, over `input` pixels; `None` where not even one window fits.
    pub(crate) fn axis(
        self,
        input: usize,
        size: usize,
        stride: usize,
        dilation: usize,
    ) -> Option<Axis> {
        let reach = (size.checked_sub(1)?) * dilation + 1;
        match self {
            Padding::Valid => {
                let output = input.checked_sub(reach)? / stride + 1;
                Some(Axis { output, before: 0 })
            }
            Padding::Same if input == 0 => None,
            Padding::Same => {
                let output = input.div_ceil(stride);
                let total = ((output - 1) * stride + reach).saturating_sub(input);
                Some(Axis { output, before: total / 2 })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_windows_lie_within() {
        let axis = |h, r, s, d| Padding::Valid.axis(h, r, s, d).map(|a| (a.output, a.before));
        assert_eq!(axis(128, 3, 1, 1), Some((126, 0)));
        assert_eq!(axis(63, 2, 2, 1), Some((31, 0)));
        assert_eq!(axis(5, 3, 1, 2), Some((1, 0)));
        assert_eq!(axis(4, 3, 1, 2), None);
        assert_eq!(axis(4, 0, 1, 1), None);
    }

    #[test]
    fn same_pads_more_at_the_end() {
        let axis = |h, r, s, d| Padding::Same.axis(h, r, s, d).map(|a| (a.output, a.before));
        assert_eq!(axis(8, 3, 1, 1), Some((8, 1)));
        assert_eq!(axis(8, 2, 1, 1), Some((8, 0)));
        assert_eq!(axis(8, 3, 2, 1), Some((4, 0)));
        assert_eq!(axis(7, 3, 2, 1), Some((4, 1)));
        assert_eq!(axis(5, 1, 3, 1), Some((2, 0)));
        assert_eq!(axis(0, 1, 1, 1), None);
    }
}
