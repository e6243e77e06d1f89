//! Divisions, and what is promised to parts of sums.

use super::Tile;
use super::cuda::Divisor;

fn quotient(d: Divisor, n: u32) -> u32 {
    let [_, factor, shift] = d.parts();
    let high = ((u64::from(n) * u64::from(factor)) >> 32) as u32;
    (high + n) >> shift
}

#[test]
fn a_multiplication_divides() {
    let most = i32::MAX as u32;
    for by in (1..3000).chain([1 << 16, (1 << 16) + 1, 1 << 30, (1 << 30) + 1, most - 1, most]) {
        let d = Divisor::new(by as usize);
        for n in [0, 1, 2, 77, by - 1, by, by + 1, 2 * (by / 2), most / 2, most - 1, most] {
            let n = n.min(most);
            assert_eq!(quotient(d, n), n / by, "{n} / {by}");
        }
    }
}

#[test]
fn scratch_for_the_largest_batch_does_for_smaller_ones() {
    let tile = Tile::exact(128, 64, 16, 256);
    for (columns, depth) in [(512, 4608), (64, 130), (7, 27), (2048, 512)] {
        let promised = tile.scratch(3000 * columns, depth);
        for rows in 1..=3000 {
            let parts = tile.parts(tile.count(rows, columns), depth);
            let taken = if parts == 1 { 0 } else { parts * rows * columns };
            assert!(taken <= promised, "{rows} rows take {taken} of {promised}");
        }
    }
}
