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
use gradus_tensor::simd::prefetch_all;
use std::mem::MaybeUninit;
use std::ops::Range;

/// The tiles of one sweep: 4·4 outputs, and the 6·6 inputs that they see.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv2d) struct Tiles {
    pub(in crate::conv2d) images: usize,
    /// Rows and columns of an input image.
    pub(in crate::conv2d) image: [usize; 2],
    /// Channels of an input image.
    pub(in crate::conv2d) channels: usize,
    /// Rows and columns of zeros before it.
    pub(in crate::conv2d) before: [usize; 2],
    /// Rows and columns of an output image.
    pub(in crate::conv2d) output: [usize; 2],
}

impl Tiles {
    /// z from x.
    pub(super) fn forward(g: &Geometry) -> Self {
        Self { images: g.n, image: [g.h, g.w], channels: g.c, before: g.before, output: [g.p, g.q] }
    }

    /// Tiles of an image, down and across.
    pub(in crate::conv2d) fn grid(&self) -> [usize; 2] {
        self.output.map(|extent| extent.div_ceil(OUTPUTS))
    }

    /// Tiles of all images.
    pub(in crate::conv2d) fn count(&self) -> usize {
        self.images * self.grid()[0] * self.grid()[1]
    }

    /// Image, row and column of the first output of a tile.
    fn place(&self, tile: usize) -> [usize; 3] {
        let [down, across] = self.grid();
        let row = tile / across;
        [row / down, row % down * OUTPUTS, tile % across * OUTPUTS]
    }

    /// The image from the first input of a tile on, if all of them lie within it.
    #[inline(always)]
    fn inputs<'a>(&self, [image, row, column]: [usize; 3], source: &'a [f32]) -> Option<&'a [f32]> {
        let [h, w] = self.image;
        let [top, left] = [row.checked_sub(self.before[0])?, column.checked_sub(self.before[1])?];
        let inside = top + INPUTS <= h && left + INPUTS <= w;
        let first = ((image * h + top) * w + left) * self.channels;
        inside.then(|| &source[first..][..((INPUTS - 1) * w + INPUTS) * self.channels])
    }

    /// The inputs of a tile for `W` channels from `at` on, with the zeros around the image.
    #[inline(always)]
    fn patch<const W: usize>(
        &self,
        [image, row, column]: [usize; 3],
        source: &[f32],
        at: usize,
    ) -> Line<[[f32; W]; PRODUCTS]> {
        let ([h, w], c) = (self.image, self.channels);
        let mut patch = Line([[0.0; W]; PRODUCTS]);
        for (i, line) in patch.0.chunks_exact_mut(INPUTS).enumerate() {
            // Above and to the left of the image these wrap around, and are beyond it again.
            let row = (row + i).wrapping_sub(self.before[0]);
            for (j, pixel) in line.iter_mut().enumerate() {
                let column = (column + j).wrapping_sub(self.before[1]);
                if row < h && column < w {
                    let pixels = &source[((image * h + row) * w + column) * c + at..];
                    *pixel = *pixels.first_chunk().expect("W channels");
                }
            }
        }
        patch
    }

    /// The rows of images in which the inputs of some tiles lie.
    pub(super) fn rows_of_inputs<'a>(&self, tiles: Range<usize>, source: &'a [f32]) -> &'a [f32] {
        let ([h, w], [first, top, _]) = (self.image, self.place(tiles.start));
        let [last, bottom, _] = self.place(tiles.end - 1);
        let from = first * h + top.saturating_sub(self.before[0]);
        let to = last * h + (bottom + INPUTS).saturating_sub(self.before[0]).min(h);
        let line = w * self.channels;
        &source[from * line..to * line]
    }

    /// The rows of images in which the outputs of some tiles lie, of `filters` numbers a pixel.
    pub(super) fn rows_of_outputs<'a>(
        &self,
        tiles: Range<usize>,
        filters: usize,
        out: &'a [f32],
    ) -> &'a [f32] {
        let ([p, q], [first, top, _]) = (self.output, self.place(tiles.start));
        let [last, bottom, _] = self.place(tiles.end - 1);
        let (from, to) = (first * p + top, last * p + (bottom + OUTPUTS).min(p));
        &out[from * q * filters..to * q * filters]
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
    /// Bᵀ d B of some tiles, d from `source`.
    pub(super) fn transform_input(
        of: &Tiles,
        tiles: Range<usize>,
        source: &[f32],
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
    into: &mut [f32],
) {
    match of.channels.is_multiple_of(WIDE) {
        true => transform_input_by::<WIDE, FMA>(of, tiles, source, into),
        false => transform_input_by::<LINE, FMA>(of, tiles, source, into),
    }
}

#[inline(always)]
fn transform_input_by<const W: usize, const FMA: bool>(
    of: &Tiles,
    tiles: Range<usize>,
    source: &[f32],
    into: &mut [f32],
) {
    let (c, pitch) = (of.channels, pitch(tiles.len(), of.channels));
    assert!(into.len() >= PRODUCTS * pitch && c.is_multiple_of(W), "36 matrices of whole vectors");
    let line = of.image[1] * c;
    for (t, tile) in tiles.enumerate() {
        let place = of.place(tile);
        let inside = of.inputs(place, source);
        if let Some(inputs) = inside {
            fetch_right(inputs, line, c);
        }
        for at in (0..c).step_by(W) {
            let patch;
            let from = match inside {
                Some(inputs) => Grid { at: inputs[at..].as_ptr(), down: line, across: c },
                None => {
                    patch = of.patch::<W>(place, source, at);
                    Grid { at: patch.0.as_ptr().cast(), down: INPUTS * W, across: W }
                }
            };
            // SAFETY: six rows of six pixels lie within `inputs`, at + W ≤ c of each, or are the
            // patch. t is below the number of tiles, so that t·c + at + W ≤ pitch, and `into` has 36
            // times as much.
            unsafe {
                let at = into.as_mut_ptr().add(t * c + at);
                Input::both::<W, FMA>(from, Grid { at, down: INPUTS * pitch, across: pitch });
            }
        }
    }
}

/// Has the inputs fetched that the tile to the right has and this one has not. They are far apart,
/// one stretch in each row, and the machine does not guess them.
#[inline(always)]
fn fetch_right(inputs: &[f32], line: usize, c: usize) {
    for row in 0..INPUTS {
        prefetch_all(inputs.as_ptr().wrapping_add(row * line + INPUTS * c), OUTPUTS * c);
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
