//! A part of an image, and how one of random area and shape is drawn.
//!
//! ```text
//! Formula      area = a·h·w, a uniform in `scale`;  width / height = exp(u), u uniform in ln `ratio`
//! Conventions  torchvision's: both sides rounded; up to ten attempts until it fits, then none
//! ```

use gradus_random::Stream;

/// A part of an image, in whole pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rect {
    /// Its first row.
    pub top: usize,
    /// Its first column.
    pub left: usize,
    /// How many rows it has.
    pub height: usize,
    /// How many columns it has.
    pub width: usize,
}

impl Rect {
    /// A rectangle anywhere in an image of `[height, width]`, no side longer than `most` allows.
    pub(crate) fn draw(
        rng: &mut Stream<'_>,
        [height, width]: [usize; 2],
        most: [usize; 2],
        scale: [f64; 2],
        ratio: [f64; 2],
    ) -> Option<Self> {
        let [narrow, wide] = ratio.map(f64::ln);
        for _ in 0..10 {
            let area = (height * width) as f64 * rng.between(scale[0], scale[1]);
            let ratio = rng.between(narrow, wide).exp();
            let h = (area / ratio).sqrt().round_ties_even() as usize;
            let w = (area * ratio).sqrt().round_ties_even() as usize;
            if (1..=most[0]).contains(&h) && (1..=most[1]).contains(&w) {
                let top = rng.below((height - h + 1) as u32) as usize;
                let left = rng.below((width - w + 1) as u32) as usize;
                return Some(Self { top, left, height: h, width: w });
            }
        }
        None
    }
}
