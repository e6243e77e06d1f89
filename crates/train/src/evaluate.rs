//! How good a model is on some data.

use crate::batches;
use crate::confusing::Confusing;
use crate::{Batches, ConfusionMatrix, Error, Logs, Model, Progress, Verbosity};
use gradus_layers::{Accuracy, Activation, Tally};
use std::fmt;

/// How good a model is on some data.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The mean loss of a sample, penalties of regularizers included.
    pub loss: f64,
    /// The fraction of right judgements, of the kind that goes with the loss; `None` where the loss
    /// compares numbers.
    pub accuracy: Option<f64>,
    /// The other metrics that the model was compiled with, by name.
    pub metrics: Vec<(String, f64)>,
    /// Which classes were taken for which, where a sample has one class.
    pub confusion: Option<ConfusionMatrix>,
}

/// One line of figures, and the confusion matrix below it.
impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "loss {:.4}", self.loss)?;
        if let Some(accuracy) = self.accuracy {
            write!(f, ", accuracy {:.2} %", 100.0 * accuracy)?;
        }
        for (name, value) in &self.metrics {
            write!(f, ", {name} {value:.4}")?;
        }
        match &self.confusion {
            Some(confusion) => write!(f, "\n\n{confusion}"),
            None => Ok(()),
        }
    }
}

impl Evaluation {
    /// All figures by name: `loss`, `accuracy` and the metrics.
    fn figures(&self) -> impl Iterator<Item = (&str, f64)> {
        let accuracy = self.accuracy.map(|accuracy| ("accuracy", accuracy));
        let metrics = self.metrics.iter().map(|(name, value)| (name.as_str(), *value));
        [("loss", self.loss)].into_iter().chain(accuracy).chain(metrics)
    }

    /// Adds all figures to `logs`, as those of a validation.
    pub(crate) fn log(&self, logs: &mut Logs) {
        self.figures().for_each(|(name, value)| logs.set(&format!("val_{name}"), value));
    }
}

impl Model {
    /// Mean loss, accuracy, metrics and confusion over `steps` batches, or all of them. Nothing is
    /// told meanwhile: see [`Model::evaluate_verbose`].
    ///
    /// # Errors
    /// If the model is not compiled, the data does not fit it or cannot be read, or there is none.
    pub fn evaluate(
        &mut self,
        data: &mut dyn Batches,
        steps: Option<usize>,
    ) -> Result<Evaluation, Error> {
        self.evaluate_verbose(data, steps, Verbosity::Silent)
    }

    /// The same, told on standard error as [`Model::fit`] tells an epoch: a bar on a terminal, one
    /// line at the end elsewhere. Keras's `verbose`.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn evaluate_verbose(
        &mut self,
        data: &mut dyn Batches,
        steps: Option<usize>,
        verbose: Verbosity,
    ) -> Result<Evaluation, Error> {
        self.evaluate_told(data, steps, Progress::new(1, verbose))
    }

    /// The same, told wherever `progress` tells.
    pub(crate) fn evaluate_told(
        &mut self,
        data: &mut dyn Batches,
        steps: Option<usize>,
        mut progress: Progress,
    ) -> Result<Evaluation, Error> {
        self.plan_for(data)?;
        let _ = self.context.sums.take();
        let steps = steps.unwrap_or(data.batches());
        progress.start_pass(steps);
        let evaluation = self.evaluate_epoch(data, 0, steps, Some(&mut progress))?;
        progress.end_epoch(&evaluation.figures().collect::<Vec<_>>());
        data.problems().iter().for_each(|problem| progress.message(problem));
        Ok(evaluation)
    }

    /// One pass over `steps` batches of the data's `epoch`.
    pub(crate) fn evaluate_epoch(
        &mut self,
        data: &mut dyn Batches,
        epoch: u32,
        steps: usize,
        mut progress: Option<&mut Progress>,
    ) -> Result<Evaluation, Error> {
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        let (accuracy, cx) = (training.step.loss().accuracy(), &mut self.context);
        // A closing sigmoid makes probabilities of what the loss saw as logits.
        let threshold = match (accuracy, self.network.head()) {
            (Some(Accuracy::Binary { threshold }), Activation::Linear) => threshold,
            _ => 0.5,
        };
        let confusion = confusion_of(data, accuracy);
        let outputs = training.step.training_memory().output().shape().last();
        let mut confusion =
            confusion.map(|empty| Confusing::new(empty, threshold, outputs, &cx.device));
        let (metrics, mut tally) = (&mut training.metrics, Tally::default());
        metrics.reset();
        batches::start(data, cx, epoch, [0, steps]);
        while let Some(batch) = data.next_batch() {
            let batch = batch?;
            training.step.check(&batch)?;
            training.step.judge(&self.network, cx, &batch, &mut tally);
            let (loss, memory) = training.step.judged();
            metrics.judge(memory, batch.targets);
            if let Some(confusion) = &mut confusion {
                confusion.add(loss, memory, batch.targets);
            }
            if let Some(progress) = &mut progress {
                progress.step(batch.len(), || so_far(&tally));
            }
        }
        tally.collect(cx);
        metrics.collect();
        let confusion = confusion.map(Confusing::counted);
        cx.check()?;
        if tally.samples == 0 {
            return Err(Error::NoBatches);
        }
        Ok(Evaluation {
            loss: tally.loss(),
            accuracy: accuracy.map(|_| tally.accuracy()),
            metrics: metrics.iter().map(|(name, m)| (name.to_owned(), m.result())).collect(),
            confusion,
        })
    }
}

/// What is known in the middle of a pass: a GPU is asked at the end only.
fn so_far(tally: &Tally) -> Vec<(&'static str, f64)> {
    let loss = (tally.samples > 0).then(|| ("loss", tally.loss()));
    let accuracy = (tally.judged > 0).then(|| ("accuracy", tally.accuracy()));
    loss.into_iter().chain(accuracy).collect()
}

/// An empty matrix where each sample is of one class.
fn confusion_of(data: &dyn Batches, accuracy: Option<Accuracy>) -> Option<ConfusionMatrix> {
    let classes = data.classes();
    match accuracy? {
        // Several labels of which any may be true are no classes.
        Accuracy::Binary { .. } if classes.len() != 2 || data.outputs() > 1 => None,
        _ if classes.is_empty() => None,
        _ => Some(ConfusionMatrix::new(classes.to_vec())),
    }
}
