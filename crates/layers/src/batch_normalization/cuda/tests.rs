//! The kernels equal the definition.

use super::super::tests::{Batch, NAMES, Results};
use super::super::{BatchNormalization, MovingVariance};
use super::{Cut, Normalization};
use crate::stored::Stored;
use crate::stored::tests::{packed, rounded};
use crate::trial::kernels_agree;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut};
use gradus_tensor::{Device, Shape, Spec, Tensor};
use gradus_testing::{Cases, Tolerance, assert_close, gpu};

/// The kernels' results, with the rows cut for that many blocks.
fn kernels(gpu: &Gpu, blocks: usize, batch: &Batch<f32>) -> Results<f32> {
    let device = Device::Cuda(gpu.clone());
    let (rows, channels) = batch.x.dim();
    let there =
        |values: &[f32]| Tensor::from_slice(Shape::new(&[values.len()]), values).on(&device);
    let [x, dy] = [&batch.x, &batch.dy].map(|a| there(a.as_slice().unwrap()));
    let [gamma, beta] = [&batch.gamma, &batch.beta].map(|values| there(values));
    let optional = |tensor: &Tensor| tensor.len() == channels;
    let [mut mean, mut rest, mut variance, mut dgamma, mut dbeta] =
        [(); 5].map(|()| there(&vec![9.0; channels]));
    let (mut y, mut dx) = (x.clone(), x.clone());
    let (need, cut) = (super::scratch(rows, channels), Cut::aiming_at(blocks, rows, channels));
    let mut scratch = Tensor::zeros(Spec::f32(Shape::new(&[need])), &device);
    let into = [mean.gpu_mut(), rest.gpu_mut(), variance.gpu_mut()];
    super::statistics_of(gpu, cut, scratch.gpu_mut(), x.gpu().into(), into, None);
    let n = Normalization {
        mean: mean.gpu(),
        rest: rest.gpu(),
        variance: variance.gpu(),
        epsilon: 1e-3,
        gamma: if optional(&gamma) { gamma.gpu() } else { GpuView::none() },
        beta: if optional(&beta) { beta.gpu() } else { GpuView::none() },
    };
    super::forward(gpu, x.gpu(), &n, y.gpu_mut());
    let sums = [dgamma.gpu_mut(), dbeta.gpu_mut()];
    let into = [sums, [(); 2].map(|()| GpuViewMut::none())];
    super::parameters_of(gpu, cut, scratch.gpu_mut(), &n, [x.gpu(), dy.gpu()], into);
    let sums = [dgamma.gpu(), dbeta.gpu()];
    super::backward_input(gpu, x.gpu(), &n, dy.gpu(), sums, dx.gpu_mut());
    gpu.synchronize().unwrap();
    [y, dx, mean, variance, dgamma, dbeta].map(|t| t.on(&Device::Cpu).slice::<f32>().to_vec())
}

/// Holds the kernels against the definition in f64, as the CPU's engine is held.
fn check(gpu: &Gpu, what: &str, batch: &Batch<f32>) {
    let (wide, few) = (batch.as_f64(), Tolerance::for_reduction(1));
    let (expected, of_terms) = (wide.definition(), few.abs + few.rel * wide.largest_term());
    // As many blocks as there are; and so few that a thread takes one tile of rows after another.
    for blocks in [Cut::BLOCKS, 2] {
        let results = kernels(gpu, blocks, batch);
        for ((name, actual), expected) in NAMES.iter().zip(&results).zip(&expected) {
            let what = format!("{what} {:?} {blocks} blocks {name}", batch.x.dim());
            let abs = if *name == "dx" { of_terms } else { few.abs };
            assert_close(&what, actual, expected, Tolerance { abs, ..few });
        }
        assert_eq!(results, kernels(gpu, blocks, batch), "{what}: the same bits again");
    }
}

#[test]
fn the_kernels_are_the_definition() {
    let Some(gpu) = gpu() else { return };
    let mut cases = Cases::new("batch normalization kernels", 0);
    for channels in [1, 2, 3, 8, 17, 33, 64, 100] {
        // One row; a few; several chunks.
        let several = 3 * Cut::of(1, channels).chunk + cases.extent(0, 9);
        for rows in [1, 2, cases.extent(3, 40), several.min(6000)] {
            let mut batch = Batch::random(&mut cases, rows, channels, 0.7);
            check(&gpu, "both", &batch);
            batch.gamma.clear();
            check(&gpu, "center", &batch);
            batch.beta.clear();
            check(&gpu, "neither", &batch);
        }
    }
}

#[test]
fn rows_of_more_channels_than_threads_are_needed_have_them_all() {
    let Some(gpu) = gpu() else { return };
    let mut cases = Cases::new("batch normalization kernels of many channels", 0);
    check(&gpu, "many channels", &Batch::random(&mut cases, 3, 1030, 0.0));
}

#[test]
fn a_mean_far_from_zero_and_a_first_row_far_from_the_others_cost_no_accuracy() {
    let Some(gpu) = gpu() else { return };
    let mut cases = Cases::new("batch normalization kernels far away", 0);
    for (rows, channels, offset) in [(900, 33, 1e4), (15, 64, -3e4), (1, 4, 1e4)] {
        check(&gpu, "offset", &Batch::random(&mut cases, rows, channels, offset));
    }
    let mut batch = Batch::random(&mut cases, 900, 20, 0.0);
    batch.x.row_mut(0).fill(1e3);
    check(&gpu, "outlier", &batch);
}

#[test]
fn a_lost_number_stays_visible_in_its_channel_alone_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let mut batch = Batch::random(&mut Cases::new("NaN in kernels", 0), 50, 20, 0.0);
    batch.x[[7, 3]] = f32::NAN;
    let [y, _, mean, variance, ..] = kernels(&gpu, Cut::BLOCKS, &batch);
    assert!(mean[3].is_nan() && variance[3].is_nan() && y[3].is_nan());
    assert!(y.iter().enumerate().all(|(i, y)| y.is_nan() == (i % 20 == 3)));
}

#[test]
fn the_scratch_is_enough_for_every_smaller_batch() {
    for channels in [1, 3, 32, 40, 2048] {
        for rows in [1, 255, 70_000, 1_000_003, 5_000_000] {
            let promised = super::scratch(rows, channels);
            for fewer in (1..=40).map(|part| (rows * part).div_ceil(40)) {
                let cut = Cut::of(fewer, channels);
                assert!(cut.chunks * Cut::SUMS * channels <= promised, "{fewer} of {rows}");
            }
        }
    }
}

#[test]
fn a_layer_on_a_gpu_is_the_layer() {
    let (rows, images) = (Shape::new(&[37, 12]), Shape::new(&[3, 5, 4, 7]));
    for x in [rows, images] {
        kernels_agree("batch normalization", BatchNormalization::new, x, 16);
        for (scale, center) in [(true, false), (false, true), (false, false)] {
            let layer = || BatchNormalization::new().scale(scale).center(center).momentum(0.3);
            kernels_agree("batch normalization without", layer, x, 16);
        }
        for choice in [MovingVariance::Unbiased, MovingVariance::Keras2] {
            let layer = || BatchNormalization::new().moving_variance(choice).momentum(0.5);
            kernels_agree("another variance", layer, x, 16);
        }
        let frozen = || BatchNormalization::new().trainable(false);
        kernels_agree("frozen batch normalization", frozen, x, 16);
    }
}

#[test]
fn statistics_of_bf16_are_those_of_the_same_numbers_in_f32() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    for (rows, channels) in [(1, 1), (7, 3), (2100, 33), (515, 132)] {
        let mut cases = Cases::new("statistics of bf16", rows as u32);
        let (shape, x) = (Shape::new(&[rows, channels]), cases.normal(rows * channels));
        let wide = Tensor::from_slice(shape, &rounded(&x)).on(&device);
        let x = packed(shape, &x, &device);
        let cut = Cut::aiming_at(3, rows, channels);
        let memory = Shape::new(&[super::scratch(rows, channels)]);
        let mut scratch = Tensor::zeros(Spec::f32(memory), &device);
        let statistics = [Stored::of(&x, true), Stored::of(&wide, false)].map(|x| {
            let mut into =
                [(); 3].map(|()| Tensor::zeros(Spec::f32(Shape::new(&[channels])), &device));
            let views = into.each_mut().map(Tensor::gpu_mut);
            super::statistics_of(&gpu, cut, scratch.gpu_mut(), x, views, None);
            gpu.synchronize().unwrap();
            into.map(|tensor| tensor.on(&Device::Cpu).slice::<f32>().to_vec())
        });
        assert_eq!(statistics[0], statistics[1], "{rows} rows of {channels}");
    }
}
