//! What is around the animal: a backdrop, things in front, the light and the camera.

use super::canvas::{Canvas, Frame, Rgb, Style, mix, smooth, times};
use super::chance::Chance;
use super::shape::{Point, Shape};
use super::texture::Texture;
use std::f32::consts::{PI, TAU};

/// A canvas with a backdrop and a light on it.
pub(super) fn backdrop(size: [usize; 2], chance: &mut Chance) -> Canvas {
    let mut canvas = match chance.below(4) {
        0 => room(size, chance),
        1 => meadow(size, chance),
        2 => carpet(size, chance),
        _ => glow(size, chance),
    };
    let light = chance.between(-PI * 0.85, -PI * 0.15);
    canvas.light = [light.cos(), light.sin()];
    canvas
}

/// Any colour between these brightnesses, not too strong.
fn paint(chance: &mut Chance, low: f32, high: f32) -> Rgb {
    let value = chance.between(low, high);
    hue(chance.between(0.0, TAU), value, chance.between(0.0, 0.32))
}

/// A colour of that angle on the wheel.
fn hue(angle: f32, value: f32, strength: f32) -> Rgb {
    [0.0, TAU / 3.0, TAU * 2.0 / 3.0].map(|at| value * (1.0 + strength * (angle - at).cos()))
}

/// A wall with papering, and a floor of boards.
fn room(size: [usize; 2], chance: &mut Chance) -> Canvas {
    let (wall, floor) = (paint(chance, 0.3, 0.85), paint(chance, 0.2, 0.7));
    let paper = mix(wall, paint(chance, 0.3, 0.9), chance.between(0.0, 0.5));
    let (horizon, kind) = (chance.between(0.5, 0.8), chance.below(3));
    let (bars, turn) = (chance.between(20.0, 60.0), chance.between(0.0, PI));
    let mut canvas = Canvas::new(size, |[x, y]| {
        let wave = match kind {
            0 => ((x * turn.cos() + y * turn.sin()) * bars).sin(),
            1 => (x * bars).sin() * (y * bars).sin() * 2.0 - 0.5,
            _ => -1.0,
        };
        let boards = 0.93 + 0.07 * smooth(-0.9, -0.7, ((x - 0.5) / y * bars).sin());
        let on_floor = smooth(-0.004, 0.004, y - horizon);
        let above = mix(wall, paper, smooth(-0.2, 0.2, wave));
        mix(above, times(floor, boards), on_floor)
    });
    if chance.happens(0.5) {
        picture(&mut canvas, chance);
    }
    canvas
}

/// A framed picture on the wall: sometimes a triangle, sometimes a disc.
fn picture(canvas: &mut Canvas, chance: &mut Chance) {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let at = [chance.between(0.1, 0.9) * w, chance.between(0.05, 0.35) * h];
    let frame = Frame::new(at, chance.between(0.1, 0.16) * w.min(h), 0.0);
    let (wood, inside) = (paint(chance, 0.2, 0.6), paint(chance, 0.5, 0.95));
    let subject = paint(chance, 0.2, 0.8);
    let sheet = |r: f32| {
        Shape::triangle([[-r, -r], [r, -r], [r, r]], 0.1)
            .and_triangle([[-r, -r], [-r, r], [r, r]], 0.1)
    };
    canvas.paint(&frame, &sheet(1.0), Style::FLAT, |_| wood);
    canvas.paint(&frame, &sheet(0.75), Style::FLAT, |_| inside);
    let thing = if chance.happens(0.5) {
        Shape::triangle([[-0.6, 0.6], [0.6, 0.6], [0.1, -0.5]], 0.05)
    } else {
        Shape::circle([0.0, 0.1], 0.5)
    };
    canvas.paint(&frame, &thing, Style::FLAT, |_| subject);
}

/// Sky, hills, grass, and trees that are pointed or round.
fn meadow(size: [usize; 2], chance: &mut Chance) -> Canvas {
    let texture = Texture::draw(chance);
    let noon = hue(chance.between(3.5, 4.1), chance.between(0.65, 0.9), 0.25);
    let haze = mix(noon, [0.97, 0.93, 0.86], chance.between(0.3, 0.9));
    let grass = hue(chance.between(1.2, 2.2), chance.between(0.3, 0.55), 0.4);
    let hills = mix(grass, haze, 0.5);
    let (horizon, rise) = (chance.between(0.4, 0.7), chance.between(0.1, 0.3));
    let mut canvas = Canvas::new(size, |[x, y]| {
        let ridge = horizon - rise * texture.at([x * 3.0, 1.0]);
        let blades = 0.75 + 0.5 * texture.at([x * 60.0, y * y * 25.0]);
        let sky = mix(noon, haze, y / horizon);
        let far = mix(sky, hills, smooth(-0.005, 0.005, y - ridge));
        mix(far, times(grass, blades), smooth(-0.005, 0.005, y - horizon))
    });
    for _ in 0..chance.below(4) {
        tree(&mut canvas, horizon, grass, chance);
    }
    canvas
}

fn tree(canvas: &mut Canvas, horizon: f32, grass: Rgb, chance: &mut Chance) {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let foot = [chance.between(0.0, 1.0) * w, (horizon + chance.between(0.0, 0.06)) * h];
    let frame = Frame::new(foot, chance.between(0.08, 0.2) * h, 0.0);
    let leaves = times(grass, chance.between(0.5, 0.9));
    let trunk = Shape::limb([[0.0, -0.5], [0.0, 0.0]], [0.08, 0.11]);
    canvas.paint(&frame, &trunk, Style::FLAT, |_| [0.33, 0.23, 0.16]);
    let crown = if chance.happens(0.5) {
        Shape::triangle([[-0.5, -0.4], [0.5, -0.4], [0.0, -1.8]], 0.05)
    } else {
        Shape::ellipse([0.0, -1.0], [0.55, 0.65])
    };
    canvas.paint(&frame, &crown.fluffy(0.04), Style::FLAT, |_| leaves);
}

/// Seen from above: a woven or mottled ground.
fn carpet(size: [usize; 2], chance: &mut Chance) -> Canvas {
    let texture = Texture::draw(chance);
    let (a, b) = (paint(chance, 0.25, 0.8), paint(chance, 0.25, 0.8));
    let (fine, turn) = (chance.between(4.0, 14.0), chance.between(0.0, PI));
    let woven = chance.happens(0.5);
    Canvas::new(size, |[x, y]| {
        let p =
            [(x * turn.cos() + y * turn.sin()) * fine, (y * turn.cos() - x * turn.sin()) * fine];
        let share = if woven {
            smooth(-0.3, 0.3, (p[0] * PI).sin() * (p[1] * PI).sin())
        } else {
            texture.at(p) * 0.7 + texture.at([p[0] * 4.0, p[1] * 4.0]) * 0.3
        };
        mix(a, mix(a, b, 0.7), share)
    })
}

/// Two colours running into one another, with discs of light out of focus.
fn glow(size: [usize; 2], chance: &mut Chance) -> Canvas {
    let (a, b) = (paint(chance, 0.15, 0.9), paint(chance, 0.15, 0.9));
    let turn = chance.between(0.0, TAU);
    let mut canvas = Canvas::new(size, |[x, y]| {
        let across = (x - 0.5) * turn.cos() + (y - 0.5) * turn.sin();
        mix(a, b, smooth(-0.6, 0.6, across))
    });
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let colour = mix(a, paint(chance, 0.5, 1.0), 0.7);
    for _ in 0..chance.below(9) {
        let at = [chance.between(0.0, 1.0) * w, chance.between(0.0, 1.0) * h];
        let frame = Frame::new(at, chance.between(0.04, 0.16) * h, 0.0);
        let haze = Style::haze(chance.between(0.15, 0.5), chance.between(0.1, 0.6));
        canvas.paint(&frame, &Shape::circle([0.0; 2], 1.0), haze, |_| colour);
    }
    canvas
}

/// Something at the lower edge or in a corner, in front of the animal.
pub(super) fn foreground(canvas: &mut Canvas, chance: &mut Chance) {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let colour = paint(chance, 0.3, 0.8);
    let style = Style { outline: chance.pick(&[0.0, 0.06]), relief: 0.35, ..Style::FLAT };
    let corner = [chance.pick(&[0.1, 0.9]) * w, chance.between(0.82, 0.95) * h];
    let frame = Frame::new(corner, chance.between(0.08, 0.14) * w.min(h), chance.around(0.6));
    match chance.below(8) {
        0 => {
            let band = |p: Point| if (p[0] * 2.5).sin() > 0.3 { [0.92; 3] } else { colour };
            canvas.paint(&frame, &Shape::circle([0.0; 2], 1.0), style, band);
        }
        1 => {
            let bone = [[-0.9, -0.25], [-0.9, 0.25], [0.9, -0.25], [0.9, 0.25]]
                .into_iter()
                .fold(Shape::limb([[-0.9, 0.0], [0.9, 0.0]], [0.26; 2]), |bone, end| {
                    bone.and_ellipse(end, [0.34; 2], 0.0)
                });
            canvas.paint(&frame, &bone.blended(0.1), style, |_| colour);
        }
        2 => {
            for _ in 0..14 {
                let root = [chance.between(0.0, 1.0) * w, h];
                let frame = Frame::new(root, chance.between(0.12, 0.28) * h, 0.0);
                let bow = chance.around(0.4);
                let blade = Shape::stroke([[0.0, 0.1], [0.0, -0.6], [bow, -1.0]], [0.06, 0.01]);
                let green = hue(chance.between(1.4, 2.1), chance.between(0.25, 0.5), 0.45);
                canvas.paint(&frame, &blade, Style::FLAT, |_| green);
            }
        }
        3 => {
            // A post or a door frame at one side.
            let x = chance.pick(&[0.04, 0.96]);
            let frame = Frame::new([x * w, 0.5 * h], 0.06 * w, chance.around(0.1));
            let post = Shape::limb([[0.0, -40.0], [0.0, 40.0]], [1.0; 2]);
            canvas.paint(&frame, &post, style, |_| colour);
        }
        _ => {}
    }
}

/// Exposure, a tint, light that falls off, a lens that is not quite sharp, and noise.
pub(super) fn photograph(canvas: &mut Canvas, chance: &mut Chance) {
    let gain = chance.between(0.8, 1.2);
    let warmth = chance.around(0.08);
    let tint = [gain * (1.0 + warmth), gain, gain * (1.0 - warmth)];
    let (fall, edge) = (chance.between(0.0, 0.35), chance.between(0.0, 0.5));
    let turn = chance.between(0.0, TAU);
    let (w, h) = (canvas.width, canvas.height);
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let x = (i % w) as f32 / w as f32 - 0.5;
        let y = (i / w) as f32 / h as f32 - 0.5;
        let shade = fall * (x * turn.cos() + y * turn.sin()) - edge * (x * x + y * y);
        *pixel = std::array::from_fn(|c| pixel[c] * tint[c] * (1.0 + shade));
    }
    for _ in 0..chance.pick(&[0, 0, 1]) {
        soften(canvas);
    }
    let noise = chance.between(0.0, 0.06);
    for pixel in &mut canvas.pixels {
        // Three bytes make a triangular sum, close enough to a bell.
        let [a, b, c, own] = chance.bytes().map(|byte| f32::from(byte) / 255.0 - 0.5);
        let grey = (a + b + c) / 2.0;
        *pixel = std::array::from_fn(|i| pixel[i] + noise * (grey + own * [0.4, 0.0, -0.4][i]));
    }
}

/// The mean of each pixel and its right, lower and lower right neighbours.
fn soften(canvas: &mut Canvas) {
    let (w, h) = (canvas.width, canvas.height);
    for i in 0..w * h {
        let right = if (i + 1) % w == 0 { i } else { i + 1 };
        let down = if i + w < w * h { w } else { 0 };
        let four = [i, right, i + down, right + down].map(|j| canvas.pixels[j]);
        canvas.pixels[i] = std::array::from_fn(|c| four.iter().map(|p| p[c]).sum::<f32>() / 4.0);
    }
}
