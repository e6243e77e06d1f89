//! Every optimizer on the CPU: one pass over all that belongs to a parameter.
//!
//! The pass waits for memory, so there is nothing to win by approximating a root or a quotient, nor
//! by fusing a product with a sum: each operation rounds as in the definition, and the results have
//! the same bits on every instruction set.

mod tiles;

use super::{Formula, Update, Variables};
use crate::weight_decay::decayed;
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Parts, Pool};

pub(crate) use tiles::Tiles;

/// Values a task takes: 64 KiB of each stream, so that a large kernel is shared evenly and a bias
/// is not shared at all.
const CHUNK: usize = 16_384;

/// Values whose results are put into arrays of their own before they replace the old ones: arrays
/// overlap nothing, so the loop becomes as wide as the registers, however many slots there are.
/// (64 spill registers, 16 are handed out in single floats.)
const BLOCK: usize = 32;

/// One step. Before it, w ← w − decay · w, if there is a decay.
///
/// # Panics
/// If something has another length than the formula demands.
pub fn step<F: Formula<N>, const N: usize>(
    pool: &Pool,
    formula: &F,
    update: Update,
    decay: Option<f32>,
    x: Variables<'_, f32, N>,
) {
    step_on(Isa::detect(), pool, formula, update, decay, x);
}

/// One step on that instruction set.
///
/// # Panics
/// If something has another length than the formula demands, or the machine lacks the
/// instructions.
pub fn step_on<F: Formula<N>, const N: usize>(
    isa: Isa,
    pool: &Pool,
    formula: &F,
    update: Update,
    decay: Option<f32>,
    x: Variables<'_, f32, N>,
) {
    x.check(formula.used());
    assert!(isa.is_available(), "{isa:?} was asked for on a machine without it");
    let numbers = formula.numbers(update);
    let Variables { value, grad, slots } = x;
    let streams = Streams {
        value: Chunks::new(value, CHUNK),
        slots: slots.map(|slot| Chunks::new(slot, CHUNK)),
    };
    pool.each(streams, |i, (value, slots)| {
        let grad = &grad[i * CHUNK..][..value.len()];
        chunk::<F, N>(isa, numbers, decay, Variables { value, grad, slots });
    });
}

/// A parameter and its slots, chunk by chunk.
struct Streams<'a, const N: usize> {
    value: Chunks<'a, f32>,
    slots: [Chunks<'a, f32>; N],
}

impl<'a, const N: usize> Parts for Streams<'a, N> {
    type Part = (&'a mut [f32], [&'a mut [f32]; N]);

    fn count(&self) -> usize {
        self.value.count()
    }

    unsafe fn part(&self, i: usize) -> Self::Part {
        let slots = self.slots.each_ref().map(|slot| match slot.count() {
            0 => &mut [][..],
            // SAFETY: a slot in use is as long as the value, so i < count(); each chunk is taken
            // once, as the caller promised.
            _ => unsafe { slot.part(i) },
        });
        // SAFETY: passed on as the caller promised it.
        (unsafe { self.value.part(i) }, slots)
    }
}

/// A chunk on that instruction set, which the machine has: as `vectorize!` does it, for functions
/// that are generic.
fn chunk<F: Formula<N>, const N: usize>(
    isa: Isa,
    numbers: F::Numbers<f32>,
    decay: Option<f32>,
    x: Variables<'_, f32, N>,
) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn avx512<F: Formula<N>, const N: usize>(
            numbers: F::Numbers<f32>,
            decay: Option<f32>,
            x: Variables<'_, f32, N>,
        ) {
            blocks::<F, N>(numbers, decay, x);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<F: Formula<N>, const N: usize>(
            numbers: F::Numbers<f32>,
            decay: Option<f32>,
            x: Variables<'_, f32, N>,
        ) {
            blocks::<F, N>(numbers, decay, x);
        }
        match isa {
            // SAFETY: who asks for a set has found its features on this machine.
            Isa::Avx512 => return unsafe { avx512::<F, N>(numbers, decay, x) },
            // SAFETY: as above.
            Isa::Avx2 => return unsafe { avx2::<F, N>(numbers, decay, x) },
            _ => {}
        }
    }
    let _ = isa;
    blocks::<F, N>(numbers, decay, x);
}

#[inline(always)]
fn blocks<F: Formula<N>, const N: usize>(
    numbers: F::Numbers<f32>,
    decay: Option<f32>,
    x: Variables<'_, f32, N>,
) {
    let Variables { value, grad, mut slots } = x;
    for start in (0..value.len()).step_by(BLOCK) {
        let (w, g) = (&mut value[start..], &grad[start..]);
        let slots = slots.each_mut().map(|slot| slot.get_mut(start..).unwrap_or(&mut []));
        match (w.first_chunk_mut(), g.first_chunk()) {
            (Some(w), Some(g)) => decayed_block::<F, N>(numbers, decay, w, g, slots),
            _ => rest::<F, N>(numbers, decay, w, g, slots),
        }
    }
}

/// A block whose values first decay, if they do.
#[inline(always)]
fn decayed_block<F: Formula<N>, const N: usize>(
    numbers: F::Numbers<f32>,
    decay: Option<f32>,
    w: &mut [f32; BLOCK],
    g: &[f32; BLOCK],
    slots: [&mut [f32]; N],
) {
    if let Some(fraction) = decay {
        *w = w.map(|w| decayed(fraction, w));
    }
    block::<F, N>(numbers, w, g, slots);
}

/// A block, which is the first of what is left of each slot. A slot that is not in use is zeros,
/// and what comes of them is dropped. (Without the fixed lengths it takes four times as long.)
#[inline(always)]
fn block<F: Formula<N>, const N: usize>(
    numbers: F::Numbers<f32>,
    w: &mut [f32; BLOCK],
    g: &[f32; BLOCK],
    slots: [&mut [f32]; N],
) {
    let (mut new_w, mut new_slots) = ([0.0; BLOCK], [[0.0; BLOCK]; N]);
    let old = slots.each_ref().map(|slot| slot.first_chunk().unwrap_or(&[0.0; BLOCK]));
    for i in 0..BLOCK {
        let mut slots = [0.0; N];
        for k in 0..N {
            slots[k] = old[k][i];
        }
        (new_w[i], slots) = F::step(numbers, w[i], g[i], slots);
        for k in 0..N {
            new_slots[k][i] = slots[k];
        }
    }
    *w = new_w;
    for (slot, new) in slots.into_iter().zip(&new_slots) {
        if let Some(slot) = slot.first_chunk_mut() {
            *slot = *new;
        }
    }
}

/// What is less than a block, with zeros behind it.
fn rest<F: Formula<N>, const N: usize>(
    numbers: F::Numbers<f32>,
    decay: Option<f32>,
    w: &mut [f32],
    g: &[f32],
    mut slots: [&mut [f32]; N],
) {
    let padded = |values: &[f32]| {
        let mut block = [0.0; BLOCK];
        block[..values.len()].copy_from_slice(values);
        block
    };
    let (mut wide_w, wide_g) = (padded(w), padded(g));
    let mut wide = slots.each_ref().map(|slot| padded(slot));
    let (w_block, slot_blocks) = (&mut wide_w, wide.each_mut().map(|slot| &mut slot[..]));
    decayed_block::<F, N>(numbers, decay, w_block, &wide_g, slot_blocks);
    w.copy_from_slice(&wide_w[..w.len()]);
    for (slot, wide) in slots.iter_mut().zip(&wide) {
        slot.copy_from_slice(&wide[..slot.len()]);
    }
}
