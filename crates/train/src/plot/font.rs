//! The font of the plots, inside the program: no font of the system is looked for.
//!
//! A picture must look the same on every machine, a bare server among them. An SVG names the font
//! and lets the viewer fall back on what it has. The font is DejaVu Sans 2.37 with Latin and Greek
//! letters and a few signs only; its licence lies beside it. With fonttools it was made so:
//!
//! ```text
//! pyftsubset DejaVuSans.ttf --no-hinting --layout-features='' --drop-tables+=GPOS,GSUB,GDEF,MATH
//!   --unicodes=20-7E,A0-17F,394,3A3,3B1-3C9,2013-201E,2022,2026,2190-2193,2212,221A,221E,2248,2260-2265
//! ```

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use std::sync::LazyLock;

/// What an SVG asks its viewer for: the same font, its wide relative, or any without serifs.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    let bytes = include_bytes!("../../assets/DejaVuSans-subset.ttf");
    FontRef::try_from_slice(bytes).expect("the embedded font is whole")
});

/// The width of a line of text whose em square is `em` pixels.
pub(super) fn width(text: &str, em: f64) -> f64 {
    let mut right = 0.0;
    walk(text, em, |_, _, advance| right += advance);
    right
}

/// Calls `pixel(x, y, coverage)` for every pixel that the text touches, the coverage above 0 and at
/// most 1. The baseline is y = 0 and y grows downwards; the text begins at `left`, the fraction of
/// which counts.
pub(super) fn draw(text: &str, em: f64, left: f64, mut pixel: impl FnMut(i32, i32, f64)) {
    let mut x = left;
    walk(text, em, |scale, letter, advance| {
        let glyph = FONT.glyph_id(letter).with_scale_and_position(scale, point(x as f32, 0.0));
        if let Some(outline) = FONT.outline_glyph(glyph) {
            let corner = outline.px_bounds().min;
            outline.draw(|dx, dy, coverage| {
                if coverage > 0.0 {
                    let (x, y) = (corner.x as i32 + dx as i32, corner.y as i32 + dy as i32);
                    pixel(x, y, f64::from(coverage.min(1.0)));
                }
            });
        }
        x += advance;
    });
}

/// Calls `letter(scale, letter, advance in pixels)` from left to right.
fn walk(text: &str, em: f64, mut letter: impl FnMut(PxScale, char, f64)) {
    // ab_glyph measures a font by ascent minus descent, SVG and everybody else by the em square.
    let units = FONT.units_per_em().expect("a font that scales");
    let scale = PxScale::from(em as f32 * FONT.height_unscaled() / units);
    let scaled = FONT.as_scaled(scale);
    for c in text.chars() {
        letter(scale, c, f64::from(scaled.h_advance(scaled.glyph_id(c))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_knows_every_character_that_plots_write() {
        for c in (' '..='~').chain("äöüßéñçø·…–−×∞αΣ≤".chars()) {
            assert_ne!(FONT.glyph_id(c).0, 0, "{c:?} is missing");
        }
    }

    #[test]
    fn widths_are_those_of_dejavu_sans() {
        // In the font's own 2048 units: i is 569 wide, m 1995, a space 651.
        assert!((width("i", 2048.0) - 569.0).abs() < 0.5);
        assert!((width("mi m", 20.48) - (2.0 * 19.95 + 5.69 + 6.51)).abs() < 0.01);
    }

    #[test]
    fn letters_stand_on_the_baseline_and_are_as_tall_as_they_should() {
        // An H is 1493 of 2048 units tall.
        let (mut top, mut bottom, mut left) = (i32::MAX, i32::MIN, i32::MAX);
        draw("H", 100.0, 10.0, |x, y, _| {
            (top, bottom, left) = (top.min(y), bottom.max(y), left.min(x));
        });
        assert_eq!((top, bottom), (-73, -1));
        assert!(left >= 19, "the H keeps its left bearing of 9.8 pixels, but begins at {left}");
    }
}
