//! The proof of all losses: Keras's golden vectors, and what the rooms' own tests share.

use super::*;
use crate::{
    BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError, SparseCategoricalCrossentropy,
};
use gradus_testing::{Golden, Tolerance, assert_close};
use serde_json::Value;

/// Rows of that many columns.
pub(crate) fn batch(columns: usize, values: &[f32]) -> Tensor {
    Tensor::from_slice(Shape::new(&[values.len() / columns, columns]), values)
}

/// What a batch adds up to, and the gradient.
pub(crate) fn mean(
    loss: &dyn Loss,
    predictions: &Tensor,
    targets: &Tensor,
    weights: Option<&[f32]>,
) -> (Tally, Vec<f32>) {
    let weights = weights.map(|w| Tensor::from_slice(Shape::new(&[w.len()]), w));
    let target = Target { y: targets, weights: weights.as_ref() };
    // Whatever lay there is overwritten.
    let (mut gradient, mut tally) = (predictions.clone(), Tally::default());
    let mut cx = Context::new(Device::Cpu, 1);
    loss.evaluate(&mut cx, predictions, target, Some(&mut gradient), &mut tally);
    (tally, gradient.slice().to_vec())
}

/// The loss that a golden case is about.
fn of_case(params: &Value) -> Box<dyn Loss> {
    let said = params["loss"].as_str().expect("a golden case names its loss");
    let head = said.contains("Activation('softmax')");
    let logits = params["from_logits"].as_bool().unwrap_or(false);
    let smoothing = params["label_smoothing"].as_f64().unwrap_or(0.0);
    match said.split(' ').next().unwrap_or_default() {
        "categorical_crossentropy" => {
            let mut loss =
                CategoricalCrossentropy::new().from_logits(logits).label_smoothing(smoothing);
            // A softmax layer before it in a compiled model: Keras reaches behind the softmax.
            assert!(!head || loss.take_logits(Activation::Softmax));
            Box::new(loss)
        }
        "sparse_categorical_crossentropy" => {
            Box::new(SparseCategoricalCrossentropy::new().from_logits(logits))
        }
        "binary_crossentropy" => {
            Box::new(BinaryCrossentropy::new().from_logits(logits).label_smoothing(smoothing))
        }
        "mean_squared_error" => Box::new(MeanSquaredError),
        other => panic!("no loss for the golden case of {other}"),
    }
}

#[test]
fn every_golden_case_agrees_with_keras() {
    let Some(golden) = Golden::open("losses") else { return };
    let (mut losses, mut metrics) = (0, 0);
    for case in golden.cases("") {
        let params = golden.params(case);
        let flat = |field: &str| golden.tensor(case, field).into_raw_vec_and_offset().0;
        let predictions = batch(golden.tensor(case, "y_pred").shape()[1], &flat("y_pred"));
        if params["metric"] == "categorical_accuracy" {
            let loss = CategoricalCrossentropy::new();
            let (tally, _) = mean(&loss, &predictions, &batch(2, &flat("y_true")), None);
            assert_eq!(tally.accuracy() as f32, flat("value")[0]);
            metrics += 1;
            continue;
        }
        let loss = of_case(params);
        let columns = loss.target_shape(predictions.shape()).last();
        let targets = match columns == predictions.shape().last() {
            true => flat("y_true"),
            false => golden.integers(case, "y_true").iter().map(|&class| class as f32).collect(),
        };
        let weights = golden.has(case, "sample_weight").then(|| flat("sample_weight"));
        let targets = batch(columns, &targets);
        let (tally, gradient) = mean(&*loss, &predictions, &targets, weights.as_deref());
        for (field, ours) in [("loss", vec![tally.loss() as f32]), ("dy_pred", gradient)] {
            let tolerance = Tolerance::golden(golden.noise(case, field));
            assert_close(&format!("{case}: {field}"), &ours, &flat(field), tolerance);
        }
        losses += 1;
    }
    assert_eq!((losses, metrics), (50, 1), "every case of the file");
}
