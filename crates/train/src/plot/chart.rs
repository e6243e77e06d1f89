//! Curves over epochs: what the plots of a history and of several runs have in common.
//!
//! ```text
//! Order        grid, marks of the learning rate, curves, best point, frame, words: what is said
//!              never lies under what is drawn. Legend and notes stand above the frame, where no
//!              data can be
//! ```

use super::axis::Axis;
use super::font;
use super::pen::{Drawn, FAINT, GRAY, INK, Pen, Pixel, Stroke, Type, WHITE};
use plotters::drawing::DrawingAreaErrorKind;
use plotters::style::{Color as _, RGBColor};
use plotters_backend::DrawingBackend;

/// The size of a chart in pixels.
pub(super) const SIZE: (u32, u32) = (1280, 800);

const LEFT: i32 = 118;
const RIGHT: i32 = SIZE.0 as i32 - 44;
const BOTTOM: i32 = SIZE.1 as i32 - 96;
/// The height of a line of notes above the frame.
const NOTE: i32 = 32;
/// The dashed lines where the learning rate fell: darker than the grid, lighter than any curve.
const DROP: RGBColor = RGBColor(0xA8, 0xA8, 0xA8);

/// Everything that is drawn.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) axis: Axis,
    /// The last is drawn on top.
    pub(super) curves: Vec<Curve>,
    pub(super) best: Option<Best>,
    /// Where the learning rate fell, between two epochs, and what is written there.
    pub(super) drops: Vec<(f64, String)>,
}

/// One metric of one run.
#[derive(Debug)]
pub(super) struct Curve {
    /// In the legend; `None` for one that stands in no legend.
    pub(super) label: Option<String>,
    /// Epoch (from 1) and value; a missing value is NaN and breaks the line.
    pub(super) points: Vec<(f64, f64)>,
    pub(super) stroke: Stroke,
    pub(super) marker: Marker,
}

/// What marks an epoch on a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    None,
    Dot,
    Ring,
}

/// The point that is singled out.
#[derive(Debug)]
pub(super) struct Best {
    pub(super) point: (f64, f64),
    pub(super) label: String,
    pub(super) stroke: Stroke,
    /// Whether the label is better above the point than below.
    pub(super) label_above: bool,
}

impl Chart {
    pub(super) fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Drawn<B> {
        let frame = Frame::around(self);
        pen.rectangle([(0, 0), (SIZE.0 as i32, SIZE.1 as i32)], WHITE.mix(1.0))?;
        frame.draw_grid(pen, &self.axis)?;
        frame.draw_drops(pen, &self.drops)?;
        for curve in &self.curves {
            frame.draw_curve(pen, curve)?;
        }
        frame.draw_values_above(pen, &self.curves)?;
        if let Some(best) = &self.best {
            frame.draw_best(pen, best, &self.curves)?;
        }
        pen.line(&[(LEFT, BOTTOM), (RIGHT, BOTTOM)], Stroke::solid(GRAY, 2))?;
        self.draw_title_and_legend(pen)
    }

    fn draw_title_and_legend<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Drawn<B> {
        pen.text(&self.title, (LEFT, 46), Type::left(36, INK))?;
        let mut x = LEFT;
        for curve in &self.curves {
            let Some(label) = &curve.label else { continue };
            pen.line(&[(x, 98), (x + 56, 98)], curve.stroke)?;
            curve.marker.draw(pen, (x + 28, 98), curve.stroke)?;
            pen.text(label, (x + 70, 98), Type::left(25, INK))?;
            x += 70 + font::width(label, 25.0) as i32 + 48;
        }
        Ok(())
    }
}

impl Marker {
    fn draw<B: DrawingBackend>(self, pen: &Pen<'_, B>, at: Pixel, stroke: Stroke) -> Drawn<B> {
        match self {
            Self::None => Ok(()),
            Self::Dot => pen.dot(at, 7, stroke.color),
            Self::Ring => {
                pen.dot(at, 8, stroke.color)?;
                pen.dot(at, 5, WHITE)
            }
        }
    }
}

/// The rectangle that holds the data, and where in it an epoch and a value are.
struct Frame<'a> {
    axis: &'a Axis,
    top: i32,
    /// The first and the last epoch, widened so that no point stands on the edge.
    epochs: (f64, f64),
}

impl<'a> Frame<'a> {
    fn around(chart: &'a Chart) -> Self {
        let above = |c: &Curve| c.points.iter().any(|&(_, v)| chart.axis.is_above(v));
        let notes = i32::from(chart.curves.iter().any(above)) + i32::from(!chart.drops.is_empty());
        let epochs = chart.curves.iter().flat_map(|c| c.points.iter().map(|p| p.0));
        let (first, last) =
            epochs.fold((f64::MAX, f64::MIN), |(a, b), epoch| (a.min(epoch), b.max(epoch)));
        let (first, last) = if first <= last { (first, last) } else { (1.0, 1.0) };
        let pad = ((last - first) * 0.025).max(0.25);
        Self { axis: &chart.axis, top: 144 + NOTE * notes, epochs: (first - pad, last + pad) }
    }

    fn x(&self, epoch: f64) -> i32 {
        let (first, last) = self.epochs;
        LEFT + ((epoch - first) / (last - first) * f64::from(RIGHT - LEFT)).round() as i32
    }

    fn pixel(&self, (epoch, value): (f64, f64)) -> Pixel {
        (self.x(epoch), self.y(value))
    }

    fn y(&self, value: f64) -> i32 {
        BOTTOM - (self.axis.place(value) * f64::from(BOTTOM - self.top)).round() as i32
    }

    fn draw_grid<B: DrawingBackend>(&self, pen: &Pen<'_, B>, axis: &Axis) -> Drawn<B> {
        for &tick in &axis.ticks {
            let y = self.y(tick);
            pen.line(&[(LEFT, y), (RIGHT, y)], Stroke::solid(FAINT, 2))?;
            let set = Type::right(24, GRAY);
            pen.text(&axis.tick_label(tick), (LEFT - 14, y), set)?;
        }
        for epoch in epoch_ticks(self.epochs) {
            let x = self.x(epoch);
            pen.line(&[(x, BOTTOM), (x, BOTTOM + 8)], Stroke::solid(GRAY, 2))?;
            let set = Type::centered(24, GRAY);
            pen.text(&epoch.to_string(), (x, BOTTOM + 28), set)?;
        }
        let set = Type::centered(25, INK);
        pen.text("epoch", ((LEFT + RIGHT) / 2, BOTTOM + 68), set)
    }

    fn draw_drops<B: DrawingBackend>(&self, pen: &Pen<'_, B>, drops: &[(f64, String)]) -> Drawn<B> {
        let mut free_from = LEFT - NOTE;
        let top = 144 + NOTE / 2;
        for (epoch, label) in drops {
            let x = self.x(*epoch);
            for y in (top + 16..BOTTOM).step_by(18) {
                pen.line(&[(x, y), (x, (y + 7).min(BOTTOM))], Stroke::solid(DROP, 2))?;
            }
            free_from = note(pen, (x, top), label, GRAY, free_from)?;
        }
        Ok(())
    }

    fn draw_curve<B: DrawingBackend>(&self, pen: &Pen<'_, B>, curve: &Curve) -> Drawn<B> {
        for part in parts(curve) {
            let path: Vec<Pixel> = part.iter().map(|&p| self.pixel(p)).collect();
            if path.len() > 1 {
                pen.line(&path, curve.stroke)?;
            }
            // An epoch alone between two gaps has no line and would not be seen.
            let marker = match curve.marker {
                Marker::None if path.len() == 1 => Marker::Dot,
                marker => marker,
            };
            for (point, &at) in part.iter().zip(&path) {
                // A value above the axis is not where the line is cut off: it gets an arrow.
                if !self.axis.is_above(point.1) {
                    marker.draw(pen, at, curve.stroke)?;
                }
            }
        }
        Ok(())
    }

    /// An arrow at the top edge for every value above the axis, and its number over it; the thin
    /// curves, which stand in no legend, get arrows only.
    fn draw_values_above<B: DrawingBackend>(&self, pen: &Pen<'_, B>, curves: &[Curve]) -> Drawn<B> {
        let mut above: Vec<(i32, f64, &Curve)> = Vec::new();
        for curve in curves {
            let values = curve.points.iter().filter(|p| self.axis.is_above(p.1));
            above.extend(values.map(|&(epoch, value)| (self.x(epoch), value, curve)));
        }
        above.sort_by_key(|a| a.0);
        let mut free_from = LEFT - NOTE;
        for (x, value, curve) in above {
            let (y, color) = (self.top, curve.stroke.color);
            let arrow = [(x - 10, y + 10), (x, y - 1), (x + 10, y + 10)];
            pen.line(&arrow, Stroke::solid(color, 4))?;
            if curve.label.is_some() || curves.len() == 1 {
                let label = self.axis.value_label(value);
                free_from = note(pen, (x, y - NOTE / 2 - 6), &label, color, free_from)?;
            }
        }
        Ok(())
    }

    fn draw_best<B: DrawingBackend>(
        &self,
        pen: &Pen<'_, B>,
        best: &Best,
        curves: &[Curve],
    ) -> Drawn<B> {
        let at = (self.x(best.point.0), self.y(best.point.1));
        pen.dot(at, 13, WHITE)?;
        pen.ring(at, 12, Stroke::solid(best.stroke.color, 3))?;
        pen.dot(at, 7, best.stroke.color)?;
        let width = font::width(&best.label, 25.0) as i32;
        let middle = self.place_for_label(at, width, best.label_above, curves);
        let (half, height) = (width / 2 + 8, 16);
        let corners = [(middle.0 - half, middle.1 - height), (middle.0 + half, middle.1 + height)];
        pen.rectangle(corners, WHITE.mix(0.85))?;
        let set = Type::centered(25, best.stroke.color);
        pen.text(&best.label, middle, set)
    }

    /// Where a label of that width hides least of the curves: right above or below its point,
    /// else further away.
    fn place_for_label(&self, at: Pixel, width: i32, above: bool, curves: &[Curve]) -> Pixel {
        // Half of the text's height, and the radius of a marker with some air.
        let (half, height, air) = (width / 2 + 8, 18, 12);
        let x = at.0.clamp(LEFT + half + 4, (RIGHT - half).max(LEFT + half + 4));
        let path = |part: &[(f64, f64)]| part.iter().map(|&p| self.pixel(p)).collect();
        let paths: Vec<Vec<Pixel>> = curves.iter().flat_map(parts).map(path).collect();
        let hidden = |y: i32| {
            let inside =
                |&(px, py): &Pixel| (px - x).abs() <= half && (py - y).abs() <= height + air;
            paths.iter().flat_map(|path| samples(path)).filter(inside).count()
        };
        let first = if above { -1 } else { 1 };
        let distances = [38, 58, 78, 100, 124, 150, 180];
        let ys = distances.iter().flat_map(|d| [at.1 + first * d, at.1 - first * d]);
        ys.filter(|y| (self.top + height..=BOTTOM - height).contains(y))
            .min_by_key(|&y| hidden(y))
            .map_or((x, at.1 - 38), |y| (x, y))
    }
}

/// The unbroken parts of a curve.
fn parts(curve: &Curve) -> impl Iterator<Item = &[(f64, f64)]> {
    curve.points.split(|p| p.1.is_nan()).filter(|part| !part.is_empty())
}

/// Points along a path, one every few pixels.
fn samples(path: &[Pixel]) -> Vec<Pixel> {
    let between = |pair: &[Pixel]| {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let steps = ((x1 - x0).abs().max((y1 - y0).abs()) / 4).max(1);
        (0..=steps).map(move |i| (x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps))
    };
    path.windows(2).flat_map(between).collect()
}

/// Writes a small label centred on `at` unless it would run into the one before, which ends at
/// `free_from`. Returns where this one ends.
fn note<B: DrawingBackend>(
    pen: &Pen<'_, B>,
    at: Pixel,
    label: &str,
    color: RGBColor,
    free_from: i32,
) -> Result<i32, DrawingAreaErrorKind<B::ErrorType>> {
    let half = font::width(label, 21.0) as i32 / 2;
    let x = at.0.min(SIZE.0 as i32 - half - 4);
    if x - half < free_from {
        return Ok(free_from);
    }
    let set = Type::centered(21, color);
    pen.text(label, (x, at.1), set)?;
    Ok(x + half + 12)
}

/// Whole epochs, at most twelve or so: every one, every second, every fifth …
fn epoch_ticks((first, last): (f64, f64)) -> Vec<f64> {
    let mut step = 1.0;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle() {
        if (last - first) / step <= 12.0 {
            break;
        }
        step *= factor;
    }
    // The axis begins a little before epoch 1: there is no epoch 0 to name.
    let from = (first / step).ceil().max(1.0) as i64;
    (from..).map(|i| i as f64 * step).take_while(|&e| e <= last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_whole_and_few() {
        assert_eq!(epoch_ticks((0.75, 1.25)), [1.0]);
        assert_eq!(
            epoch_ticks((0.5, 20.5)),
            (1..=10).map(|i| f64::from(2 * i)).collect::<Vec<_>>()
        );
        let many = epoch_ticks((-6.5, 320.0));
        assert!(many.len() <= 12 && many.iter().all(|e| e.fract() == 0.0 && *e >= 1.0), "{many:?}");
    }

    #[test]
    fn samples_follow_the_path() {
        assert_eq!(samples(&[(0, 0), (8, 4)]), [(0, 0), (4, 2), (8, 4)]);
        assert_eq!(samples(&[(3, 3)]), []);
    }
}
