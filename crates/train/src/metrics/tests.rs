//! The proof of the metrics: Keras's own figures, which `tests/golden/metrics.py` writes.

use super::*;
use ndarray::{Array1, Array2, array, s};
use serde_json::Value;

/// All samples of the figures; the batches are of ten and of the rest.
const SAMPLES: usize = 16;
const FIRST: usize = 10;

fn golden() -> Value {
    let text = include_str!("../../tests/golden/metrics.json");
    serde_json::from_str(text).expect("the generator writes JSON")
}

fn numbers(value: &Value) -> Vec<f32> {
    let values = value.as_array().expect("a list");
    values.iter().map(|v| v.as_f64().expect("a number") as f32).collect()
}

fn rows(value: &Value) -> Array2<f32> {
    let values = numbers(value);
    Array2::from_shape_vec((SAMPLES, values.len() / SAMPLES), values).expect("whole rows")
}

fn of_case(case: &Value, classes: usize) -> Box<dyn Metric> {
    let whole = |option: &str| case[option].as_u64().map(|k| k as usize);
    let (k, top_k, class) = (whole("k").unwrap_or(5), whole("top_k"), whole("class_id"));
    let threshold = case["threshold"].as_f64().map(|t| t as f32);
    match case["metric"].as_str().expect("a name") {
        "binary_accuracy" => Box::new(binary_accuracy(threshold.unwrap_or(0.5))),
        "categorical_accuracy" => Box::new(categorical_accuracy()),
        "sparse_categorical_accuracy" => Box::new(sparse_categorical_accuracy()),
        "top_k_categorical_accuracy" => Box::new(top_k_categorical_accuracy(k)),
        "sparse_top_k_categorical_accuracy" => Box::new(sparse_top_k_categorical_accuracy(k)),
        "precision" => {
            let metric = Precision::new();
            let metric = threshold.map_or(metric.clone(), |t| metric.threshold(t));
            let metric = top_k.map_or(metric.clone(), |k| metric.top_k(k));
            Box::new(class.map_or(metric.clone(), |class| metric.class_id(class)))
        }
        "recall" => {
            let metric = Recall::new();
            let metric = threshold.map_or(metric.clone(), |t| metric.threshold(t));
            let metric = top_k.map_or(metric.clone(), |k| metric.top_k(k));
            Box::new(class.map_or(metric.clone(), |class| metric.class_id(class)))
        }
        "f1_score" => {
            let average = match case["average"].as_str() {
                Some("micro") => Average::Micro,
                Some("macro") => Average::Macro,
                _ => Average::Weighted,
            };
            let metric = F1Score::new(classes, average);
            Box::new(threshold.map_or(metric.clone(), |t| metric.threshold(t)))
        }
        "auc" => {
            let curve = if case["curve"] == "PR" { Curve::Pr } else { Curve::Roc };
            Box::new(Auc::new(curve, whole("num_thresholds").expect("a number")))
        }
        other => panic!("no metric {other}"),
    }
}

/// Two batches, the second one short.
fn feed(metric: &mut dyn Metric, p: &Array2<f32>, t: &Array2<f32>, weights: Option<&Array1<f32>>) {
    for rows in [0..FIRST, FIRST..SAMPLES] {
        let part = s![rows.clone(), ..];
        metric.update(p.slice(part), t.slice(part), weights.map(|w| w.slice(s![rows])));
    }
}

#[test]
fn every_figure_is_that_of_keras() {
    let golden = golden();
    let weights = Array1::from_vec(numbers(&golden["weights"]));
    let cases = golden["cases"].as_array().expect("a list");
    assert!(cases.len() > 100, "only {} cases", cases.len());
    for case in cases {
        let data = &golden["data"][case["data"].as_str().expect("a name")];
        let (p, t) = (rows(&data["predictions"]), rows(&data["targets"]));
        let weights = case["weighted"].as_bool().expect("a flag").then_some(&weights);
        let mut metric = of_case(case, p.ncols());
        feed(&mut *metric, &p, &t, weights);
        let (ours, keras) = (metric.result(), case["result"].as_f64().expect("a number"));
        // Keras adds and divides in float32.
        assert!((ours - keras).abs() <= 1e-6, "{ours} instead of {keras}: {case}");
        assert_eq!(metric.name(), case["metric"].as_str().expect("a name"));
    }
}

#[test]
fn an_epoch_that_is_put_back_goes_on_with_the_same_bits() {
    let golden = golden();
    let data = &golden["data"]["classes"];
    let (p, t) = (rows(&data["predictions"]), rows(&data["targets"]));
    let all: [fn() -> Box<dyn Metric>; 5] = [
        || Box::new(categorical_accuracy()),
        || Box::new(Precision::new()),
        || Box::new(Recall::new().top_k(2)),
        || Box::new(F1Score::new(6, Average::Macro)),
        || Box::new(Auc::pr()),
    ];
    for new in all {
        let (mut whole, mut before, mut after) = (new(), new(), new());
        feed(&mut *whole, &p, &t, None);
        before.update(p.slice(s![..FIRST, ..]), t.slice(s![..FIRST, ..]), None);
        after.sums_mut().copy_from_slice(before.sums());
        after.update(p.slice(s![FIRST.., ..]), t.slice(s![FIRST.., ..]), None);
        assert_eq!(after.result().to_bits(), whole.result().to_bits(), "{}", whole.name());
        whole.reset();
        assert_eq!(whole.result(), 0.0, "{}", whole.name());
    }
}

#[test]
fn accuracy_is_what_the_shapes_say() {
    let (p, t) = (array![[0.4f32], [0.7]], array![[0.0f32], [0.0]]);
    let mut binary = accuracy(1, 1);
    binary.update(p.view(), t.view(), None);
    assert_eq!((binary.name(), binary.result()), ("accuracy", 0.5));
    let p = array![[0.4f32, 0.6], [0.7, 0.3]];
    let (mut sparse, mut categorical) = (accuracy(2, 1), accuracy(2, 2));
    sparse.update(p.view(), array![[1.0f32], [1.0]].view(), None);
    categorical.update(p.view(), array![[0.0f32, 1.0], [1.0, 0.0]].view(), None);
    assert_eq!((sparse.result(), categorical.result()), (0.5, 1.0));
}

#[test]
#[should_panic(expected = "a target for each prediction")]
fn targets_of_another_shape_are_refused() {
    Precision::new().update(array![[0.1f32, 0.9]].view(), array![[1.0f32]].view(), None);
}
