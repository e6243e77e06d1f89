//! The kernels add up and write what the CPU does.

use crate::{
    Accuracy, BinaryCrossentropy, CategoricalCrossentropy, Loss, MeanAbsoluteError,
    MeanSquaredError, SparseCategoricalCrossentropy, Tally, Target,
};
use gradus_tensor::{Context, Device, Shape, Tensor};
use gradus_testing::{Cases, Tolerance, assert_close, gpu};

/// Samples and outputs: odd ones, one block and several, and rows longer than a warp.
const SHAPES: [[usize; 2]; 7] = [[1, 1], [3, 2], [5, 33], [17, 10], [64, 3], [33, 1], [301, 7]];

/// Every loss with a kernel, with its options. The first number says what its predictions are:
/// logits or numbers, or probabilities.
fn losses() -> Vec<(bool, Box<dyn Loss>)> {
    let mut losses: Vec<(bool, Box<dyn Loss>)> =
        vec![(true, Box::new(MeanSquaredError)), (true, Box::new(MeanAbsoluteError))];
    for logits in [true, false] {
        for smoothing in [0.0, 0.1] {
            let class = CategoricalCrossentropy::new().from_logits(logits);
            losses.push((logits, Box::new(class.label_smoothing(smoothing))));
            let binary = BinaryCrossentropy::new().from_logits(logits);
            losses.push((logits, Box::new(binary.label_smoothing(smoothing))));
        }
        let sparse = SparseCategoricalCrossentropy::new().from_logits(logits);
        losses.push((logits, Box::new(sparse)));
        losses.push((logits, Box::new(sparse.ignore_class(-1))));
    }
    losses
}

/// Predictions and targets that the loss can be given.
fn batch(loss: &dyn Loss, logits: bool, shape: Shape, cases: &mut Cases) -> [Tensor; 2] {
    let mut predictions = cases.normal(shape.len());
    if !logits {
        // Some of them where they are clipped.
        predictions.iter_mut().for_each(|p| *p = (0.5 + 0.4 * *p).clamp(0.0, 1.0) + 1e-9);
    }
    let wanted = loss.target_shape(shape);
    let classes: Vec<usize> =
        (0..shape.batch()).map(|_| cases.extent(0, shape.last() - 1)).collect();
    let mut targets = vec![0.0; wanted.len()];
    for (i, &class) in classes.iter().enumerate() {
        match loss.accuracy() {
            Some(Accuracy::SparseCategorical) if i % 5 == 3 && !loss.counts(&[-1.0]) => {
                targets[i] = -1.0;
            }
            Some(Accuracy::SparseCategorical) => targets[i] = class as f32,
            Some(_) => targets[i * shape.last() + class] = 1.0,
            None => targets[i * shape.last() + class] = 0.7,
        }
    }
    [Tensor::from_slice(shape, &predictions), Tensor::from_slice(wanted, &targets)]
}

/// Two batches into one tally, and the gradient of the second.
fn run(
    cx: &mut Context,
    loss: &dyn Loss,
    [predictions, targets]: &[Tensor; 2],
    weights: Option<&Tensor>,
) -> (Tally, Vec<f32>) {
    let on = |tensor: &Tensor| tensor.on(&cx.device);
    let (predictions, y, weights) = (on(predictions), on(targets), weights.map(on));
    let mut gradient = predictions.clone();
    let (target, mut tally) = (Target { y: &y, weights: weights.as_ref() }, Tally::default());
    loss.evaluate(cx, &predictions, target, None, &mut tally);
    loss.evaluate(cx, &predictions, target, Some(&mut gradient), &mut tally);
    tally.collect(cx);
    (tally, gradient.on(&Device::Cpu).slice().to_vec())
}

/// Holds a loss on a GPU against itself on the CPU.
fn agrees(gpu: &mut Context, loss: &dyn Loss, batch: &[Tensor; 2], weights: Option<&Tensor>) {
    let what = format!("{loss:?} of {}, weights: {}", batch[0].shape(), weights.is_some());
    let (expected, slopes) = run(&mut Context::new(Device::Cpu, 1), loss, batch, weights);
    let (actual, gradient) = run(gpu, loss, batch, weights);
    let counts = |t: &Tally| (t.correct, t.judged, t.samples);
    assert_eq!(counts(&actual), counts(&expected), "{what}");
    // Sums in f64, in another order.
    let nearly = Tolerance { abs: 1e-12, rel: 1e-12 };
    assert_close(&what, &[actual.loss_sum], &[expected.loss_sum], nearly);
    assert_close(&what, &gradient, &slopes, Tolerance { abs: 0.0, rel: f64::from(f32::EPSILON) });
}

#[test]
fn the_kernels_are_the_engine_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let mut cx = Context::new(Device::Cuda(gpu.clone()), 1);
    for (case, [n, k]) in (0..).zip(SHAPES) {
        for (logits, loss) in losses() {
            let mut cases = Cases::new("loss kernels", case);
            let batch = batch(&*loss, logits, Shape::new(&[n, k]), &mut cases);
            let weights: Vec<f32> = cases.normal(n).iter().map(|w| w.abs()).collect();
            let weights = Tensor::from_slice(Shape::new(&[n]), &weights);
            for weights in [None, Some(&weights)] {
                agrees(&mut cx, &*loss, &batch, weights);
            }
        }
    }
    gpu.synchronize().expect("a sound device");
}

/// Mean squared error without its kernel.
#[derive(Debug)]
struct Own;

impl Loss for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    fn sample(&self, p: &[f32], t: &[f32], gradient: &mut dyn FnMut(usize, f64)) -> f64 {
        MeanSquaredError.sample(p, t, gradient)
    }
}

#[test]
fn a_loss_without_a_kernel_is_worked_out_all_the_same() {
    let Some(gpu) = gpu() else { return };
    let mut cx = Context::new(Device::Cuda(gpu), 1);
    let batch = batch(&Own, true, Shape::new(&[4, 3]), &mut Cases::new("own loss", 0));
    agrees(&mut cx, &Own, &batch, None);
}

#[test]
fn a_recorded_batch_adds_up_as_often_as_it_is_launched() {
    let Some(gpu) = gpu() else { return };
    let mut cx = Context::new(Device::Cuda(gpu.clone()), 1);
    let loss = CategoricalCrossentropy::new().from_logits(true);
    let mut cases = Cases::new("recorded loss", 0);
    let [predictions, targets] =
        batch(&loss, true, Shape::new(&[70, 9]), &mut cases).map(|tensor| tensor.on(&cx.device));
    let (mut gradient, mut tally) = (predictions.clone(), Tally::default());
    let mut evaluate = |cx: &mut Context, tally: &mut Tally| {
        loss.evaluate(cx, &predictions, Target::new(&targets), Some(&mut gradient), tally);
    };
    evaluate(&mut cx, &mut tally);
    tally.collect(&mut cx);
    let mut graph = gpu.capture(|| evaluate(&mut cx, &mut tally)).expect("only launches");
    let mut recorded = Tally::default();
    graph.launch();
    recorded.collect(&mut cx);
    assert_eq!(recorded, tally, "the same bits");
    (0..3).for_each(|_| graph.launch());
    recorded.collect(&mut cx);
    assert_eq!((recorded.samples, recorded.correct), (4 * 70, 4 * tally.correct));
    assert!((recorded.loss() / tally.loss() - 1.0).abs() < 1e-14);
    gpu.synchronize().expect("a sound device");
}

#[test]
fn what_is_lost_shows_and_extremes_do_not_hide() {
    let Some(gpu) = gpu() else { return };
    let mut cx = Context::new(Device::Cuda(gpu), 1);
    let rows = [[f32::NAN, 1.0], [800.0, -800.0], [f32::NEG_INFINITY, 2.0], [3.0, 3.0]];
    let predictions = Tensor::from_slice(Shape::new(&[4, 2]), rows.as_flattened());
    let one_hot = Tensor::from_slice(Shape::new(&[4, 2]), &[0.0f32, 1.0].repeat(4));
    let loss = CategoricalCrossentropy::new().from_logits(true);
    let mut cpu = Context::new(Device::Cpu, 1);
    let pair = [predictions, one_hot];
    let [(tally, slopes), (expected, exact)] =
        [run(&mut cx, &loss, &pair, None), run(&mut cpu, &loss, &pair, None)];
    assert_eq!(tally.correct, expected.correct);
    assert!(tally.loss_sum.is_nan() && expected.loss_sum.is_nan());
    assert!(slopes[..2].iter().all(|s| s.is_nan()) && exact[..2].iter().all(|s| s.is_nan()));
    assert_eq!(slopes[2..], exact[2..]);
    // A class that there is not.
    let [predictions, _] = pair;
    let classes = Tensor::from_slice(Shape::new(&[4, 1]), &[0.0f32, 1.0, 2.0, 0.5]);
    let loss = SparseCategoricalCrossentropy::new().from_logits(true);
    let (_, slopes) = run(&mut cx, &loss, &[predictions, classes], None);
    assert!(slopes[4..].iter().all(|s| s.is_nan()), "{slopes:?}");
    assert!(slopes[2..4].iter().all(|s| s.is_finite()), "{slopes:?}");
}
