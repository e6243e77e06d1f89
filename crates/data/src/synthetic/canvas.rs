//! Pixels, and shapes painted onto them without jagged edges.
//!
//! A shape covers a pixel by ½ − d, where d is the signed distance of the pixel's centre to the
//! edge, in pixels, clamped to [0, 1]: one evaluation for each pixel, no supersampling.

use super::shape::{Point, Shape, dot};
use image::RgbImage;

/// Red, green and blue from 0 to 1, as they are displayed (gamma is left in).
pub(super) type Rgb = [f32; 3];

/// `a` with a share `t` of `b`.
pub(super) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t)
}

/// All three channels times a factor.
pub(super) fn times(a: Rgb, factor: f32) -> Rgb {
    a.map(|c| c * factor)
}

/// From 0 at `low` to 1 at `high`, flat at both ends.
pub(super) fn smooth(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Where a drawing lies on the canvas: pixel = origin + x · its first axis + y · its second, which
/// are orthogonal and of equal length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    origin: Point,
    axes: [Point; 2],
}

impl Frame {
    /// One unit is `scale` pixels; the drawing is turned clockwise by `angle` radians.
    pub(super) fn new(origin: Point, scale: f32, angle: f32) -> Self {
        let (c, s) = (scale * angle.cos(), scale * angle.sin());
        let axes = [[c, s], [-s, c]];
        Self { origin, axes }
    }

    /// Left and right exchanged.
    pub(super) fn mirrored(mut self) -> Self {
        self.axes[0] = self.axes[0].map(|a| -a);
        self
    }

    /// A frame inside this one: its origin at `at`, scaled and turned.
    pub(super) fn inner(&self, at: Point, scale: f32, angle: f32) -> Self {
        let (c, s) = (scale * angle.cos(), scale * angle.sin());
        let [x, y] = self.axes;
        Self {
            origin: self.pixel(at),
            axes: [
                [c * x[0] + s * y[0], c * x[1] + s * y[1]],
                [c * y[0] - s * x[0], c * y[1] - s * x[1]],
            ],
        }
    }

    fn pixel(&self, p: Point) -> Point {
        std::array::from_fn(|i| self.origin[i] + p[0] * self.axes[0][i] + p[1] * self.axes[1][i])
    }

    /// Pixels in a unit.
    pub(super) fn scale(&self) -> f32 {
        dot(self.axes[0], self.axes[0]).sqrt()
    }

    /// A vector on the canvas, seen from inside.
    fn inside(&self, v: Point) -> Point {
        let square = dot(self.axes[0], self.axes[0]);
        self.axes.map(|axis| dot(v, axis) / square)
    }
}

/// How a shape is painted. Lengths are in units of its frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Width of the darker line along the edge.
    pub(super) outline: f32,
    /// How strongly the edge curves away from the light: 0 for a flat shape.
    pub(super) relief: f32,
    /// From 0 to 1.
    pub(super) opacity: f32,
    /// Over which length the edge fades, beyond the pixel that it always does.
    pub(super) soft: f32,
}

impl Style {
    pub(super) const FLAT: Self = Self { outline: 0.0, relief: 0.0, opacity: 1.0, soft: 0.0 };

    /// Flat, fading and half transparent: a shadow or a glow.
    pub(super) fn haze(opacity: f32, soft: f32) -> Self {
        Self { opacity, soft, ..Self::FLAT }
    }
}

/// A picture in the making: (height, width) pixels.
#[derive(Clone, Debug)]
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<Rgb>,
    /// Where the light comes from: a unit vector on the canvas.
    pub(super) light: Point,
}

impl Canvas {
    /// A canvas on which the pixel at (x, y), both from 0 to 1, has the colour `colour([x, y])`.
    pub(super) fn new([height, width]: [usize; 2], colour: impl Fn(Point) -> Rgb) -> Self {
        let at = |i: usize, n: usize| (i as f32 + 0.5) / n as f32;
        let pixels = (0..height * width)
            .map(|i| colour([at(i % width, width), at(i / width, height)]))
            .collect();
        Self { width, height, pixels, light: [0.0, -1.0] }
    }

    /// Paints a shape. `colour` is asked in units of the frame.
    pub(super) fn paint(
        &mut self,
        frame: &Frame,
        shape: &Shape,
        style: Style,
        colour: impl Fn(Point) -> Rgb,
    ) {
        let scale = frame.scale();
        let fade = 1.0 + style.soft * scale;
        let light = unit(frame.inside(self.light));
        let [columns, rows] = self.covered(frame, shape, fade);
        for row in rows {
            for column in columns.clone() {
                let at = [column as f32 + 0.5, row as f32 + 0.5];
                let p = frame.inside([at[0] - frame.origin[0], at[1] - frame.origin[1]]);
                let d = shape.distance(p);
                let cover = (0.5 - d * scale / fade).clamp(0.0, 1.0) * style.opacity;
                if cover == 0.0 {
                    continue;
                }
                let mut paint = colour(p);
                if style.relief > 0.0 {
                    paint = times(paint, 1.0 + style.relief * facing(shape, p, d, light));
                }
                if style.outline > 0.0 {
                    let line = (0.5 + (d + style.outline) * scale).clamp(0.0, 1.0);
                    paint = mix(paint, times(paint, 0.35), line);
                }
                let pixel = &mut self.pixels[row * self.width + column];
                *pixel = mix(*pixel, paint, cover);
            }
        }
    }

    /// The columns and rows that a shape can touch.
    fn covered(&self, frame: &Frame, shape: &Shape, fade: f32) -> [std::ops::Range<usize>; 2] {
        let [low, high] = shape.bounds();
        let corners = [low, high, [low[0], high[1]], [high[0], low[1]]].map(|c| frame.pixel(c));
        [(0, self.width), (1, self.height)].map(|(i, n)| {
            let least = corners.iter().map(|c| c[i]).fold(f32::INFINITY, f32::min);
            let most = corners.iter().map(|c| c[i]).fold(f32::NEG_INFINITY, f32::max);
            let clip = |x: f32| x.clamp(0.0, n as f32) as usize;
            clip((least - fade).floor())..clip((most + fade).ceil())
        })
    }

    /// The picture as bytes.
    pub(super) fn to_image(&self) -> RgbImage {
        let byte = |c: f32| (c.clamp(0.0, 1.0) * 255.0).round() as u8;
        RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            image::Rgb(self.pixels[y as usize * self.width + x as usize].map(byte))
        })
    }
}

/// How far the surface at `p` faces the light, from −1 to 1: a cushion, flat but for its border.
fn facing(shape: &Shape, p: Point, d: f32, light: Point) -> f32 {
    const BORDER: f32 = 0.5;
    const STEP: f32 = 0.02;
    let tilt = 1.0 - smooth(0.0, BORDER, -d);
    if tilt == 0.0 {
        return 0.0;
    }
    let outward =
        unit([shape.distance([p[0] + STEP, p[1]]) - d, shape.distance([p[0], p[1] + STEP]) - d]);
    tilt * dot(outward, light)
}

fn unit(v: Point) -> Point {
    let length = dot(v, v).sqrt().max(1e-9);
    v.map(|c| c / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Rgb = [1.0; 3];

    fn black(size: [usize; 2]) -> Canvas {
        Canvas::new(size, |_| [0.0; 3])
    }

    #[test]
    fn a_painted_circle_covers_its_area() {
        let mut canvas = black([64, 80]);
        let frame = Frame::new([40.0, 32.0], 10.0, 0.7);
        canvas.paint(&frame, &Shape::circle([0.5, 0.0], 2.0), Style::FLAT, |_| WHITE);
        let area: f32 = canvas.pixels.iter().map(|p| p[0]).sum();
        let expected = std::f32::consts::PI * 400.0;
        assert!((area - expected).abs() < 0.01 * expected, "{area} instead of {expected}");
    }

    #[test]
    fn what_lies_off_the_canvas_is_cut_off() {
        let mut canvas = black([8, 8]);
        for origin in [[-50.0, 4.0], [4.0, 90.0]] {
            let frame = Frame::new(origin, 4.0, 0.0);
            canvas.paint(&frame, &Shape::circle([0.0; 2], 1.0), Style::FLAT, |_| WHITE);
        }
        assert_eq!(canvas.pixels, black([8, 8]).pixels);
    }

    #[test]
    fn an_inner_frame_is_what_its_outer_one_makes_of_it() {
        let outer = Frame::new([3.0, 4.0], 2.0, 0.3).mirrored();
        let inner = outer.inner([1.0, -2.0], 0.5, 0.2);
        assert!((inner.scale() - 1.0).abs() < 1e-6);
        let [x, y] = inner.pixel([0.0, 0.0]);
        let [u, v] = outer.pixel([1.0, -2.0]);
        assert!((x - u).abs() < 1e-6 && (y - v).abs() < 1e-6);
        let back = inner.inside([inner.pixel([0.4, 0.6])[0] - x, inner.pixel([0.4, 0.6])[1] - y]);
        assert!((back[0] - 0.4).abs() < 1e-5 && (back[1] - 0.6).abs() < 1e-5);
    }
}
