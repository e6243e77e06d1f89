//! Fur: its colours and their pattern. Drawn without knowing whose it will be.

use super::canvas::{Rgb, mix, smooth, times};
use super::chance::Chance;
use super::shape::Point;
use super::texture::Texture;

/// Ginger, gray, black, white, cream, brown, chocolate, sand, slate, gold.
const FURS: [Rgb; 10] = [
    [0.88, 0.55, 0.26],
    [0.58, 0.58, 0.61],
    [0.23, 0.22, 0.24],
    [0.94, 0.92, 0.88],
    [0.92, 0.81, 0.62],
    [0.55, 0.38, 0.25],
    [0.40, 0.28, 0.21],
    [0.79, 0.65, 0.47],
    [0.45, 0.49, 0.57],
    [0.86, 0.68, 0.38],
];

const WHITE: Rgb = [0.97, 0.95, 0.91];

#[derive(Clone, Copy, Debug)]
enum Pattern {
    Plain,
    Stripes,
    Patches,
    Spots,
    /// Darker towards the back.
    Shaded,
}

/// The colour of the fur at every point of the body.
#[derive(Clone, Debug)]
pub(super) struct Coat {
    base: Rgb,
    second: Rgb,
    /// Of muzzle, chest and paws.
    pub(super) pale: Rgb,
    pattern: Pattern,
    texture: Texture,
    /// How much single hairs differ in brightness.
    grain: f32,
    /// Of the pattern, in units⁻¹.
    frequency: f32,
}

impl Coat {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let base = fur(chance);
        let contrast = chance.between(0.45, 0.75);
        let second = match chance.below(3) {
            0 => times(base, contrast),
            1 => mix(base, WHITE, contrast),
            _ => fur(chance),
        };
        let paleness = if chance.happens(0.6) { chance.between(0.4, 1.0) } else { 0.12 };
        let kinds =
            [Pattern::Plain, Pattern::Stripes, Pattern::Patches, Pattern::Spots, Pattern::Shaded];
        Self {
            base,
            second,
            pale: mix(base, WHITE, paleness),
            pattern: chance.pick(&kinds),
            texture: Texture::draw(chance),
            grain: chance.between(0.05, 0.3),
            frequency: chance.between(0.8, 1.3),
        }
    }

    /// The colour at `p`, in units of the head's radius.
    pub(super) fn at(&self, p: Point) -> Rgb {
        let [x, y] = p.map(|c| c * self.frequency);
        let share = match self.pattern {
            Pattern::Plain => 0.0,
            Pattern::Stripes => {
                let wave = 7.0 * x + 1.6 * (1.7 * y).sin() + 3.0 * self.texture.at([x, y]);
                smooth(0.1, 0.7, wave.sin())
            }
            Pattern::Patches => smooth(0.52, 0.6, self.texture.at([1.3 * x, 1.3 * y])),
            Pattern::Spots => smooth(0.66, 0.74, self.texture.at([3.2 * x, 3.2 * y])),
            Pattern::Shaded => smooth(0.9, -1.2, y) * 0.8,
        };
        let hair = self.texture.at([9.0 * x, 5.0 * y]) - 0.5;
        times(mix(self.base, self.second, share), 1.0 + self.grain * hair)
    }
}

fn fur(chance: &mut Chance) -> Rgb {
    let brightness = chance.between(0.85, 1.12);
    let colour = chance.pick(&FURS);
    times(colour, brightness).map(|c| c + chance.around(0.04))
}
