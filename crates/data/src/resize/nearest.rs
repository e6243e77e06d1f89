//! The nearest pixel on each axis.

use super::CropBox;
use ndarray::{ArrayView3, ArrayViewMut3, Axis};

pub(super) fn resize(from: ArrayView3<'_, u8>, part: CropBox, mut into: ArrayViewMut3<'_, u8>) {
    let (h, w, channels) = from.dim();
    let (out_h, out_w, _) = into.dim();
    for (mut row, y) in into.outer_iter_mut().zip(sources(h, part.rows, out_h)) {
        let line = from.index_axis(Axis(0), y);
        let columns = sources(w, part.columns, out_w);
        match (line.as_slice(), row.as_slice_mut(), channels) {
            (Some(line), Some(row), 1) => pick::<1>(line, columns, row),
            (Some(line), Some(row), 3) => pick::<3>(line, columns, row),
            (Some(line), Some(row), 4) => pick::<4>(line, columns, row),
            _ => row.outer_iter_mut().zip(columns).for_each(|(mut p, x)| p.assign(&line.row(x))),
        }
    }
}

fn pick<const C: usize>(line: &[u8], columns: impl Iterator<Item = usize>, row: &mut [u8]) {
    let pixels = line.as_chunks::<C>().0;
    row.as_chunks_mut::<C>().0.iter_mut().zip(columns).for_each(|(y, x)| *y = pixels[x]);
}

/// For each of `to` output positions the input position among `from`, of which [start, end) is
/// shown.
pub(super) fn sources(
    from: usize,
    [start, end]: [usize; 2],
    to: usize,
) -> impl Iterator<Item = usize> {
    let scale = (end - start) as f64 / to as f64;
    let mut at = start as f64 + scale * 0.5;
    (0..to).map(move |_| {
        let source = at as usize;
        at += scale;
        // However long the sum, its error is far below the s/2 by which it stays inside.
        source.min(from - 1)
    })
}
