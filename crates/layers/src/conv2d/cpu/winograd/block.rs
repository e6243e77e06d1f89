//! Tiles of images, and their way to the 36 points and back.
//!
//! Vectors run along the channels, so a transform takes the same steps for every pixel of a tile
//! and reads and writes whole cache lines. The numbers of point i lie in matrix i, a row for each
//! tile: what the products want.

use super::super::super::Geometry;
use super::transform::{
    Grid, INPUTS, Input, Line, OUTPUTS, Output, OutputGradient, PRODUCTS, Transform,
};
use super::{GROUP, LINE, WIDE, pitch};
use std::mem::MaybeUninit;
use std::ops::Range;

/// The tiles of one sweep: 4·4 outputs, and the 6·6 inputs that they see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    pub(super) images: usize,
    /// Rows and columns of an input image.
    pub(super) image: [usize; 2],
    /// Channels of an input image.
    pub(super) channels: usize,
    /// Rows and columns of zeros before it.
    pub(super) before: [usize; 2],
    /// Rows and columns of an output image.
    pub(super) output: [usize; 2],
}

impl Tiles {
    /// z from x.
    pub(super) fn forward(g: &Geometry) -> Self {
        Self { images: g.n, image: [g.h, g.w], channels: g.c, before: g.before, output: [g.p, g.q] }
    }

    /// Tiles of an image, down and across.
    pub(super) fn grid(&self) -> [usize; 2] {
        self.output.map(|extent| extent.div_ceil(OUTPUTS))
    }

    /// Tiles of all images.
    pub(super) fn count(&self) -> usize {
        self.images * self.grid()[0] * self.grid()[1]
    }

    /// Image, row and column of the first output of a tile.
    fn place(&self, tile: usize) -> [usize; 3] {
        let [down, across] = self.grid();
        let row = tile / across;
        [row / down, row % down * OUTPUTS, tile % across * OUTPUTS]
    }

    /// The inputs of a tile, and the pixels from one row of them to the next: as they lie in the
    /// image, or, where zeros around it are among them, put together in `patch`, which has room
    /// for 6·6 pixels.
    #[inline(always)]
    fn inputs<'a>(
        &self,
        tile: usize,
        source: &'a [f32],
        patch: &'a mut [f32],
    ) -> (&'a [f32], usize) {
        let ([h, w], c, [image, row, column]) = (self.image, self.channels, self.place(tile));
        let image = &source[image * h * w * c..][..h * w * c];
        // Above and to the left of the image these wrap around, and are beyond it again.
        let [top, left] = [row.wrapping_sub(self.before[0]), column.wrapping_sub(self.before[1])];
        let inside = |first: usize, extent: usize| first < extent && extent - first >= INPUTS;
        if inside(top, h) && inside(left, w) {
            return (&image[(top * w + left) * c..], w);
        }
        let patch = &mut patch[..PRODUCTS * c];
        for (pixel, to) in patch.chunks_exact_mut(c).enumerate() {
            let row = top.wrapping_add(pixel / INPUTS);
            let column = left.wrapping_add(pixel % INPUTS);
            match row < h && column < w {
                true => to.copy_from_slice(&image[(row * w + column) * c..][..c]),
                false => to.fill(0.0),
            }
        }
        (patch, INPUTS)
    }

    /// How many rows and columns of outputs a tile there has within the image.
    fn within(&self, [_, row, column]: [usize; 3]) -> [usize; 2] {
        [self.output[0] - row, self.output[1] - column].map(|rest| rest.min(OUTPUTS))
    }
}

/// Where outputs go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    /// Filters: floats from one pixel to the next.
    pub(super) filters: usize,
    /// The first of the filters that are meant, and how many they are.
    pub(super) at: [usize; 2],
    /// One float for each of those.
    pub(super) bias: Option<&'a [f32]>,
    /// Whether negative sums become 0.
    pub(super) relu: bool,
}

gradus_tensor::vectorize! {
    /// Bᵀ d B of some tiles, d from `source`; `patch` is as [`Tiles::inputs`] wants it.
    pub(super) fn transform_input(
        of: &Tiles,
        tiles: Range<usize>,
        source: &[f32],
        patch: &mut [f32],
        into: &mut [f32],
    ) = transform_input_body;

    /// Aᵀ m A of some tiles, into `out`, which begins with the row of their first outputs.
    pub(super) fn transform_output(
        of: &Tiles,
        tiles: Range<usize>,
        products: &[f32],
        to: &Target<'_>,
        out: &mut [f32],
    ) = transform_output_body;

    /// A dz Aᵀ of some tiles and of the filters `at` (the first, and how many).
    pub(super) fn transform_gradient(
        of: &Tiles,
        tiles: Range<usize>,
        dz: &[f32],
        filters: usize,
        at: [usize; 2],
        into: &mut [f32],
    ) = transform_gradient_body;
}

#[inline(always)]
fn transform_input_body<const L: usize, const FMA: bool>(
    of: &Tiles,
    tiles: Range<usize>,
    source: &[f32],
    patch: &mut [f32],
    into: &mut [f32],
) {
    match of.channels.is_multiple_of(WIDE) {
        true => transform_input_by::<WIDE, FMA>(of, tiles, source, patch, into),
        false => transform_input_by::<LINE, FMA>(of, tiles, source, patch, into),
    }
}

#[inline(always)]
fn transform_input_by<const W: usize, const FMA: bool>(
    of: &Tiles,
    tiles: Range<usize>,
    source: &[f32],
    patch: &mut [f32],
    into: &mut [f32],
) {
    let (c, pitch) = (of.channels, pitch(tiles.len(), of.channels));
    assert!(into.len() >= PRODUCTS * pitch && c.is_multiple_of(W), "36 matrices of whole vectors");
    for (t, tile) in tiles.enumerate() {
        let (inputs, line) = of.inputs(tile, source, patch);
        assert!(inputs.len() >= ((INPUTS - 1) * line + INPUTS) * c, "six rows of six pixels");
        for at in (0..c).step_by(W) {
            // SAFETY: the asserts above. Rows and columns are below 6, at + W ≤ c, and t is below
            // the number of tiles, so that t·c + at + W ≤ pitch.
            unsafe {
                let from = Grid { at: inputs.as_ptr().add(at), down: line * c, across: c };
                let into = into.as_mut_ptr().add(t * c + at);
                let to = Grid { at: into, down: INPUTS * pitch, across: pitch };
                Input::both::<W, FMA>(from, to);
            }
        }
    }
}

#[inline(always)]
fn transform_output_body<const L: usize, const FMA: bool>(
    of: &Tiles,
    tiles: Range<usize>,
    products: &[f32],
    to: &Target<'_>,
    out: &mut [f32],
) {
    match to.at[1].is_multiple_of(WIDE) {
        true => transform_output_by::<WIDE, FMA>(of, tiles, products, to, out),
        false => transform_output_by::<LINE, FMA>(of, tiles, products, to, out),
    }
}

#[inline(always)]
fn transform_output_by<const W: usize, const FMA: bool>(
    of: &Tiles,
    tiles: Range<usize>,
    products: &[f32],
    to: &Target<'_>,
    out: &mut [f32],
) {
    let ([p, q], [first, width], pitch) = (of.output, to.at, pitch(tiles.len(), GROUP));
    assert!(products.len() >= PRODUCTS * pitch && width <= GROUP, "36 matrices");
    assert!(width.is_multiple_of(W), "whole vectors");
    let [image0, row0, _] = of.place(tiles.start);
    for (t, tile) in tiles.enumerate() {
        let place @ [image, row, column] = of.place(tile);
        let [rows, columns] = of.within(place);
        let pixel = ((image - image0) * p + row - row0) * q + column;
        for at in (0..width).step_by(W) {
            let mut sums = MaybeUninit::<Line<[[f32; W]; OUTPUTS * OUTPUTS]>>::uninit();
            // SAFETY: t is below the number of tiles and at + W ≤ width ≤ GROUP, so that the
            // vectors lie within the 36 matrices; and there are 4·4 sums.
            unsafe {
                let at = products.as_ptr().add(t * width + at);
                let from = Grid { at, down: INPUTS * pitch, across: pitch };
                let at = sums.as_mut_ptr().cast();
                Output::both::<W, FMA>(from, Grid { at, down: OUTPUTS * W, across: W });
            }
            // SAFETY: `both` has written all of them.
            let Line(sums) = unsafe { sums.assume_init_ref() };
            let bias = to.bias.map_or([0.0; W], |bias| *bias[at..].first_chunk().expect("W"));
            for i in 0..rows {
                for j in 0..columns {
                    let place = (pixel + i * q + j) * to.filters + first + at;
                    let sums = &sums[i * OUTPUTS + j];
                    let out: &mut [f32; W] = out[place..].first_chunk_mut().expect("W");
                    for lane in 0..W {
                        let z = sums[lane] + bias[lane];
                        // Not `max`, which would hide a NaN.
                        out[lane] = if to.relu && z <= 0.0 { 0.0 } else { z };
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn transform_gradient_body<const L: usize, const FMA: bool>(
    of: &Tiles,
    tiles: Range<usize>,
    dz: &[f32],
    filters: usize,
    at: [usize; 2],
    into: &mut [f32],
) {
    match at[1].is_multiple_of(WIDE) {
        true => transform_gradient_by::<WIDE, FMA>(of, tiles, dz, filters, at, into),
        false => transform_gradient_by::<LINE, FMA>(of, tiles, dz, filters, at, into),
    }
}

#[inline(always)]
fn transform_gradient_by<const W: usize, const FMA: bool>(
    of: &Tiles,
    tiles: Range<usize>,
    dz: &[f32],
    filters: usize,
    [first, width]: [usize; 2],
    into: &mut [f32],
) {
    let ([p, q], pitch) = (of.output, pitch(tiles.len(), GROUP));
    assert!(into.len() >= PRODUCTS * pitch && width <= GROUP, "36 matrices");
    assert!(width.is_multiple_of(W), "whole vectors");
    for (t, tile) in tiles.enumerate() {
        let place @ [image, row, column] = of.place(tile);
        let [rows, columns] = of.within(place);
        let pixel = (image * p + row) * q + column;
        let mut patch;
        let (dz, pixel, line) = if rows == OUTPUTS && columns == OUTPUTS {
            (&dz[pixel * filters + first..], filters, q * filters)
        } else {
            patch = Line([[0.0; GROUP]; OUTPUTS * OUTPUTS]);
            for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                let from = &dz[(pixel + i * q + j) * filters + first..][..width];
                patch.0[i * OUTPUTS + j][..width].copy_from_slice(from);
            }
            (patch.0.as_flattened(), GROUP, OUTPUTS * GROUP)
        };
        let last = (OUTPUTS - 1) * (line + pixel);
        assert!(dz.len() >= last + width, "dz ends before the last pixel");
        for at in (0..width).step_by(W) {
            // SAFETY: the asserts above. Rows and columns are below 4 and 6, t is below the number
            // of tiles, and at + W ≤ width ≤ GROUP.
            unsafe {
                let from = Grid { at: dz.as_ptr().add(at), down: line, across: pixel };
                let into = into.as_mut_ptr().add(t * GROUP + at);
                let to = Grid { at: into, down: INPUTS * pitch, across: pitch };
                OutputGradient::both::<W, FMA>(from, to);
            }
        }
    }
}
