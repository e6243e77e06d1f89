//! The run as TensorBoard shows it, without TensorFlow.
//!
//! ```text
//! Files        <log_dir>/train/ and <log_dir>/validation/, one file of events each, which grows;
//!              `tensorboard --logdir <log_dir>` shows the two as two runs
//! Scalars      epoch_loss, epoch_accuracy, epoch_<metric>, of the run that they belong to, and
//!              epoch_learning_rate, at step = epoch, from 0; evaluation_loss_vs_iterations and so on
//!              at step = updates; with `update_freq` batch_loss and so on, the means of the epoch so
//!              far, at step = updates
//! Others       the summary of the model as text; histograms of the weights, named as Keras 2 names
//!              them: conv2d/kernel_0; images of the first batch of an epoch, as augmented
//! Conventions  Keras 2's names and steps
//! Resume       the files go on at the length that the checkpoint remembers (see `log_file`), so that
//!              those of a run that was resumed differ only in the times of day
//! Reference    tf_keras 2.21, `callbacks.TensorBoard`
//! ```

mod event;
mod histogram;
mod log_file;
mod pictures;

use crate::{Callback, Control, Error, Run, State};
use event::Summary;
use gradus_tensor::{Fields as _, Path as Name};
use log_file::{Failed, LogFile, wall_time};
use serde::{Deserialize, Serialize, de::Error as _};
use std::path::PathBuf;

/// Keras's `TensorBoard`.
///
/// ```
/// use gradus_train::{Fit, TensorBoard};
/// let board = TensorBoard::new("logs").histogram_freq(1).batch_images(8);
/// let fit = Fit { epochs: 20, callbacks: vec![Box::new(board)], ..Fit::default() };
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    log_dir: PathBuf,
    histogram_freq: u32,
    update_freq: u64,
    write_graph: bool,
    batch_images: usize,
    written: Written,
}

/// What a checkpoint keeps.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    train: LogFile,
    validation: LogFile,
    /// Whether the text is written.
    graph: bool,
    /// The last epoch whose images are written.
    images: Option<u32>,
}

impl Written {
    fn nothing() -> Self {
        Self { train: LogFile::new(), validation: LogFile::new(), graph: false, images: None }
    }
}

/// Values of one step, under their tags.
struct Events {
    step: u64,
    encoded: Vec<Vec<u8>>,
}

impl Events {
    fn at(step: u64) -> Self {
        Self { step, encoded: Vec::new() }
    }

    fn add(&mut self, tag: &str, summary: &Summary) {
        self.encoded.push(event::event(wall_time(), self.step, tag, summary));
    }
}

impl TensorBoard {
    /// Writes below that folder, which is made if it is not there. Defaults, all Keras's: figures
    /// once an epoch, no histograms, the summary of the model as text, no images.
    #[must_use]
    pub fn new(log_dir: impl Into<PathBuf>) -> Self {
        Self {
            log_dir: log_dir.into(),
            histogram_freq: 0,
            update_freq: 0,
            write_graph: true,
            batch_images: 0,
            written: Written::nothing(),
        }
    }

    /// Histograms of all weights every so many epochs; 0 for none.
    #[must_use]
    pub fn histogram_freq(mut self, epochs: u32) -> Self {
        self.histogram_freq = epochs;
        self
    }

    /// The figures every so many updates too; 0 for once an epoch only.
    #[must_use]
    pub fn update_freq(mut self, updates: u64) -> Self {
        self.update_freq = updates;
        self
    }

    /// Whether the summary of the model is written, as text.
    #[must_use]
    pub fn write_graph(mut self, write: bool) -> Self {
        self.write_graph = write;
        self
    }

    /// The first images of the first batch of each epoch, as the network sees them; 0 for none.
    #[must_use]
    pub fn batch_images(mut self, images: usize) -> Self {
        self.batch_images = images;
        self
    }

    /// Adds events to the file of training, or of validation.
    fn append(&mut self, training: bool, events: &Events) -> Result<(), Error> {
        if events.encoded.is_empty() {
            return Ok(());
        }
        let (file, run) = match training {
            true => (&mut self.written.train, "train"),
            false => (&mut self.written.validation, "validation"),
        };
        file.append(&self.log_dir.join(run), &events.encoded).map_err(error)
    }

    /// Cuts the files to what the checkpoint knows of, once, before anything is added.
    fn go_on(&mut self, control: &mut Control) -> Result<(), Error> {
        let files =
            [(&mut self.written.train, "train"), (&mut self.written.validation, "validation")];
        for (file, run) in files.into_iter().filter(|(file, _)| file.is_to_go_on()) {
            control.messages.extend(file.open(&self.log_dir.join(run)).map_err(error)?);
        }
        Ok(())
    }

    fn images(&mut self, run: &Run<'_>, events: &mut Events) {
        let training = run.model.training.as_ref();
        if self.batch_images > 0
            && self.written.images != Some(run.epoch)
            && let Some(training) = training
        {
            let x = &training.step.training_memory().x;
            let (size, files) = pictures::pictures(x, run.model.rescale(), self.batch_images);
            events.add("batch", &Summary::Images { size, files });
            self.written.images = Some(run.epoch);
        }
    }
}

fn error((path, source): Failed) -> Error {
    let reason = format!("{}: {source}", path.display());
    Error::Callback { callback: "TensorBoard", reason }
}

/// Keras calls the rate so in its figures.
fn figure(name: &str) -> &str {
    if name == "lr" { "learning_rate" } else { name }
}

/// The figures of the epoch, those of training and those of validation.
fn figures(run: &Run<'_>) -> [Events; 2] {
    let epoch = u64::from(run.epoch);
    let [mut train, mut validation] = [epoch; 2].map(Events::at);
    let mut iterations = Events::at(run.model.updates());
    for (name, value) in run.logs.entries() {
        let value = Summary::Scalar(value as f32);
        match name.strip_prefix("val_") {
            None => train.add(&format!("epoch_{}", figure(name)), &value),
            Some(name) => {
                validation.add(&format!("epoch_{name}"), &value);
                iterations.add(&format!("evaluation_{name}_vs_iterations"), &value);
            }
        }
    }
    validation.encoded.append(&mut iterations.encoded);
    [train, validation]
}

/// The weights of every layer.
fn histograms(run: &Run<'_>, events: &mut Events, control: &mut Control) {
    run.model.network().visit(&mut Name::default(), &mut |name, field| {
        let (rows, lost) = histogram::histogram(&field.value().numbers::<f32>());
        if lost > 0 {
            control.messages.push(format!(
                "TensorBoard: {lost} numbers of {name} are not finite and not in its histogram"
            ));
        }
        if !rows.is_empty() {
            let tag = format!("{}_0", name.as_str().replace('.', "/"));
            events.add(&tag, &Summary::Histogram(rows));
        }
    });
}

impl Callback for TensorBoard {
    fn description(&self) -> String {
        let Self { histogram_freq, update_freq, write_graph, batch_images, .. } = self;
        format!(
            "TensorBoard {{ histogram_freq: {histogram_freq}, update_freq: {update_freq}, \
             write_graph: {write_graph}, batch_images: {batch_images} }}"
        )
    }

    fn fit_start(&mut self) -> Result<(), Error> {
        self.written = Written::nothing();
        Ok(())
    }

    fn epoch_start(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        self.go_on(control)?;
        if !self.write_graph || self.written.graph {
            return Ok(());
        }
        self.written.graph = true;
        // The text is Markdown, in which a table of characters is code.
        let text = format!("```\n{}\n```", run.model.summary());
        let mut events = Events::at(0);
        events.add("model", &Summary::Text(text));
        self.append(true, &events)
    }

    fn step_end(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        self.go_on(control)?;
        let mut images = Events::at(u64::from(run.epoch));
        self.images(run, &mut images);
        self.append(true, &images)?;
        let updates = run.model.updates();
        if self.update_freq == 0 || !updates.is_multiple_of(self.update_freq) {
            return Ok(());
        }
        let mut events = Events::at(updates);
        for (name, value) in run.logs.entries() {
            events.add(&format!("batch_{name}"), &Summary::Scalar(value as f32));
        }
        self.append(true, &events)
    }

    fn epoch_end(&mut self, run: &Run<'_>, control: &mut Control) -> Result<(), Error> {
        self.go_on(control)?;
        let [mut train, validation] = figures(run);
        if self.histogram_freq > 0 && run.epoch.is_multiple_of(self.histogram_freq) {
            histograms(run, &mut train, control);
        }
        self.append(true, &train)?;
        self.append(false, &validation)?;
        self.written.train.sync(&self.log_dir.join("train")).map_err(error)?;
        self.written.validation.sync(&self.log_dir.join("validation")).map_err(error)
    }

    fn state(&self) -> State {
        let values = serde_json::to_value(&self.written).expect("plain values");
        State { values, tensors: Vec::new() }
    }

    fn restore(&mut self, state: State) -> Result<(), serde_json::Error> {
        let written: Written = serde_json::from_value(state.values)?;
        if ![&written.train, &written.validation].into_iter().all(LogFile::is_named_well) {
            return Err(serde_json::Error::custom("the name of a file of events is none"));
        }
        self.written = written;
        Ok(())
    }
}
