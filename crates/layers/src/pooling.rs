//! Windows that slide over images: what max and average pooling share. What those over whole images
//! do stands in `pooling/global.rs`.
//!
//! ```text
//! Shapes       x: N·H·W·C   y: N·P·Q·C   window: R·S
//!              valid: P = ⌊(H − R)/stride⌋ + 1; same: P = ⌈H/stride⌉;
//!              explicit: P = ⌊(H + before + after − R)/stride⌋ + 1
//! Conventions  `same` pads more at the bottom and right; every window meets the image; the strides
//!              are those of the window unless given
//! ```

pub(crate) mod cuda;
pub mod global;

use crate::padding::pixel;
use crate::{Config, ConfigError, Extent, Padding, ShapeError};
use gradus_tensor::Shape;
use std::ops::Range;

/// All sizes of one pooling, the batch included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Images.
    pub n: usize,
    /// Rows of an input image.
    pub h: usize,
    /// Columns of an input image.
    pub w: usize,
    /// Channels.
    pub c: usize,
    /// Rows of the window.
    pub r: usize,
    /// Columns of the window.
    pub s: usize,
    /// Rows of an output image.
    pub p: usize,
    /// Columns of an output image.
    pub q: usize,
    /// Input pixels from one window to the next, down and across.
    pub strides: [usize; 2],
    /// Rows of padding above the image, and columns to its left.
    pub before: [usize; 2],
}

impl Geometry {
    /// The sizes for an x of shape (N, H, W, C).
    ///
    /// # Errors
    /// If x has another rank, no channels, or is smaller than the window.
    ///
    /// # Panics
    /// If a size of the window or a stride is 0, or an explicit padding is as large as the window.
    pub fn new(
        x: Shape,
        pool_size: [usize; 2],
        strides: [usize; 2],
        padding: Padding,
    ) -> Result<Self, ShapeError> {
        let options = Options { pool_size, padding, strides: Some(strides) };
        if let Some(flaw) = options.flaw() {
            panic!("pooling: {flaw}");
        }
        let ([r, s], &[n, h, w, c]) = (pool_size, x.dims()) else {
            return Err(ShapeError::new(x, "expected images: (N, H, W, C)"));
        };
        let axes = padding.axes([h, w], pool_size, strides, [1, 1]);
        let (Some([rows, columns]), true) = (axes, c > 0) else {
            let reason = format!("expected at least {r}·{s} pixels and a channel: (N, H, W, C)");
            return Err(ShapeError::new(x, reason));
        };
        let (p, q, before) = (rows.output, columns.output, [rows.before, columns.before]);
        Ok(Self { n, h, w, c, r, s, p, q, strides, before })
    }

    /// The shape of x: (N, H, W, C).
    #[must_use]
    pub fn x(&self) -> Shape {
        Shape::new(&[self.n, self.h, self.w, self.c])
    }

    /// The shape of y: (N, P, Q, C).
    #[must_use]
    pub fn y(&self) -> Shape {
        Shape::new(&[self.n, self.p, self.q, self.c])
    }

    /// The row of x that row `r` of a window in output row `p` meets: h = p·stride + r − before,
    /// unless that lies in the padding.
    #[must_use]
    pub fn row(&self, p: usize, r: usize) -> Option<usize> {
        pixel(p, self.strides[0], r, 1, self.before[0], self.h)
    }

    /// The column of x that column `s` of a window in output column `q` meets, as
    /// [`Geometry::row`].
    #[must_use]
    pub fn column(&self, q: usize, s: usize) -> Option<usize> {
        pixel(q, self.strides[1], s, 1, self.before[1], self.w)
    }

    /// The rows of a window in output row `p` that meet the image.
    #[inline(always)]
    #[must_use]
    pub fn rows_met(&self, p: usize) -> Range<usize> {
        taps(p * self.strides[0], self.before[0], self.r, self.h)
    }

    /// The columns of a window in output column `q` that meet the image.
    #[inline(always)]
    #[must_use]
    pub fn columns_met(&self, q: usize) -> Range<usize> {
        taps(q * self.strides[1], self.before[1], self.s, self.w)
    }
}

/// The taps of the window at `first − before` that meet an image of `input` pixels.
#[inline(always)]
fn taps(first: usize, before: usize, size: usize, input: usize) -> Range<usize> {
    before.saturating_sub(first)..size.min(input + before - first)
}

/// The options of a pooling layer, in Keras's words and order.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Options {
    pub(crate) pool_size: [usize; 2],
    #[serde(default)]
    pub(crate) padding: Padding,
    /// None: those of the window.
    #[serde(default)]
    pub(crate) strides: Option<[usize; 2]>,
}

impl Options {
    /// One window beside the other, without padding.
    pub(crate) fn new(Extent(pool_size): Extent) -> Self {
        Self { pool_size, padding: Padding::Valid, strides: Some(pool_size) }
    }

    /// The options that a config gives, unless `flaw` finds something wrong with them.
    pub(crate) fn from_config(
        config: &Config,
        flaw: impl FnOnce(&Self) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let options: Self = config
            .sound_options(|options| flaw(options).or_else(|| config.flaw_of_data_format()))?;
        let strides = Some(options.strides.unwrap_or(options.pool_size));
        Ok(Self { strides, ..options })
    }

    /// What is wrong with them, if anything.
    pub(crate) fn flaw(&self) -> Option<String> {
        let (pool_size, strides) = (self.pool_size, self.strides.unwrap_or(self.pool_size));
        if pool_size.contains(&0) || strides.contains(&0) {
            return Some(format!(
                "pool_size {pool_size:?} and strides {strides:?} shall be at least 1"
            ));
        }
        self.padding.flaw(pool_size)
    }

    /// The sizes for an x of that shape.
    pub(crate) fn geometry(&self, x: Shape) -> Result<Geometry, ShapeError> {
        let strides = self.strides.unwrap_or(self.pool_size);
        Geometry::new(x, self.pool_size, strides, self.padding)
    }
}

/// Numbers written that make a task worth handing out.
const CHUNK: usize = 16_384;

/// Rows of `row` numbers that a task takes.
pub(crate) fn rows_of_task(row: usize) -> usize {
    (CHUNK / row).max(1)
}

/// The windows that cover one position of an axis: `count` of them, the first of which is window
/// `first` and meets it with tap `tap`; each next one with a tap `stride` lower.
#[derive(Clone, Copy)]
pub(crate) struct Cover {
    pub(crate) first: usize,
    pub(crate) tap: usize,
    pub(crate) count: usize,
}

impl Cover {
    /// The windows of `size` taps, numbered up to `output`, over padded position
    /// `window · stride + tap`, where `tap < stride`.
    #[inline(always)]
    pub(crate) fn new(
        window: usize,
        tap: usize,
        stride: usize,
        size: usize,
        output: usize,
    ) -> Self {
        let mut cover = Self { first: window, tap, count: 0 };
        // Windows that begin further left reach the position with a higher tap.
        while cover.first > 0 && cover.tap + stride < size {
            cover.first -= 1;
            cover.tap += stride;
        }
        if cover.tap < size {
            cover.count = (window + 1).min(output).saturating_sub(cover.first);
        }
        cover
    }

    /// The windows of `size` taps, `stride` apart and `output` in number, over a padded position.
    #[inline(always)]
    pub(crate) fn of(padded: usize, stride: usize, size: usize, output: usize) -> Self {
        Self::new(padded / stride, padded % stride, stride, size, output)
    }

    /// Their numbers.
    #[inline(always)]
    pub(crate) fn windows(self) -> Range<usize> {
        self.first..self.first + self.count
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use gradus_tensor::ndarray::Array4;
    use gradus_testing::Cases;

    pub(crate) fn array<T: Copy>(shape: Shape, values: &[T]) -> Array4<T> {
        let &[n, h, w, c] = shape.dims() else { panic!("{shape} is no image") };
        Array4::from_shape_vec((n, h, w, c), values.to_vec()).unwrap()
    }

    /// A geometry with windows that overlap, touch or leave gaps, and any padding.
    pub(crate) fn random_geometry(cases: &mut Cases) -> Geometry {
        loop {
            let [n, h, w] = [3, 13, 13].map(|most| cases.extent(1, most));
            let c = cases.one_of(&[1, 2, 3, 4, 8, 16, 17, 33, 64]);
            let [pool_size, strides] = [(); 2].map(|()| [cases.extent(1, 5), cases.extent(1, 5)]);
            let explicit = [(); 2].map(|()| [cases.extent(0, 3), cases.extent(0, 3)]);
            let explicit = Padding::Explicit(explicit);
            let padding = cases.one_of(&[Padding::Valid, Padding::Same, explicit]);
            // Windows that are larger than the image, or smaller than the padding, are refused.
            if padding.flaw(pool_size).is_none()
                && let Ok(g) = Geometry::new(Shape::new(&[n, h, w, c]), pool_size, strides, padding)
            {
                return g;
            }
        }
    }

    /// The options of a golden case.
    pub(crate) fn options_of(params: &serde_json::Value) -> Options {
        let options = serde_json::json!({"pool_size": params["pool"], "strides": params["strides"],
            "padding": params["padding"]});
        serde_json::from_value(options).unwrap()
    }

    #[test]
    fn every_golden_case_of_pooling_belongs_to_one_room() {
        let Some(golden) = gradus_testing::Golden::open("pool") else { return };
        let rooms = ["max_", "avg_", "gap_", "gmp_"].map(|room| golden.cases(room).len());
        assert_eq!((golden.cases("").len(), rooms.iter().sum::<usize>()), (88, 88));
    }
}
