//! Value noise: random numbers on the points of a grid, smoothly joined in between.

use super::canvas::smooth;
use super::chance::Chance;
use super::shape::Point;

const SIDE: usize = 16;

/// A landscape of hills one unit wide that repeats after 16 units.
#[derive(Clone, Debug)]
pub(super) struct Texture([f32; SIDE * SIDE]);

impl Texture {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        Self(std::array::from_fn(|_| chance.between(0.0, 1.0)))
    }

    /// The height at `p`, from 0 to 1.
    pub(super) fn at(&self, p: Point) -> f32 {
        let [left, top] = p.map(f32::floor);
        let (tx, ty) = (smooth(0.0, 1.0, p[0] - left), smooth(0.0, 1.0, p[1] - top));
        let wrap = |i: f32| (i as i32).rem_euclid(SIDE as i32) as usize;
        let height = |dx: f32, dy: f32| self.0[wrap(top + dy) * SIDE + wrap(left + dx)];
        let join = |a: f32, b: f32, t: f32| a + (b - a) * t;
        let above = join(height(0.0, 0.0), height(1.0, 0.0), tx);
        let below = join(height(0.0, 1.0), height(1.0, 1.0), tx);
        join(above, below, ty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_random::Philox;

    #[test]
    fn it_is_smooth_and_repeats() {
        let texture = Texture::draw(&mut Chance::new(Philox::new(1, [0; 3])));
        for i in 0..200 {
            let p = [i as f32 * 0.37 - 20.0, i as f32 * 0.61];
            let here = texture.at(p);
            assert!((0.0..=1.0).contains(&here));
            assert!((texture.at([p[0] + 0.001, p[1]]) - here).abs() < 0.01);
            assert!((texture.at([p[0], p[1] - 16.0]) - here).abs() < 1e-3);
        }
    }
}
