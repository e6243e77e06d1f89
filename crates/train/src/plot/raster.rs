//! The pixels of a PNG, drawn through plotters' backend interface.
//!
//! ```text
//! Idea         every shape is a distance: a pixel whose centre lies d outside a shape's edge is
//!              covered by clamp(½ − d, 0, 1) of it. Lines are then smooth, and their joins and
//!              ends round, without a case for any angle
//! ```
//!
//! plotters' own bitmap backend draws jagged polygons for thick lines and loses the bearings of
//! letters. This one also sets text on the baseline on which SVG sets it, so that both pictures of
//! a plot agree.

use super::font;
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};
use std::convert::Infallible;

/// An RGB image to draw on.
pub(super) struct Raster<'a> {
    size: (u32, u32),
    /// \[height, width, 3\].
    pixels: &'a mut [u8],
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl<'a> Raster<'a> {
    /// Draws on `pixels`, \[height, width, 3\].
    pub(super) fn new(pixels: &'a mut [u8], size: (u32, u32)) -> Self {
        assert_eq!(pixels.len(), (size.0 * size.1 * 3) as usize, "three bytes a pixel");
        Self { size, pixels }
    }

    /// Lays `coverage` of a colour over what is there.
    fn blend(&mut self, x: i32, y: i32, color: BackendColor, coverage: f64) {
        let (width, height) = (self.size.0 as i32, self.size.1 as i32);
        if !(0..width).contains(&x) || !(0..height).contains(&y) {
            return;
        }
        let at = (y * width + x) as usize * 3;
        let alpha = color.alpha * coverage;
        let (r, g, b) = color.rgb;
        for (below, above) in self.pixels[at..at + 3].iter_mut().zip([r, g, b]) {
            let mixed = f64::from(*below) * (1.0 - alpha) + f64::from(above) * alpha;
            *below = mixed.round() as u8;
        }
    }

    /// Fills the shape inside the box from `low` to `high` whose edge is `distance(x, y)` away,
    /// negative inside.
    fn fill(
        &mut self,
        (low, high): ([f64; 2], [f64; 2]),
        color: BackendColor,
        distance: impl Fn(f64, f64) -> f64,
    ) {
        let limit = |v: f64, size: u32| v.clamp(0.0, f64::from(size)) as i32;
        let (x0, x1) = (limit(low[0] - 1.0, self.size.0), limit(high[0] + 2.0, self.size.0));
        let (y0, y1) = (limit(low[1] - 1.0, self.size.1), limit(high[1] + 2.0, self.size.1));
        for y in y0..y1 {
            for x in x0..x1 {
                let d = distance(f64::from(x) + 0.5, f64::from(y) + 0.5);
                let coverage = (0.5 - d).clamp(0.0, 1.0);
                if coverage > 0.0 {
                    self.blend(x, y, color, coverage);
                }
            }
        }
    }
}

/// How far (x, y) is from the segment from a to b.
fn to_segment(x: f64, y: f64, a: [f64; 2], b: [f64; 2]) -> f64 {
    let (ux, uy) = (b[0] - a[0], b[1] - a[1]);
    let (px, py) = (x - a[0], y - a[1]);
    let length2 = ux * ux + uy * uy;
    let t = if length2 > 0.0 { ((px * ux + py * uy) / length2).clamp(0.0, 1.0) } else { 0.0 };
    (px - t * ux).hypot(py - t * uy)
}

fn real((x, y): BackendCoord) -> [f64; 2] {
    [f64::from(x), f64::from(y)]
}

impl DrawingBackend for Raster<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        self.blend(x, y, color, 1.0);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        let (a, b) = (real(from), real(to));
        let radius = f64::from(style.stroke_width()) / 2.0;
        let low = [a[0].min(b[0]) - radius, a[1].min(b[1]) - radius];
        let high = [a[0].max(b[0]) + radius, a[1].max(b[1]) + radius];
        self.fill((low, high), style.color(), |x, y| to_segment(x, y, a, b) - radius);
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let points: Vec<BackendCoord> = path.into_iter().collect();
        points.windows(2).try_for_each(|pair| self.draw_line(pair[0], pair[1], style))
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let ([x0, y0], [x1, y1]) = (real(upper_left), real(bottom_right));
        if fill {
            let outside = |x: f64, y: f64| (x0 - x).max(x - x1).max(y0 - y).max(y - y1);
            self.fill(([x0, y0], [x1, y1]), style.color(), outside);
            return Ok(());
        }
        let (left, top) = upper_left;
        let (right, bottom) = bottom_right;
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        self.draw_path(corners, style)
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let ([cx, cy], r) = (real(center), f64::from(radius));
        let half = f64::from(style.stroke_width()) / 2.0;
        let reach = r + if fill { 0.0 } else { half };
        let bounds = ([cx - reach, cy - reach], [cx + reach, cy + reach]);
        self.fill(bounds, style.color(), |x, y| {
            let d = (x - cx).hypot(y - cy) - r;
            if fill { d } else { d.abs() - half }
        });
        Ok(())
    }

    /// Text without rotation, which no plot here uses.
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        // The size and the shifts are those that plotters' SVG backend writes: 0.76 em below the
        // top, half an ex (0.547 em in this font) below the middle or above the bottom.
        let em = style.size() / 1.24;
        let [x, y] = real(at);
        let width = font::width(text, em);
        let left = match style.anchor().h_pos {
            HPos::Left => x,
            HPos::Center => x - width / 2.0,
            HPos::Right => x - width,
        };
        let baseline = y + em
            * match style.anchor().v_pos {
                VPos::Top => 0.76,
                VPos::Center => 0.547 / 2.0,
                VPos::Bottom => -0.547 / 2.0,
            };
        let (color, baseline) = (style.color(), baseline.round() as i32);
        font::draw(text, em, left, |x, y, c| self.blend(x, baseline + y, color, c));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plotters::style::{BLACK, Color, IntoTextStyle as _, ShapeStyle};

    const SIZE: (u32, u32) = (40, 20);

    /// What is drawn in black on white: 1 where a pixel is black.
    fn drawn(draw: impl FnOnce(&mut Raster<'_>)) -> Vec<f64> {
        let mut pixels = vec![255; (SIZE.0 * SIZE.1 * 3) as usize];
        draw(&mut Raster::new(&mut pixels, SIZE));
        pixels.chunks(3).map(|p| 1.0 - f64::from(p[0]) / 255.0).collect()
    }

    fn thick(width: u32) -> ShapeStyle {
        Color::stroke_width(&BLACK, width)
    }

    #[test]
    fn a_line_covers_its_width_and_nothing_beside_it() {
        let pixels = drawn(|r| r.draw_line((5, 10), (35, 10), &thick(4)).unwrap());
        let column: Vec<f64> = (0..20).map(|y| pixels[y * 40 + 20]).collect();
        let expected: Vec<f64> =
            (0..20).map(|y| f64::from(u8::from((8..12).contains(&y)))).collect();
        assert_eq!(column, expected);
    }

    #[test]
    fn a_disc_covers_its_area() {
        let pixels = drawn(|r| r.draw_circle((20, 10), 8, &BLACK, true).unwrap());
        let area = std::f64::consts::PI * 64.0;
        assert!((pixels.iter().sum::<f64>() - area).abs() < 0.5);
    }

    #[test]
    fn what_lies_outside_is_cut_off() {
        let pixels = drawn(|r| {
            r.draw_line((-100, -50), (140, 70), &thick(3)).unwrap();
            r.draw_circle((39, 19), 30, &BLACK, true).unwrap();
            r.draw_rect((-5, -5), (0, 100), &BLACK, true).unwrap();
        });
        assert_eq!(pixels[40 * 20 - 1], 1.0);
        assert_eq!(pixels[40 * 19], 0.0);
    }

    #[test]
    fn text_is_centred_on_its_anchor() {
        let middle = plotters::style::text_anchor::Pos::new(HPos::Center, VPos::Center);
        let style = ("any", 18.6).into_text_style(&SIZE).pos(middle);
        let pixels = drawn(|r| r.draw_text("o", &style, (20, 10)).unwrap());
        let total: f64 = pixels.iter().sum();
        let mean = |part: fn(usize) -> usize| {
            pixels.iter().enumerate().map(|(i, c)| c * (part(i) as f64 + 0.5)).sum::<f64>() / total
        };
        assert!((mean(|i| i % 40) - 20.0).abs() < 0.3 && (mean(|i| i / 40) - 10.0).abs() < 0.6);
    }
}
