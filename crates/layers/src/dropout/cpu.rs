//! Dropout on the CPU: one pass, the decisions of many blocks drawn side by side.

use super::Draw;
use gradus_tensor::simd::Isa;
use gradus_tensor::{Chunks, Pool};

/// Elements a task takes: a multiple of 8 · LANES, and small enough to share evenly.
const CHUNK: usize = 16_384;
/// Philox blocks drawn side by side, eight decisions each.
const LANES: usize = 16;

/// y and m from x.
///
/// # Panics
/// If the lengths differ.
pub fn forward(pool: &Pool, draw: &Draw, x: &[f32], y: &mut [f32], mask: &mut [u8]) {
    assert_eq!((x.len(), x.len()), (y.len(), mask.len()), "x, y and m are of one length");
    let isa = Isa::detect();
    pool.each((Chunks::new(y, CHUNK), Chunks::new(mask, CHUNK)), |i, (y, mask)| {
        let x = &x[i * CHUNK..][..y.len()];
        forward_chunk(isa, draw, (i * CHUNK / 8) as u32, x, y, mask);
    });
}

/// dx from dy and m.
///
/// # Panics
/// If the lengths differ.
pub fn backward(pool: &Pool, draw: &Draw, dy: &[f32], mask: &[u8], dx: &mut [f32]) {
    assert_eq!((dy.len(), dy.len()), (mask.len(), dx.len()), "dy, m and dx are of one length");
    let isa = Isa::detect();
    pool.each(Chunks::new(dx, CHUNK), |i, dx| {
        let part = i * CHUNK..i * CHUNK + dx.len();
        scale_chunk(isa, draw.scale(), &dy[part.clone()], &mask[part], dx);
    });
}

#[inline(always)]
fn forward_body<const L: usize, const FMA: bool>(
    draw: &Draw,
    first_block: u32,
    x: &[f32],
    y: &mut [f32],
    mask: &mut [u8],
) {
    draw_body::<L, FMA>(draw, first_block, mask);
    scale_body::<L, FMA>(draw.scale(), x, mask, y);
}

#[inline(always)]
fn draw_body<const L: usize, const FMA: bool>(draw: &Draw, first_block: u32, mask: &mut [u8]) {
    let threshold = draw.threshold();
    for (group, mask) in mask.chunks_mut(8 * LANES).enumerate() {
        let blocks = decide(draw, threshold, first_block.wrapping_add((group * LANES) as u32));
        let mut decisions = [0; 8 * LANES];
        for (decisions, block) in decisions.chunks_exact_mut(8).zip(blocks) {
            decisions.copy_from_slice(&block.to_le_bytes());
        }
        match mask.first_chunk_mut() {
            // PERF: of constant length.
            Some(mask) => *mask = decisions,
            None => mask.copy_from_slice(&decisions[..mask.len()]),
        }
    }
}

/// The decisions of the blocks from `first` on, a byte each, the first one lowest.
#[inline(always)]
fn decide(draw: &Draw, threshold: u32, first: u32) -> [u64; LANES] {
    // Added to sixteen bits, it carries into bit 16 just where they are the threshold or more. Of
    // words that are compared with arithmetic alone the compiler makes vectors without shuffles.
    let lift = 0x1_0000 - u64::from(threshold.min(0x1_0000));
    let words = draw.words::<LANES>(first);
    let mut decided = [0; LANES];
    for lane in 0..LANES {
        for (k, words) in words.iter().enumerate() {
            let low = (words[lane] & 0xFFFF) + lift;
            let high = (words[lane] & 0xFFFF_FFFF) + (lift << 16);
            decided[lane] |= (low >> 16 | high >> 32 << 8) << (16 * k);
        }
    }
    decided
}

#[inline(always)]
fn scale_body<const L: usize, const FMA: bool>(
    scale: f32,
    from: &[f32],
    mask: &[u8],
    into: &mut [f32],
) {
    for ((into, from), m) in into.iter_mut().zip(from).zip(mask) {
        // As the definition multiplies, so that a dropped NaN is still a NaN.
        *into = *from * f32::from(*m) * scale;
    }
}

gradus_tensor::vectorize! {
    /// The decisions from block `first` on: 1 where a value is kept.
    pub(crate) fn draw_mask(draw: &Draw, first: u32, mask: &mut [u8]) = draw_body;
    fn forward_chunk(draw: &Draw, first: u32, x: &[f32], y: &mut [f32], mask: &mut [u8])
        = forward_body;
    fn scale_chunk(scale: f32, from: &[f32], mask: &[u8], into: &mut [f32]) = scale_body;
}
