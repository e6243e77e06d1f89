//! Heads: where the shape says cat or dog.
//!
//! ```text
//! Cat          pointed upright ears, slit pupils, a short muzzle of two round pads, whiskers
//! Dog          hanging or folded ears, round pupils, a long muzzle with a big nose, often a tongue
//! ```
//!
//! The origin is the middle of the skull, whose half height is 0.85.

use super::Class;
use super::canvas::{Canvas, Frame, Rgb, Style, mix, times};
use super::chance::Chance;
use super::looks::{INK, Looks, PINK};
use super::shape::{Point, Shape};

const SIDES: [f32; 2] = [-1.0, 1.0];
const WHITE: Rgb = [1.0; 3];

/// How dark ears are beside the rest of the fur, whoever has them.
const SHADES: [f32; 3] = [0.9, 0.75, 0.6];

/// Paints the head. What only one class has is drawn from `chance`.
pub(super) fn head(
    canvas: &mut Canvas,
    frame: &Frame,
    looks: &Looks,
    class: Class,
    chance: &mut Chance,
) {
    match class {
        Class::Cat => {
            cat_ears(canvas, frame, looks, chance);
            skull(canvas, frame, looks, [0.5, 0.42]);
            eyes(canvas, frame, looks, chance.between(0.16, 0.4));
            cat_muzzle(canvas, frame, looks, chance);
        }
        Class::Dog => {
            let folded = chance.happens(0.4);
            if folded {
                folded_ears(canvas, frame, looks, chance);
            }
            skull(canvas, frame, looks, [0.42, 0.34]);
            eyes(canvas, frame, looks, 1.0);
            dog_muzzle(canvas, frame, looks, chance);
            if !folded {
                hanging_ears(canvas, frame, looks, chance);
            }
        }
    }
}

fn fur(canvas: &mut Canvas, frame: &Frame, looks: &Looks, shape: Shape) {
    let shape = shape.fluffy(looks.fluff);
    canvas.paint(frame, &shape, looks.style, |p| looks.coat.at(p));
}

fn flat(canvas: &mut Canvas, frame: &Frame, shape: &Shape, colour: Rgb) {
    canvas.paint(frame, shape, Style::FLAT, |_| colour);
}

/// How far a feature that stands out by `depth` moves sideways as the head turns.
fn shift(looks: &Looks, depth: f32) -> f32 {
    looks.turn * depth
}

fn skull(canvas: &mut Canvas, frame: &Frame, looks: &Looks, cheek: Point) {
    let wide = 0.85 * looks.breadth;
    let cheeks = SIDES.map(|s| [s * (wide - 0.38) + shift(looks, 0.08), 0.34]);
    let shape = Shape::ellipse([0.0, 0.0], [wide, 0.85])
        .and_ellipse(cheeks[0], cheek, 0.0)
        .and_ellipse(cheeks[1], cheek, 0.0)
        .blended(0.3);
    fur(canvas, frame, looks, shape);
}

fn cat_ears(canvas: &mut Canvas, frame: &Frame, looks: &Looks, chance: &mut Chance) {
    let wide = 0.85 * looks.breadth;
    let (tall, lean) = (chance.between(1.25, 1.65), chance.between(-0.08, 0.25));
    let shade = chance.pick(&SHADES);
    for side in SIDES {
        let outer = [side * wide * 0.93, -0.2];
        let inner = [side * wide * 0.22, -0.72];
        let tip = [side * (wide * 0.68 + lean) - shift(looks, 0.1), -tall];
        let ear = Shape::triangle([outer, inner, tip], 0.05).fluffy(looks.fluff);
        canvas.paint(frame, &ear, looks.style, |p| times(looks.coat.at(p), shade));
        // The inside of the ear: the same triangle drawn in towards its middle.
        let middle: Point = std::array::from_fn(|i| (outer[i] + inner[i] + tip[i]) / 3.0);
        let shrunk = [outer, inner, tip].map(|c| {
            let at = |i: usize| middle[i] + (c[i] - middle[i]) * 0.52;
            [at(0) + shift(looks, 0.06), at(1)]
        });
        let colour = mix(looks.coat.at(middle), PINK, 0.65);
        flat(canvas, frame, &Shape::triangle(shrunk, 0.03), colour);
    }
}

fn hanging_ears(canvas: &mut Canvas, frame: &Frame, looks: &Looks, chance: &mut Chance) {
    let wide = 0.85 * looks.breadth;
    let (long, thick) = (chance.between(0.45, 1.0), chance.between(0.25, 0.35));
    let (shade, swing) = (chance.pick(&SHADES), chance.between(0.08, 0.4));
    for side in SIDES {
        let root = [side * wide * 0.72 - shift(looks, 0.08), -0.62];
        let knee = [side * (wide + 0.1) - shift(looks, 0.1), -0.35];
        let tip = [side * (wide - 0.05 + swing) - shift(looks, 0.12), long - 0.1];
        let shape = Shape::limb([root, knee], [0.16, thick * 0.85])
            .and_limb([knee, tip], [thick * 0.85, thick])
            .blended(0.2)
            .fluffy(looks.fluff);
        canvas.paint(frame, &shape, looks.style, |p| times(looks.coat.at(p), shade));
    }
}

/// Ears that stand up to a knee from which the tip falls over.
fn folded_ears(canvas: &mut Canvas, frame: &Frame, looks: &Looks, chance: &mut Chance) {
    let wide = 0.85 * looks.breadth;
    let (tall, fall) = (chance.between(0.98, 1.15), chance.between(0.45, 0.7));
    let shade = chance.pick(&SHADES);
    for side in SIDES {
        let x = |share: f32| side * wide * share - shift(looks, 0.1);
        let base = [[x(0.95), -0.25], [x(0.25), -0.7], [x(0.92), -tall]];
        fur(canvas, frame, looks, Shape::triangle(base, 0.1));
        let flap = [[x(0.5), -tall], [x(1.02), -tall], [x(1.35), fall - tall]];
        let shape = Shape::triangle(flap, 0.12).fluffy(looks.fluff);
        canvas.paint(frame, &shape, looks.style, |p| times(looks.coat.at(p), shade));
    }
}

/// Eyes with pupils `narrow` times as wide as high.
fn eyes(canvas: &mut Canvas, frame: &Frame, looks: &Looks, narrow: f32) {
    let r = looks.eye;
    for side in SIDES {
        // The far eye is seen at a slant.
        let slant = 1.0 - 0.22 * (side * looks.turn).max(0.0);
        let at = [side * 0.4 * looks.breadth * slant + shift(looks, 0.2), -0.1];
        let eye = Shape::default().and_ellipse(at, [r * slant * 1.05, r * 0.95], side * 0.25);
        let rim = Shape::circle(at, r * 1.12);
        let dark = times(looks.coat.at(at), 0.4);
        canvas.paint(frame, &rim, Style::haze(0.65, r * 0.2), |_| dark);
        canvas.paint(frame, &eye, Style::FLAT, |p| {
            times(looks.iris, 0.85 + 0.5 * (p[1] - at[1]) / r)
        });
        // What a slit lacks in width it makes up for in height.
        let tall = if narrow < 1.0 { 0.86 } else { 0.66 };
        let look = [at[0] + looks.gaze * r * 0.16, at[1]];
        let pupil = Shape::ellipse(look, [r * tall * narrow * slant, r * tall]);
        flat(canvas, frame, &pupil, INK);
        let glint = Shape::circle([look[0] - 0.3 * r, look[1] - 0.34 * r], r * 0.22);
        flat(canvas, frame, &glint, WHITE);
    }
}

fn cat_muzzle(canvas: &mut Canvas, frame: &Frame, looks: &Looks, chance: &mut Chance) {
    let x = shift(looks, 0.26);
    let pads = SIDES.map(|s| [x + s * 0.17, 0.44]);
    let shape = Shape::ellipse(pads[0], [0.23, 0.19])
        .and_ellipse(pads[1], [0.23, 0.19], 0.0)
        .and_ellipse([x, 0.6], [0.15, 0.14], 0.0)
        .blended(0.05);
    canvas.paint(frame, &shape, Style::haze(1.0, 0.08), |_| looks.coat.pale);
    let line = times(looks.coat.pale, 0.3);
    for side in SIDES {
        let mouth = [[x, 0.42], [x + side * 0.04, 0.6], [x + side * 0.22, 0.53]];
        flat(canvas, frame, &Shape::stroke(mouth, [0.025, 0.02]), line);
    }
    let nose = [[x - 0.1, 0.27], [x + 0.1, 0.27], [x, 0.37]];
    flat(canvas, frame, &Shape::triangle(nose, 0.045), looks.nose);
    whiskers(canvas, frame, looks, x, chance);
}

fn whiskers(canvas: &mut Canvas, frame: &Frame, looks: &Looks, x: f32, chance: &mut Chance) {
    let (long, droop) = (chance.between(0.75, 1.15), chance.between(-0.1, 0.2));
    // Dark on pale fur and pale on dark.
    let light: f32 = looks.coat.pale.iter().sum::<f32>() / 3.0;
    let colour = if light > 0.6 { [0.25; 3] } else { [0.92; 3] };
    for side in SIDES {
        for (row, rise) in [(0.40, -0.16), (0.46, 0.0), (0.52, 0.16)] {
            let end = [x + side * (0.3 + long), row + rise + droop];
            let curve = [[x + side * 0.26, row], [x + side * 0.7, row + rise * 0.3 - 0.04], end];
            flat(canvas, frame, &Shape::stroke(curve, [0.022, 0.012]), colour);
        }
    }
}

fn dog_muzzle(canvas: &mut Canvas, frame: &Frame, looks: &Looks, chance: &mut Chance) {
    let x = shift(looks, 0.42);
    let (long, wide) = (chance.between(0.55, 0.8), chance.between(0.36, 0.44));
    let chin = long + 0.28;
    if chance.happens(0.6) {
        tongue(canvas, frame, [x + chance.around(0.12), chin - 0.12], chance.between(0.3, 0.5));
    }
    // From between the eyes down to the chin, wider where the lips hang.
    let bridge = Shape::limb([[x * 0.4, 0.0], [x, long]], [0.2, wide - 0.04])
        .and_ellipse([x - 0.17, long], [wide * 0.62, 0.3], 0.0)
        .and_ellipse([x + 0.17, long], [wide * 0.62, 0.3], 0.0)
        .blended(0.15)
        .fluffy(looks.fluff * 0.5);
    canvas.paint(frame, &bridge, looks.style, |_| looks.coat.pale);
    let line = times(looks.coat.pale, 0.3);
    let top = long - 0.12;
    flat(canvas, frame, &Shape::limb([[x, top], [x, top + 0.24]], [0.025; 2]), line);
    for side in SIDES {
        let lip = [[x, top + 0.24], [x + side * 0.1, top + 0.4], [x + side * 0.34, top + 0.22]];
        flat(canvas, frame, &Shape::stroke(lip, [0.03, 0.022]), line);
    }
    let nose = Shape::ellipse([x, top - 0.06], [0.21, 0.14])
        .and_ellipse([x, top + 0.05], [0.1, 0.09], 0.0)
        .blended(0.1);
    flat(canvas, frame, &nose, looks.nose);
    let shine = Shape::ellipse([x - 0.05, top - 0.12], [0.07, 0.03]);
    canvas.paint(frame, &shine, Style::haze(0.6, 0.03), |_| WHITE);
}

fn tongue(canvas: &mut Canvas, frame: &Frame, [x, y]: Point, long: f32) {
    let shape = Shape::limb([[x, y], [x, y + long]], [0.15, 0.17]);
    let style = Style { outline: 0.03, ..Style::FLAT };
    canvas.paint(frame, &shape, style, |p| {
        let groove = if (p[0] - x).abs() < 0.02 { 0.8 } else { 1.0 };
        times(PINK, groove)
    });
}
