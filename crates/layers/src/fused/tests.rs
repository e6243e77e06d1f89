//! The proof: together the layers give what they give one by one.

use super::cpu::{self, Passes};
use crate::batch_normalization::Normalization;
use crate::dropout::Draw;
use crate::max_pooling2d::Geometry;
use crate::{
    Activation, BatchNormalization, Conv2D, Dropout, Layer, MaxPooling2D, Mode, Padding, Saved,
    Sequential, conv2d,
};
use gradus_tensor::ndarray::Array4;
use gradus_tensor::simd::Isa;
use gradus_tensor::{
    Context, Device, Field, Fields, Path, Shape, Spec, StepScalars, Tensor, Workspace,
};
use gradus_testing::{Cases, Tolerance, assert_close};
use std::any::Any;

/// What one step and one inference leave behind.
struct Traces {
    y: Vec<f32>,
    dx: Vec<f32>,
    inferred: Vec<f32>,
    /// Parameters' gradients and moving statistics by name.
    fields: Vec<(String, Vec<f32>)>,
    links: usize,
}

struct Trial {
    chain: Sequential,
    cx: Context,
    shape: Shape,
}

impl Trial {
    fn new(chain: Sequential, shape: Shape, threads: usize) -> Self {
        Self::on(&Device::Cpu, chain, shape, threads)
    }

    fn on(device: &Device, mut chain: Sequential, shape: Shape, threads: usize) -> Self {
        chain.build_on(shape, device, 7).expect("the layers fit");
        let mut cx = Context::new(device.clone(), threads);
        (cx.step.seed, cx.step.step) = (5, 9);
        cx.publish_step();
        Self { chain, cx, shape }
    }

    /// For a batch of `n`, with memory that was planned for the whole shape.
    fn run(&mut self, fused: bool, n: usize) -> Traces {
        self.run_to(fused, n, true)
    }

    /// The same, and whether somebody wants dx.
    fn run_to(&mut self, fused: bool, n: usize, wants_dx: bool) -> Traces {
        let Self { chain, cx, shape } = self;
        let (shape, device) = (*shape, cx.device.clone());
        let mut cases = Cases::new("fused numbers", 0);
        chain.set_fused(fused);
        // Other values than those that all layers begin with.
        let mut fill = Cases::new("fused parameters", 0);
        chain.visit_mut(&mut Path::default(), &mut |path, field| {
            if !path.as_str().ends_with("kernel") {
                let value = field.into_value();
                let around = if path.as_str().contains("variance") { 2.0 } else { 0.3 };
                let drawn: Vec<f32> =
                    fill.normal(value.len()).iter().map(|v| around + v * 0.4).collect();
                value.write(&drawn);
            }
        });
        let plan = chain.plan(Spec::f32(shape), Mode::Train).expect("it was built for this");
        plan.reserve(cx);
        let mut saved = Saved::allocate(&plan, &device);
        saved.set_batch(n);
        let mut draw =
            |shape: Shape| Tensor::from_slice(shape, &cases.normal(shape.len())).on(&device);
        let x = draw(shape.with_batch(n));
        let mut y = Tensor::zeros(Spec::f32(saved.output()), &device);
        let mut dx = x.clone();
        chain.forward(cx, &x, &mut y, &mut saved);
        let mut dy = draw(y.shape());
        chain.backward(cx, &x, &y, &mut dy, wants_dx.then_some(&mut dx), &mut saved);
        let mut fields = Vec::new();
        chain.visit(&mut Path::default(), &mut |path, field| {
            let values = match field {
                Field::Param(param) => &param.grad,
                Field::Buffer(buffer) => buffer,
            };
            fields.push((path.to_string(), values.numbers::<f32>().to_vec()));
        });
        let infer = chain.plan(Spec::f32(shape), Mode::Infer).expect("it was built for this");
        infer.reserve(cx);
        let mut memory = Saved::allocate(&infer, &device);
        memory.set_batch(n);
        let mut inferred = y.clone();
        chain.infer(cx, &x, &mut inferred, &mut memory);
        Traces {
            y: y.numbers().to_vec(),
            dx: dx.numbers().to_vec(),
            inferred: inferred.numbers().to_vec(),
            fields,
            links: plan.inner.len(),
        }
    }
}

fn assert_same(what: &str, fused: &Traces, plain: &Traces) {
    assert_close(&format!("{what}: y"), &fused.y, &plain.y, Tolerance::for_reduction(1));
    assert!(fused.inferred == plain.inferred, "{what}: inference has other bits");
    // Sums are added in another order, and what they give goes into everything below.
    let tolerance = Tolerance::for_reduction(64);
    assert_close(&format!("{what}: dx"), &fused.dx, &plain.dx, tolerance);
    for ((name, fused), (_, plain)) in fused.fields.iter().zip(&plain.fields) {
        assert_close(&format!("{what}: {name}"), fused, plain, tolerance);
    }
}

fn chain(cases: &mut Cases, activation: Activation, window: [usize; 2]) -> Sequential {
    let filters = cases.one_of(&[1, 5, 16, 32, 50, 64]);
    chain_behind(Conv2D::new(filters, 3).activation(activation), cases, window)
}

fn chain_behind(conv: Conv2D, cases: &mut Cases, window: [usize; 2]) -> Sequential {
    let chain =
        Sequential::new().add(conv).add(BatchNormalization::new()).add(MaxPooling2D::new(window));
    match cases.one_of(&[0.0, 0.25, 0.5, -1.0]) {
        rate if rate < 0.0 => chain,
        rate => chain.add(Dropout::new(rate)),
    }
}

#[test]
fn together_the_layers_give_what_they_give_one_by_one() {
    for case in 0..24 {
        let mut cases = Cases::new("fused", case);
        let window = cases.one_of(&[[2, 2], [2, 2], [3, 2], [1, 4]]);
        let activation = cases.one_of(&[Activation::Relu, Activation::Relu, Activation::Linear]);
        let [n, h, w] = [(2, 5), (6, 21), (6, 30)].map(|(low, high)| cases.extent(low, high));
        let shape = Shape::new(&[n, h, w, cases.one_of(&[1, 3, 32])]);
        let threads = cases.one_of(&[1, 3]);
        let mut trial = Trial::new(chain(&mut cases, activation, window), shape, threads);
        for n in [n, 1] {
            let (fused, plain) = (trial.run(true, n), trial.run(false, n));
            assert_eq!(fused.links, 1, "case {case}: all layers are one link");
            assert!(plain.links > 2);
            let isa = Isa::detect();
            assert_same(&format!("case {case}, {n} of {shape}, {isa:?}"), &fused, &plain);
        }
    }
}

#[test]
fn together_on_a_gpu_the_layers_give_what_they_give_one_by_one() {
    let Some(gpu) = gradus_testing::gpu() else { return };
    let device = Device::Cuda(gpu);
    for case in 0..8 {
        let mut cases = Cases::new("fused on a gpu", case);
        let window = cases.one_of(&[[2, 2], [2, 2], [3, 2], [1, 4]]);
        let relu = cases.one_of(&[true, true, false]);
        let activation = if relu { Activation::Relu } else { Activation::Linear };
        // Without relu the gradient of a bias is 0, and what is left of it are roundings.
        let conv = Conv2D::new(cases.one_of(&[1, 5, 16, 32]), 3).use_bias(relu);
        let chain = chain_behind(conv.activation(activation), &mut cases, window);
        let [h, w] = [(); 2].map(|()| cases.extent(6, 13));
        let shape = Shape::new(&[3, h, w, cases.one_of(&[1, 3, 8])]);
        let mut trial = Trial::on(&device, chain, shape, 1);
        if case % 4 == 3 {
            let normalization = trial.chain.layer_mut("batch_normalization");
            normalization.expect("it is there").set_trainable(false);
        }
        for n in [3, 1] {
            let (fused, plain) = (trial.run(true, n), trial.run(false, n));
            assert_eq!(fused.links, 1, "case {case}: all layers are one link");
            assert!(plain.links > 2);
            assert_same(&format!("case {case}, {n} of {shape} on a GPU"), &fused, &plain);
            // With statistics that nobody has to take, nothing forward differs.
            assert!(case % 4 != 3 || fused.y == plain.y, "case {case}: y has other bits");
        }
    }
}

/// Where nobody wants dx, dz is made line by line for the kernel's gradient alone.
#[test]
fn without_dx_the_gradients_are_the_same() {
    let mut by_rows = 0;
    for case in 0..24 {
        let mut cases = Cases::new("fused without dx", case);
        let window = cases.one_of(&[[2, 2], [2, 2], [3, 2], [1, 4]]);
        let activation = cases.one_of(&[Activation::Relu, Activation::Relu, Activation::Linear]);
        let [n, h, w] = [(2, 5), (6, 21), (6, 140)].map(|(low, high)| cases.extent(low, high));
        let shape = Shape::new(&[n, h, w, cases.one_of(&[1, 3, 32, 32])]);
        let conv = Conv2D::new(cases.one_of(&[5, 32, 50, 64]), 3).activation(activation);
        let mut trial = Trial::new(chain_behind(conv, &mut cases, window), shape, 2);
        trial.cx.workspace.exact = cases.one_of(&[true, false]);
        let conv: &mut dyn Any = trial.chain.layer_mut("conv2d").expect("it is there");
        let conv: &mut Conv2D = conv.downcast_mut().expect("a convolution");
        let x = Tensor::zeros(Spec::f32(shape), &Device::Cpu);
        by_rows += usize::from(conv.gradients_by_rows(trial.cx.workspace.exact, &x).is_some());
        for n in [n, 1] {
            let [without, with] = [false, true].map(|wants_dx| trial.run_to(true, n, wants_dx));
            assert!(without.y == with.y, "case {case}");
            for ((name, without), (_, with)) in without.fields.iter().zip(&with.fields) {
                let what = format!("case {case}, {n} of {shape}: {name}");
                match name.ends_with("bias") {
                    // Its sum is cut in other places.
                    true => assert_close(&what, without, with, Tolerance::for_reduction(1)),
                    false => assert!(without == with, "{what} has other bits"),
                }
            }
        }
    }
    assert!((8..24).contains(&by_rows), "both ways are tried, this one {by_rows} times");
}

#[test]
fn threads_change_no_bit() {
    let shape = Shape::new(&[5, 30, 33, 3]);
    let run = |threads| {
        let chain = chain(&mut Cases::new("fused threads", 2), Activation::Relu, [2, 2]);
        let mut trial = Trial::new(chain, shape, threads);
        (trial.run(true, 5), trial.run_to(true, 5, false).fields)
    };
    let ((one, one_without), (three, three_without)) = (run(1), run(3));
    assert!(one.y == three.y && one.dx == three.dx && one.fields == three.fields);
    assert!(one_without == three_without, "without dx");
}

#[test]
fn frozen_layers_stay_as_they_are() {
    let shape = Shape::new(&[3, 12, 11, 3]);
    for frozen in ["batch_normalization", "conv2d"] {
        let mut trial =
            Trial::new(chain(&mut Cases::new("fused", 1), Activation::Relu, [2, 2]), shape, 2);
        trial.chain.layer_mut(frozen).expect("it is there").set_trainable(false);
        let (fused, plain) = (trial.run(true, 3), trial.run(false, 3));
        assert_eq!(fused.links, 1);
        assert_same(frozen, &fused, &plain);
    }
}

#[test]
fn what_does_not_fit_is_done_one_by_one() {
    let shape = Shape::new(&[2, 12, 12, 3]);
    let conv = || Sequential::new().add(Conv2D::new(4, 3).activation(Activation::Relu));
    let other = Conv2D::new(4, 3).activation(Activation::Silu);
    for (what, chain) in [
        (
            "windows overlap",
            conv().add(BatchNormalization::new()).add(MaxPooling2D::new(3).strides(2)),
        ),
        ("no normalization", conv().add(MaxPooling2D::new(2)).add(Dropout::new(0.5))),
        (
            "silu",
            Sequential::new().add(other).add(BatchNormalization::new()).add(MaxPooling2D::new(2)),
        ),
    ] {
        let links = Trial::new(chain, shape, 1).run(true, 2).links;
        assert_eq!(links, 3, "{what}");
    }
}

/// A lost number shows wherever it was lost.
#[test]
fn nan_goes_through() {
    let shape = Shape::new(&[1, 6, 6, 1]);
    let mut trial =
        Trial::new(chain(&mut Cases::new("fused", 3), Activation::Relu, [2, 2]), shape, 1);
    let kernel = |trial: &mut Trial, value: f32| {
        trial.chain.visit_mut(&mut Path::default(), &mut |path, field| {
            if path.as_str().ends_with("kernel") {
                field.into_value().slice_mut::<f32>()[0] = value;
            }
        });
    };
    kernel(&mut trial, f32::NAN);
    for fused in [true, false] {
        let traces = trial.run(fused, 1);
        assert!(traces.y.iter().any(|y| y.is_nan()) && traces.dx.iter().any(|dx| dx.is_nan()));
    }
}

/// y, codes and what won; dgamma, dbeta, dz, and dkernel and dbias by rows, and dbias: of all passes
/// on one instruction set.
fn all_passes(isa: Isa, g: &Geometry, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<u8>, Vec<Vec<f32>>) {
    let [mean, variance] = [0.5, 0.75].map(|value| vec![value; g.c]);
    // 1/√(variance + epsilon) is 1, so that nothing forward is rounded.
    let (mean, variance) = (&mean[..], &variance[..]);
    let n = Normalization { mean, rest: &[], variance, epsilon: 0.25, gamma: &[], beta: &[] };
    let step = StepScalars { step: 1, seed: 2, learning_rate: 0.0 };
    let draw = Draw { rate: 0.5, layer: 3, step };
    let passes = Passes { isa, g, n: &n, factor: draw.scale(), relu: true };
    let (mut ws, mut dz) = (Workspace::new(2), x.to_vec());
    ws.reserve(cpu::scratch(g), 0);
    let [mut y, mut won] = [(); 2].map(|()| vec![0.0; dy.len()]);
    let mut codes = vec![0; dy.len()];
    passes.forward(&mut ws, Some(&draw), x, &mut y, (&mut won, &mut codes));
    let [mut dgamma, mut dbeta, mut dbias] = [(); 3].map(|()| vec![0.0; g.c]);
    passes.backward_parameters(&mut ws, [&won, dy], &codes, [&mut dgamma, &mut dbeta]);
    passes.backward_input(&mut ws, dy, &codes, [&dgamma, &dbeta], &mut dz, Some(&mut dbias));
    // And once more for the gradient of a kernel alone, which is the sum of dz if all inputs are 1.
    let ones = Array4::ones((g.n, g.h, g.w, 1));
    let [of_input, of_kernel] = [&[g.n, g.h, g.w, 1], &[1, 1, 1, g.c]].map(|d| Shape::new(d));
    let conv = conv2d::Geometry::new(of_input, of_kernel, [1, 1], Padding::Valid, [1, 1]);
    let (conv, mut dkernel) = (conv.expect("it fits"), Array4::zeros((1, 1, 1, g.c)));
    let mut dbias_by_rows = vec![0.0; g.c];
    ws.reserve(cpu::scratch_of_kernel(g, &conv), 0);
    let of_conv = (&conv, ones.view(), dkernel.view_mut());
    let (sums, dbias_of_rows) = ([&dgamma[..], &dbeta], Some(&mut dbias_by_rows[..]));
    passes.backward_kernel(&mut ws, (dy, &codes), sums, x, of_conv, dbias_of_rows);
    let dkernel = dkernel.into_raw_vec_and_offset().0;
    (y, codes, vec![won, dgamma, dbeta, dz, dkernel, dbias_by_rows, dbias])
}

#[test]
fn every_instruction_set_gives_the_same() {
    for (case, (window, channels)) in (0..).zip([([2, 2], 35), ([3, 2], 16), ([1, 4], 5)]) {
        let mut cases = Cases::new("fused instruction sets", case);
        let shape = Shape::new(&[3, 11, 13, channels]);
        let g = Geometry::new(shape, window, window, Padding::Valid).expect("they fit");
        let eighths = |values: Vec<f32>| values.iter().map(|v| (v * 8.0).round() / 8.0).collect();
        let x: Vec<f32> = eighths(cases.normal(shape.len()));
        let dy: Vec<f32> = eighths(cases.normal(g.y().len()));
        let (y, codes, others) = all_passes(Isa::Baseline, &g, &x, &dy);
        let [.., dkernel, dbias_by_rows, dbias] = &others[..] else { unreachable!("all passes") };
        assert_close("dbias by rows", dbias_by_rows, dbias, Tolerance::for_reduction(1));
        let in_f32 = Tolerance::for_reduction(shape.len() / channels);
        assert_close("dkernel by rows", dkernel, dbias, in_f32);
        for isa in Isa::available() {
            let (y_here, codes_here, others_here) = all_passes(isa, &g, &x, &dy);
            assert!(y_here == y && codes_here == codes, "{isa:?}, {channels} channels");
            for (here, other) in others_here.iter().zip(&others) {
                assert_close(&format!("{isa:?}"), here, other, Tolerance::for_reduction(1));
            }
        }
        let [r, s] = window;
        for (tap, pixel) in [(0, 0), (r * s - 1, (r - 1) * g.w + s - 1)] {
            let mut x = x.clone();
            x[pixel * g.c..][..g.c].fill(f32::NAN);
            for isa in Isa::available() {
                // It wins in all channels of the first window, be it kept or dropped.
                let (y, codes, _) = all_passes(isa, &g, &x, &dy);
                let ([y, others], codes) = (<[_; 2]>::from(y.split_at(g.c)), &codes[..g.c]);
                assert!(y.iter().all(|y| y.is_nan()) && others.iter().all(|y| !y.is_nan()));
                assert!(codes.iter().all(|code| usize::from(code & 0x7F) == tap), "{isa:?}");
                assert!(codes.contains(&(tap as u8 | 0x80)), "one was dropped");
            }
        }
    }
}
