//! What an animal looks like apart from what it is: drawn before its class is known, so that no
//! colour and no size can give the class away.

use super::canvas::{Rgb, Style, times};
use super::chance::Chance;
use super::coat::Coat;

pub(super) const PINK: Rgb = [0.93, 0.58, 0.60];
pub(super) const INK: Rgb = [0.10, 0.08, 0.09];

/// Amber, green, blue, brown, hazel.
const IRISES: [Rgb; 5] = [
    [0.93, 0.70, 0.20],
    [0.55, 0.74, 0.36],
    [0.48, 0.70, 0.88],
    [0.64, 0.41, 0.22],
    [0.70, 0.62, 0.30],
];

const NOSES: [Rgb; 3] = [[0.16, 0.13, 0.14], [0.85, 0.50, 0.50], [0.42, 0.26, 0.22]];

const COLLARS: [Rgb; 5] = [
    [0.80, 0.20, 0.22],
    [0.22, 0.42, 0.75],
    [0.25, 0.60, 0.38],
    [0.92, 0.75, 0.25],
    [0.52, 0.32, 0.62],
];

/// Everything about an animal that cats and dogs share.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    pub(super) coat: Coat,
    pub(super) nose: Rgb,
    pub(super) iris: Rgb,
    pub(super) collar: Option<Rgb>,
    /// Where the face is turned: −1 is left, 1 is right.
    pub(super) turn: f32,
    /// Where the eyes look, beside that.
    pub(super) gaze: f32,
    /// The radius of the eyes, in radii of the head.
    pub(super) eye: f32,
    /// Half the width of the head over half its height.
    pub(super) breadth: f32,
    pub(super) fluff: f32,
    /// How fur is painted.
    pub(super) style: Style,
}

impl Looks {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let style = Style {
            outline: chance.pick(&[0.0, 0.035, 0.05, 0.06]),
            relief: chance.between(0.12, 0.4),
            ..Style::FLAT
        };
        Self {
            coat: Coat::draw(chance),
            nose: chance.pick(&NOSES),
            iris: times(chance.pick(&IRISES), chance.between(0.85, 1.1)),
            collar: chance.happens(0.4).then(|| chance.pick(&COLLARS)),
            turn: chance.around(0.8),
            gaze: chance.around(1.0),
            eye: chance.between(0.19, 0.25),
            breadth: chance.between(1.02, 1.22),
            fluff: chance.pick(&[0.0, 0.012, 0.025]),
            style,
        }
    }
}
