//! What the plots draw with: lines, dots, rectangles and text in pixels, on any backend of plotters.
//!
//! Pixels are counted from the upper left corner. Colours are the colour-blind safe ones of Okabe
//! and Ito (2008), <https://jfly.uni-koeln.de/color/>.

use super::font;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind};
use plotters::element::{Circle, DashedPathElement, PathElement, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, RGBAColor, RGBColor, ShapeStyle, TextStyle,
};
use plotters_backend::DrawingBackend;

pub(super) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xB2);
pub(super) const VERMILION: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
/// One for each group of runs, the strongest first.
pub(super) const PALETTE: [RGBColor; 6] = [
    BLUE,
    VERMILION,
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
];
pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
pub(super) const GRAY: RGBColor = RGBColor(0x6B, 0x6B, 0x6B);
pub(super) const FAINT: RGBColor = RGBColor(0xE4, 0xE4, 0xE4);
pub(super) const WHITE: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

/// A place in pixels.
pub(super) type Pixel = (i32, i32);

/// What drawing on backend `B` returns.
pub(super) type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// How a line is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dash {
    Solid,
    Dashed,
    Dotted,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stroke {
    pub(super) color: RGBColor,
    /// In pixels.
    pub(super) width: u32,
    pub(super) dash: Dash,
}

impl Stroke {
    pub(super) fn solid(color: RGBColor, width: u32) -> Self {
        Self { color, width, dash: Dash::Solid }
    }
}

/// How a line of text is set.
#[derive(Clone, Copy)]
pub(super) struct Type {
    /// The em square in pixels.
    em: u32,
    color: RGBColor,
    /// Which end of it stands where the text is put; its height is always centred there.
    align: HPos,
}

impl Type {
    pub(super) fn left(em: u32, color: RGBColor) -> Self {
        let align = HPos::Left;
        Self { em, color, align }
    }

    pub(super) fn centered(em: u32, color: RGBColor) -> Self {
        let align = HPos::Center;
        Self { em, color, align }
    }

    pub(super) fn right(em: u32, color: RGBColor) -> Self {
        let align = HPos::Right;
        Self { em, color, align }
    }
}

/// Draws on backend `B`.
pub(super) struct Pen<'a, B: DrawingBackend>(pub(super) &'a DrawingArea<B, Shift>);

impl<B: DrawingBackend> Pen<'_, B> {
    pub(super) fn line(&self, points: &[Pixel], stroke: Stroke) -> Drawn<B> {
        let style: ShapeStyle = stroke.color.stroke_width(stroke.width);
        // Round ends lengthen every dash by the width of the line.
        let (on, off) = match stroke.dash {
            Dash::Solid => return self.0.draw(&PathElement::new(points.to_vec(), style)),
            Dash::Dashed => (3 * stroke.width as i32, 4 * stroke.width as i32),
            Dash::Dotted => (1, 3 * stroke.width as i32),
        };
        self.0.draw(&DashedPathElement::new(points.iter().copied(), on, off, style))
    }

    pub(super) fn dot(&self, at: Pixel, radius: i32, color: RGBColor) -> Drawn<B> {
        self.0.draw(&Circle::new(at, radius, color.filled()))
    }

    pub(super) fn ring(&self, at: Pixel, radius: i32, stroke: Stroke) -> Drawn<B> {
        self.0.draw(&Circle::new(at, radius, stroke.color.stroke_width(stroke.width)))
    }

    pub(super) fn rectangle(&self, corners: [Pixel; 2], color: RGBAColor) -> Drawn<B> {
        self.0.draw(&Rectangle::new(corners, color.filled()))
    }

    pub(super) fn text(&self, text: &str, at: Pixel, set: Type) -> Drawn<B> {
        // plotters' sizes are 1.24 em.
        let size = f64::from(set.em) * 1.24;
        let font = FontDesc::new(FontFamily::Name(font::FAMILY), size, FontStyle::Normal);
        let style = TextStyle::from(font).color(&set.color).pos(Pos::new(set.align, VPos::Center));
        self.0.draw_text(text, &style, at)
    }
}

/// A colour mixed with white, opaque: `strength` of it.
pub(super) fn tint(RGBColor(r, g, b): RGBColor, strength: f64) -> RGBColor {
    let mix = |c: u8| (255.0 - (255.0 - f64::from(c)) * strength).round() as u8;
    RGBColor(mix(r), mix(g), mix(b))
}
