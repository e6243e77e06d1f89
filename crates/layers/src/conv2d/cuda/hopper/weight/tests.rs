//! Hopper's gradient of the kernel equals the definition.

use super::super::tests::{a_hopper, geometry, on, ragged, read, round_numbers, stale};
use super::*;
use crate::conv2d::cuda::{scratch as any_scratch, tests::by_kernels};
use crate::conv2d::definition;
use crate::conv2d::tests::Arrays;
use crate::trial::{Trial, assert_rounded, rounded};
use crate::{Conv2D, Padding};
use gradus_tensor::ndarray::Array4;
use gradus_tensor::{Device, Field, Fields as _, Path, Shape};
use gradus_testing::{Cases, Tolerance, assert_close};

/// dkernel by these kernels, whether they would be chosen or not.
fn by_hopper(gpu: &Gpu, g: &Geometry, arrays: &Arrays<f32>) -> Vec<f32> {
    assert!(fits(g), "{g:?}");
    let of = |shape, array: &Array4<f32>| on(gpu, shape, array.as_slice().unwrap());
    let (x, dz) = (of(g.x(), &arrays.x), of(g.y(), &arrays.dz));
    let mut dkernel = stale(gpu, g.kernel());
    let mut scratch = stale(gpu, Shape::new(&[scratch(g)]));
    backward_weight(gpu, g, [x.gpu(), dz.gpu()], scratch.gpu_mut(), dkernel.gpu_mut());
    gpu.synchronize().unwrap();
    read(&dkernel)
}

/// The same of numbers that are bf16 already, in parts of so many boxes.
fn in_parts_of(gpu: &Gpu, g: &Geometry, arrays: &Arrays<f32>, of_part: usize) -> Vec<f32> {
    // Two bf16 in a float's bits.
    let of = |array: &Array4<f32>| {
        let bits = |v: f32| v.to_bits() >> 16;
        let pairs = array.as_slice().unwrap().chunks(2);
        let halves = pairs.map(|v| f32::from_bits(bits(v[0]) | bits(v[1]) << 16));
        on(gpu, Shape::new(&[array.len() / 2]), &halves.collect::<Vec<_>>())
    };
    let cut = Cut { of_part, ..Cut::new(g) };
    let (mut x, mut dz, mut dkernel) = (of(&arrays.x), of(&arrays.dz), stale(gpu, g.kernel()));
    let mut scratch = stale(gpu, Shape::new(&[cut.parts() * g.kernel().len()]));
    let (x, dz) = (x.gpu_mut().into_bf16(), dz.gpu_mut().into_bf16());
    add_up(gpu, g, &cut, [x.as_view(), dz.as_view()], scratch.gpu_mut(), dkernel.gpu_mut());
    gpu.synchronize().unwrap();
    read(&dkernel)
}

/// dkernel by the formula.
fn by_formula(g: &Geometry, arrays: &Arrays<f64>) -> Vec<f64> {
    let mut dkernel = Array4::zeros((g.r, g.s, g.c, g.k));
    let (x, dz) = (arrays.x.view(), arrays.dz.view());
    definition::backward_weight(g, x, dz, dkernel.view_mut());
    dkernel.into_raw_vec_and_offset().0
}

/// Besides [`ragged`]: more boxes than stages, parts of different lengths, units that are not threes,
/// images of one row and of one column, and boxes of several images.
fn shapes() -> Vec<Geometry> {
    let explicit = Padding::Explicit([[1, 1], [2, 1]]);
    let mut all = ragged();
    all.extend([
        geometry([2, 17, 19, 64], [3, 3, 64], Padding::Same),
        geometry([2, 23, 21, 64], [1, 2, 128], Padding::Valid),
        geometry([13, 3, 5, 128], [2, 1, 64], Padding::Same),
        geometry([5, 1, 37, 64], [2, 3, 64], explicit),
        geometry([2, 33, 1, 128], [3, 1, 192], Padding::Same),
        geometry([3, 13, 11, 192], [1, 1, 128], Padding::Valid),
    ]);
    all.retain(fits);
    all
}

#[test]
fn the_kernel_is_the_definition_and_gives_the_same_bits_again() {
    let Some(gpu) = a_hopper() else { return };
    let shapes = shapes();
    assert_eq!(shapes.len(), 13);
    for (case, g) in shapes.into_iter().enumerate() {
        let arrays = round_numbers(&g, case as u32);
        let expected = by_formula(&g, &arrays.in_f64());
        let actual = by_hopper(&gpu, &g, &arrays);
        let within = Tolerance::for_reduction(g.n * g.p * g.q);
        assert_close(&format!("dkernel of {g:?}"), &actual, &expected, within);
        let whole = in_parts_of(&gpu, &g, &arrays, Cut::new(&g).count());
        assert_close(&format!("dkernel of {g:?} in one part"), &whole, &expected, within);
        assert_eq!(actual, by_hopper(&gpu, &g, &arrays), "{g:?}: another run");
    }
}

#[test]
fn whatever_the_geometry_it_is_the_definition() {
    let Some(gpu) = a_hopper() else { return };
    for case in 0..12 {
        let mut cases = Cases::new("conv2d hopper weight", case);
        let mut extent = |from, to| cases.extent(from, to);
        let taps = [extent(1, 3), extent(1, 4)];
        let x = [extent(1, 4), extent(4, 12), extent(4, 12), 64];
        let padding =
            Padding::Explicit(taps.map(|taps| [extent(0, taps - 1), extent(0, taps - 1)]));
        let g = geometry(x, [taps[0], taps[1], 64 * extent(1, 2)], padding);
        if !fits(&g) {
            continue;
        }
        let arrays = round_numbers(&g, case);
        let expected = by_formula(&g, &arrays.in_f64());
        let within = Tolerance::for_reduction(g.n * g.p * g.q);
        let of_part = cases.extent(1, Cut::new(&g).count());
        let actual = in_parts_of(&gpu, &g, &arrays, of_part);
        let what = format!("dkernel, case {case}, {g:?}, parts of {of_part}");
        assert_close(&what, &actual, &expected, within);
    }
}

#[test]
fn operands_are_rounded_to_nearest() {
    let Some(gpu) = a_hopper() else { return };
    let g = geometry([2, 9, 11, 64], [2, 3, 64], Padding::Same);
    let arrays = Arrays::random(&g, &mut Cases::new("conv2d hopper weight rounds", 0));
    let exact = by_formula(&g, &arrays.in_f64());
    let squares = by_formula(&g, &arrays.in_f64().squared());
    let actual = by_hopper(&gpu, &g, &arrays);
    assert_rounded("dkernel", Precision::Bf16, &actual, &exact, &squares);
}

#[test]
fn numbers_that_are_bf16_already_give_the_same_bits() {
    let Some(gpu) = a_hopper() else { return };
    let g = geometry([2, 17, 19, 64], [3, 3, 64], Padding::Same);
    let arrays = round_numbers(&g, 0);
    let actual = in_parts_of(&gpu, &g, &arrays, Cut::new(&g).of_part);
    assert_eq!(actual, by_hopper(&gpu, &g, &arrays));
}

#[test]
fn a_lost_number_of_x_reaches_what_it_is_part_of_and_nothing_else() {
    let Some(gpu) = a_hopper() else { return };
    for (case, g) in shapes().into_iter().enumerate() {
        // The last pixel, which boxes of dz reach over, and one of the others.
        let mut cases = Cases::new("conv2d hopper weight lost", case as u32);
        let [n, h, w] = [g.n - 1, g.h - 1, g.w - 1];
        let inside = [cases.extent(0, n), cases.extent(0, h), cases.extent(0, w)];
        let other = [[0, h, 0], [0, 0, w], [n, 0, 0], inside][case % 4];
        for (at, lost) in [([n, h, w], f32::NAN), (other, f32::INFINITY)] {
            let mut arrays = round_numbers(&g, case as u32);
            arrays.x[[at[0], at[1], at[2], cases.extent(0, g.c - 1)]] = lost;
            let expected = by_formula(&g, &arrays.in_f64());
            let actual = by_hopper(&gpu, &g, &arrays);
            let mut both = actual.iter().zip(&expected);
            let agree = both.all(|(a, e)| a.is_finite() == e.is_finite());
            assert!(agree, "{lost} at {at:?}, {g:?}");
        }
    }
}

/// In the padding it meets zeros, and what becomes of that is not said.
#[test]
fn a_lost_number_of_dz_reaches_its_filter_and_no_other() {
    let Some(gpu) = a_hopper() else { return };
    for (case, g) in shapes().into_iter().enumerate() {
        let mut cases = Cases::new("conv2d hopper weight lost dz", case as u32);
        let at = [g.n, g.p, g.q, g.k].map(|extent| cases.extent(0, extent - 1));
        let mut arrays = round_numbers(&g, case as u32);
        arrays.dz[at] = f32::NAN;
        let expected = by_formula(&g, &arrays.in_f64());
        let actual = by_hopper(&gpu, &g, &arrays);
        for (i, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
            let is_its_filter = i % g.k == at[3];
            assert!(!actual.is_nan() || is_its_filter, "{at:?}, {g:?}: number {i} is {actual}");
            assert!(actual.is_nan() || !expected.is_nan(), "{at:?}, {g:?}: number {i} is {actual}");
        }
    }
}

/// The smallest that is chosen.
fn large() -> Geometry {
    geometry([1, 75, 76, 64], [3, 3, 64], Padding::Same)
}

#[test]
fn large_products_in_bf16_are_made_so_and_others_are_not() {
    let Some(gpu) = a_hopper() else { return };
    let large = large();
    let few_boxes = geometry([1, 60, 76, 64], [3, 3, 64], Padding::Same);
    let few_products = geometry([1, 75, 76, 64], [2, 3, 64], Padding::Same);
    let skips = Geometry { strides: [2, 1], ..large };
    let many_taps = geometry([1, 76, 76, 64], [5, 6, 64], Padding::Same);
    // The first of three rows of taps meets nothing but padding.
    let misses = geometry([64, 1, 76, 64], [3, 3, 64], Padding::Explicit([[2, 0], [1, 1]]));
    let is = |precision, g: &Geometry| chosen(&gpu, precision, g);
    assert!(is(Precision::Bf16, &large) && !is(Precision::Tf32, &large));
    for other in [few_boxes, few_products, skips, many_taps, misses] {
        assert!(!is(Precision::Bf16, &other), "{other:?}");
        assert_eq!(planned_scratch(&other), 0, "{other:?}");
    }
    assert!(fits(&few_boxes) && fits(&few_products));
    assert!(!fits(&skips) && !fits(&many_taps) && !fits(&misses));
    let arrays = round_numbers(&large, 0);
    let chosen = by_kernels(&gpu, Precision::Bf16, &large, &arrays);
    assert!(chosen.dkernel.as_slice() == Some(&by_hopper(&gpu, &large, &arrays)));
}

#[test]
fn a_layer_plans_for_it() {
    let Some(gpu) = a_hopper() else { return };
    let (g, mut cases) = (large(), Cases::new("conv2d hopper weight layer", 0));
    let of = |cases: &mut Cases, shape: Shape| {
        let values = cases.normal(shape.len());
        values.into_iter().map(|v| rounded(v, Precision::Bf16)).collect::<Vec<_>>()
    };
    let [x, dy] = [g.x(), g.y()].map(|shape| (shape, of(&mut cases, shape)));
    let run = |precision| {
        let layer = Conv2D::new(g.k, 3).padding(Padding::Same);
        let mut trial = Trial::on(&Device::Cuda(gpu.clone()), layer, g.x(), 1);
        trial.cx.precision = precision;
        let [x, dy] = [&x, &dy].map(|(shape, values)| on(&gpu, *shape, values));
        let y = trial.forward(&x);
        trial.backward(&x, &y, &dy);
        gpu.synchronize().expect("a sound device");
        let mut gradient = Vec::new();
        trial.layer.visit(&mut Path::default(), &mut |path, field| {
            if let (Field::Param(param), true) = (field, path.as_str().ends_with("kernel")) {
                gradient = read(&param.grad);
            }
        });
        gradient
    };
    let (exact, actual) = (run(Precision::F32), run(Precision::Bf16));
    let exact: Vec<f64> = exact.iter().map(|&v| f64::from(v)).collect();
    assert_close("dkernel", &actual, &exact, Tolerance::for_reduction(2 * g.n * g.p * g.q));
}

#[test]
fn parts_hold_every_box_once_and_none_is_empty() {
    let sides = [1, 2, 7, 14, 28, 56, 75, 112];
    let channels = [[64, 64], [64, 128], [128, 128], [256, 256], [512, 512], [192, 320]];
    for (n, side, [c, k]) in [1, 3, 64].into_iter().flat_map(|n| {
        sides.into_iter().flat_map(move |side| channels.map(|channels| (n, side, channels)))
    }) {
        let g = geometry([n, side, side, c], [3, 3, k], Padding::Same);
        let cut = Cut::new(&g);
        let (boxes, of_part, parts) = (cut.count(), cut.of_part, cut.parts());
        assert!(of_part * (parts - 1) < boxes && boxes <= of_part * parts, "{g:?}");
        assert!(parts <= cut.most_parts(), "{g:?}: {parts} parts");
    }
    // As many blocks as processors, or nearly, and three times so many where tiles are many.
    for (c, k, blocks) in [(64, 64, 132), (128, 128, 132), (256, 256, 120), (512, 512, 384)] {
        let cut = Cut::new(&geometry([64, 28, 28, c], [3, 3, k], Padding::Same));
        assert_eq!(cut.tiles() * cut.parts(), blocks, "{c} channels, {k} filters");
    }
}

#[test]
fn scratch_for_a_batch_is_enough_for_a_smaller_one() {
    for (side, [c, k]) in [(7, [512, 512]), (30, [64, 128]), (56, [64, 64]), (14, [256, 256])] {
        let of = |n| geometry([n, side, side, c], [3, 3, k], Padding::Same);
        let sizes = [1, 2, 3, 15, 16, 17, 31, 100, 129].map(|n| planned_scratch(&of(n)));
        assert!(sizes.is_sorted() && sizes[8] > 0, "{sizes:?}");
        assert!(any_scratch(&of(129)) >= scratch(&of(129)), "room for what is chosen");
        for n in 1..129 {
            let (g, parts) = (of(n), Cut::new(&of(n)).parts());
            let taken = lens(&g).iter().sum::<usize>() / 2 + parts * g.kernel().len();
            assert!(taken <= scratch(&of(n)) || parts == 1, "{parts} parts of {g:?}");
            assert!(scratch(&of(n)) <= scratch(&of(n + 1)), "{g:?}");
        }
    }
}
