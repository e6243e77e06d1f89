//! Resizing as Pillow does it.
//!
//! ```text
//! Nearest      out(i) = in(⌊xᵢ⌋) on each axis, x₀ = b₀ + s/2, xᵢ₊₁ = xᵢ + s, s = (b₁ − b₀)/out
//! the others   out(i) = Σⱼ w(i,j)·in(j), w(i,j) ∝ f((j + ½ − cᵢ)/max(s, 1)), cᵢ = b₀ + (i + ½)·s:
//!              along rows first, rounded to bytes, then along columns; the other way round where
//!              the height loses more than twice as many pixels as the width
//! ```
//!
//! Conventions: f is stretched by s where the image shrinks, so that every pixel counts
//! (antialiasing). Weights are integers of 22 bits and the bytes between the passes are rounded,
//! which is part of the result. Nearest *adds up* its steps in f64: computing (i + ½)·s directly is
//! the same but for ties, where the accumulated rounding decides: from 200 to 53 pixels it is
//! another picture. The filters reach beyond the crop box, as Pillow's do. With four channels the
//! last one is alpha, and colour is weighted by it. Which pass comes first is a rule of Pillow 13;
//! before, it was always the one along rows, which moves a fifth of such a picture's bytes by a level.
//!
//! Reference: Pillow 13, `src/libImaging/Resample.c`, `Geometry.c` and `Image.resize`.

mod nearest;
mod weights;

use ndarray::{ArrayView3, ArrayViewMut3};
use weights::{Tables, Weights};

/// How the pixels of the resized image come from those of the original.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interpolation {
    /// The nearest pixel, unchanged. Keras's default. Nothing is averaged, so that a small picture
    /// of a large photo is grainy.
    #[default]
    Nearest,
    /// A triangle, two pixels wide.
    Bilinear,
    /// A cubic, four pixels wide, with a = -1/2.
    Bicubic,
    /// The mean of the pixels that fall on one.
    Box,
    /// A raised cosine, two pixels wide: as sharp as bicubic at the price of bilinear.
    Hamming,
    /// A windowed sinc, six pixels wide.
    Lanczos,
}

impl Interpolation {
    /// All of them, by their Keras names.
    const NAMES: [(&str, Self); 6] = [
        ("nearest", Self::Nearest),
        ("bilinear", Self::Bilinear),
        ("bicubic", Self::Bicubic),
        ("box", Self::Box),
        ("hamming", Self::Hamming),
        ("lanczos", Self::Lanczos),
    ];

    /// Keras's name of it, such as `bilinear`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }

    /// The one that Keras calls so, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, it)| it)
    }

    /// Fills `into` (height, width, channels) with `from` resized to it. A [`Resizer`] does the
    /// same without asking for memory each time.
    ///
    /// # Panics
    /// If the numbers of channels differ, or `from` has no pixel.
    pub fn resize(self, from: ArrayView3<'_, u8>, into: ArrayViewMut3<'_, u8>) {
        let (h, w, _) = from.dim();
        Resizer::default().resize(self, from, CropBox::whole(h, w), into);
    }
}

/// The part of an image that is resized, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropBox {
    /// The first row, and the one behind the last.
    pub rows: [usize; 2],
    /// The first column, and the one behind the last.
    pub columns: [usize; 2],
}

impl CropBox {
    /// All of an image of that size.
    #[must_use]
    pub fn whole(height: usize, width: usize) -> Self {
        Self { rows: [0, height], columns: [0, width] }
    }

    /// The largest box in the middle of an image of `size` with the aspect ratio of `target_size`,
    /// both (height, width): what Keras's `keep_aspect_ratio` leaves of it. It has a pixel at
    /// least, where Keras fails for images that are too narrow.
    ///
    /// # Panics
    /// If one of the sizes is 0.
    #[must_use]
    pub fn keep_aspect_ratio(size: [usize; 2], target_size: [usize; 2]) -> Self {
        let ([h, w], [target_h, target_w]) = (size, target_size);
        let height = (w * target_h / target_w).clamp(1, h);
        let width = (h * target_w / target_h).clamp(1, w);
        let (top, left) = ((h - height) / 2, (w - width) / 2);
        Self { rows: [top, top + height], columns: [left, left + width] }
    }
}

/// Resizes images one after another with memory that it keeps.
#[derive(Debug, Default)]
pub struct Resizer {
    tables: Tables,
    /// The original with its colour weighted by alpha, where there is alpha.
    premultiplied: Vec<u8>,
    /// What the first pass gives: (rows that the second needs, out_w, channels), or (out_h, w,
    /// channels).
    between: Vec<u8>,
    /// One row of sums.
    sums: Vec<i32>,
    /// A contiguous copy of an original that is not, and of a result that shall not be.
    from: Vec<u8>,
    into: Vec<u8>,
}

impl Resizer {
    /// Fills `into` (height, width, channels) with the part `part` of `from` resized to it.
    ///
    /// # Panics
    /// If the numbers of channels differ, or `part` is empty or no part of `from`.
    pub fn resize(
        &mut self,
        interpolation: Interpolation,
        from: ArrayView3<'_, u8>,
        part: CropBox,
        mut into: ArrayViewMut3<'_, u8>,
    ) {
        let (h, w, channels) = from.dim();
        let (out_h, out_w, out_channels) = into.dim();
        assert_eq!(channels, out_channels, "resizing keeps the channels");
        let inside = |[a, b]: [usize; 2], n| a < b && b <= n;
        assert!(
            inside(part.rows, h) && inside(part.columns, w),
            "{part:?} is no part of an image of {h} x {w}"
        );
        if interpolation == Interpolation::Nearest {
            return nearest::resize(from, part, into);
        }
        if part == CropBox::whole(out_h, out_w) && (out_h, out_w) == (h, w) {
            return into.assign(&from);
        }
        let mut copy = std::mem::take(&mut self.from);
        let bytes = from.as_slice().unwrap_or_else(|| {
            copy.clear();
            copy.extend(from.iter());
            &copy
        });
        let mut result = std::mem::take(&mut self.into);
        if let Some(into) = into.as_slice_mut() {
            self.filter(interpolation, bytes, [h, w, channels], part, into, [out_h, out_w]);
        } else {
            result.resize(out_h * out_w * channels, 0);
            self.filter(interpolation, bytes, [h, w, channels], part, &mut result, [out_h, out_w]);
            into.iter_mut().zip(&result).for_each(|(y, &x)| *y = x);
        }
        (self.from, self.into) = (copy, result);
    }

    fn filter(
        &mut self,
        filter: Interpolation,
        from: &[u8],
        size: [usize; 3],
        part: CropBox,
        into: &mut [u8],
        target: [usize; 2],
    ) {
        if size[2] != 4 {
            return self.two_passes(filter, from, size, part, into, target);
        }
        let mut weighted = std::mem::take(&mut self.premultiplied);
        weighted.clear();
        weighted.extend(from.as_chunks().0.iter().flat_map(|&pixel| premultiply(pixel)));
        self.two_passes(filter, &weighted, size, part, into, target);
        self.premultiplied = weighted;
        for pixel in into.as_chunks_mut().0 {
            *pixel = divide_by_alpha(*pixel);
        }
    }

    fn two_passes(
        &mut self,
        filter: Interpolation,
        from: &[u8],
        [h, w, channels]: [usize; 3],
        part: CropBox,
        into: &mut [u8],
        [out_h, out_w]: [usize; 2],
    ) {
        let Self { tables, between, sums, .. } = self;
        // A pass that would leave everything as it is, is left out.
        let across = out_w != w || part.columns != [0, w];
        let down = out_h != h || part.rows != [0, h];
        let [columns, rows] =
            tables.pair(filter, [(w, part.columns, out_w), (h, part.rows, out_h)]);
        let line = out_w * channels;
        if !across {
            return along_columns(rows, from, 0, line, sums, into);
        }
        if !down {
            return along_rows(columns, from, w, channels, into);
        }
        if h.saturating_sub(out_h) > 2 * w.saturating_sub(out_w) {
            between.resize(out_h * w * channels, 0);
            along_columns(rows, from, 0, w * channels, sums, between);
            return along_rows(columns, between, w, channels, into);
        }
        let [first, end] = rows.span();
        between.resize((end - first) * line, 0);
        let needed = &from[first * w * channels..end * w * channels];
        along_rows(columns, needed, w, channels, between);
        along_columns(rows, between, first, line, sums, into);
    }
}

fn along_rows(weights: &Weights, from: &[u8], w: usize, channels: usize, into: &mut [u8]) {
    let width = weights.len() * channels;
    let lines = from.chunks_exact(w * channels).zip(into.chunks_exact_mut(width));
    match channels {
        1 => lines.for_each(|(from, into)| row::<1>(weights, from, into)),
        3 => lines.for_each(|(from, into)| row::<3>(weights, from, into)),
        4 => lines.for_each(|(from, into)| row::<4>(weights, from, into)),
        _ => panic!("an image has 1, 3 or 4 channels, not {channels}"),
    }
}

fn row<const C: usize>(weights: &Weights, from: &[u8], into: &mut [u8]) {
    let pixels = from.as_chunks::<C>().0;
    for (out, (first, weights)) in into.as_chunks_mut::<C>().0.iter_mut().zip(weights.iter()) {
        let mut sums = [HALF; C];
        for (pixel, &weight) in pixels[first..].iter().zip(weights) {
            for (sum, &byte) in sums.iter_mut().zip(pixel) {
                *sum += weight * i32::from(byte);
            }
        }
        *out = sums.map(byte);
    }
}

/// `from` begins with row `first` of the image.
fn along_columns(
    weights: &Weights,
    from: &[u8],
    first: usize,
    line: usize,
    sums: &mut Vec<i32>,
    into: &mut [u8],
) {
    sums.resize(line, 0);
    for (out, (start, weights)) in into.chunks_exact_mut(line).zip(weights.iter()) {
        sums.fill(HALF);
        let rows = from[(start - first) * line..].chunks_exact(line);
        for (row, &weight) in rows.zip(weights) {
            for (sum, &byte) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(byte);
            }
        }
        out.iter_mut().zip(&*sums).for_each(|(y, &sum)| *y = byte(sum));
    }
}

/// Half of the last bit that stays, for rounding.
const HALF: i32 = 1 << (Weights::BITS - 1);

fn byte(sum: i32) -> u8 {
    (sum >> Weights::BITS).clamp(0, 255) as u8
}

fn premultiply([r, g, b, a]: [u8; 4]) -> [u8; 4] {
    let times_alpha = |v| times(v, a);
    [times_alpha(r), times_alpha(g), times_alpha(b), a]
}

/// a·b/255, rounded.
pub(crate) fn times(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b) + 128;
    (((product >> 8) + product) >> 8) as u8
}

fn divide_by_alpha([r, g, b, a]: [u8; 4]) -> [u8; 4] {
    if a == 0 || a == 255 {
        return [r, g, b, a];
    }
    let over_alpha = |v| (255 * u32::from(v) / u32::from(a)).min(255) as u8;
    [over_alpha(r), over_alpha(g), over_alpha(b), a]
}

#[cfg(test)]
mod tests;
