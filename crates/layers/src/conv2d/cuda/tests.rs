//! The kernels equal the definition.

use super::super::tests::{Arrays, Results, array, assert_results, random_geometry};
use super::ladder::Rung;
use super::windows::Axis;
use super::*;
use crate::trial::{assert_rounded, kernels_agree, rounded};
use crate::{Activation, Conv2D, Padding};
use gradus_tensor::gpu::Gpu;
use gradus_tensor::ndarray::Array4;
use gradus_tensor::{Context, Device, Shape, Spec, Tensor};
use gradus_testing::{Cases, Tolerance, assert_close, gpu, gpu_with_tensor_cores};

/// What the kernels make of the arrays, of scratch that holds NaN.
pub(in crate::conv2d) fn by_kernels(
    gpu: &Gpu,
    precision: Precision,
    g: &Geometry,
    arrays: &Arrays<f32>,
) -> Results<f32> {
    let cx = &mut Context::new(Device::Cuda(gpu.clone()), 1);
    let stale = |shape: Shape| {
        let mut stale = Tensor::zeros(Spec::f32(shape), &cx.device);
        stale.write(&vec![f32::NAN; shape.len()]);
        stale
    };
    let on_gpu = |shape: Shape, values: &[f32]| Tensor::from_slice(shape, values).on(&cx.device);
    let x = on_gpu(g.x(), arrays.x.as_slice().unwrap());
    let kernel = on_gpu(g.kernel(), arrays.kernel.as_slice().unwrap());
    let bias = on_gpu(Shape::new(&[g.k]), arrays.bias.as_slice().unwrap());
    let dz = on_gpu(g.y(), arrays.dz.as_slice().unwrap());
    let (mut z, mut dx, mut dkernel) = (stale(g.y()), stale(g.x()), stale(g.kernel()));
    let mut dbias = stale(Shape::new(&[g.k]));
    let len = scratch(g);
    let mut scratch = stale(Shape::new(&[len]));
    let epilogue = Epilogue { bias: bias.gpu(), relu: false };
    let p = Arithmetic::from(precision);
    forward(gpu, p, g, [x.gpu(), kernel.gpu()], epilogue, scratch.gpu_mut(), z.gpu_mut());
    backward_input(gpu, p, g, [dz.gpu(), kernel.gpu()], scratch.gpu_mut(), dx.gpu_mut());
    backward_weight(gpu, p, g, [x.gpu(), dz.gpu()], scratch.gpu_mut(), dkernel.gpu_mut());
    backward_bias(gpu, g, dz.gpu(), scratch.gpu_mut(), dbias.gpu_mut());
    gpu.synchronize().unwrap();
    let read = |t: &Tensor| t.on(&Device::Cpu).slice::<f32>().to_vec();
    let [z, dx, dkernel] = [&z, &dx, &dkernel].map(|t| array(t.shape(), read(t)));
    Results { z, dx, dkernel, dbias: read(&dbias).into() }
}

#[test]
fn the_kernels_are_the_definition() {
    let Some(gpu) = gpu() else { return };
    for case in 0..40 {
        let mut cases = Cases::new("conv2d kernels", case);
        let g = random_geometry(&mut cases);
        let arrays = Arrays::random(&g, &mut cases);
        let expected = arrays.in_f64().by_definition(&g);
        let what = format!("case {case}, {g:?}");
        assert_results(&what, &by_kernels(&gpu, Precision::F32, &g, &arrays), &expected, &g);
    }
}

/// Geometries that take every tile, by quads, with sums in parts and whole.
pub(super) fn every_tile() -> Vec<Geometry> {
    let of = |groups, x: [usize; 4], kernel: [usize; 4], strides, padding| {
        let (x, kernel) = (Shape::new(&x), Shape::new(&kernel));
        Geometry::grouped(groups, x, kernel, strides, padding, [1, 1]).unwrap()
    };
    let (same, explicit) = (Padding::Same, Padding::Explicit([[1, 0], [2, 1]]));
    vec![
        of(1, [2, 9, 10, 8], [3, 3, 8, 68], [1, 1], same),
        of(1, [1, 13, 11, 36], [3, 3, 36, 40], [2, 2], explicit),
        of(1, [2, 7, 5, 40], [1, 1, 40, 12], [1, 1], Padding::Valid),
        of(2, [1, 12, 9, 16], [3, 2, 8, 72], [2, 1], same),
        of(1, [1, 19, 17, 8], [3, 3, 8, 8], [1, 1], same),
        of(1, [1, 5, 6, 5], [2, 2, 5, 5], [3, 2], Padding::Valid),
        of(1, [1, 6, 6, 70], [3, 3, 70, 35], [1, 1], same),
        of(1, [1, 40, 30, 5], [3, 3, 5, 31], [1, 1], same),
        of(1, [1, 25, 24, 8], [1, 1, 8, 68], [1, 1], same),
        of(1, [1, 18, 16, 36], [1, 1, 36, 40], [1, 1], same),
        of(1, [1, 5, 7, 64], [3, 3, 64, 12], [1, 1], same),
        of(1, [1, 25, 24, 35], [1, 1, 35, 37], [1, 1], same),
        of(1, [1, 6, 6, 70], [3, 3, 70, 5], [1, 1], same),
        of(12, [2, 9, 8, 12], [3, 3, 1, 12], [2, 2], same),
        of(5, [1, 30, 20, 10], [3, 3, 2, 20], [1, 1], explicit),
    ]
}

#[test]
fn images_of_few_channels_are_the_definition() {
    let Some(gpu) = gpu() else { return };
    for (case, (x, [r, s, k], strides, dilation)) in [
        ([2, 19, 35, 3], [3, 3, 33], [1, 1], [1, 1]),
        ([1, 40, 50, 3], [7, 7, 64], [2, 2], [1, 1]),
        ([3, 9, 7, 1], [5, 4, 6], [1, 3], [2, 1]),
        ([1, 18, 17, 4], [2, 1, 8], [4, 1], [3, 2]),
        ([1, 8, 16, 2], [1, 1, 1], [1, 1], [1, 1]),
    ]
    .into_iter()
    .enumerate()
    {
        let (kernel, x) = (Shape::new(&[r, s, x[3], k]), Shape::new(&x));
        let g = Geometry::new(x, kernel, strides, Padding::Same, dilation).unwrap();
        assert!(direct::fits(&g), "{g:?}");
        let arrays = Arrays::random(&g, &mut Cases::new("conv2d direct", case as u32));
        let expected = arrays.in_f64().by_definition(&g);
        let actual = by_kernels(&gpu, Precision::F32, &g, &arrays);
        assert_results(&format!("{g:?}"), &actual, &expected, &g);
    }
}

#[test]
fn every_tile_is_the_definition_and_gives_the_same_bits_again() {
    let Some(gpu) = gpu() else { return };
    for (case, g) in every_tile().into_iter().enumerate() {
        let arrays = Arrays::random(&g, &mut Cases::new("conv2d tiles", case as u32));
        let expected = arrays.in_f64().by_definition(&g);
        let actual = by_kernels(&gpu, Precision::F32, &g, &arrays);
        assert_results(&format!("{g:?}"), &actual, &expected, &g);
        assert_eq!(actual, by_kernels(&gpu, Precision::F32, &g, &arrays), "{g:?}: another run");
    }
    let kinds = kinds(Precision::F32, &every_tile());
    // Forward and backward: wide, square, narrow, slim; for the kernel wide, square and small, with
    // and without quads; each in parts and whole.
    assert_eq!(kinds.len(), 8 + 8 + 8, "{kinds:?}");
}

#[test]
fn what_is_said_to_be_exact_in_any_precision_has_the_bits_of_f32() {
    let Some(gpu) = gpu_with_tensor_cores() else { return };
    let mut exact = [0; 3];
    for (case, g) in every_tile().into_iter().enumerate() {
        let arrays = Arrays::random(&g, &mut Cases::new("conv2d rounds", case as u32));
        let bits = |precision| {
            let Results { z, dx, dkernel, .. } = by_kernels(&gpu, precision, &g, &arrays);
            [z, dx, dkernel].map(|values| values.mapv(f32::to_bits))
        };
        let of_f32 = bits(Precision::F32);
        for precision in [Precision::Tf32, Precision::Bf16] {
            let (rounds_to, found) = (rounds_to(&gpu, precision, &g), bits(precision));
            for pass in 0..3 {
                let is_exact = rounds_to[pass] == Precision::F32;
                assert!(is_exact || rounds_to[pass] == precision, "{rounds_to:?}");
                assert_eq!(found[pass] == of_f32[pass], is_exact, "{precision}, {pass} of {g:?}");
                exact[pass] += usize::from(is_exact);
            }
        }
    }
    assert!(exact[0] > 0 && exact[1] > exact[0], "depthwise, and dx of odd channels: {exact:?}");
}

/// Pass, whether it is narrow, by quads, in parts.
fn kinds(precision: Precision, all: &[Geometry]) -> Vec<(usize, bool, bool, bool)> {
    let passes = [Pass::forward, Pass::backward_input, Pass::weight];
    let mut kinds = Vec::new();
    for g in all.iter().filter(|g| !depthwise::fits(g)) {
        let of = passes.iter().enumerate().map(|(number, pass)| (number, pass(g, precision)));
        let of = of.filter(|(_, pass)| pass.precision == precision);
        let of = of.filter(|(number, pass)| {
            *number > 0 || pass.precision != Precision::F32 || !direct::fits(g)
        });
        kinds.extend(of.map(|(number, p)| (number, p.narrow, p.quads, p.parts > 1)));
    }
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

const ROUNDED: [Precision; 2] = [Precision::Tf32, Precision::Bf16];

/// Geometries that take every kernel for tensor cores, with sums in parts and whole.
pub(super) fn every_rounded_tile() -> Vec<Geometry> {
    let of = |groups, x: [usize; 4], kernel: [usize; 4], strides| {
        let (x, kernel, one) = (Shape::new(&x), Shape::new(&kernel), [1, 1]);
        Geometry::grouped(groups, x, kernel, strides, Padding::Same, one).unwrap()
    };
    vec![
        of(1, [2, 9, 10, 8], [3, 3, 8, 68], [1, 1]),
        of(1, [1, 6, 6, 72], [3, 3, 72, 72], [1, 1]),
        of(1, [1, 18, 32, 4], [1, 1, 4, 68], [1, 1]),
        of(1, [1, 6, 6, 70], [3, 3, 70, 35], [1, 1]),
        of(1, [1, 30, 20, 3], [3, 3, 3, 33], [1, 1]),
        of(1, [1, 24, 22, 68], [1, 1, 68, 8], [1, 1]),
        of(1, [1, 5, 7, 64], [3, 3, 64, 12], [1, 1]),
        of(2, [1, 12, 9, 16], [3, 2, 8, 72], [2, 3]),
    ]
}

#[test]
fn tensor_cores_make_the_products_of_rounded_numbers() {
    let Some(gpu) = gpu() else { return };
    for precision in ROUNDED {
        for case in 0..20 {
            let mut cases = Cases::new("conv2d tensor cores", case);
            let g = random_geometry(&mut cases);
            // Of numbers that are round already the sums are those of f32.
            let mut arrays = Arrays::random(&g, &mut cases);
            for array in [&mut arrays.x, &mut arrays.kernel, &mut arrays.dz] {
                array.mapv_inplace(|v| rounded(v, precision));
            }
            let expected = arrays.in_f64().by_definition(&g);
            let what = format!("{precision:?}, case {case}, {g:?}");
            assert_results(&what, &by_kernels(&gpu, precision, &g, &arrays), &expected, &g);
        }
    }
}

#[test]
fn tensor_cores_round_to_nearest_and_give_the_same_bits_again() {
    let Some(gpu) = gpu_with_tensor_cores() else { return };
    for (case, g) in every_rounded_tile().into_iter().enumerate() {
        let arrays = Arrays::random(&g, &mut Cases::new("conv2d rounded tiles", case as u32));
        let exact = arrays.in_f64().by_definition(&g);
        let squares = arrays.in_f64().squared().by_definition(&g);
        for precision in ROUNDED {
            let actual = by_kernels(&gpu, precision, &g, &arrays);
            for (name, actual, exact, squares) in [
                ("z", &actual.z, &exact.z, &squares.z),
                ("dx", &actual.dx, &exact.dx, &squares.dx),
                ("dkernel", &actual.dkernel, &exact.dkernel, &squares.dkernel),
            ] {
                let (a, e, s) = (actual.as_slice(), exact.as_slice(), squares.as_slice());
                let (a, e, s) = (a.unwrap(), e.unwrap(), s.unwrap());
                let what = format!("{name} of {g:?}");
                // What has no kernel for tensor cores is exact.
                if name == "dx" && Pass::backward_input(&g, precision).precision == Precision::F32 {
                    assert_close(&what, a, e, Tolerance::for_reduction(g.r * g.s * g.k / g.groups));
                } else {
                    assert_rounded(&what, precision, a, e, s);
                }
            }
            assert_eq!(actual, by_kernels(&gpu, precision, &g, &arrays), "{g:?}: another run");
        }
    }
    for precision in ROUNDED {
        let kinds = kinds(precision, &every_rounded_tile());
        // Wide by quads, narrow by quads and not, which backward leaves to f32; in parts and whole.
        assert_eq!(kinds.len(), 6 + 4 + 6, "{kinds:?}");
    }
}

#[test]
fn every_rung_of_the_ladder_is_the_definition() {
    let Some(gpu) = gpu() else { return };
    let cases = (0..).map(|case| Cases::new("conv2d ladder", case));
    let all = cases.map(|mut cases| (random_geometry(&mut cases), cases));
    for (g, mut cases) in all.filter(|(g, _)| g.groups == 1).take(10) {
        climb(&gpu, &g, &mut cases);
    }
    // The last one is for these alone.
    let explicit = Padding::Explicit([[0, 1], [1, 1]]);
    for (x, kernel, padding) in [
        ([1, 9, 11, 64], [3, 3, 64], Padding::Same),
        ([3, 6, 5, 128], [2, 3, 64], Padding::Valid),
        ([2, 3, 17, 64], [3, 3, 128], explicit),
    ] {
        let g = hopper::tests::geometry(x, kernel, padding);
        assert!(Rung::Hopper.fits(&g));
        climb(&gpu, &g, &mut Cases::new("conv2d ladder, last", g.h as u32));
    }
}

/// Every rung that is for that convolution and that device.
fn climb(gpu: &Gpu, g: &Geometry, cases: &mut Cases) {
    let arrays = Arrays::random(g, cases);
    let device = Device::Cuda(gpu.clone());
    for rung in Rung::ALL.into_iter().filter(|rung| rung.fits(g) && rung.check(gpu).is_ok()) {
        let mut of = arrays.clone();
        for array in [&mut of.x, &mut of.kernel] {
            array.mapv_inplace(|v| rounded(v, rung.precision()));
        }
        of.bias.fill(0.0);
        let exact = of.in_f64().by_definition(g).z;
        let on_gpu = |shape: Shape, values: &Array4<f32>| {
            Tensor::from_slice(shape, values.as_slice().unwrap()).on(&device)
        };
        let (x, kernel) = (on_gpu(g.x(), &of.x), on_gpu(g.kernel(), &of.kernel));
        let mut y = Tensor::zeros(Spec::f32(g.y()), &device);
        let mut scratch = Tensor::zeros(Spec::f32(Shape::new(&[rung.scratch(g)])), &device);
        let of = [x.gpu(), kernel.gpu()];
        ladder::forward(gpu, rung, g, of, scratch.gpu_mut(), y.gpu_mut());
        gpu.synchronize().unwrap();
        let (y, tolerance) = (y.on(&Device::Cpu), Tolerance::for_reduction(g.taps()));
        let what = format!("{rung:?} of {g:?}");
        assert_close(&what, y.slice::<f32>(), exact.as_slice().unwrap(), tolerance);
    }
}

#[test]
fn relu_in_the_epilogue_lets_nan_through() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    // Directly, in one piece, in parts, and depthwise.
    for (groups, channels) in [(1, 1), (1, 9), (1, 400), (2, 1)] {
        let x = Shape::new(&[1, 1, 3, channels * groups]);
        let kernel = Shape::new(&[1, 1, channels, 2 * groups]);
        let (same, one) = (Padding::Same, [1, 1]);
        let g = Geometry::grouped(groups, x, kernel, one, same, one).unwrap();
        let pixel = |v: f32| vec![v; x.last()];
        let values = [pixel(f32::NAN), pixel(2.0), pixel(-2.0)].concat();
        let x = Tensor::from_slice(x, &values).on(&device);
        let kernel = Tensor::from_slice(kernel, &vec![1.0f32; kernel.len()]).on(&device);
        let mut y = Tensor::zeros(Spec::f32(g.y()), &device);
        let mut scratch = Tensor::zeros(Spec::f32(Shape::new(&[scratch(&g)])), &device);
        let epilogue = Epilogue { bias: GpuView::none(), relu: true };
        let of = [x.gpu(), kernel.gpu()];
        forward(&gpu, Precision::F32.into(), &g, of, epilogue, scratch.gpu_mut(), y.gpu_mut());
        gpu.synchronize().unwrap();
        let y = y.on(&Device::Cpu);
        let [lost, twice, zero] = [0, 1, 2].map(|pixel| &y.slice::<f32>()[pixel * g.k..][..g.k]);
        assert!(lost.iter().all(|v| v.is_nan()), "{lost:?}");
        assert!(twice.iter().all(|v| *v == 2.0 * channels as f32), "{twice:?}");
        assert!(zero.iter().all(|v| *v == 0.0), "{zero:?}");
    }
}

#[test]
fn a_lost_number_reaches_what_it_is_part_of_and_nothing_else() {
    let Some(gpu) = gpu() else { return };
    for case in 0..20 {
        let mut cases = Cases::new("conv2d lost", case);
        let g = random_geometry(&mut cases);
        // A lost dz makes a sum over zeros of the padding NaN or not: the weights' is not looked at.
        let [mut of_x, mut of_dz] = [0, 1].map(|_| Arrays::random(&g, &mut cases));
        for array in [&mut of_x.x, &mut of_dz.dz] {
            let at = cases.extent(0, array.len() - 1);
            array.as_slice_mut().unwrap()[at] = f32::NAN;
        }
        let [from_x, from_dz] = [&of_x, &of_dz].map(|arrays| arrays.in_f64().by_definition(&g));
        for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
            let what = format!("case {case}, {precision:?}, {g:?}");
            let [of_x, of_dz] =
                [&of_x, &of_dz].map(|arrays| by_kernels(&gpu, precision, &g, arrays));
            for (name, actual, expected) in [
                ("z", of_x.z, &from_x.z),
                ("dkernel", of_x.dkernel, &from_x.dkernel),
                ("dx", of_dz.dx, &from_dz.dx),
            ] {
                let (actual, expected) = (actual.mapv(f32::is_nan), expected.mapv(f64::is_nan));
                assert!(actual == expected, "{name}, {what}");
            }
        }
    }
}

#[test]
fn the_layer_on_a_gpu_is_the_layer_on_the_cpu() {
    let x = Shape::new(&[3, 9, 8, 6]);
    let layer = || Conv2D::new(8, 3).padding(Padding::Same);
    kernels_agree("conv2d", || layer().activation(Activation::Relu), x, 72 * 9);
    kernels_agree("conv2d silu", || layer().activation(Activation::Silu).strides(2), x, 72 * 9);
    kernels_agree("conv2d no bias", || layer().use_bias(false).groups(2), x, 72 * 9);
    kernels_agree("conv2d frozen", || layer().trainable(false), x, 72 * 9);
}

#[test]
fn the_phases_make_every_product_once() {
    for case in 0..200 {
        let g = random_geometry(&mut Cases::new("conv2d phases", case));
        for (i, extent, windows, taps) in [(0, g.h, g.p, g.r), (1, g.w, g.q, g.s)] {
            let meet =
                |window, tap| if i == 0 { g.row(window, tap) } else { g.column(window, tap) };
            let mut expected: Vec<_> = (0..windows)
                .flat_map(|window| (0..taps).map(move |tap| (window, tap)))
                .filter_map(|(window, tap)| Some((meet(window, tap)?, tap, window as i32)))
                .collect();
            let mut actual = Vec::new();
            let mut pixels = 0;
            for first in 0..g.strides[i].min(extent) {
                let axis = Axis::new(first, extent, taps, g.strides[i], g.dilation[i], g.before[i]);
                pixels += axis.pixels;
                for (u, t) in (0..axis.pixels).flat_map(|u| (0..axis.taps).map(move |tap| (u, tap)))
                {
                    let window = u as i32 + axis.window + t as i32 * axis.windows_apart;
                    if (0..windows as i32).contains(&window) {
                        let pixel = axis.first + u * g.strides[i];
                        actual.push((pixel, axis.tap + t * axis.apart, window));
                    }
                }
            }
            expected.sort_unstable();
            actual.sort_unstable();
            assert_eq!((pixels, actual), (extent, expected), "axis {i} of {g:?}");
        }
    }
}

#[test]
fn scratch_for_a_batch_is_enough_for_a_smaller_one() {
    for case in 0..100 {
        let g = random_geometry(&mut Cases::new("conv2d gpu scratch", case));
        let sizes = [1, 2, 3, 4, 5, 6, 15, 17, 100, 400].map(|n| scratch(&Geometry { n, ..g }));
        assert!(sizes.is_sorted(), "{sizes:?} of {g:?}");
    }
}
