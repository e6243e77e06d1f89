//! Every optimizer on a GPU: one launch for all parameters of a model.
//!
//! A `Table` in the memory of the device says where each parameter and all that belongs to it
//! lies; a kernel's blocks find their part in it. The numbers that change from update to update are
//! published beside it before the step, so that a recorded step can be launched again and again.
//! Each operation rounds as on the CPU: the bits are the same.

pub(crate) mod passes;
mod table;
#[cfg(test)]
mod tests;

pub use table::Row;
pub(crate) use table::{Parts, Table};

use gradus_tensor::gpu::{Gpu, Grid, In};

/// Room for the numbers of a formula, as in `table.cuh`.
pub const NUMBERS: usize = 8;

/// The kernel of a formula: rows, how many, and the scalars.
pub(crate) type Launch = unsafe fn(&Gpu, Grid, In<'_, Row>, i32, In<'_, f32>);

/// A formula's step on a GPU: see [`Formula::KERNEL`](super::Formula::KERNEL). The kernels are
/// those of this crate.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<M> {
    pub(crate) launch: Launch,
    /// The numbers of an update in the order in which the kernel knows them; the rest is 0.
    pub(crate) numbers: fn(M) -> [f32; NUMBERS],
}

/// Those numbers, and zeros behind them.
pub(crate) fn padded<const N: usize>(numbers: [f32; N]) -> [f32; NUMBERS] {
    let mut all = [0.0; NUMBERS];
    all[..N].copy_from_slice(&numbers);
    all
}

/// Launches the kernel on all parameters of the table.
pub(crate) fn step(launch: Launch, table: &Table) {
    if table.is_empty() {
        return;
    }
    let (grid, rows, count) = (table.grid(), table.rows(), table.count());
    // SAFETY: a kernel of `formula.cuh`, which stays within what the rows say; that this is there,
    // `Table` has seen to.
    unsafe { launch(table.gpu(), grid, rows, count, table.scalars()) }
}
