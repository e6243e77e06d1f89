//! How a window meets the border of an image.
//!
//! ```text
//! Formula      valid: P = ⌊(H − R')/stride⌋ + 1, nothing before or after;
//!              same: P = ⌈H/stride⌉, total = max((P − 1)·stride + R' − H, 0), ⌊total/2⌋ before
//!              and the rest after, where R' = (R − 1)·dilation + 1;
//!              explicit: P = ⌊(H + before + after − R')/stride⌋ + 1
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

/// Keras's `padding`, and PyTorch's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Words", into = "Words")]
pub enum Padding {
    /// Windows that lie within the image. The default, as in Keras.
    #[default]
    Valid,
    /// As many windows as strides fit, the image padded on both sides.
    Same,
    /// That many rows above and below, that many columns to the left and right:
    /// `[[top, bottom], [left, right]]`. PyTorch's `padding=1` is `Padding::from(1)`.
    Explicit([[usize; 2]; 2]),
}

impl From<usize> for Padding {
    /// The same on all four sides.
    fn from(all: usize) -> Self {
        Self::Explicit([[all; 2]; 2])
    }
}

/// How a padding is written: Keras's word, or pixels, for which Keras has no word.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Words {
    Word(String),
    Pixels([[usize; 2]; 2]),
}

impl From<Padding> for Words {
    fn from(padding: Padding) -> Self {
        match padding {
            Padding::Valid => Self::Word("valid".to_owned()),
            Padding::Same => Self::Word("same".to_owned()),
            Padding::Explicit(pixels) => Self::Pixels(pixels),
        }
    }
}

impl TryFrom<Words> for Padding {
    type Error = String;

    fn try_from(words: Words) -> Result<Self, String> {
        match words {
            Words::Word(word) if word == "valid" => Ok(Self::Valid),
            Words::Word(word) if word == "same" => Ok(Self::Same),
            Words::Word(word) => Err(format!("padding {word:?} is not known: valid, same")),
            Words::Pixels(pixels) => Ok(Self::Explicit(pixels)),
        }
    }
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
    /// What is wrong with it for windows of that reach, if anything: each window shall meet the
    /// image.
    pub(crate) fn flaw(self, reach: [usize; 2]) -> Option<String> {
        let Self::Explicit(pixels) = self else { return None };
        let too_much =
            pixels.iter().zip(reach).any(|(sides, reach)| sides.iter().any(|p| *p >= reach));
        let [rows, columns] = reach;
        too_much.then(|| {
            format!(
                "padding {pixels:?} is as large as the window, {rows} by {columns} pixels: put a \
                 ZeroPadding2D before the layer"
            )
        })
    }

    /// Positions and padding of a window, down and across; `None` where not even one fits.
    pub(crate) fn axes(
        self,
        input: [usize; 2],
        size: [usize; 2],
        strides: [usize; 2],
        dilation: [usize; 2],
    ) -> Option<[Axis; 2]> {
        let axis = |i: usize| self.axis(i, input[i], size[i], strides[i], dilation[i]);
        Some([axis(0)?, axis(1)?])
    }

    /// One of the two: of a window of `size` taps, each `dilation` from the next, over `input`
    /// pixels, `stride` apart.
    fn axis(
        self,
        axis: usize,
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
            Padding::Explicit(pixels) => {
                let [before, after] = pixels[axis];
                let output = (input + before + after).checked_sub(reach)? / stride + 1;
                (input > 0).then_some(Axis { output, before })
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

/// The pixel that tap `tap` of window `window` meets: window·stride + tap·dilation − before, unless
/// that lies in the padding.
pub(crate) fn pixel(
    window: usize,
    stride: usize,
    tap: usize,
    dilation: usize,
    before: usize,
    input: usize,
) -> Option<usize> {
    (window * stride + tap * dilation).checked_sub(before).filter(|at| *at < input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_windows_lie_within() {
        let axis = |h, r, s, d| Padding::Valid.axis(0, h, r, s, d).map(|a| (a.output, a.before));
        assert_eq!(axis(128, 3, 1, 1), Some((126, 0)));
        assert_eq!(axis(63, 2, 2, 1), Some((31, 0)));
        assert_eq!(axis(5, 3, 1, 2), Some((1, 0)));
        assert_eq!(axis(4, 3, 1, 2), None);
        assert_eq!(axis(4, 0, 1, 1), None);
    }

    #[test]
    fn same_pads_more_at_the_end() {
        let axis = |h, r, s, d| Padding::Same.axis(0, h, r, s, d).map(|a| (a.output, a.before));
        assert_eq!(axis(8, 3, 1, 1), Some((8, 1)));
        assert_eq!(axis(8, 2, 1, 1), Some((8, 0)));
        assert_eq!(axis(8, 3, 2, 1), Some((4, 0)));
        assert_eq!(axis(7, 3, 2, 1), Some((4, 1)));
        assert_eq!(axis(5, 1, 3, 1), Some((2, 0)));
        assert_eq!(axis(0, 1, 1, 1), None);
    }

    #[test]
    fn explicit_pixels_stand_on_each_side() {
        let padding = Padding::Explicit([[1, 2], [0, 1]]);
        let axis = |i, h, r, s| padding.axis(i, h, r, s, 1).map(|a| (a.output, a.before));
        assert_eq!(axis(0, 8, 3, 1), Some((9, 1)));
        assert_eq!(axis(1, 8, 3, 2), Some((4, 0)));
        assert_eq!(axis(0, 1, 5, 1), None);
        assert_eq!(axis(0, 0, 3, 1), None);
        assert_eq!((padding.flaw([3, 2]), padding.flaw([2, 2]).is_some()), (None, true));
    }

    #[test]
    fn paddings_are_words_or_pixels() {
        let explicit = Padding::Explicit([[1, 2], [0, 3]]);
        for (padding, json) in [
            (Padding::Valid, "\"valid\""),
            (Padding::Same, "\"same\""),
            (explicit, "[[1,2],[0,3]]"),
        ] {
            assert_eq!(serde_json::to_string(&padding).unwrap(), json);
            assert_eq!(serde_json::from_str::<Padding>(json).unwrap(), padding);
        }
        let error = serde_json::from_str::<Padding>("\"full\"").unwrap_err().to_string();
        assert!(error.contains("padding \"full\" is not known: valid, same"), "{error}");
    }
}
