//! Pictures of a run: its curves over the epochs, several runs beside each other, and the
//! confusion matrix, as SVG and as PNG.
//!
//! Each picture is drawn by one routine for any backend of plotters: `plotters_svg` writes the SVG,
//! `raster` the pixels of the PNG. The font is inside the program and no system library is
//! needed, so that the same history gives the same picture everywhere.
//!
//! ```text
//! Conventions  epochs are shown from 1; the curve of training is blue with dots, that of
//!              validation vermilion with rings (told apart without colours, too); a missing value
//!              or NaN is a gap; a value above the axis is an arrow with its number (see `axis`);
//!              a dashed upright line stands where the learning rate fell
//! ```

mod axis;
mod chart;
mod font;
mod heatmap;
mod pen;
mod raster;
mod sheet;

use crate::history::{History, Mode};
use crate::{WriteError, write_beside};
use axis::{Axis, short};
use chart::{Best, Chart, Curve, Marker};
use heatmap::Heatmap;
use image::ImageEncoder as _;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use pen::{BLUE, Dash, PALETTE, Pen, Stroke, VERMILION, tint};
use plotters::drawing::IntoDrawingArea as _;
use plotters::style::RGBColor;
use plotters_backend::DrawingBackend;
use raster::Raster;
use std::io::Write as _;
use std::path::{Path, PathBuf};

pub use sheet::{Card, contact_sheet};

/// With more epochs than this, markers would hide the lines.
const MARKED_EPOCHS: usize = 50;
/// A learning rate that falls more often follows a schedule, and marks would say nothing.
const MARKED_DROPS: usize = 8;

/// A plot that cannot be drawn or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// No value of the metric, or of its `val_` twin, to draw.
    #[error("nothing to plot: no value of {metric:?}; there are columns {columns:?}")]
    NoValues {
        /// The metric asked for.
        metric: String,
        /// The columns that the history has.
        columns: Vec<String>,
    },
    /// The file name does not say which format to write.
    #[error("{}: the name must end with .svg or .png", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A picture, ready to be saved.
#[derive(Debug)]
pub struct Plot(Figure);

#[derive(Debug)]
enum Figure {
    Chart(Chart),
    Heatmap(Heatmap),
}

/// One of several runs in a plot.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Runs of the same group share a colour and a kind of line; the legend names the group.
    pub group: &'a str,
    /// What the run brought.
    pub history: &'a History,
}

/// The curves of training and validation of one metric (`"accuracy"`, `"loss"`): the columns
/// `metric` and `val_metric`, whichever there are. The best epoch is singled out, that of
/// validation where there is validation.
///
/// ```no_run
/// use gradus_train::{History, plot::plot_history};
/// let history = History::read_csv("history.csv")?;
/// plot_history(&history, "accuracy")?.save("accuracy.svg")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`PlotError::NoValues`] where neither column has a value.
pub fn plot_history(history: &History, metric: &str) -> Result<Plot, PlotError> {
    let sides = [
        Side::new(history, "training", metric, BLUE, Marker::Dot),
        Side::new(history, "validation", &format!("val_{metric}"), VERMILION, Marker::Ring),
    ];
    let sides: Vec<Side> = sides.into_iter().filter(Side::has_values).collect();
    let Some(last) = sides.last() else {
        return Err(no_values(metric, history));
    };

    let axis = Axis::fitting(metric, sides.iter().flat_map(|s| s.points.iter().map(|p| p.1)));
    let mut chart =
        Chart { title: words(metric), axis, curves: Vec::new(), best: None, drops: Vec::new() };
    // A learning rate has neither sides nor a best, and marks where it falls would say it twice.
    let plain = is_learning_rate(metric);
    if !plain {
        let who: Vec<&str> = sides.iter().map(|s| s.who).collect();
        chart.title = format!("{} {}", who.join(" and "), words(metric));
        chart.best = best(history, &last.column, &chart.axis, last.stroke);
        chart.drops = drops(history);
    }
    chart.title = sentence_case(&chart.title);
    let marked = history.len() <= MARKED_EPOCHS;
    chart.curves = sides
        .into_iter()
        .map(|side| Curve {
            label: (!plain).then(|| side.who.to_owned()),
            points: side.points,
            stroke: side.stroke,
            marker: if marked { side.marker } else { Marker::None },
        })
        .collect();
    Ok(Plot(Figure::Chart(chart)))
}

/// The curves of one column (`"val_accuracy"`) of several runs: the mean of each group bold, its
/// runs thin.
///
/// # Errors
/// [`PlotError::NoValues`] where no run has a value of it.
pub fn plot_runs(runs: &[Run<'_>], column: &str) -> Result<Plot, PlotError> {
    let mut groups: Vec<(&str, Vec<&History>)> = Vec::new();
    for run in runs {
        match groups.iter_mut().find(|(name, _)| *name == run.group) {
            Some((_, members)) => members.push(run.history),
            None => groups.push((run.group, vec![run.history])),
        }
    }
    let values = runs.iter().flat_map(|r| points(r.history, column)).map(|p| p.1);
    let axis = Axis::fitting(column, values.clone());
    if !values.clone().any(|v| !v.is_nan()) {
        let nothing = History::new();
        return Err(no_values(column, runs.first().map_or(&nothing, |r| r.history)));
    }

    let (mut thin, mut bold) = (Vec::new(), Vec::new());
    for (index, (name, members)) in groups.iter().enumerate() {
        let color = PALETTE[index % PALETTE.len()];
        let dash = [Dash::Solid, Dash::Dashed, Dash::Dotted][index % 3];
        let all: Vec<Vec<(f64, f64)>> = members.iter().map(|h| points(h, column)).collect();
        let single = all.len() == 1;
        let label =
            if single { (*name).to_owned() } else { format!("{name} (mean of {})", all.len()) };
        let stroke = Stroke { color, width: 5, dash };
        bold.push(Curve { label: Some(label), points: mean(&all), stroke, marker: Marker::None });
        if !single {
            let stroke = Stroke::solid(tint(color, 0.4), 3);
            let curve = |points| Curve { label: None, points, stroke, marker: Marker::None };
            thin.extend(all.into_iter().map(curve));
        }
    }
    thin.append(&mut bold);
    let title = match column.strip_prefix("val_") {
        Some(metric) => format!("Validation {}", words(metric)),
        None if is_learning_rate(column) => sentence_case(&words(column)),
        None => format!("Training {}", words(column)),
    };
    let chart = Chart { title, axis, curves: thin, best: None, drops: Vec::new() };
    Ok(Plot(Figure::Chart(chart)))
}

/// The picture of a confusion matrix: `counts` is \[classes, classes\], actual × predicted.
pub(crate) fn plot_confusion(classes: &[String], counts: &[u64], subtitle: String) -> Plot {
    Plot(Figure::Heatmap(Heatmap {
        title: "Confusion matrix".to_owned(),
        subtitle,
        classes: classes.to_vec(),
        counts: counts.to_vec(),
    }))
}

/// A PNG file of \[height, width, 3\].
fn encode(pixels: &[u8], (width, height): (u32, u32)) -> Vec<u8> {
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive)
        .write_image(pixels, width, height, image::ExtendedColorType::Rgb8)
        .expect("a PNG in memory");
    png
}

impl Plot {
    /// Saves the picture, beside and renamed, in the format that the name ends with.
    ///
    /// # Errors
    /// If the name ends with neither `.svg` nor `.png`, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), PlotError> {
        let path = path.as_ref();
        let format = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        let bytes = match format.as_str() {
            "svg" => self.svg().into_bytes(),
            "png" => self.png(),
            _ => {
                return Err(PlotError::Format { path: path.to_owned() });
            }
        };
        Ok(write_beside(path, |file| file.write_all(&bytes))?)
    }

    /// The picture as an SVG document.
    ///
    /// # Panics
    /// Never: drawing into memory does not fail.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut svg = String::new();
        {
            let area = plotters::backend::SVGBackend::with_string(&mut svg, self.size());
            let area = area.into_drawing_area();
            self.draw(&Pen(&area));
            area.present().expect("an SVG in memory");
        }
        // What plotters cannot say: round joins, and a name for those who hear the page.
        let title = escaped(self.title());
        let root = format!(
            " role=\"img\" stroke-linejoin=\"round\" stroke-linecap=\"round\">\n<title>{title}</title>\n"
        );
        svg.replacen(">\n", &root, 1)
    }

    /// The picture as a PNG file: 1280 × 800 pixels for curves, 1000 × 1000 for a matrix.
    ///
    /// # Panics
    /// Never: drawing into memory does not fail.
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        let (width, height) = self.size();
        let mut pixels = vec![255u8; (width * height * 3) as usize];
        {
            let area = Raster::new(&mut pixels, self.size()).into_drawing_area();
            self.draw(&Pen(&area));
        }
        encode(&pixels, (width, height))
    }

    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) {
        let drawn = match &self.0 {
            Figure::Chart(chart) => chart.draw(pen),
            Figure::Heatmap(heatmap) => heatmap.draw(pen),
        };
        drawn.expect("drawing into memory does not fail");
    }

    fn size(&self) -> (u32, u32) {
        match &self.0 {
            Figure::Chart(_) => chart::SIZE,
            Figure::Heatmap(_) => heatmap::SIZE,
        }
    }

    fn title(&self) -> &str {
        match &self.0 {
            Figure::Chart(chart) => &chart.title,
            Figure::Heatmap(heatmap) => &heatmap.title,
        }
    }
}

/// Training or validation, as a history's plot shows them.
struct Side {
    who: &'static str,
    column: String,
    points: Vec<(f64, f64)>,
    stroke: Stroke,
    marker: Marker,
}

impl Side {
    fn new(
        history: &History,
        who: &'static str,
        column: &str,
        color: RGBColor,
        marker: Marker,
    ) -> Self {
        let (points, stroke) = (points(history, column), Stroke::solid(color, 4));
        Self { who, column: column.to_owned(), points, stroke, marker }
    }

    fn has_values(&self) -> bool {
        self.points.iter().any(|p| !p.1.is_nan())
    }
}

/// Epoch (from 1) and value, NaN where there is none; empty where there is no such column.
fn points(history: &History, column: &str) -> Vec<(f64, f64)> {
    let values = history.column(column).unwrap_or(&[]);
    let epochs = history.epochs().iter().map(|&e| f64::from(e) + 1.0);
    epochs.zip(values.iter().map(|v| v.unwrap_or(f64::NAN))).collect()
}

fn best(history: &History, column: &str, axis: &Axis, stroke: Stroke) -> Option<Best> {
    let mode = Mode::auto(column);
    let (epoch, value) = history.best(column, mode)?;
    let label = format!("best {}, epoch {}", axis.value_label(value), epoch + 1);
    let point = (f64::from(epoch) + 1.0, value);
    Some(Best { point, label, stroke, label_above: mode == Mode::Max })
}

/// Where the learning rate fell: the middle between two epochs, and the new rate. None where it
/// fell so often that it follows a schedule.
fn drops(history: &History) -> Vec<(f64, String)> {
    let Some(name) = history.names().find(|n| is_learning_rate(n)) else {
        return Vec::new();
    };
    let rates: Vec<(f64, f64)> =
        points(history, name).into_iter().filter(|p| !p.1.is_nan()).collect();
    let fell = rates.windows(2).filter(|w| w[1].1 < w[0].1 * (1.0 - 1e-6));
    let drops: Vec<(f64, String)> =
        fell.map(|w| ((w[0].0 + w[1].0) / 2.0, format!("lr {}", short(w[1].1)))).collect();
    if drops.len() <= MARKED_DROPS { drops } else { Vec::new() }
}

/// The mean of several curves at the epochs at which all have a value.
fn mean(curves: &[Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let Some((first, others)) = curves.split_first() else {
        return Vec::new();
    };
    let at =
        |curve: &[(f64, f64)], epoch| curve.iter().find(|p| p.0 == epoch).map_or(f64::NAN, |p| p.1);
    let sum = |&(epoch, value): &(f64, f64)| {
        let sum = others.iter().fold(value, |sum, curve| sum + at(curve, epoch));
        (epoch, sum / curves.len() as f64)
    };
    first.iter().map(sum).collect()
}

fn is_learning_rate(column: &str) -> bool {
    column == "lr" || column == "learning_rate"
}

/// The name of a metric as people say it.
fn words(metric: &str) -> String {
    if is_learning_rate(metric) { "learning rate".to_owned() } else { metric.replace('_', " ") }
}

fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |c| c.to_uppercase().chain(letters).collect())
}

fn no_values(metric: &str, history: &History) -> PlotError {
    let columns = history.names().map(str::to_owned).collect();
    PlotError::NoValues { metric: metric.to_owned(), columns }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
