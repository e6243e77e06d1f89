//! Bytes and what was drawn for them to pictures, on a GPU: one pass, a thread for a pixel.
//!
//! The kernel is the definition to the last bit. Coordinates and the weights between pixels are f64
//! as there: the picture is the CPU's, whichever device made it, so a run may go on elsewhere. That
//! is some fifty operations a pixel, which even a device with one f64 unit for 64 of f32 does in a
//! small part of a training step.

#[cfg(test)]
mod tests;

use gradus_random::{MOST_CHANNELS, PixelMap};
use gradus_tensor::gpu::{Argument, Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "input/input";
    fn input_apply(g: Images, maps: In<PixelMap>, from: In<u8>, into: Out<f32>);
}

/// The extents of all images.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Images {
    n: i32,
    h: i32,
    w: i32,
    c: i32,
}

// SAFETY: `repr(C)`, with the fields that the kernel declares in their order.
unsafe impl Argument for Images {}

/// Rows of blocks, each for an image, that then go on to the next: enough for every processor, even
/// where an image is one block.
const MOST_ROWS: usize = 1024;

/// `into`, images of `[height, width, channels]`, from their bytes and from what is to be done to
/// each.
///
/// # Panics
/// If the lengths differ, or images have more than [`MOST_CHANNELS`] or 2³¹ values.
pub fn apply(
    gpu: &Gpu,
    [h, w, c]: [usize; 3],
    maps: GpuView<'_, PixelMap>,
    from: GpuView<'_, u8>,
    into: GpuViewMut<'_, f32>,
) {
    let (n, values) = (maps.len(), h * w * c);
    if n == 0 || values == 0 {
        return;
    }
    assert_eq!((from.len(), into.len()), (n * values, n * values), "as many values as bytes");
    assert!(c <= MOST_CHANNELS, "{c} channels, and maps for {MOST_CHANNELS}");
    assert!(i32::try_from(values).is_ok(), "an image of {values} values");
    let [blocks, ..] = Grid::strided(h * w).blocks;
    let grid = Grid::of([blocks, n.min(MOST_ROWS) as u32, 1], Grid::THREADS);
    let [n, h, w, c] = [n, h, w, c].map(|extent| extent as i32);
    // SAFETY: the kernel stays within n images of those extents, which are those of `from` and
    // `into`; `maps` has one for each. Wherever a map leads, places are folded onto the image.
    unsafe { input_apply(gpu, grid, Images { n, h, w, c }, maps, from, into) }
}
