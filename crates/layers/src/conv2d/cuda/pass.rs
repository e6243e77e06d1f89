//! The three passes as products of matrices, and how each is cut.

use crate::conv2d::Geometry;
use crate::matmul::Tile;
use gradus_tensor::Precision;
use gradus_tensor::gpu::Grid;

/// As in conv2d.cu.
const WIDE: Tile = Tile::exact(128, 64, 16, 256);
const SQUARE: Tile = Tile::exact(64, 64, 16, 256);
const NARROW: Tile = Tile::exact(128, 32, 16, 256);
const SLIM: Tile = Tile::exact(64, 32, 16, 128);
const SMALL: Tile = Tile::exact(32, 32, 16, 64);

/// One product of matrices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    pub(super) tile: Tile,
    /// To what its operands are rounded.
    pub(super) precision: Precision,
    /// Whether it is the tile for few columns (or rows and columns).
    pub(super) narrow: bool,
    /// Whether channels and filters go by fours.
    pub(super) quads: bool,
    /// Parts that the sums fall into.
    pub(super) parts: usize,
    product: Product,
}

/// Its extents.
#[derive(Clone, Copy, Debug)]
struct Product {
    groups: usize,
    rows: usize,
    columns: usize,
    /// Products in a sum.
    depth: usize,
}

impl Pass {
    pub(super) fn forward(g: &Geometry, precision: Precision) -> Self {
        let (rows, columns) = (g.n * g.p * g.q, g.k / g.groups);
        let narrow = columns <= most_of_narrow(precision);
        Self::new(
            g,
            precision,
            narrow,
            Product { groups: g.groups, rows, columns, depth: g.taps() },
        )
    }

    /// On tensor cores only by quads: the input of an odd number of channels is an image, whose
    /// gradient nobody asks for.
    pub(super) fn backward_input(g: &Geometry, precision: Precision) -> Self {
        Self::input(g, if by_quads(g) { precision } else { Precision::F32 })
    }

    /// The same of a dz that is bf16 in memory, whose filters go by quads, whatever the channels do.
    pub(super) fn backward_input_of_bf16(g: &Geometry) -> Self {
        Self::input(g, Precision::Bf16)
    }

    fn input(g: &Geometry, precision: Precision) -> Self {
        let (rows, columns) = (g.n * g.h * g.w, g.c / g.groups);
        let narrow = columns <= most_of_narrow(precision);
        let depth = g.r * g.s * g.k / g.groups;
        Self::new(g, precision, narrow, Product { groups: g.groups, rows, columns, depth })
    }

    pub(super) fn weight(g: &Geometry, precision: Precision) -> Self {
        let (rows, columns, depth) = (g.taps(), g.k / g.groups, g.n * g.p * g.q);
        let product = Product { groups: g.groups, rows, columns, depth };
        if precision != Precision::F32 {
            return Self::new(g, precision, columns <= most_of_narrow(precision), product);
        }
        let narrow = rows.min(columns) <= SMALL.rows;
        let pass = Self::new(g, precision, narrow, product);
        if narrow { pass.with(SMALL) } else { pass }
    }

    fn new(g: &Geometry, precision: Precision, narrow: bool, product: Product) -> Self {
        let quads = by_quads(g);
        let tile = match (precision, narrow, quads) {
            (Precision::F32, false, false) => SQUARE,
            (Precision::F32, false, true) => WIDE,
            (Precision::F32, true, false) => SLIM,
            (Precision::F32, true, true) => NARROW,
            (_, false, true) => Tile::rounded(128, 128, precision),
            _ => Tile::rounded(128, 64, precision),
        };
        Self { tile, precision, narrow, quads, parts: 1, product }.with(tile)
    }

    fn with(self, tile: Tile) -> Self {
        let Product { groups, rows, columns, depth } = self.product;
        Self { tile, parts: tile.parts(groups * tile.count(rows, columns), depth), ..self }
    }

    /// Which of a pass's kernels for rounded operands it is: one by one, wide by quads, narrow by quads.
    pub(super) fn rounded<K>(&self, [one_by_one, wide, narrow]: [K; 3]) -> K {
        match (self.narrow, self.quads) {
            (_, false) => one_by_one,
            (false, true) => wide,
            (true, true) => narrow,
        }
    }

    /// The numbers that it makes.
    pub(super) fn len(&self) -> usize {
        self.product.groups * self.product.rows * self.product.columns
    }

    /// The tiles, one below the other, whose moments the forward pass can take: none where it leaves
    /// parts of sums.
    pub(super) fn pieces(&self) -> Option<usize> {
        (self.parts == 1).then(|| self.product.rows.div_ceil(self.tile.rows))
    }

    pub(super) fn scratch(&self) -> usize {
        self.tile.scratch(self.len(), self.product.depth)
    }

    /// The blocks.
    pub(super) fn grid(&self) -> Grid {
        self.grid_of(self.product.rows)
    }

    /// The blocks for so many of the rows.
    pub(super) fn grid_of(&self, rows: usize) -> Grid {
        let tiles = self.product.groups * self.tile.count(rows, self.product.columns);
        self.tile.grid(tiles, self.parts)
    }
}

/// The most columns for which there is a tile of its own.
fn most_of_narrow(precision: Precision) -> usize {
    if precision == Precision::F32 { NARROW.columns } else { 64 }
}

fn by_quads(g: &Geometry) -> bool {
    (g.c / g.groups).is_multiple_of(4) && (g.k / g.groups).is_multiple_of(4)
}
