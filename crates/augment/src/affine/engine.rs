//! The affine pass over an image of bytes or floats, fast: the definition's numbers to the last bit.
//!
//! ```text
//! Method       the image is copied as f32 first. Then blocks of 16 pixels of a row: where each comes
//!              from, which has neither branch nor memory in it; and what is there, the channels of
//!              a pixel as four lanes whatever their number. A lane too many falls on the next
//!              pixel, which is written after it
//! Flips        are a matter of which row and which column is looked at
//! Cost         reads 4·C values and writes 4·C bytes a pixel; 11·C + 20 flops in f64; nothing is
//!              allocated
//! Conventions  a place on the last row or column is seen from the pixel before it, with weight 1:
//!              so the four neighbours always exist and no border needs a case of its own. Nothing
//!              is fused: a product is rounded before it is added, as in `scipy`
//! ```

use super::{Affine, Interpolation, Pixel, Sampling, definition};
use crate::{FillMode, scratch};
use gradus_tensor::simd::Isa;
use gradus_tensor::vectorize;
use ndarray::{ArrayView3, ArrayViewMut3};

/// Pixels of a row that are located together. Best of {8, 16, 32} with AVX2.
const BLOCK: usize = 16;

/// The channels of a pixel, or what is in their place in a register.
const LANES: usize = 4;

/// `into[r, c] = rescale · from(source of (r, c))`: the image `from` seen through `affine`.
///
/// Contiguous images of up to four channels, two rows and two columns or more take the fast path;
/// the definition serves all others.
///
/// # Panics
/// If `from` and `into` differ in shape.
pub fn apply<T: Pixel>(
    affine: &Affine,
    sampling: Sampling,
    rescale: f32,
    from: ArrayView3<'_, T>,
    into: ArrayViewMut3<'_, f32>,
) {
    apply_with(Isa::detect(), affine, sampling, rescale, from, into);
}

/// [`apply`] with the instructions of that set: the bits are the same with all.
fn apply_with<T: Pixel>(
    isa: Isa,
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
    let fits = fits && (1..=LANES).contains(&channels);
    let slices = from.as_slice().zip(into.as_slice_mut()).filter(|_| fits);
    let Some((pixels, out)) = slices else {
        return definition(affine, sampling, rescale, from, into);
    };
    let size = [height, width, channels];
    if affine.is_identity() {
        return flip(affine, size, rescale, pixels, out);
    }
    scratch::with(pixels.len() + LANES, |floats| {
        let (image, _beyond) = floats.split_at_mut(pixels.len());
        image.iter_mut().zip(pixels).for_each(|(float, &value)| *float = value.into());
        look(isa, &Scene { affine, sampling, rescale, pixels: floats, size }, out);
    });
}

/// Every pixel where it is, but for the flips.
fn flip<T: Pixel>(
    affine: &Affine,
    [height, width, channels]: [usize; 3],
    rescale: f32,
    pixels: &[T],
    out: &mut [f32],
) {
    let length = width * channels;
    for (i, row) in out.chunks_exact_mut(length).enumerate() {
        let r = if affine.flip_vertical { height - 1 - i } else { i };
        let line = &pixels[r * length..][..length];
        let scale = |(out, &value): (&mut f32, &T)| {
            let value: f32 = value.into();
            *out = value * rescale;
        };
        if affine.flip_horizontal {
            let mirrored = row.chunks_exact_mut(channels).zip(line.rchunks_exact(channels));
            mirrored.for_each(|(out, pixel)| out.iter_mut().zip(pixel).for_each(scale));
        } else {
            row.iter_mut().zip(line).for_each(scale);
        }
    }
}

/// An image of at least two rows and two columns, and how it is looked at.
struct Scene<'a> {
    affine: &'a Affine,
    sampling: Sampling,
    rescale: f32,
    /// height · width · channels values, and four more that may be read and do not count.
    pixels: &'a [f32],
    /// Height, width, channels.
    size: [usize; 3],
}

vectorize! {
    /// The whole image; `out` holds height · width · channels values.
    fn look(scene: &Scene<'_>, out: &mut [f32]) = image;
}

/// No lane depends on how many there are: the compiler makes of blocks what the machine has.
#[inline(always)]
fn image<const L: usize, const FMA: bool>(scene: &Scene<'_>, out: &mut [f32]) {
    let [height, width, channels] = scene.size;
    let Affine { matrix, flip_vertical, flip_horizontal } = *scene.affine;
    let mut spare = [0.0; BLOCK * LANES];
    for i in 0..height {
        let r = if flip_vertical { height - 1 - i } else { i };
        // The definition's sum in the definition's order: what a row has in common comes first.
        let [y, x] = matrix.map(|[along_r, _, offset]| offset + r as f64 * along_r);
        for first in (0..width).step_by(BLOCK) {
            let column = if flip_horizontal { width - 1 - first } else { first } as f64;
            let step = if flip_horizontal { -1.0 } else { 1.0 };
            let y = along(y, matrix[0][1], column, step);
            let x = along(x, matrix[1][1], column, step);
            let (out, count) =
                (&mut out[(i * width + first) * channels..], BLOCK.min(width - first));
            // Behind the image's last pixels there is no room for a lane too many.
            let near_the_end = out.len() < spare.len();
            let into = if near_the_end { &mut spare[..] } else { &mut *out };
            block(scene, y, x, into, count);
            if near_the_end {
                out[..count * channels].copy_from_slice(&spare[..count * channels]);
            }
        }
    }
}

/// The coordinates of a block's pixels on one axis.
#[inline(always)]
fn along(start: f64, along_c: f64, column: f64, step: f64) -> [f64; BLOCK] {
    let mut places = [0.0; BLOCK];
    for (k, place) in places.iter_mut().enumerate() {
        *place = start + (column + k as i32 as f64 * step) * along_c;
    }
    places
}

/// The first `count` pixels whose places are (y, x).
#[inline(always)]
fn block(
    scene: &Scene<'_>,
    mut y: [f64; BLOCK],
    mut x: [f64; BLOCK],
    out: &mut [f32],
    count: usize,
) {
    let [height, width, channels] = scene.size;
    let fill_mode = scene.sampling.fill_mode;
    if matches!(fill_mode, FillMode::Reflect | FillMode::Wrap) {
        y.iter_mut().for_each(|y| *y = fill_mode.fold(*y, height).unwrap_or(*y));
        x.iter_mut().for_each(|x| *x = fill_mode.fold(*x, width).unwrap_or(*x));
    }
    match scene.sampling.interpolation {
        Interpolation::Nearest => nearest(scene, &y, &x, out, count),
        Interpolation::Bilinear => bilinear(scene, &y, &x, out, count),
    }
    if fill_mode == FillMode::Constant {
        let pixels = out.chunks_exact_mut(channels).take(count).enumerate();
        for (k, pixel) in pixels {
            let inside = y[k] == clamp(y[k], height) && x[k] == clamp(x[k], width);
            if !inside {
                pixel.fill(scene.sampling.cval * scene.rescale);
            }
        }
    }
}

#[inline(always)]
fn nearest(scene: &Scene<'_>, y: &[f64; BLOCK], x: &[f64; BLOCK], out: &mut [f32], count: usize) {
    let [height, width, channels] = scene.size;
    for k in 0..count {
        let i = (clamp(y[k], height) + 0.5) as i32 as usize;
        let j = (clamp(x[k], width) + 0.5) as i32 as usize;
        let mut pixel = lanes(&scene.pixels[(i * width + j) * channels..]);
        pixel.iter_mut().for_each(|value| *value *= scene.rescale);
        put(pixel, &mut out[k * channels..]);
    }
}

#[inline(always)]
fn bilinear(scene: &Scene<'_>, y: &[f64; BLOCK], x: &[f64; BLOCK], out: &mut [f32], count: usize) {
    let [height, width, channels] = scene.size;
    let (i, v) = neighbours(y, height);
    let (j, u) = neighbours(x, width);
    let mut at = [0; BLOCK];
    for (k, at) in at.iter_mut().enumerate() {
        *at = (i[k] * width as i32 + j[k]) * channels as i32;
    }
    for k in 0..count {
        let upper = &scene.pixels[at[k] as usize..];
        let lower = &upper[width * channels..];
        let [a, b] = [lanes(upper), lanes(&upper[channels..])];
        let [c, d] = [lanes(lower), lanes(&lower[channels..])];
        let mut pixel = [0.0; LANES];
        for l in 0..LANES {
            let [a, b, c, d] = [a[l], b[l], c[l], d[l]].map(f64::from);
            let above = a * v[0][k] * u[0][k] + b * v[0][k] * u[1][k];
            let all = above + c * v[1][k] * u[0][k] + d * v[1][k] * u[1][k];
            pixel[l] = all as f32 * scene.rescale;
        }
        put(pixel, &mut out[k * channels..]);
    }
}

/// The pixel at the front of a line, and what follows up to four values.
#[inline(always)]
fn lanes(line: &[f32]) -> [f32; LANES] {
    *line.first_chunk().expect("four values lie behind the image")
}

/// Writes a pixel, and the lanes behind its channels.
#[inline(always)]
fn put(pixel: [f32; LANES], out: &mut [f32]) {
    *out.first_chunk_mut().expect("room for four values") = pixel;
}

/// `x` within \[0, n−1\]; 0 if it is not a number.
#[inline(always)]
fn clamp(x: f64, n: usize) -> f64 {
    x.max(0.0).min(n as f64 - 1.0)
}

/// The pixel before each place, never the last one, and the weights of that pixel and the next. A
/// place on a pixel may be seen from the one before it, with weight 1: the sum is the same.
#[inline(always)]
fn neighbours(x: &[f64; BLOCK], n: usize) -> ([i32; BLOCK], [[f64; BLOCK]; 2]) {
    let last_but_one = n as f64 - 2.0;
    let mut before = [0; BLOCK];
    let mut weights = [[0.0; BLOCK]; 2];
    for k in 0..BLOCK {
        let x = clamp(x[k], n);
        // The whole number nearest to x - 1/2: there a float has no fraction left, and its last
        // bits are the number. Converting a float costs several times as much.
        let whole = (((x - 0.5) + WHOLE) - WHOLE).min(last_but_one);
        before[k] = (whole + WHOLE).to_bits() as i32;
        weights[1][k] = x - whole;
        weights[0][k] = 1.0 - weights[1][k];
    }
    (before, weights)
}

/// 1.5·2⁵², in the middle of the floats whose distance from each other is 1.
const WHOLE: f64 = 6_755_399_441_055_744.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compatibility, Params};
    use ndarray::Array3;

    #[test]
    fn every_instruction_set_gives_the_definitions_bits() {
        let mut params = Params::default();
        (params.theta, params.zx, params.ty, params.flip_horizontal) = (21.0, 0.8, 3.25, true);
        let affine = Affine::new(&params, [37, 41], Compatibility::Documented);
        for channels in [1, 2, 3, 4] {
            let x = Array3::from_shape_fn((37, 41, channels), |(r, c, k)| {
                (r * 83 + c * 31 + k * 7) as u8
            });
            let mut plain = Array3::zeros(x.dim());
            let sampling = Sampling::default();
            definition(&affine, sampling, 0.37, x.view(), plain.view_mut());
            for isa in Isa::available() {
                let mut fast = Array3::from_elem(x.dim(), f32::NAN);
                apply_with(isa, &affine, sampling, 0.37, x.view(), fast.view_mut());
                assert_eq!(fast, plain, "{isa:?}, {channels} channels");
            }
        }
    }
}
