//! What the taps run over: an image with zeros around it and, for a transposed convolution,
//! between its pixels.
//!
//! Where there are no zeros this is the image itself, and nothing is copied. Else the few rows
//! that a block of outputs meets are written out, into memory that stays in the cache.

/// Floats of a window that may well stay in the second-level cache.
const WINDOW: usize = 1 << 15;
/// Output rows that are worth doing at once: more no longer make the weights cheaper.
const ROWS: usize = 16;

/// The canvas of every image of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Canvas {
    /// Rows and columns of an image.
    pub(super) image: [usize; 2],
    /// Floats of a pixel.
    pub(super) channels: usize,
    /// Rows of zeros above the image, columns of zeros to its left.
    pub(super) before: [usize; 2],
    /// Pixels of the canvas from one pixel of the image to the next: 1 where they are side by side.
    pub(super) spread: [usize; 2],
    /// Rows and columns of the canvas. The image may end beyond it or before.
    pub(super) extent: [usize; 2],
}

impl Canvas {
    /// Whether the canvas is a part of the image itself.
    fn is_plain(&self) -> bool {
        let fits = self.extent[0] <= self.image[0] && self.extent[1] <= self.image[1];
        self.before == [0, 0] && self.spread == [1, 1] && fits
    }

    /// Floats from one row to the next.
    pub(super) fn line(&self) -> usize {
        self.channels * if self.is_plain() { self.image[1] } else { self.extent[1] }
    }

    /// How many output rows, `stride` apart and with windows of `reach` rows, go together.
    pub(super) fn rows_at_once(&self, stride: usize, reach: usize) -> usize {
        let rows = WINDOW / (self.extent[1] * self.channels);
        (rows.saturating_sub(reach) / stride + 1).min(ROWS)
    }

    /// Floats of window that `rows` rows of canvas need.
    pub(super) fn window(&self, rows: usize) -> usize {
        if self.is_plain() { 0 } else { rows * self.line() }
    }

    /// The rows of the canvas from `top` on: of the image where that will do, else of `window`,
    /// which is then written.
    pub(super) fn rows<'a>(
        &self,
        image: &'a [f32],
        top: usize,
        rows: usize,
        window: &'a mut [f32],
    ) -> &'a [f32] {
        let line = self.line();
        if self.is_plain() {
            return &image[top * line..];
        }
        let window = &mut window[..rows * line];
        for (i, row) in window.chunks_exact_mut(line).enumerate() {
            match self.within(0, top + i) {
                Some(h) => {
                    let from = self.image[1] * self.channels;
                    self.write_row(&image[h * from..][..from], row);
                }
                None => row.fill(0.0),
            }
        }
        window
    }

    /// The row or column of the image at that place of the canvas, if there is one.
    fn within(&self, axis: usize, at: usize) -> Option<usize> {
        let spread = self.spread[axis];
        let from_first = at.checked_sub(self.before[axis])?;
        let inside = from_first % spread == 0 && from_first / spread < self.image[axis];
        inside.then_some(from_first / spread)
    }

    fn write_row(&self, image: &[f32], row: &mut [f32]) {
        let (c, spread) = (self.channels, self.spread[1]);
        let (before, rest) = row.split_at_mut(self.before[1] * c);
        before.fill(0.0);
        if spread == 1 {
            let (inside, after) = rest.split_at_mut(image.len().min(rest.len()));
            inside.copy_from_slice(&image[..inside.len()]);
            after.fill(0.0);
        } else {
            rest.fill(0.0);
            for (to, from) in rest.chunks_mut(spread * c).zip(image.chunks_exact(c)) {
                to[..c].copy_from_slice(from);
            }
        }
    }
}
