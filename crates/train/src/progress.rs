//! The progress of a run, told as Keras tells it.
//!
//! ```text
//! On a terminal  `Epoch 3/20`, then one line that is redrawn in place (`verbose=1`):
//!                `266/266 ━━━━━━━━━━━━━━━━━━━━ 12s 46ms/step - loss: 0.6512 - accuracy: 0.6100`
//! Elsewhere      plain lines, one when an epoch ends (`verbose=2`) and, in a long epoch, a sign of
//!                life twice a minute: `120/266 - 30s - 250ms/step - loss: 0.6630`
//! ```
//!
//! ```text
//! Deviations     a step's time leaves validation out (Keras's does not), and the last line ends
//!                with the images trained a second.
//! ```
//!
//! Telling must not slow what it tells of: a step that is not shown costs one look at the clock,
//! formats nothing, allocates nothing, and does not even ask for the metrics, because on a GPU the
//! answer would be a wait.

mod clock;
mod line;

use clock::Clock;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle};
use std::fmt;
use std::io::{IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The bar is redrawn at most ten times a second: faster than the eye reads numbers.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// Without a terminal, a long epoch gives a sign of life twice a minute.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);

/// How much of a run is told, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// A bar where standard error is a terminal, plain lines elsewhere. The default.
    #[default]
    Auto,
    /// Nothing, messages neither (Keras's `verbose=0`).
    Silent,
    /// One line per epoch (Keras's `verbose=2`).
    Plain,
    /// A bar redrawn in place (Keras's `verbose=1`); nothing where there is no terminal.
    Bar,
}

/// Tells the progress of a run of several epochs on standard error, or wherever a test looks.
///
/// ```
/// use gradus_train::{Progress, Verbosity};
/// let mut progress = Progress::new(20, Verbosity::Auto);
/// progress.start_epoch(0, 266);
/// progress.step(75, || [("loss", 0.71), ("accuracy", 0.55)]);
/// progress.end_epoch(&[("loss", 0.65), ("accuracy", 0.61), ("val_accuracy", 0.64)]);
/// ```
#[derive(Debug)]
pub struct Progress {
    epochs: u32,
    show: Show,
    epoch: Option<Epoch>,
    redraw_every: Duration,
}

/// The epoch under way.
#[derive(Debug)]
struct Epoch {
    clock: Clock,
    /// No redraw before this moment.
    next_redraw: Instant,
    /// Hidden unless bars are shown.
    bar: ProgressBar,
    /// What stands behind the bar, shared with its style.
    tail: Tail,
}

type Tail = Arc<Mutex<String>>;

/// Where the telling goes.
enum Show {
    Nothing,
    Lines(Box<dyn Write + Send>),
    Bar(Box<dyn Fn() -> ProgressDrawTarget + Send>),
}

impl fmt::Debug for Show {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Lines(_) => "Lines",
            Self::Bar(_) => "Bar",
        })
    }
}

impl Progress {
    /// Tells a run of `epochs` epochs on standard error.
    #[must_use]
    pub fn new(epochs: u32, verbosity: Verbosity) -> Self {
        let terminal = std::io::stderr().is_terminal();
        match verbosity {
            Verbosity::Silent => Self::showing(epochs, Show::Nothing, Duration::MAX),
            Verbosity::Bar => Self::bar(epochs, ProgressDrawTarget::stderr),
            Verbosity::Auto if terminal => Self::bar(epochs, ProgressDrawTarget::stderr),
            Verbosity::Auto | Verbosity::Plain => Self::to_writer(epochs, std::io::stderr()),
        }
    }

    /// Tells a run in plain lines to `writer`: a file, or a test's memory.
    #[must_use]
    pub fn to_writer(epochs: u32, writer: impl Write + Send + 'static) -> Self {
        Self::showing(epochs, Show::Lines(Box::new(writer)), HEARTBEAT_EVERY)
    }

    fn bar(epochs: u32, target: impl Fn() -> ProgressDrawTarget + Send + 'static) -> Self {
        Self::showing(epochs, Show::Bar(Box::new(target)), REDRAW_EVERY)
    }

    fn showing(epochs: u32, show: Show, redraw_every: Duration) -> Self {
        Self { epochs, show, epoch: None, redraw_every }
    }

    /// Begins `epoch` (from 0; shown from 1) of `steps` steps. An epoch still open is given up.
    pub fn start_epoch(&mut self, epoch: u32, steps: usize) {
        let heading = format!("Epoch {}/{}", epoch + 1, self.epochs);
        self.start(Some(heading), steps);
    }

    /// Begins a pass of `steps` steps that is no epoch: an evaluation, say. Steps and end are told as
    /// those of an epoch are, without a heading.
    pub fn start_pass(&mut self, steps: usize) {
        self.start(None, steps);
    }

    fn start(&mut self, heading: Option<String>, steps: usize) {
        if let Some(open) = self.epoch.take() {
            open.bar.abandon();
        }
        let tail = Tail::default();
        let bar = match &mut self.show {
            Show::Nothing => ProgressBar::hidden(),
            Show::Lines(writer) => {
                heading.iter().for_each(|heading| write_line(writer, heading));
                ProgressBar::hidden()
            }
            Show::Bar(target) => {
                let bar = ProgressBar::with_draw_target(Some(steps as u64), target())
                    .with_style(style(steps, tail.clone()))
                    // An error that ends the run leaves on the screen how far it came.
                    .with_finish(ProgressFinish::Abandon);
                heading.iter().for_each(|heading| bar.println(heading));
                bar
            }
        };
        let now = Instant::now();
        // A bar shows itself after the first step, a line after half a minute.
        let next_redraw = match self.show {
            Show::Bar(_) => now,
            _ => now.checked_add(self.redraw_every).unwrap_or(now),
        };
        self.epoch = Some(Epoch { clock: Clock::start(steps, now), next_redraw, bar, tail });
    }

    /// Begins the epoch after its first `steps` steps, which were done before.
    ///
    /// # Panics
    /// If no epoch was started.
    pub fn skip(&mut self, steps: usize) {
        let epoch = self.epoch.as_mut().expect("a step lies between start_epoch and end_epoch");
        epoch.clock.skip(steps);
    }

    /// Counts a finished step of `images` images. `values` is asked for the metrics so far only
    /// where they are about to be shown.
    ///
    /// # Panics
    /// If no epoch was started.
    pub fn step<'a, V: AsRef<[(&'a str, f64)]>>(
        &mut self,
        images: usize,
        values: impl FnOnce() -> V,
    ) {
        let epoch = self.epoch.as_mut().expect("a step lies between start_epoch and end_epoch");
        let now = Instant::now();
        epoch.clock.tick(images, now);
        if matches!(self.show, Show::Nothing) || now < epoch.next_redraw {
            return;
        }
        epoch.next_redraw = now + self.redraw_every;
        let values = values();
        match &mut self.show {
            Show::Nothing => {}
            Show::Lines(writer) => {
                let taken = epoch.clock.elapsed(now);
                write_line(writer, &plain_line(&epoch.clock, taken, values.as_ref()));
            }
            Show::Bar(_) => {
                epoch.redraw(bar_tail(&epoch.clock, epoch.clock.left(), values.as_ref()));
            }
        }
    }

    /// Ends the epoch, telling its final metrics, those of validation among them.
    ///
    /// # Panics
    /// If no epoch was started.
    pub fn end_epoch(&mut self, values: &[(&str, f64)]) {
        let epoch = self.epoch.take().expect("end_epoch follows start_epoch");
        let taken = epoch.clock.elapsed(Instant::now());
        match &mut self.show {
            Show::Nothing => {}
            Show::Lines(writer) => {
                let mut line = plain_line(&epoch.clock, taken, values);
                push_rate(&mut line, &epoch.clock);
                write_line(writer, &line);
            }
            Show::Bar(_) => {
                let mut tail = bar_tail(&epoch.clock, taken, values);
                push_rate(&mut tail, &epoch.clock);
                epoch.redraw(tail);
                // `abandon`, not `finish`: an epoch cut short keeps the count it reached.
                epoch.bar.abandon();
            }
        }
    }

    /// Prints a sentence (a callback's, say) without breaking the bar.
    pub fn message(&mut self, text: &str) {
        match (&mut self.show, &self.epoch) {
            (Show::Nothing, _) => {}
            (Show::Lines(writer), _) => write_line(writer, text),
            (Show::Bar(_), Some(epoch)) => epoch.bar.println(text),
            (Show::Bar(target), None) => {
                // Between two epochs there is no bar to go around: one already cleared prints it.
                let bar = ProgressBar::with_draw_target(None, target());
                bar.finish_and_clear();
                bar.println(text);
            }
        }
    }
}

impl Epoch {
    /// Bar and tail in one redraw, so that they never disagree.
    fn redraw(&self, tail: String) {
        *self.tail.lock().unwrap_or_else(PoisonError::into_inner) = tail;
        self.bar.update(|state| state.set_pos(self.clock.step as u64));
    }
}

/// `266/266 ━━━━━━━━━━━━━━━━━━━━ …`: twenty characters, green as far as the epoch has come.
fn style(steps: usize, tail: Tail) -> ProgressStyle {
    let digits = steps.to_string().len();
    let template = format!("{{pos:>{digits}}}/{{len}} {{bar:20.green/black.bright}} {{tail}}");
    let write_tail = move |_: &ProgressState, out: &mut dyn fmt::Write| {
        // The bar's text is a String, which takes every character.
        let _ = out.write_str(&tail.lock().unwrap_or_else(PoisonError::into_inner));
    };
    ProgressStyle::with_template(&template)
        .expect("a valid template")
        .with_key("tail", write_tail)
        .progress_chars("━━━")
}

/// What follows the bar: `12s 46ms/step - loss: 0.6512`.
fn bar_tail(clock: &Clock, time: Duration, values: &[(&str, f64)]) -> String {
    let mut line = String::new();
    line::push_duration(&mut line, time);
    line.push(' ');
    line::push_step_time(&mut line, clock.seconds_per_step());
    line::push_values(&mut line, values);
    line
}

/// `266/266 - 12s - 46ms/step - loss: 0.6512`: seconds however many, as Keras's `verbose=2`.
fn plain_line(clock: &Clock, taken: Duration, values: &[(&str, f64)]) -> String {
    let mut line = String::new();
    let (step, steps) = (clock.step, clock.steps);
    let digits = steps.to_string().len();
    let seconds = taken.as_secs_f64();
    line::push(&mut line, format_args!("{step:>digits$}/{steps} - {seconds:.0}s - "));
    line::push_step_time(&mut line, clock.seconds_per_step());
    line::push_values(&mut line, values);
    line
}

fn push_rate(line: &mut String, clock: &Clock) {
    if let Some(rate) = clock.images_per_second() {
        let digits = usize::from(rate < 10.0);
        line::push(line, format_args!(" - {rate:.digits$} images/s"));
    }
}

/// A line that cannot be written is no reason to end a run of hours.
fn write_line(writer: &mut impl Write, line: &str) {
    let _ = writeln!(writer, "{line}").and_then(|()| writer.flush());
}

#[cfg(test)]
mod tests;
