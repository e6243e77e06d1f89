//! The sizes of windows as kernels are told them.

use super::Geometry;
use gradus_tensor::gpu::Argument;

/// `Windows` of windows.cuh: sizes, strides and padding down and across.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    n: i32,
    h: i32,
    w: i32,
    c: i32,
    r: i32,
    s: i32,
    p: i32,
    q: i32,
    down: i32,
    across: i32,
    top: i32,
    left: i32,
}

// SAFETY: `repr(C)`, with the fields of windows.cuh in their order.
unsafe impl Argument for Windows {}

impl From<&Geometry> for Windows {
    fn from(g: &Geometry) -> Self {
        let [n, h, w, c, r, s] = [g.n, g.h, g.w, g.c, g.r, g.s].map(|extent| extent as i32);
        let [p, q, down, across] = [g.p, g.q, g.strides[0], g.strides[1]].map(|size| size as i32);
        let [top, left] = g.before.map(|padding| padding as i32);
        Self { n, h, w, c, r, s, p, q, down, across, top, left }
    }
}
