//! Rotation, shift, shear, zoom and flips as one matrix, and one pass over the pixels.
//!
//! ```text
//! Formula      (x, y)ᵢₙ = M · (x, y)ₒᵤₜ,  M = O·R·T·S·Z·O⁻¹ in homogeneous coordinates
//!              R = [c −s; s c] (θ)   T = shift by (tx, ty)   S = [1 −sin φ; 0 cos φ] (shear φ)
//!              Z = diag(zx, zy)      O = shift by the centre ((w−1)/2, (h−1)/2)
//!              out[r, c] = rescale · in(M·(r, c)), bilinear between the four nearest pixels
//! Shapes       in: h·w·C, u8 or f32   out: h·w·C, f32; pixel centres lie at whole coordinates
//! Flips        out[r, c] ← out[r, w−1−c] after the affine, an exact reversal of the index
//! Conventions  `keras.preprocessing.image.apply_affine_transform`; coordinates in f64, border by
//!              [`FillMode`]. A neutral part is left out of the product. Order of operations and
//!              roundings are those of `numpy` and `scipy`: definition and engine give Keras's
//!              pixels to the last bit (with the same sin and cos)
//! Reference    Keras 3, `keras/src/legacy/preprocessing/image.py`; `scipy.ndimage.affine_transform`
//! ```

mod engine;

use crate::{FillMode, Params};
use gradus_random::PixelMap;
use ndarray::{ArrayView3, ArrayViewMut3};

pub use engine::apply;

/// Whose meaning `width_shift_range`, `height_shift_range` and the centre of an image have.
/// On square images with equal shift ranges there is nothing to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compatibility {
    /// As Keras documents it: `width_shift_range` moves along the width, and the image turns,
    /// shears and zooms about its centre.
    #[default]
    Documented,
    /// As Keras does it: the shift along the *columns* is drawn from `height_shift_range` and
    /// multiplied by the *height* (and the other way round), and the centre's coordinates are
    /// exchanged, ((h−1)/2, (w−1)/2), which is off the middle of an image that is not square.
    Keras,
}

/// How a value between pixels is found: Keras's `interpolation_order`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// Order 0: the nearest pixel, ties to the right and downwards.
    Nearest,
    /// Order 1: bilinear between the four nearest pixels. Keras's default.
    #[default]
    Bilinear,
}

/// The value of a pixel in one channel: a byte, or a float where something has come before.
pub trait Pixel: Copy + Into<f32> + Into<f64> {}

impl<T: Copy + Into<f32> + Into<f64>> Pixel for T {}

/// How pixels are read: between them, and beyond the border.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Between pixels.
    pub interpolation: Interpolation,
    /// Beyond the border.
    pub fill_mode: FillMode,
    /// The value beyond the border with [`FillMode::Constant`], on the scale of the input.
    pub cval: f32,
}

/// From an output pixel to the place in the input it shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Rows y and x, columns r, c and 1: the two upper rows of M in (row, column) order.
    matrix: [[f64; 3]; 2],
    flip_vertical: bool,
    flip_horizontal: bool,
}

type Matrix = [[f64; 3]; 3];

const IDENTITY: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

impl Affine {
    /// The matrix of `params` for an image of `[height, width]` pixels.
    #[must_use]
    pub fn new(params: &Params, [height, width]: [usize; 2], compatibility: Compatibility) -> Self {
        let Params { theta, tx, ty, shear, zx, zy, flip_horizontal, flip_vertical, .. } = *params;
        let mut m = IDENTITY;
        if theta != 0.0 {
            let (s, c) = theta.to_radians().sin_cos();
            m = product(m, [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]);
        }
        if tx != 0.0 || ty != 0.0 {
            m = product(m, shift(tx, ty));
        }
        if shear != 0.0 {
            let (s, c) = shear.to_radians().sin_cos();
            m = product(m, [[1.0, -s, 0.0], [0.0, c, 0.0], [0.0, 0.0, 1.0]]);
        }
        if zx != 1.0 || zy != 1.0 {
            m = product(m, [[zx, 0.0, 0.0], [0.0, zy, 0.0], [0.0, 0.0, 1.0]]);
        }
        if m != IDENTITY {
            let (along_width, along_height) = match compatibility {
                Compatibility::Documented => (width, height),
                Compatibility::Keras => (height, width),
            };
            let [x, y] = [along_width, along_height].map(|n| n as f64 / 2.0 - 0.5);
            m = product(product(shift(x, y), m), shift(-x, -y));
        }
        let [[xx, xy, x1], [yx, yy, y1], _] = m;
        Self { matrix: [[yy, yx, y1], [xy, xx, x1]], flip_vertical, flip_horizontal }
    }

    /// Whether every pixel stays where it is, but for the flips.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.matrix == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    }

    /// As a device is told it, with everything else left out.
    pub(crate) fn map(&self, sampling: Sampling) -> PixelMap {
        let [row, column] = self.matrix;
        PixelMap {
            row,
            column,
            cval: sampling.cval,
            fill_mode: sampling.fill_mode.code(),
            interpolation_order: match sampling.interpolation {
                Interpolation::Nearest => 0,
                Interpolation::Bilinear => 1,
            },
            flip_vertical: self.flip_vertical.into(),
            flip_horizontal: self.flip_horizontal.into(),
            ..PixelMap::default()
        }
    }

    /// What a device is told.
    pub(crate) fn of(map: &PixelMap) -> (Self, Sampling) {
        let affine = Self {
            matrix: [map.row, map.column],
            flip_vertical: map.flip_vertical != 0,
            flip_horizontal: map.flip_horizontal != 0,
        };
        let interpolation = match map.interpolation_order {
            0 => Interpolation::Nearest,
            _ => Interpolation::Bilinear,
        };
        let fill_mode = FillMode::of_code(map.fill_mode);
        (affine, Sampling { interpolation, fill_mode, cval: map.cval })
    }

    /// The place (y, x) that is shown at row `r` and column `c`, before the flips. The offset comes
    /// first, as in `scipy`: after half a turn the order decides on which side of a pixel it falls.
    #[inline(always)]
    fn source(&self, r: usize, c: usize) -> [f64; 2] {
        let (r, c) = (r as f64, c as f64);
        self.matrix.map(|[along_r, along_c, offset]| offset + r * along_r + c * along_c)
    }
}

fn shift(x: f64, y: f64) -> Matrix {
    [[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]
}

/// A·B, each sum rounded as `numpy.dot` rounds it: one fused multiply-add after the other. With it
/// the matrix is Keras's to the last bit.
fn product(a: Matrix, b: Matrix) -> Matrix {
    let dot =
        |[a0, a1, a2]: [f64; 3], j: usize| a2.mul_add(b[2][j], a1.mul_add(b[1][j], a0 * b[0][j]));
    a.map(|row| std::array::from_fn(|j| dot(row, j)))
}

/// What [`apply`] computes, written plainly, for pixels of any type.
///
/// # Panics
/// If `from` and `into` differ in shape.
pub fn definition<T: Pixel>(
    affine: &Affine,
    sampling: Sampling,
    rescale: f32,
    from: ArrayView3<'_, T>,
    mut into: ArrayViewMut3<'_, f32>,
) {
    assert_eq!(from.dim(), into.dim(), "an image and its transform have the same shape");
    let (height, width, _) = from.dim();
    for ((r, c, channel), out) in into.indexed_iter_mut() {
        let r = if affine.flip_vertical { height - 1 - r } else { r };
        let c = if affine.flip_horizontal { width - 1 - c } else { c };
        let [y, x] = affine.source(r, c);
        let y = sampling.fill_mode.fold(y, height);
        let x = sampling.fill_mode.fold(x, width);
        let value = match y.zip(x) {
            Some((y, x)) => {
                let pixel = |i: usize, j: usize| from[[i, j, channel]].into();
                interpolate(sampling.interpolation, [height, width], [y, x], pixel)
            }
            None => f64::from(sampling.cval),
        };
        *out = value as f32 * rescale;
    }
}

/// The value at (y, x), 0 ≤ y ≤ h−1 and 0 ≤ x ≤ w−1.
fn interpolate(
    interpolation: Interpolation,
    [height, width]: [usize; 2],
    [y, x]: [f64; 2],
    pixel: impl Fn(usize, usize) -> f64,
) -> f64 {
    match interpolation {
        Interpolation::Nearest => pixel((y + 0.5) as usize, (x + 0.5) as usize),
        Interpolation::Bilinear => {
            let (i, j) = (y as usize, x as usize);
            // On the last row or column the neighbour's weight is 0: any pixel will do.
            let (below, right) = ((i + 1).min(height - 1), (j + 1).min(width - 1));
            let (v, u) = (y - i as f64, x - j as f64);
            pixel(i, j) * (1.0 - v) * (1.0 - u)
                + pixel(i, right) * (1.0 - v) * u
                + pixel(below, j) * v * (1.0 - u)
                + pixel(below, right) * v * u
        }
    }
}
