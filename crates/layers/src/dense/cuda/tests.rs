//! The kernels equal the definition.

use super::super::tests::{Case, Results};
use super::*;
use crate::trial::{assert_rounded, kernels_agree, rounded};
use crate::{Activation, Dense};
use gradus_tensor::gpu::Gpu;
use gradus_tensor::ndarray::Array2;
use gradus_tensor::{Context, Device, Shape, Spec, Tensor};
use gradus_testing::{Cases, Tolerance, assert_close, gpu, gpu_with_tensor_cores};

/// What the kernels make of the case, with scratch that holds NaN.
fn by_kernels(gpu: &Gpu, precision: Precision, case: &Case) -> Results {
    let cx = &mut Context::new(Device::Cuda(gpu.clone()), 1);
    let stale = |shape: &[usize]| {
        let mut stale = Tensor::zeros(Spec::f32(Shape::new(shape)), &cx.device);
        stale.write(&vec![f32::NAN; stale.len()]);
        stale
    };
    let on_gpu = |a: &Array2<f32>| {
        Tensor::from_slice(Shape::new(a.shape()), a.as_slice().unwrap()).on(&cx.device)
    };
    let (x, kernel, dz) = (on_gpu(&case.x), on_gpu(&case.kernel), on_gpu(&case.dz));
    let bias = on_gpu(&case.bias.clone().insert_axis(gradus_tensor::ndarray::Axis(0)));
    let ((samples, inputs), units) = (case.x.dim(), case.bias.len());
    let e = Extents { samples, inputs, units };
    let (mut z, mut dx) = (stale(&[samples, units]), stale(&[samples, inputs]));
    let (mut dkernel, mut dbias) = (stale(&[inputs, units]), stale(&[1, units]));
    let mut scratch = stale(&[scratch(e)]);
    let epilogue = Epilogue { bias: bias.gpu(), relu: false };
    let p = precision;
    forward(gpu, p, e, [x.gpu(), kernel.gpu()], epilogue, scratch.gpu_mut(), z.gpu_mut());
    backward_input(gpu, p, e, [dz.gpu(), kernel.gpu()], scratch.gpu_mut(), dx.gpu_mut());
    backward_weight(gpu, p, e, [x.gpu(), dz.gpu()], scratch.gpu_mut(), dkernel.gpu_mut());
    backward_bias(gpu, e, dz.gpu(), scratch.gpu_mut(), dbias.gpu_mut());
    gpu.synchronize().unwrap();
    let read = |t: &Tensor| t.on(&Device::Cpu).rows::<f32>().to_owned();
    (read(&z), read(&dx), read(&dkernel), read(&dbias).row(0).to_owned())
}

fn assert_defined(what: &str, case: &Case, actual: &Results) {
    let (n, (i, j)) = (case.x.nrows(), case.kernel.dim());
    let expected = case.defined();
    let flat = |a: &Array2<f32>| a.iter().copied().collect::<Vec<_>>();
    for (name, actual, expected, length) in [
        ("z", flat(&actual.0), flat(&expected.0), i),
        ("dx", flat(&actual.1), flat(&expected.1), j),
        ("dW", flat(&actual.2), flat(&expected.2), n),
        ("db", actual.3.to_vec(), expected.3.to_vec(), n),
    ] {
        let tolerance = Tolerance::for_reduction(length);
        assert_close(&format!("{name} of {what}"), &actual, &expected, tolerance);
    }
}

#[test]
fn the_kernels_are_the_definition() {
    let Some(gpu) = gpu() else { return };
    let odd = [1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 65, 100];
    for number in 0..60 {
        let mut cases = Cases::new("dense kernels", number);
        let extents = [(); 3].map(|()| cases.one_of(&odd));
        let case = Case::new(number, extents);
        assert_defined(&format!("{extents:?}"), &case, &by_kernels(&gpu, Precision::F32, &case));
    }
}

/// Extents that take every tile, with sums in parts and whole.
const EVERY_TILE: [[usize; 3]; 8] = [
    [15, 400, 68],
    [3, 24, 132],
    [16, 301, 70],
    [15, 136, 600],
    [40, 320, 72],
    [70, 300, 33],
    [150, 20, 12],
    [1100, 12, 16],
];

#[test]
fn every_tile_is_the_definition_and_gives_the_same_bits_again() {
    let Some(gpu) = gpu() else { return };
    for (number, [samples, inputs, units]) in EVERY_TILE.into_iter().enumerate() {
        let case = Case::new(number as u32, [samples, inputs, units]);
        let actual = by_kernels(&gpu, Precision::F32, &case);
        assert_defined(&format!("{samples}·{inputs}·{units}"), &case, &actual);
        let again = by_kernels(&gpu, Precision::F32, &case);
        assert_eq!(actual, again, "{samples}·{inputs}·{units}: another run");
    }
    let kinds = kinds(Precision::F32, &EVERY_TILE);
    assert_eq!(kinds.len(), 12, "six tiles, in parts and whole: {kinds:?}");
}

/// Tiles, and whether in parts.
fn kinds(precision: Precision, all: &[[usize; 3]]) -> Vec<(usize, usize, u32, bool)> {
    let mut kinds = Vec::new();
    for &[samples, inputs, units] in all {
        let e = Extents { samples, inputs, units };
        let cuts = [e.forward(precision), e.backward_input(precision), e.weight(precision)];
        kinds.extend(
            cuts.map(|cut| (cut.tile.rows, cut.tile.columns, cut.tile.threads, cut.parts() > 1)),
        );
    }
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[test]
fn tensor_cores_make_the_products_of_rounded_numbers() {
    let Some(gpu) = gpu_with_tensor_cores() else { return };
    let all = [[17, 560, 68], [130, 36, 132], [600, 132, 8], [40, 16, 544]];
    for precision in [Precision::Tf32, Precision::Bf16] {
        for (number, extents) in all.into_iter().enumerate() {
            let mut case = Case::new(number as u32, extents);
            case.bias.fill(0.0);
            let actual = by_kernels(&gpu, precision, &case);
            let (exact, squares) = (case.defined_in_f64(|v| v), case.defined_in_f64(|v| v * v));
            let parts = [(&actual.0, 0), (&actual.1, 1), (&actual.2, 2)];
            for (actual, part) in parts {
                let (a, e, s) = (actual.as_slice().unwrap(), &exact[part], &squares[part]);
                assert_rounded(&format!("part {part} of {extents:?}"), precision, a, e, s);
            }
            assert_eq!(actual, by_kernels(&gpu, precision, &case), "{extents:?}: another run");
            // Of numbers that are round already the sums are those of f32.
            for array in [&mut case.x, &mut case.kernel, &mut case.dz] {
                array.mapv_inplace(|v| rounded(v, precision));
            }
            let what = format!("{precision:?} {extents:?}");
            assert_defined(&what, &case, &by_kernels(&gpu, precision, &case));
        }
        let kinds = kinds(precision, &all);
        assert_eq!(kinds.len(), 2, "one tile, in parts and whole: {kinds:?}");
    }
}

#[test]
fn the_layer_on_a_gpu_is_the_layer_on_the_cpu() {
    let x = Shape::new(&[5, 37]);
    kernels_agree("dense", || Dense::new(12).activation(Activation::Relu), x, 37);
    kernels_agree("dense silu", || Dense::new(12).activation(Activation::Silu), x, 37);
    kernels_agree("dense no bias", || Dense::new(12).use_bias(false), x, 37);
    kernels_agree("dense frozen", || Dense::new(12).trainable(false), x, 37);
}

#[test]
fn scratch_for_the_largest_batch_does_for_smaller_ones() {
    for [_, inputs, units] in EVERY_TILE.into_iter().chain([[0, 25088, 512], [0, 5000, 24]]) {
        let of = |samples| scratch(Extents { samples, inputs, units });
        let sizes: Vec<usize> = (1..400).map(of).collect();
        assert!(sizes.is_sorted(), "{inputs}·{units}: {sizes:?}");
        for samples in 1..400 {
            let e = Extents { samples, inputs, units };
            for p in [Precision::F32, Precision::Tf32, Precision::Bf16] {
                for cut in [e.forward(p), e.backward_input(p), e.weight(p)] {
                    let taken = cut.parts() * cut.rows * cut.columns;
                    assert!(cut.parts() == 1 || taken <= of(samples), "{e:?} takes {taken}");
                }
            }
        }
    }
}
