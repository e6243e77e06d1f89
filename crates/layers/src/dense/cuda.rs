//! The three products on a GPU, in tiles (`matmul.cuh`), exact in f32, or on tensor cores for larger
//! batches (`matmul_tensorcore.cuh`) where the context's precision says so.
//!
//! A batch of up to `SKINNY` samples takes as long as reading the weights: its tiles are as high
//! as the batch and wide, and the sum over inputs falls into parts until there are blocks enough to
//! keep all of memory busy.

mod tensorcore;
#[cfg(test)]
mod tests;

pub use crate::matmul::cuda::Epilogue;
use crate::matmul::cuda::{add_columns, columns_scratch, in_parts, supported};
use crate::matmul::{Tile, int};
use gradus_tensor::Precision;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut, Grid, In, Out, kernels};

kernels! {
    "dense/dense";
    fn dense_forward(
        samples: i32, inputs: i32, units: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>,
    );
    fn dense_forward_quads(
        samples: i32, inputs: i32, units: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>,
    );
    fn dense_forward_skinny(
        samples: i32, inputs: i32, units: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>,
    );
    fn dense_forward_skinny_quads(
        samples: i32, inputs: i32, units: i32, x: In<f32>, kernel: In<f32>, bias: In<f32>, relu: i32,
        y: Out<f32>,
    );
    fn dense_backward_input(
        samples: i32, inputs: i32, units: i32, dz: In<f32>, kernel: In<f32>, dx: Out<f32>,
    );
    fn dense_backward_input_quads(
        samples: i32, inputs: i32, units: i32, dz: In<f32>, kernel: In<f32>, dx: Out<f32>,
    );
    fn dense_backward_input_skinny(
        samples: i32, inputs: i32, units: i32, dz: In<f32>, kernel: In<f32>, dx: Out<f32>,
    );
    fn dense_backward_input_skinny_quads(
        samples: i32, inputs: i32, units: i32, dz: In<f32>, kernel: In<f32>, dx: Out<f32>,
    );
    fn dense_backward_weight(
        samples: i32, inputs: i32, units: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>,
    );
    fn dense_backward_weight_quads(
        samples: i32, inputs: i32, units: i32, x: In<f32>, dz: In<f32>, dkernel: Out<f32>,
    );
}

/// The most samples of a batch that is bound by reading the weights.
const SKINNY: usize = 16;

/// As in dense.cu.
const WIDE: Tile = Tile::exact(128, 64, 16, 256);
const SQUARE: Tile = Tile::exact(64, 64, 16, 128);
const ODD: Tile = Tile::exact(64, 64, 16, 256);
const SKINNY_ODD: Tile = Tile::exact(16, 64, 16, 64);
const FORWARD: Tile = Tile::exact(16, 256, 8, 64);
const BACKWARD: Tile = Tile::exact(16, 128, 32, 128);
/// As in dense_tensorcore.cu.
const TF32: Tile = Tile::rounded(128, 64, Precision::Tf32);
const BF16: Tile = Tile::rounded(128, 64, Precision::Bf16);

/// The extents: samples, inputs, units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extents {
    /// Samples of the batch.
    pub samples: usize,
    /// Inputs of each.
    pub inputs: usize,
    /// Units: outputs of each.
    pub units: usize,
}

/// Floats of scratch that the functions here take for such a batch or a smaller one.
#[must_use]
pub fn scratch(e: Extents) -> usize {
    let passes = |e: Extents| {
        let of = |precision| {
            let cuts = [e.forward(precision), e.backward_input(precision), e.weight(precision)];
            let [y, dx, dw] = cuts.map(|cut| cut.tile.scratch(cut.rows * cut.columns, cut.depth));
            y.max(dx).max(dw)
        };
        of(Precision::F32).max(of(Precision::Tf32)).max(of(Precision::Bf16))
    };
    // A smaller batch may take other tiles, and the precision may be another at any time.
    let skinny = Extents { samples: e.samples.min(SKINNY), ..e };
    passes(e).max(passes(skinny)).max(columns_scratch(e.samples, e.units))
}

/// y = x W + b.
///
/// # Panics
/// If a view has another length than the extents say, or the scratch is less than [`scratch`] says.
pub fn forward(
    gpu: &Gpu,
    precision: Precision,
    e: Extents,
    [x, kernel]: [GpuView<'_, f32>; 2],
    epilogue: Epilogue<'_>,
    scratch: GpuViewMut<'_, f32>,
    y: GpuViewMut<'_, f32>,
) {
    e.check(x.len(), kernel.len(), y.len());
    assert!(epilogue.bias.is_empty() || epilogue.bias.len() == e.units, "a bias for each unit");
    if y.is_empty() {
        return;
    }
    let cut = e.forward(supported(gpu, precision));
    let launch = match cut.tile {
        FORWARD => dense_forward_skinny_quads,
        SKINNY_ODD => dense_forward_skinny,
        SQUARE => dense_forward_quads,
        TF32 => tensorcore::FORWARD[0],
        BF16 => tensorcore::FORWARD[1],
        _ => dense_forward,
    };
    let [n, i, j] = e.ints();
    in_parts(gpu, cut.parts(), epilogue, scratch, y, |y, Epilogue { bias, relu }| {
        let (grid, relu) = (cut.grid(), i32::from(relu));
        // SAFETY: the kernel stays within the extents, which the views' lengths were checked
        // against, and within the parts.
        unsafe { launch(gpu, grid, n, i, j, x, kernel, bias, relu, y) }
    });
}

/// dx = dz Wᵀ.
///
/// # Panics
/// As [`forward`].
pub fn backward_input(
    gpu: &Gpu,
    precision: Precision,
    e: Extents,
    [dz, kernel]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dx: GpuViewMut<'_, f32>,
) {
    e.check(dx.len(), kernel.len(), dz.len());
    if dx.is_empty() {
        return;
    }
    let cut = e.backward_input(supported(gpu, precision));
    let launch = match cut.tile {
        BACKWARD => dense_backward_input_skinny_quads,
        SKINNY_ODD => dense_backward_input_skinny,
        SQUARE => dense_backward_input_quads,
        TF32 => tensorcore::BACKWARD_INPUT[0],
        BF16 => tensorcore::BACKWARD_INPUT[1],
        _ => dense_backward_input,
    };
    let [n, i, j] = e.ints();
    in_parts(gpu, cut.parts(), Epilogue::none(), scratch, dx, |dx, _| {
        // SAFETY: as in `forward`.
        unsafe { launch(gpu, cut.grid(), n, i, j, dz, kernel, dx) }
    });
}

/// dW = xᵀ dz.
///
/// # Panics
/// As [`forward`].
pub fn backward_weight(
    gpu: &Gpu,
    precision: Precision,
    e: Extents,
    [x, dz]: [GpuView<'_, f32>; 2],
    scratch: GpuViewMut<'_, f32>,
    dkernel: GpuViewMut<'_, f32>,
) {
    e.check(x.len(), dkernel.len(), dz.len());
    if dkernel.is_empty() {
        return;
    }
    let cut = e.weight(supported(gpu, precision));
    let launch = match cut.tile {
        WIDE => dense_backward_weight_quads,
        TF32 => tensorcore::BACKWARD_WEIGHT[0],
        BF16 => tensorcore::BACKWARD_WEIGHT[1],
        _ => dense_backward_weight,
    };
    let [n, i, j] = e.ints();
    in_parts(gpu, cut.parts(), Epilogue::none(), scratch, dkernel, |dkernel, _| {
        // SAFETY: as in `forward`.
        unsafe { launch(gpu, cut.grid(), n, i, j, x, dz, dkernel) }
    });
}

/// db = Σₙ dz.
///
/// # Panics
/// As [`forward`].
pub fn backward_bias(
    gpu: &Gpu,
    e: Extents,
    dz: GpuView<'_, f32>,
    scratch: GpuViewMut<'_, f32>,
    dbias: GpuViewMut<'_, f32>,
) {
    add_columns(gpu, [e.samples, e.units], dz, scratch, dbias);
}

/// One product, and how it is cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    tile: Tile,
    rows: usize,
    columns: usize,
    /// Products in a sum.
    depth: usize,
}

impl Cut {
    fn tiles(&self) -> usize {
        self.tile.count(self.rows, self.columns)
    }

    fn parts(&self) -> usize {
        self.tile.parts(self.tiles(), self.depth)
    }

    fn grid(&self) -> Grid {
        self.tile.grid(self.tiles(), self.parts())
    }
}

impl Extents {
    fn ints(&self) -> [i32; 3] {
        [self.samples, self.inputs, self.units].map(int)
    }

    /// Empty views are those of a device without memory, on which nothing is launched any more.
    fn check(&self, x: usize, kernel: usize, y: usize) {
        let Self { samples, inputs, units } = *self;
        for (name, len, [rows, columns]) in [
            ("x", x, [samples, inputs]),
            ("W", kernel, [inputs, units]),
            ("y", y, [samples, units]),
        ] {
            assert!(len == rows * columns || len == 0, "{name}: {len}, not {rows}·{columns}");
        }
    }

    /// The tile for many samples whose extents are multiples of 4.
    fn many(precision: Precision, exact: Tile) -> Tile {
        match precision {
            Precision::F32 => exact,
            Precision::Tf32 => TF32,
            Precision::Bf16 => BF16,
        }
    }

    fn quads(&self) -> bool {
        self.inputs.is_multiple_of(4) && self.units.is_multiple_of(4)
    }

    fn forward(&self, precision: Precision) -> Cut {
        let tile = match (self.samples <= SKINNY, self.quads()) {
            (true, true) if self.units > SKINNY_ODD.columns => FORWARD,
            (true, _) => SKINNY_ODD,
            (false, true) => Self::many(precision, SQUARE),
            (false, false) => ODD,
        };
        Cut { tile, rows: self.samples, columns: self.units, depth: self.inputs }
    }

    fn backward_input(&self, precision: Precision) -> Cut {
        let tile = match (self.samples <= SKINNY, self.quads()) {
            (true, true) => BACKWARD,
            (true, false) => SKINNY_ODD,
            (false, true) => Self::many(precision, SQUARE),
            (false, false) => ODD,
        };
        Cut { tile, rows: self.samples, columns: self.inputs, depth: self.units }
    }

    fn weight(&self, precision: Precision) -> Cut {
        let tile = match (self.samples <= SKINNY, self.quads()) {
            (_, false) => ODD,
            (true, true) => WIDE,
            (false, true) => Self::many(precision, WIDE),
        };
        Cut { tile, rows: self.inputs, columns: self.units, depth: self.samples }
    }
}
