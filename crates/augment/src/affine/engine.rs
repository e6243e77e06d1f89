//! The affine pass over an image of bytes or floats, fast: the definition's numbers to the last bit.
//!
//! ```text
//! Method       rows in blocks of 16 pixels: first where each pixel comes from, then what is there.
//!              The first half has no branch and no memory in it, so it is vectorised; nothing is
//!              allocated
//! Cost         reads 4·C values and writes 4·C bytes a pixel; 11·C + 20 flops
//! Conventions  a place on the last row or column is seen from the pixel before it, with weight 1:
//!              so the four neighbours always exist and no border needs a case of its own
//! ```

use super::{Affine, Interpolation, Pixel, Sampling, definition};
use crate::FillMode;
use ndarray::{ArrayView3, ArrayViewMut3};

/// Pixels of a row that are located together. Best of {1, 8, 16, 32, 64}: 5.8 ns a pixel of three
/// channels on one x86-64 core, against 11.3 ns one by one.
const BLOCK: usize = 16;

/// `into[r, c] = rescale · from(source of (r, c))`: the image `from` seen through `affine`.
///
/// Contiguous images of 1, 3 or 4 channels, two rows and two columns or more take the fast path;
/// the definition serves all others.
///
/// # Panics
/// If `from` and `into` differ in shape.
pub fn apply<T: Pixel>(
    affine: &Affine,
    sampling: Sampling,
    rescale: f32,
    from: ArrayView3<'_, T>,
    mut into: ArrayViewMut3<'_, f32>,
) {
    assert_eq!(from.dim(), into.dim(), "an image and its transform have the same shape");
    let (height, width, channels) = from.dim();
    // Offsets of pixels are computed as i32.
    let fits = height >= 2 && width >= 2 && i32::try_from(from.len()).is_ok();
    let slices = from.as_slice().zip(into.as_slice_mut()).filter(|_| fits);
    let Some((pixels, out)) = slices else {
        return definition(affine, sampling, rescale, from, into);
    };
    let scene = Scene { affine, sampling, pixels, height, width };
    match channels {
        1 => scene.rows::<1>(rescale, out),
        3 => scene.rows::<3>(rescale, out),
        4 => scene.rows::<4>(rescale, out),
        _ => definition(affine, sampling, rescale, from, into),
    }
}

/// An image of at least two rows and two columns, and how it is looked at.
struct Scene<'a, T> {
    affine: &'a Affine,
    sampling: Sampling,
    /// height · width · C values.
    pixels: &'a [T],
    height: usize,
    width: usize,
}

impl<T: Pixel> Scene<'_, T> {
    /// The whole image; `into` holds height · width · C values.
    fn rows<const C: usize>(&self, rescale: f32, into: &mut [f32]) {
        let length = self.width * C;
        for (i, row) in into.chunks_exact_mut(length).enumerate() {
            let r = if self.affine.flip_vertical { self.height - 1 - i } else { i };
            if self.affine.is_identity() {
                let line = &self.pixels[r * length..][..length];
                row.iter_mut().zip(line).for_each(|(out, &value)| *out = value.into());
            } else {
                let blocks = row.as_chunks_mut::<C>().0.chunks_mut(BLOCK).enumerate();
                blocks.for_each(|(block, out)| self.block(r, block * BLOCK, out));
            }
            row.iter_mut().for_each(|value| *value *= rescale);
            if self.affine.flip_horizontal {
                row.as_chunks_mut::<C>().0.reverse();
            }
        }
    }

    /// The pixels of row `r` from column `first` on, before flip and rescaling.
    fn block<const C: usize>(&self, r: usize, first: usize, out: &mut [[f32; C]]) {
        let mut y = [0.0; BLOCK];
        let mut x = [0.0; BLOCK];
        for (k, (y, x)) in y.iter_mut().zip(&mut x).enumerate() {
            [*y, *x] = self.affine.source(r, first + k);
        }
        let fill_mode = self.sampling.fill_mode;
        if matches!(fill_mode, FillMode::Reflect | FillMode::Wrap) {
            y.iter_mut().for_each(|y| *y = fill_mode.fold(*y, self.height).unwrap_or(*y));
            x.iter_mut().for_each(|x| *x = fill_mode.fold(*x, self.width).unwrap_or(*x));
        }
        match self.sampling.interpolation {
            Interpolation::Nearest => self.nearest(&y, &x, out),
            Interpolation::Bilinear => self.bilinear(&y, &x, out),
        }
        if fill_mode == FillMode::Constant {
            for (k, pixel) in out.iter_mut().enumerate() {
                let inside = y[k] == clamp(y[k], self.height) && x[k] == clamp(x[k], self.width);
                *pixel = if inside { *pixel } else { [self.sampling.cval; C] };
            }
        }
    }

    #[inline]
    fn nearest<const C: usize>(&self, y: &[f64; BLOCK], x: &[f64; BLOCK], out: &mut [[f32; C]]) {
        for ((&y, &x), out) in y.iter().zip(x).zip(out) {
            let i = (clamp(y, self.height) + 0.5) as i32 as usize;
            let j = (clamp(x, self.width) + 0.5) as i32 as usize;
            let pixel = &self.pixels[(i * self.width + j) * C..][..C];
            *out = std::array::from_fn(|channel| pixel[channel].into());
        }
    }

    #[inline]
    fn bilinear<const C: usize>(&self, y: &[f64; BLOCK], x: &[f64; BLOCK], out: &mut [[f32; C]]) {
        let (i, v) = neighbours(y, self.height);
        let (j, u) = neighbours(x, self.width);
        let at: [i32; BLOCK] =
            std::array::from_fn(|k| (i[k] * self.width as i32 + j[k]) * C as i32);
        for (k, out) in out.iter_mut().enumerate() {
            let (v, u) = (v[k], u[k]);
            let upper = &self.pixels[at[k] as usize..];
            let [a, b] = pair::<T, C>(upper);
            let [c, d] = pair::<T, C>(&upper[self.width * C..]);
            *out = std::array::from_fn(|k| {
                let above = a[k] * (1.0 - v) * (1.0 - u) + b[k] * (1.0 - v) * u;
                (above + c[k] * v * (1.0 - u) + d[k] * v * u) as f32
            });
        }
    }
}

/// The first two pixels of a line.
#[inline(always)]
fn pair<T: Pixel, const C: usize>(line: &[T]) -> [[f64; C]; 2] {
    let (pixels, _) = line[..2 * C].as_chunks::<C>();
    [pixels[0].map(Into::into), pixels[1].map(Into::into)]
}

/// `x` within \[0, n−1\]; 0 if it is not a number.
#[inline(always)]
fn clamp(x: f64, n: usize) -> f64 {
    x.max(0.0).min(n as f64 - 1.0)
}

/// The pixel before each place, never the last one, and the weight of the pixel after it.
#[inline(always)]
fn neighbours(x: &[f64; BLOCK], n: usize) -> ([i32; BLOCK], [f64; BLOCK]) {
    let before: [i32; BLOCK] = std::array::from_fn(|k| clamp(x[k], n - 1) as i32);
    let weight = std::array::from_fn(|k| clamp(x[k], n) - f64::from(before[k]));
    (before, weight)
}
