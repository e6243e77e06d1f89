//! Files that are the same, and pictures that look alike.
//!
//! ```text
//! Same bytes   found by length and hash, then compared byte by byte
//! Looks        16 × 17 cells of mean brightness; a bit for each pair of neighbours in a row, set
//!              where the right one is brighter (the difference hash, 256 bits)
//! Look alike   at most 26 bits differ. Among ten thousand photos of pets all pairs that people
//!              called the same differed in fewer, all others in 37 or more
//! ```

use super::file::{Examined, same_content};
use super::{Finding, Kind, Row};
use ndarray::{ArrayView3, Axis, Slice};
use std::collections::HashMap;

/// In how many bits two pictures that look alike may differ.
const ALIKE: u32 = 26;

/// A picture with fewer bits set, or fewer not set, is too flat to be compared.
const FLAT: u32 = 16;

const CELLS: [usize; 2] = [16, 17];

/// What a picture looks like, in 256 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looks([u64; 4]);

impl Looks {
    pub(super) fn of(image: ArrayView3<'_, u8>) -> Self {
        let (height, width, _) = image.dim();
        let cut = |i: usize, cells: usize, size: usize| {
            let begin = i * size / cells;
            Slice::from(begin..((i + 1) * size / cells).max(begin + 1))
        };
        let mean = |y: usize, x: usize| {
            let band = image.slice_axis(Axis(0), cut(y, CELLS[0], height));
            let cell = band.slice_axis(Axis(1), cut(x, CELLS[1], width));
            cell.iter().map(|&v| f64::from(v)).sum::<f64>() / cell.len() as f64
        };
        let mut bits = [0; 4];
        for y in 0..CELLS[0] {
            let means: Vec<f64> = (0..CELLS[1]).map(|x| mean(y, x)).collect();
            for (x, pair) in means.windows(2).enumerate() {
                let bit = y * (CELLS[1] - 1) + x;
                bits[bit / 64] |= u64::from(pair[1] > pair[0]) << (bit % 64);
            }
        }
        Self(bits)
    }

    fn is_flat(self) -> bool {
        let ones: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        !(FLAT..=256 - FLAT).contains(&ones)
    }

    fn distance(self, other: Self) -> u32 {
        self.0.iter().zip(other.0).map(|(a, b)| (a ^ b).count_ones()).sum()
    }
}

/// Files of the same bytes. Each is compared with the first of its kind.
pub(super) fn same_bytes(rows: &[Row<'_>], seen: &[Examined]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut first: HashMap<(u64, u64), usize> = HashMap::new();
    for (i, examined) in seen.iter().enumerate() {
        let Some(key) = examined.bytes else { continue };
        let first = *first.entry(key).or_insert(i);
        let (row, of) = (&rows[i], &rows[first]);
        if first == i || (row.path != of.path && !same_content(&row.path, &of.path)) {
            continue;
        }
        let mut add = |kind| findings.push(Finding { place: row.place.clone(), kind });
        if row.place.part != of.place.part {
            add(Kind::Leak { of: of.place.clone() });
        } else if row.path != of.path {
            add(Kind::Duplicate { of: of.place.clone() });
        }
        if let (Some(class), Some(other)) = (row.class, of.class)
            && class != other
        {
            let (class, other) = (class.to_string(), other.to_string());
            add(Kind::Contradiction { of: of.place.clone(), class, other });
        }
    }
    findings
}

/// Pictures that look alike though their bytes differ.
pub(super) fn look_alikes(rows: &[Row<'_>], seen: &[Examined]) -> Vec<Finding> {
    let pictures: Vec<(usize, Looks)> = (0..)
        .zip(seen)
        .filter_map(|(i, examined)| Some((i, examined.looks?)))
        .filter(|(_, looks)| !looks.is_flat())
        .collect();
    let mut findings = Vec::new();
    for (n, (i, looks)) in pictures.iter().enumerate() {
        let before = pictures[..n].iter().filter(|(j, _)| seen[*i].bytes != seen[*j].bytes);
        let near = before.map(|(j, other)| (looks.distance(*other), *j)).min();
        let Some((distance, j)) = near.filter(|(distance, _)| *distance <= ALIKE) else { continue };
        let of = rows[j].place.clone();
        let kind = match of.part == rows[*i].place.part {
            true => Kind::LooksLike { of, distance },
            false => Kind::LeaksAlike { of, distance },
        };
        findings.push(Finding { place: rows[*i].place.clone(), kind });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn a_smaller_copy_looks_alike_and_its_mirror_image_does_not() {
        let at = |y: f64, x: f64| {
            (127.0 + 60.0 * (7.0 * x + 3.0 * y).sin() + 50.0 * (9.0 * y * x).cos()) as u8
        };
        let draw = |h: usize, w: usize, mirrored: bool| {
            Looks::of(
                Array3::from_shape_fn((h, w, 3), |(y, x, _)| {
                    let x = x as f64 / w as f64;
                    at(y as f64 / h as f64, if mirrored { 1.0 - x } else { x })
                })
                .view(),
            )
        };
        let large = draw(200, 300, false);
        assert!(!large.is_flat());
        assert!(large.distance(draw(100, 160, false)) <= ALIKE);
        assert!(large.distance(draw(200, 300, true)) > ALIKE);
        assert!(Looks::of(Array3::from_elem((1, 1, 3), 9).view()).is_flat());
    }
}
