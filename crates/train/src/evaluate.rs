//! How good a model is on some data.

use crate::memory::class;
use crate::metrics::Metric;
use crate::{Batches, ConfusionMatrix, Error, Logs, Model};
use gradus_layers::{Accuracy, Tally, argmax};
use ndarray::ArrayView2;
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
    /// Adds all figures to `logs`, as those of a validation.
    pub(crate) fn log(&self, logs: &mut Logs) {
        logs.set("val_loss", self.loss);
        if let Some(accuracy) = self.accuracy {
            logs.set("val_accuracy", accuracy);
        }
        for (name, value) in &self.metrics {
            logs.set(&format!("val_{name}"), *value);
        }
    }
}

impl Model {
    /// Mean loss, accuracy, metrics and confusion over `steps` batches, or all of them.
    ///
    /// # Errors
    /// If the model is not compiled, the data does not fit it or cannot be read, or there is none.
    pub fn evaluate(
        &mut self,
        data: &mut dyn Batches,
        steps: Option<usize>,
    ) -> Result<Evaluation, Error> {
        self.plan_for(data)?;
        let steps = steps.unwrap_or(data.batches());
        self.evaluate_epoch(data, 0, steps)
    }

    /// One pass over `steps` batches of the data's `epoch`.
    pub(crate) fn evaluate_epoch(
        &mut self,
        data: &mut dyn Batches,
        epoch: u32,
        steps: usize,
    ) -> Result<Evaluation, Error> {
        let training = self.training.as_mut().ok_or(Error::NotCompiled)?;
        let accuracy = training.step.loss().accuracy();
        let mut confusion = confusion_of(data.classes(), accuracy);
        let (metrics, mut tally) = (&mut training.metrics, Tally::default());
        metrics.iter_mut().for_each(|metric| metric.reset());
        data.start(epoch, 0, steps);
        while let Some(batch) = data.next_batch() {
            let batch = batch?;
            let cx = &mut self.context;
            let answers = training.step.evaluate(&self.network, cx, &batch, &mut tally);
            let answers = answers.rows::<f32>();
            metrics.iter_mut().for_each(|metric| metric.update(answers, batch.targets, None));
            if let Some(confusion) = &mut confusion {
                count(confusion, answers, batch.targets);
            }
        }
        if tally.samples == 0 {
            return Err(Error::NoBatches);
        }
        Ok(Evaluation {
            loss: tally.loss(),
            accuracy: accuracy.map(|_| tally.accuracy()),
            metrics: metrics.iter().map(|m| (m.name().to_owned(), m.result())).collect(),
            confusion,
        })
    }
}

/// An empty matrix where each sample is of one class.
fn confusion_of(classes: &[String], accuracy: Option<Accuracy>) -> Option<ConfusionMatrix> {
    match accuracy {
        Some(Accuracy::Binary { .. }) if classes.len() != 2 => None,
        Some(_) if !classes.is_empty() => Some(ConfusionMatrix::new(classes.to_vec())),
        _ => None,
    }
}

/// One probability says yes above a half; of several the largest counts.
fn count(
    confusion: &mut ConfusionMatrix,
    answers: ArrayView2<'_, f32>,
    targets: ArrayView2<'_, f32>,
) {
    for (answer, target) in answers.rows().into_iter().zip(targets.rows()) {
        let predicted = match answer.len() {
            1 => usize::from(answer[0] > 0.5),
            _ => argmax(answer),
        };
        confusion.add(class(target), predicted);
    }
}

/// Takes a batch of training into the metrics, and their figures into `logs`.
pub(crate) fn measure(
    metrics: &mut [Box<dyn Metric>],
    answers: ArrayView2<'_, f32>,
    targets: ArrayView2<'_, f32>,
    logs: &mut Logs,
) {
    for metric in metrics {
        metric.update(answers, targets, None);
        logs.set(metric.name(), metric.result());
    }
}
