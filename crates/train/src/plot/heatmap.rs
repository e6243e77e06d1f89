//! A confusion matrix as a coloured table: rows are what an image shows, columns what was said.
//!
//! A cell's colour is its share of the row, so that a rare class is as legible as a frequent one.

use super::axis::short;
use super::font;
use super::pen::{BLUE, Drawn, GRAY, INK, Pen, Type, WHITE, tint};
use plotters::style::Color as _;
use plotters_backend::DrawingBackend;

/// The size in pixels.
pub(super) const SIZE: (u32, u32) = (1000, 1000);

const LEFT: i32 = 230;
const TOP: i32 = 240;
/// The side of the whole matrix.
const SIDE: i32 = 720;

/// What is drawn.
#[derive(Debug)]
pub(super) struct Heatmap {
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) classes: Vec<String>,
    /// \[classes, classes\]: actual × predicted.
    pub(super) counts: Vec<u64>,
}

impl Heatmap {
    pub(super) fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Drawn<B> {
        pen.rectangle([(0, 0), (SIZE.0 as i32, SIZE.1 as i32)], WHITE.mix(1.0))?;

        pen.text(&self.title, (40, 50), Type::left(36, INK))?;
        pen.text(&self.subtitle, (40, 100), Type::left(25, GRAY))?;
        let middle = LEFT + SIDE / 2;
        pen.text("predicted", (middle, TOP - 68), Type::centered(25, INK))?;
        pen.text("actual", (LEFT - 14, TOP - 26), Type::right(25, INK))?;

        let n = self.classes.len() as i32;
        let em = (SIDE / n / 2).clamp(9, 25) as u32;
        let room = f64::from(SIDE / n - 6);
        // Where a name is wider than its column, the columns have numbers and the rows explain them.
        let numbered = self.classes.iter().any(|c| font::width(c, f64::from(em)) > room);
        for (row, class) in self.classes.iter().enumerate() {
            let middle = (2 * row as i32 + 1) * SIDE / (2 * n);
            let (over, number) = if numbered {
                (row.to_string(), format!("  {row}"))
            } else {
                (class.clone(), String::new())
            };
            let name =
                fitted(class, em, f64::from(LEFT - 34) - font::width(&number, f64::from(em)));
            pen.text(&(name + &number), (LEFT - 14, TOP + middle), Type::right(em, INK))?;
            pen.text(&over, (LEFT + middle, TOP - 26), Type::centered(em, INK))?;
            self.draw_row(pen, row)?;
        }
        Ok(())
    }

    fn draw_row<B: DrawingBackend>(&self, pen: &Pen<'_, B>, row: usize) -> Drawn<B> {
        let n = self.classes.len();
        let counts = &self.counts[row * n..(row + 1) * n];
        let total: u64 = counts.iter().sum();
        let edge = |i: usize| (i * SIDE as usize / n) as i32;
        let (y0, y1) = (TOP + edge(row), TOP + edge(row + 1));
        let side = SIDE / n as i32;
        for (column, &count) in counts.iter().enumerate() {
            let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
            let (x0, x1) = (LEFT + edge(column), LEFT + edge(column + 1));
            let fill = tint(BLUE, 0.04 + 0.96 * share);
            pen.rectangle([(x0 + 1, y0 + 1), (x1 - 1, y1 - 1)], fill.mix(1.0))?;
            let color = if share > 0.5 { WHITE } else { INK };
            let (x, y) = ((x0 + x1) / 2, (y0 + y1) / 2);
            let set = |em: i32| Type::centered(em as u32, color);
            // With many classes the percent go first and then the numbers: colours remain.
            if side >= 90 {
                pen.text(
                    &count.to_string(),
                    (x, y - (side / 14).min(18)),
                    set((side / 7).min(40)),
                )?;
                let percent = format!("{} %", short((share * 1000.0).round() / 10.0));
                pen.text(&percent, (x, y + (side / 8).min(28)), set((side / 10).min(25)))?;
            } else if side >= 24 {
                pen.text(&count.to_string(), (x, y), set(side / 3))?;
            }
        }
        Ok(())
    }
}

/// The text, or its beginning and an ellipsis where it is wider than `width` pixels.
fn fitted(text: &str, em: u32, width: f64) -> String {
    if font::width(text, f64::from(em)) <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if font::width(&short, f64::from(em)) + font::width("…", f64::from(em)) > width {
            short.pop();
            break;
        }
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_to_fit() {
        assert_eq!(fitted("dog", 25, 100.0), "dog");
        let name = fitted("Staffordshire bull terrier", 25, 150.0);
        assert!(name.ends_with('…') && name.starts_with("Staff"), "{name}");
        assert!(font::width(&name, 25.0) <= 150.0);
    }
}
