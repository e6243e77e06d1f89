//! What an optimizer does besides its formula, on all parameters at once.

use super::{Row, Table};
use crate::Clip;
use gradus_tensor::gpu::{Grid, In, Out, kernels};

kernels! {
    "formula/passes";
    fn gather_gradients(rows: In<Row>, count: i32, place: i32, batches: f32);
    fn follow_values(rows: In<Row>, count: i32, scalars: In<f32>);
    fn clip_values(rows: In<Row>, count: i32, limit: f32);
    fn sum_squares(rows: In<Row>, count: i32, partial: Out<f64>);
    fn clip_factors(
        rows: In<Row>, count: i32, blocks: i32, together: i32, limit: f32, partial: In<f64>,
        factors: Out<f32>,
    );
    fn shorten_gradients(rows: In<Row>, count: i32, together: i32, factors: In<f32>);
}

/// Takes in the gradients of batch number `place`, from 0, of `batches`: with the last, they become
/// the mean.
pub(crate) fn gather(table: &Table, place: u64, batches: u64) {
    if table.is_empty() {
        return;
    }
    let place = match place {
        0 => 0,
        place if place + 1 == batches => 2,
        _ => 1,
    };
    let (rows, count) = (table.rows(), table.count());
    // SAFETY: the kernel stays within what the rows say, which have sums where there are batches to
    // gather.
    unsafe { gather_gradients(table.gpu(), table.grid(), rows, count, place, batches as f32) }
}

/// The averages follow the values, as the scalars say.
pub(crate) fn follow(table: &Table) {
    if table.is_empty() {
        return;
    }
    let (rows, count) = (table.rows(), table.count());
    // SAFETY: the kernel stays within what the rows say, which have averages.
    unsafe { follow_values(table.gpu(), table.grid(), rows, count, table.scalars()) }
}

/// Clips all gradients. A norm never leaves the device.
pub(crate) fn clip(table: &mut Table, clip: Clip) {
    if table.is_empty() {
        return;
    }
    match clip {
        Clip::Value(limit) => {
            let (rows, count) = (table.rows(), table.count());
            // SAFETY: the kernel stays within what the rows say.
            unsafe { clip_values(table.gpu(), table.grid(), rows, count, limit) }
        }
        Clip::Norm(limit) => shorten(table, limit, false),
        Clip::GlobalNorm(limit) => shorten(table, limit, true),
    }
}

/// Shortens gradients whose norm is above the limit: each by its own, or all by that of all.
fn shorten(table: &mut Table, limit: f32, together: bool) {
    let (gpu, grid) = (table.gpu().clone(), table.grid());
    let (count, blocks) = (table.count(), table.blocks());
    let norms = Grid::of([if together { 1 } else { count as u32 }, 1, 1], Grid::THREADS);
    let together = i32::from(together);
    let (rows, mut partial, mut factors) = table.norms();
    // SAFETY: the kernels stay within what the rows say; there is a partial sum for each block and
    // a factor for each row.
    unsafe {
        sum_squares(&gpu, grid, rows, count, partial.reborrow());
        let partial = partial.as_view();
        clip_factors(
            &gpu,
            norms,
            rows,
            count,
            blocks,
            together,
            limit,
            partial,
            factors.reborrow(),
        );
        shorten_gradients(&gpu, grid, rows, count, together, factors.as_view());
    }
}
