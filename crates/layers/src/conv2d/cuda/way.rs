//! Which kernels make y; and the moments of y, which some of them take of what they have just made.

#[cfg(test)]
pub(super) mod tests;

use super::pass::Pass;
use super::{
    Arithmetic, Epilogue, bf16, check, depthwise, direct, hopper, supported, tiles, winograd,
};
use crate::batch_normalization::cuda::{MOMENTS, Pieces};
use crate::conv2d::Geometry;
use crate::conv2d::cpu::winograd::Winograd;
use crate::stored::StoredMut;
use gradus_tensor::Precision;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut};

/// A way to make y.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// Groups of few channels.
    Depthwise,
    /// Images of few channels.
    Direct,
    /// Three by three taps in f32, where it pays.
    Winograd,
    /// bf16 on Hopper.
    Hopper,
    /// A product of matrices.
    Tiles(Pass),
}

impl Way {
    /// That of a device.
    pub(super) fn of(gpu: &Gpu, arithmetic: Arithmetic, g: &Geometry) -> Self {
        let precision = supported(gpu, arithmetic.precision);
        if depthwise::fits(g) {
            Self::Depthwise
        } else if precision == Precision::F32 && direct::fits(g) {
            Self::Direct
        } else if arithmetic.takes_winograd(gpu, g, Winograd::forward) {
            Self::Winograd
        } else if hopper::chosen(gpu, precision, g, &hopper::Problem::forward(g)) {
            Self::Hopper
        } else {
            Self::Tiles(Pass::forward(g, precision))
        }
    }

    /// The pieces of y whose moments it takes, if it does.
    fn pieces(&self, g: &Geometry) -> Option<usize> {
        match self {
            Self::Depthwise | Self::Winograd | Self::Hopper => None,
            Self::Direct => Some(direct::tiles(g)),
            Self::Tiles(pass) => pass.pieces(),
        }
    }

    /// y from x and kernel; and the moments of y, unless they are none.
    ///
    /// # Panics
    /// As [`super::forward`].
    pub(super) fn forward(
        &self,
        gpu: &Gpu,
        g: &Geometry,
        [x, kernel]: [GpuView<'_, f32>; 2],
        epilogue: Epilogue<'_>,
        scratch: GpuViewMut<'_, f32>,
        (y, moments): (StoredMut<'_>, GpuViewMut<'_, f32>),
    ) {
        check(g, x.len(), kernel.len(), y.len());
        assert!(epilogue.bias.is_empty() || epilogue.bias.len() == g.k, "a bias for each filter");
        if y.len() == 0 {
            return;
        }
        match self {
            Self::Depthwise => depthwise::forward(gpu, g, [x, kernel], epilogue, y.f32()),
            Self::Direct => direct::forward(gpu, g, [x, kernel], epilogue, [y.f32(), moments]),
            Self::Winograd => {
                winograd::forward(gpu, g, [x, kernel], epilogue, scratch, y.f32());
            }
            Self::Hopper => hopper::forward_to(gpu, g, [x, kernel], epilogue, scratch, y),
            Self::Tiles(pass) => match y {
                StoredMut::F32(y) => {
                    tiles(gpu, pass, g, [x, kernel], epilogue, scratch, [y, moments]);
                }
                StoredMut::Bf16(y) => {
                    bf16::forward(gpu, pass, g, [x, kernel], epilogue, y, moments);
                }
            },
        }
    }
}

/// Floats of scratch that [`forward_with_moments`] takes besides what [`super::scratch`] says, for
/// such a batch or a smaller one, in any precision.
#[must_use]
pub(crate) fn moments_scratch(g: &Geometry) -> usize {
    let precisions = [Precision::F32, Precision::Tf32, Precision::Bf16];
    let tiles = precisions.map(|precision| Way::Tiles(Pass::forward(g, precision)));
    let direct = direct::fits(g).then_some(Way::Direct);
    let ways = tiles.into_iter().chain(direct).filter(|_| !depthwise::fits(g));
    ways.filter_map(|way| way.pieces(g)).max().unwrap_or(0) * MOMENTS * g.k
}

/// As [`super::forward`], and gives the moments of y where the kernels take them for nothing: not
/// where sums fall into parts, nor depthwise, nor with Winograd's algorithm or Hopper's own.
///
/// # Panics
/// As [`super::forward`], and if there is less scratch than that and [`moments_scratch`] say.
pub(crate) fn forward_with_moments<'a>(
    gpu: &Gpu,
    arithmetic: Arithmetic,
    g: &Geometry,
    of: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'a, f32>,
    y: StoredMut<'_>,
) -> Option<Pieces<'a>> {
    let way = Way::of(gpu, arithmetic, g);
    // A device without memory has no scratch, and launches nothing.
    let Some(count) = way.pieces(g).filter(|_| !scratch.is_empty()) else {
        way.forward(gpu, g, of, epilogue, scratch, (y, GpuViewMut::none()));
        return None;
    };
    let (mut moments, scratch) = scratch.split_at(count * MOMENTS * g.k);
    way.forward(gpu, g, of, epilogue, scratch, (y, moments.reborrow()));
    Some(Pieces { count, moments })
}
