//! A large dense kernel that is updated while its gradient comes about ends with the bits of the
//! plain way, for every optimizer; and where something else needs the gradient, the plain way is
//! gone.

use gradus::layers::{Loss, Tally};
use gradus::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Clip, Descent, Ema, Formula, Lion, Nadam, Optimizer,
};
use gradus::prelude::*;
use gradus::tensor::{Field, Fields, Path, Regularizer, Shape};
use gradus::train::{Batch, Step};
use gradus_testing::Cases;
use ndarray::{Array2, Array4};

const INPUT: [usize; 4] = [5, 33, 33, 1];
/// Those with more than 1 MB. The first needs no dx, the second does.
const LARGE: [&str; 2] = ["dense.kernel", "dense_1.kernel"];

/// Odd sizes: 1089 · 263 and 263 · 1021 weights, and a small rest.
fn network(second: Dense) -> Sequential {
    let mut network = Sequential::new()
        .add(Flatten)
        .add(Dense::new(263).activation(Activation::Relu))
        .add(second.activation(Activation::Relu))
        .add(Dense::new(3).activation(Activation::Softmax));
    network.build_on(Shape::new(&INPUT), &Device::Cpu, 1).expect("the layers fit");
    network
}

/// What four steps, the last with a smaller batch, leave behind: every weight and all that the
/// optimizer remembers, as bits, and the large kernels that have a gradient.
fn run(
    mut network: Sequential,
    optimizer: Box<dyn Optimizer>,
    [fused, threads]: [usize; 2],
) -> (Vec<(String, Vec<u32>)>, Vec<String>) {
    let mut cx = Context::new(Device::Cpu, threads);
    cx.fused = fused == 1;
    let mut loss = CategoricalCrossentropy::new();
    network.split_head(|head| loss.take_logits(head));
    let (input, loss) = (Shape::new(&INPUT), Box::new(loss));
    let mut step = Step::new(&network, input, &mut cx, loss, optimizer).expect("a plan");
    let mut cases = Cases::new("fused update", 0);
    for n in [5, 5, 5, 2] {
        let images = Array4::from_shape_vec((n, 33, 33, 1), cases.normal(n * 33 * 33)).unwrap();
        let targets = Array2::from_shape_fn((n, 3), |(n, k)| f32::from(u8::from(n % 3 == k)));
        cx.step.learning_rate = step.optimizer().schedule().at(cx.step.step);
        let batch = Batch::new(images.view(), targets.view());
        step.train(&mut network, &mut cx, &batch, &mut Tally::default());
    }
    let (mut bits, mut gradients) = (Vec::new(), Vec::new());
    let mut keep = |path: &Path, field: Field<'_>| {
        let values = field.value().slice::<f32>().iter().map(|v| v.to_bits()).collect();
        bits.push((path.to_string(), values));
        if let Field::Param(param) = field
            && LARGE.contains(&path.as_str())
            && param.grad.slice::<f32>().iter().any(|g| *g != 0.0)
        {
            gradients.push(path.to_string());
        }
    };
    network.visit(&mut Path::default(), &mut keep);
    step.optimizer().visit(&mut Path::default(), &mut keep);
    (bits, gradients)
}

/// Both ways, with one thread and with three: which large kernels go the plain way although they
/// need not.
#[track_caller]
fn plain_although_fused(
    network: impl Fn() -> Sequential,
    optimizer: impl Fn() -> Box<dyn Optimizer>,
) -> Vec<String> {
    let (plain, gradients) = run(network(), optimizer(), [0, 1]);
    assert!(!gradients.is_empty(), "without fusion the gradients are there");
    let fused = [1, 3].map(|threads| {
        let (fused, gradients) = run(network(), optimizer(), [1, threads]);
        for ((name, plain), (_, fused)) in plain.iter().zip(&fused) {
            assert!(plain == fused, "{name} of {}, {threads} threads", optimizer().name());
        }
        assert_eq!(plain.len(), fused.len());
        gradients
    });
    assert_eq!(fused[0], fused[1]);
    fused[0].clone()
}

/// The optimizer as it is, and with a moving average and with weight decay for one of the kernels.
fn is_the_same<F: Formula<N>, const N: usize>(optimizer: impl Fn() -> Descent<F, N>) {
    let network = || network(Dense::new(1021));
    let none = plain_although_fused(network, || Box::new(optimizer()));
    assert_eq!(none, [""; 0], "{}", F::NAME);
    let none = plain_although_fused(network, || {
        let ema = Ema::new().momentum(0.5).overwrite_frequency(2);
        let decayed = optimizer().weight_decay(0.1).exclude_from_weight_decay(&["dense_1"]);
        Box::new(decayed.use_ema(ema).schedule(|update| 0.01 / (1.0 + update as f32)))
    });
    assert_eq!(none, [""; 0], "{}", F::NAME);
}

#[test]
fn every_optimizer_makes_the_same_update_within_the_backward_pass() {
    is_the_same(|| SGD::new().momentum(0.9));
    is_the_same(SGD::new);
    is_the_same(RMSprop::new);
    is_the_same(|| RMSprop::new().momentum(0.9).centered(true));
    is_the_same(|| Adam::new().amsgrad(true));
    is_the_same(AdamW::new);
    is_the_same(Nadam::new);
    is_the_same(Adamax::new);
    is_the_same(Adagrad::new);
    is_the_same(Adadelta::new);
    is_the_same(Lion::new);
}

#[test]
fn who_needs_the_gradients_of_all_parameters_or_of_several_batches_gets_them() {
    let network = || network(Dense::new(1021));
    for clip in [Clip::Norm(0.1), Clip::Value(0.01), Clip::GlobalNorm(0.1)] {
        let plain = plain_although_fused(network, || Box::new(RMSprop::new().clip(clip)));
        assert_eq!(plain, LARGE, "{clip:?}");
    }
    let optimizer = || Adam::new().gradient_accumulation_steps(2);
    assert_eq!(plain_although_fused(network, || Box::new(optimizer())), LARGE);
}

#[test]
fn a_regularized_kernel_goes_the_plain_way_and_a_frozen_one_stays() {
    let optimizer = || -> Box<dyn Optimizer> { Box::new(RMSprop::new().weight_decay(0.1)) };
    let priced = || network(Dense::new(1021).kernel_regularizer(Regularizer::l2(0.1)));
    assert_eq!(plain_although_fused(priced, optimizer), LARGE[1..]);
    let frozen = || network(Dense::new(1021).trainable(false));
    let mut before = Vec::new();
    frozen().visit(&mut Path::default(), &mut |path, field| {
        if path.as_str() == LARGE[1] {
            before = field.value().slice::<f32>().iter().map(|v| v.to_bits()).collect();
        }
    });
    assert_eq!(plain_although_fused(frozen, optimizer), [""; 0], "it has no gradient at all");
    let (after, _) = run(frozen(), optimizer(), [1, 2]);
    assert!(after.contains(&(LARGE[1].to_owned(), before)), "no step moves it");
}
