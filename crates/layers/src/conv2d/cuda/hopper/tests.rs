//! Hopper's kernels equal the definition.

use super::super::{forward as any_forward, scratch as any_scratch, tests::by_kernels};
use super::*;
use crate::conv2d::definition;
use crate::conv2d::tests::Arrays;
use crate::trial::{Trial, assert_rounded, rounded};
use crate::{Conv2D, Padding};
use gradus_tensor::ndarray::Array4;
use gradus_tensor::{Device, Fields as _, Path, Shape, Spec, Tensor};
use gradus_testing::{Cases, Tolerance, assert_close, gpu};

/// A Hopper, if there is one, real or emulated.
pub(in crate::conv2d::cuda) fn a_hopper() -> Option<Gpu> {
    let found = gpu()?;
    let is_hopper = found.compute_capability() == (9, 0);
    if !is_hopper {
        eprintln!("skipped: {} is no Hopper", found.name());
    }
    is_hopper.then_some(found)
}

pub(in crate::conv2d::cuda) fn geometry(
    [n, h, w, c]: [usize; 4],
    [r, s, k]: [usize; 3],
    padding: Padding,
) -> Geometry {
    let (x, kernel) = (Shape::new(&[n, h, w, c]), Shape::new(&[r, s, c, k]));
    Geometry::new(x, kernel, [1, 1], padding, [1, 1]).expect("it fits")
}

/// Odd extents, one image and three, tiles that reach over each edge, more steps than stages and
/// fewer, one chunk of channels and two, 64 filters at a time and 128.
pub(in crate::conv2d::cuda) fn ragged() -> Vec<Geometry> {
    let explicit = Padding::Explicit([[0, 2], [1, 0]]);
    vec![
        geometry([1, 9, 7, 64], [3, 3, 64], Padding::Same),
        geometry([1, 11, 13, 128], [3, 3, 64], Padding::Valid),
        geometry([3, 5, 7, 64], [3, 2, 128], Padding::Same),
        geometry([3, 7, 9, 64], [1, 1, 192], Padding::Valid),
        geometry([1, 1, 1, 64], [1, 1, 64], Padding::Valid),
        geometry([1, 6, 19, 64], [3, 3, 64], explicit),
        geometry([1, 6, 5, 128], [5, 4, 128], Padding::Same),
    ]
}

/// Numbers that are bf16 already, so that sums are those of f32.
pub(super) fn round_numbers(g: &Geometry, case: u32) -> Arrays<f32> {
    let mut arrays = Arrays::random(g, &mut Cases::new("conv2d hopper", case));
    for array in [&mut arrays.x, &mut arrays.kernel, &mut arrays.dz] {
        array.mapv_inplace(|v| rounded(v, Precision::Bf16));
    }
    arrays
}

pub(super) fn on(gpu: &Gpu, shape: Shape, values: &[f32]) -> Tensor {
    Tensor::from_slice(shape, values).on(&Device::Cuda(gpu.clone()))
}

pub(super) fn stale(gpu: &Gpu, shape: Shape) -> Tensor {
    on(gpu, shape, &vec![f32::NAN; shape.len()])
}

pub(super) fn read(tensor: &Tensor) -> Vec<f32> {
    tensor.on(&Device::Cpu).slice::<f32>().to_vec()
}

/// z and dx by these kernels, whether they would be chosen or not.
fn by_hopper(gpu: &Gpu, g: &Geometry, arrays: &Arrays<f32>, relu: bool) -> [Vec<f32>; 2] {
    assert!(fits(g), "{g:?}");
    let of = |shape, array: &Array4<f32>| on(gpu, shape, array.as_slice().unwrap());
    let (x, kernel) = (of(g.x(), &arrays.x), of(g.kernel(), &arrays.kernel));
    let dz = of(g.y(), &arrays.dz);
    let bias = on(gpu, Shape::new(&[g.k]), arrays.bias.as_slice().unwrap());
    let [mut z, mut dx] = [g.y(), g.x()].map(|shape| stale(gpu, shape));
    let mut scratch = stale(gpu, Shape::new(&[scratch(g)]));
    let epilogue = Epilogue { bias: bias.gpu(), relu };
    forward(gpu, g, [x.gpu(), kernel.gpu()], epilogue, scratch.gpu_mut(), z.gpu_mut());
    backward_input(gpu, g, [dz.gpu(), kernel.gpu()], scratch.gpu_mut(), dx.gpu_mut());
    gpu.synchronize().unwrap();
    [read(&z), read(&dx)]
}

/// z and dx by the formula.
fn by_formula(g: &Geometry, arrays: &Arrays<f64>) -> [Vec<f64>; 2] {
    let of = |shape: Shape| {
        let &[a, b, c, d] = shape.dims() else { panic!("{shape}") };
        Array4::zeros((a, b, c, d))
    };
    let (mut z, mut dx) = (of(g.y()), of(g.x()));
    let (x, kernel, dz) = (arrays.x.view(), arrays.kernel.view(), arrays.dz.view());
    definition::forward(g, x, kernel, Some(arrays.bias.view()), z.view_mut());
    definition::backward_input(g, dz, kernel, dx.view_mut());
    [z, dx].map(|a| a.into_raw_vec_and_offset().0)
}

#[test]
fn the_kernels_are_the_definition_and_give_the_same_bits_again() {
    let Some(gpu) = a_hopper() else { return };
    for (case, g) in ragged().into_iter().enumerate() {
        let arrays = round_numbers(&g, case as u32);
        let [z, dx] = by_formula(&g, &arrays.in_f64());
        let actual = by_hopper(&gpu, &g, &arrays, false);
        let within = Tolerance::for_reduction;
        assert_close(&format!("z of {g:?}"), &actual[0], &z, within(g.taps() + 1));
        assert_close(&format!("dx of {g:?}"), &actual[1], &dx, within(g.r * g.s * g.k));
        assert_eq!(actual, by_hopper(&gpu, &g, &arrays, false), "{g:?}: another run");
        let [above, _] = by_hopper(&gpu, &g, &arrays, true);
        let expected = actual[0].iter().map(|v| v.max(0.0)).collect::<Vec<_>>();
        assert_eq!(above, expected, "relu of {g:?}");
    }
}

#[test]
fn operands_are_rounded_to_nearest() {
    let Some(gpu) = a_hopper() else { return };
    let g = geometry([1, 7, 5, 128], [3, 3, 64], Padding::Same);
    let mut arrays = Arrays::random(&g, &mut Cases::new("conv2d hopper rounds", 0));
    arrays.bias.fill(0.0);
    let exact = by_formula(&g, &arrays.in_f64());
    let squares = by_formula(&g, &arrays.in_f64().squared());
    let actual = by_hopper(&gpu, &g, &arrays, false);
    for (i, name) in ["z", "dx"].into_iter().enumerate() {
        assert_rounded(name, Precision::Bf16, &actual[i], &exact[i], &squares[i]);
    }
}

#[test]
fn large_products_in_bf16_are_made_so_and_others_are_not() {
    let Some(gpu) = a_hopper() else { return };
    let large = geometry([1, 92, 92, 64], [3, 2, 64], Padding::Same);
    let few_tiles = geometry([1, 9, 9, 64], [3, 3, 64], Padding::Same);
    let few_products = geometry([1, 92, 92, 64], [1, 1, 64], Padding::Same);
    let skips = Geometry { strides: [2, 1], ..large };
    let is = |precision, g: &Geometry| chosen(&gpu, precision, g, &Problem::forward(g));
    assert!(is(Precision::Bf16, &large) && !is(Precision::Tf32, &large));
    for other in [few_tiles, few_products, skips] {
        assert!(!is(Precision::Bf16, &other), "{other:?}");
        assert_eq!(planned_scratch(&other), 0, "{other:?}");
    }
    assert!(fits(&few_tiles) && fits(&few_products) && !fits(&skips));
    let arrays = round_numbers(&large, 0);
    let chosen = by_kernels(&gpu, Precision::Bf16, &large, &arrays);
    let [z, dx] = by_hopper(&gpu, &large, &arrays, false);
    assert!(chosen.z.as_slice() == Some(&z) && chosen.dx.as_slice() == Some(&dx));
}

#[test]
fn a_recorded_convolution_reads_what_x_is_then() {
    let Some(gpu) = a_hopper() else { return };
    let g = geometry([1, 54, 54, 64], [1, 1, 384], Padding::Valid);
    assert!(Problem::forward(&g).pays(), "else another kernel would be recorded");
    let [before, then] = [0, 1].map(|case| round_numbers(&g, case));
    let slice = |a: &Array4<f32>| a.as_slice().unwrap().to_vec();
    let mut x = on(&gpu, g.x(), &slice(&before.x));
    let kernel = on(&gpu, g.kernel(), &slice(&before.kernel));
    let (mut scratch, mut y) =
        (stale(&gpu, Shape::new(&[any_scratch(&g)])), Tensor::zeros(Spec::f32(g.y()), &x.device()));
    let mut step = |x: &Tensor| {
        let (of, to) = ([x.gpu(), kernel.gpu()], y.gpu_mut());
        let bf16 = Precision::Bf16;
        any_forward(&gpu, bf16.into(), &g, of, Epilogue::none(), scratch.gpu_mut(), to);
    };
    step(&x);
    let mut graph = gpu.capture(|| step(&x)).expect("only launches");
    x.write(&slice(&then.x));
    graph.launch();
    gpu.synchronize().unwrap();
    let mut of = then;
    of.kernel = before.kernel;
    of.bias.fill(0.0);
    let [expected, _] = by_formula(&g, &of.in_f64());
    assert_close("z", &read(&y), &expected, Tolerance::for_reduction(g.taps()));
}

#[test]
fn a_layer_plans_for_what_is_chosen() {
    let Some(gpu) = a_hopper() else { return };
    let (g, mut cases) =
        (geometry([1, 54, 54, 64], [1, 1, 384], Padding::Valid), Cases::new("conv2d hopper", 9));
    assert!(Problem::forward(&g).pays());
    let of = |cases: &mut Cases, shape: Shape| {
        let values = cases.normal(shape.len());
        values.into_iter().map(|v| rounded(v, Precision::Bf16)).collect::<Vec<_>>()
    };
    let [x, kernel, dy] = [g.x(), g.kernel(), g.y()].map(|shape| (shape, of(&mut cases, shape)));
    let run = |precision| {
        let layer = Conv2D::new(g.k, 1);
        let device = Device::Cuda(gpu.clone());
        let mut trial = Trial::on(&device, layer, g.x(), 1);
        trial.cx.precision = precision;
        trial.layer.visit_mut(&mut Path::default(), &mut |path, field| {
            if path.as_str().ends_with("kernel") {
                field.into_value().write(&kernel.1);
            }
        });
        let [x, dy] = [&x, &dy].map(|(shape, values)| on(&gpu, *shape, values));
        let y = trial.forward(&x);
        let dx = trial.backward(&x, &y, &dy);
        gpu.synchronize().expect("a sound device");
        [read(&y), read(&dx)]
    };
    // Of numbers that are round already, the sums are those of f32, in another order.
    let (exact, actual) = (run(Precision::F32), run(Precision::Bf16));
    for (name, i, sums) in [("y", 0, g.taps()), ("dx", 1, g.k)] {
        let exact: Vec<f64> = exact[i].iter().map(|&v| f64::from(v)).collect();
        assert_close(name, &actual[i], &exact, Tolerance::for_reduction(2 * sums));
    }
}

#[test]
fn a_tile_wastes_few_pixels() {
    for (n, side, part) in [
        (64, 224, [1, 4, 32]),
        (64, 56, [2, 8, 8]),
        (64, 28, [8, 4, 4]),
        (1, 7, [1, 8, 16]),
        (1, 1, [1, 1, 128]),
    ] {
        let g = geometry([n, side, side, 64], [3, 3, 64], Padding::Same);
        assert_eq!(Problem::forward(&g).part, part, "{n} images of {side}");
    }
}

#[test]
fn scratch_for_a_batch_is_enough_for_a_smaller_one() {
    for (side, padding) in [(7, Padding::Same), (30, Padding::Valid), (56, Padding::Same)] {
        let of = |n| any_scratch(&geometry([n, side, side, 64], [3, 3, 128], padding));
        let sizes = [1, 2, 3, 15, 16, 17, 31, 100, 129].map(of);
        assert!(sizes.is_sorted() && sizes[0] < sizes[8], "{sizes:?}");
        let most = geometry([129, side, side, 64], [3, 3, 128], padding);
        assert!(sizes[8] >= scratch(&most), "room for what is chosen");
    }
}
