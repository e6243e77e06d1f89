//! Turning an image as its EXIF block says. (EXIF 2.3, tag 0x0112)
//!
//! ```text
//! 1 as it is        2 mirrored      3 half a turn     4 upside down
//! 5 transposed      6 clockwise     7 transversed     8 counterclockwise
//! ```
//!
//! Other values are illegal and leave the image as it is.

use image::metadata::Orientation;
use ndarray::{ArrayView3, ArrayViewMut3, Axis};
use std::mem::swap;

/// Turns `pixels` (height, width, channels) by way of `turned` and says what shape they have then.
pub(super) fn apply(
    orientation: Orientation,
    size: [usize; 3],
    pixels: &mut Vec<u8>,
    turned: &mut Vec<u8>,
) -> [usize; 3] {
    use Orientation as O;
    // Axes are exchanged first, then rows and columns reversed.
    let (exchange, rows, columns) = match orientation {
        O::NoTransforms => return size,
        O::FlipHorizontal => (false, false, true),
        O::Rotate180 => (false, true, true),
        O::FlipVertical => (false, true, false),
        O::Rotate90FlipH => (true, false, false),
        O::Rotate90 => (true, false, true),
        O::Rotate270FlipH => (true, true, true),
        O::Rotate270 => (true, true, false),
    };
    let mut view = ArrayView3::from_shape(size, &*pixels).expect("as many bytes as the shape");
    if exchange {
        view.swap_axes(0, 1);
    }
    if rows {
        view.invert_axis(Axis(0));
    }
    if columns {
        view.invert_axis(Axis(1));
    }
    let (height, width, channels) = view.dim();
    turned.resize(pixels.len(), 0);
    ArrayViewMut3::from_shape(view.raw_dim(), turned)
        .expect("as many bytes as the shape")
        .assign(&view);
    swap(pixels, turned);
    [height, width, channels]
}
