//! Winograd's kernels equal the definition, and their transforms the CPU's.

use super::super::{self as engine, Arithmetic};
use super::*;
use crate::conv2d::cpu::winograd::transform::tests::both;
use crate::conv2d::cpu::winograd::transform::{self as host, INPUTS, OUTPUTS, Transform};
use crate::conv2d::tests::winograd::relative;
use crate::conv2d::tests::{Arrays, array};
use crate::trial::Trial;
use crate::{Activation, Conv2D, Padding};
use gradus_tensor::ndarray::Array4;
use gradus_tensor::{Device, Fields as _, Path, Precision, Shape, Tensor};
use gradus_testing::{Cases, gpu};

fn geometry([n, h, w, c]: [usize; 4], k: usize, padding: Padding) -> Geometry {
    let (x, kernel) = (Shape::new(&[n, h, w, c]), Shape::new(&[3, 3, c, k]));
    Geometry::new(x, kernel, [1, 1], padding, [1, 1]).expect("it fits")
}

/// Odd extents, all paddings, channels and filters that go by fours and that do not.
fn random_geometry(cases: &mut Cases) -> Geometry {
    loop {
        let numbers = [1, 3, 4, 8, 17, 20, 33, 36, 68];
        let [c, k] = [(); 2].map(|()| cases.one_of(&numbers));
        let [n, h, w] = [3, 15, 19].map(|most| cases.extent(1, most));
        let explicit = [(); 2].map(|()| [cases.extent(0, 2), cases.extent(0, 2)]);
        let padding = cases.one_of(&[Padding::Valid, Padding::Same, Padding::Explicit(explicit)]);
        let (x, kernel) = (Shape::new(&[n, h, w, c]), Shape::new(&[3, 3, c, k]));
        if let Ok(g) = Geometry::new(x, kernel, [1, 1], padding, [1, 1]) {
            return g;
        }
    }
}

fn on(gpu: &Gpu, shape: Shape, values: &[f32]) -> Tensor {
    Tensor::from_slice(shape, values).on(&Device::Cuda(gpu.clone()))
}

fn stale(gpu: &Gpu, shape: Shape) -> Tensor {
    on(gpu, shape, &vec![f32::NAN; shape.len()])
}

fn numbers(of: Tensor) -> Array4<f32> {
    array(of.shape(), of.on(&Device::Cpu).slice::<f32>().to_vec())
}

/// z, dx and dkernel by the kernels, in turns of at most so many tiles, of scratch that holds NaN and
/// is not longer than it must be.
fn by_kernels(gpu: &Gpu, g: &Geometry, arrays: &Arrays<f32>, most: usize) -> [Array4<f32>; 3] {
    let of = |shape: Shape, values: &Array4<f32>| on(gpu, shape, values.as_slice().unwrap());
    let [x, kernel, dz] =
        [of(g.x(), &arrays.x), of(g.kernel(), &arrays.kernel), of(g.y(), &arrays.dz)];
    let bias = on(gpu, Shape::new(&[g.k]), arrays.bias.as_slice().unwrap());
    let [mut z, mut dx, mut dkernel] = [g.y(), g.x(), g.kernel()].map(|shape| stale(gpu, shape));
    let [forward, backward] =
        [Winograd::forward(g), Winograd::backward(g)].map(|of| Cut { most, ..Cut::new(of) });
    let of = [forward.scratch(), backward.scratch(), forward.weight_scratch()];
    let [mut first, mut second, mut third] = of.map(|len| stale(gpu, Shape::new(&[len])));
    let (epilogue, none) = (Epilogue { bias: bias.gpu(), relu: false }, Epilogue::none());
    sweep(gpu, &forward, [x.gpu(), kernel.gpu()], epilogue, first.gpu_mut(), z.gpu_mut());
    sweep(gpu, &backward, [dz.gpu(), kernel.gpu()], none, second.gpu_mut(), dx.gpu_mut());
    gradient(gpu, &forward, [x.gpu(), dz.gpu()], third.gpu_mut(), dkernel.gpu_mut());
    gpu.synchronize().unwrap();
    [z, dx, dkernel].map(numbers)
}

#[track_caller]
fn assert_right(what: &str, g: &Geometry, arrays: &Arrays<f32>, actual: &[Array4<f32>; 3]) {
    let expected = arrays.in_f64().by_definition(g);
    let [z, dx, dkernel] = actual;
    let errors = [
        relative(z, &expected.z),
        relative(dx, &expected.dx),
        relative(dkernel, &expected.dkernel),
    ];
    assert!(errors.iter().all(|e| *e < 2e-5), "{what}, {g:?}: z, dx, dkernel off by {errors:?}");
}

#[test]
fn winograd_is_the_definition() {
    let Some(gpu) = gpu() else { return };
    for case in 0..24 {
        let mut cases = Cases::new("conv2d winograd kernels", case);
        let g = random_geometry(&mut cases);
        let arrays = Arrays::random(&g, &mut cases);
        let actual = by_kernels(&gpu, &g, &arrays, ROWS);
        assert_right(&format!("case {case}"), &g, &arrays, &actual);
        if case % 4 == 0 {
            assert_eq!(actual, by_kernels(&gpu, &g, &arrays, ROWS), "case {case}: another run");
        }
    }
}

/// More tiles than a turn has, sums in parts and whole, more columns than a block has.
#[test]
fn turns_add_up_to_the_batch() {
    let Some(gpu) = gpu() else { return };
    let shapes =
        [([5, 33, 29, 8], 12), ([6, 25, 30, 5], 3), ([1, 47, 45, 4], 72), ([2, 33, 31, 72], 4)];
    for (case, (x, k)) in shapes.into_iter().enumerate() {
        let g = geometry(x, k, Padding::Same);
        let arrays = Arrays::random(&g, &mut Cases::new("conv2d winograd turns", case as u32));
        let cut = Cut { most: ROWS, ..Cut::new(Winograd::forward(&g)) };
        let turns: Vec<_> = cut.turns().collect();
        assert!(turns.len() > 1 && turns.iter().any(|turn| turn.len() < ROWS), "{turns:?}");
        assert_eq!(turns.iter().map(Range::len).sum::<usize>(), cut.of.tiles.count());
        // In one turn the first two have sums in parts, by quads and one by one.
        let blocks = PRODUCTS * cut.weight_tile().count(g.c, g.k);
        let parts = cut.weight_tile().parts(blocks, cut.of.tiles.count());
        assert_eq!(parts > 1, case < 2, "{parts} parts");
        let turns = by_kernels(&gpu, &g, &arrays, ROWS);
        assert_right("in turns", &g, &arrays, &turns);
        let whole = by_kernels(&gpu, &g, &arrays, 4 * ROWS);
        assert_right("in one", &g, &arrays, &whole);
        // Only the gradient of the kernel is added up over turns.
        assert_eq!(turns[..2], whole[..2], "{g:?}");
    }
}

/// The kernels' transforms of a one at each place, held against the CPU's, in which a number is an
/// f64. Other places hold zeros, so that what comes out are the products of the matrices' numbers.
#[test]
fn the_transforms_are_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    // Of six by six inputs, a tile of outputs is in the middle of its own.
    let g = geometry([1, INPUTS, INPUTS, 1], 1, Padding::Valid);
    let of = Winograd::forward(&g);
    let launches = Launches { gpu: &gpu, of: &of, quads: false };
    let turn = 0..1;
    let run = |side: usize, made: usize, launch: &dyn Fn(GpuView<'_, f32>, GpuViewMut<'_, f32>)| {
        let one = |place: usize| {
            let values: Vec<f32> =
                (0..side * side).map(|i| f32::from(u8::from(i == place))).collect();
            let from = on(&gpu, Shape::new(&[side * side]), &values);
            let mut to = stale(&gpu, Shape::new(&[made * made]));
            launch(from.gpu(), to.gpu_mut());
            gpu.synchronize().unwrap();
            to.on(&Device::Cpu).slice::<f32>().to_vec()
        };
        (0..side * side).map(one).collect::<Vec<_>>()
    };
    let made = run(INPUTS, INPUTS, &|from, to| launches.input(&turn, from, to));
    assert_transforms::<host::Input, INPUTS, INPUTS>(&made);
    let made = run(INPUTS, OUTPUTS, &|from, to| launches.output(&turn, from, Epilogue::none(), to));
    assert_transforms::<host::Output, INPUTS, OUTPUTS>(&made);
    let made = run(TAPS, INPUTS, &|from, to| launches.kernel(from, to));
    assert_transforms::<host::Filter, TAPS, INPUTS>(&made);
    let made = run(OUTPUTS, INPUTS, &|from, to| launches.gradient(&turn, from, to));
    assert_transforms::<host::OutputGradient, OUTPUTS, INPUTS>(&made);
    let made = run(INPUTS, TAPS, &|from, to| launches.kernel_gradient(from, false, to));
    assert_transforms::<host::FilterGradient, INPUTS, TAPS>(&made);
}

#[track_caller]
fn assert_transforms<T: Transform<F, I>, const F: usize, const I: usize>(made: &[Vec<f32>]) {
    for (place, made) in made.iter().enumerate() {
        let one = |i: usize, j: usize| f64::from(u8::from(i * F + j == place));
        let expected = both::<T, F, I>(one);
        for (actual, expected) in made.iter().zip(expected.as_flattened()) {
            // Whole numbers are exact; sixths and twenty-fourths, multiplied, are rounded three times.
            let off = (f64::from(*actual) - expected).abs();
            let most = if expected.fract() == 0.0 { 0.0 } else { 3.0 * expected.abs() * 6e-8 };
            assert!(off <= most, "the one at {place} gives {actual}, expected {expected}");
        }
    }
}

/// The least of channels, filters and tiles that is worth it.
fn least() -> Geometry {
    let g = geometry([6, 20, 20, 96], 96, Padding::Same);
    assert!(pays(&Winograd::forward(&g)) && pays(&Winograd::backward(&g)), "{g:?}");
    assert!(!pays(&Winograd::forward(&Geometry { n: 5, ..g })), "{g:?}");
    g
}

#[test]
fn it_is_taken_where_it_pays_and_nobody_asks_for_plain_sums() {
    let Some(gpu) = gpu() else { return };
    let g = least();
    let of = |arithmetic: Arithmetic, g: &Geometry| {
        [Winograd::forward, Winograd::backward].map(|pass| arithmetic.takes_winograd(&gpu, g, pass))
    };
    let [fast, exact] = [false, true].map(|exact| Arithmetic { precision: Precision::F32, exact });
    assert_eq!((of(fast, &g), of(exact, &g)), ([true; 2], [false; 2]));
    assert_eq!(of(fast, &Geometry { strides: [1, 2], q: 10, ..g }), [false; 2]);
    assert_eq!(of(fast, &Geometry { dilation: [2, 1], ..g }), [false; 2]);
    if gpu.compute_capability() >= (8, 0) {
        assert_eq!(of(Precision::Tf32.into(), &g), [false; 2]);
        assert_eq!(of(Precision::Bf16.into(), &g), [false; 2]);
    }
}

/// What the rule makes of convolutions that networks have.
#[test]
fn many_channels_and_many_tiles_pay() {
    for (x, k, padding, expected) in [
        ([128, 63, 63, 32], 64, Padding::Valid, false),
        ([128, 30, 30, 64], 128, Padding::Valid, true),
        ([15, 30, 30, 64], 128, Padding::Valid, true),
        ([64, 56, 56, 64], 64, Padding::Same, true),
        ([64, 28, 28, 128], 128, Padding::Same, true),
        ([64, 14, 14, 256], 256, Padding::Same, true),
        ([64, 7, 7, 512], 512, Padding::Same, true),
        ([1, 7, 7, 512], 512, Padding::Same, false),
        ([1024, 31, 31, 24], 64, Padding::Same, false),
        ([1024, 15, 15, 64], 256, Padding::Same, true),
        ([1024, 7, 7, 256], 256, Padding::Same, true),
        ([64, 2, 2, 512], 512, Padding::Same, false),
        ([64, 56, 56, 2048], 32, Padding::Same, false),
    ] {
        let g = geometry(x, k, padding);
        assert_eq!(pays(&Winograd::forward(&g)), expected, "{g:?}");
    }
}

#[test]
fn scratch_is_bounded_and_enough_for_a_smaller_batch() {
    for (side, c, k) in [(20, 96, 96), (56, 64, 64), (7, 512, 512), (13, 260, 70), (224, 64, 64)] {
        let g = geometry([1, side, side, c], k, Padding::Same);
        let all = [1, 2, 3, 5, 6, 7, 8, 31, 64, 129, 1000].map(|n| Geometry { n, ..g });
        assert!(all.iter().all(|g| engine::scratch(g) >= planned_scratch(g)), "{g:?}");
        for scratch in [scratch, planned_scratch] {
            let sizes = all.map(|g| scratch(&g));
            assert!(sizes.is_sorted(), "{sizes:?} of {g:?}");
            let turn = TURN.max(PRODUCTS * ROWS * (c + k));
            // The table of sums, and as many parts of it as there are blocks.
            let tables = PRODUCTS * c * k + 264 * SQUARE.rows * SQUARE.columns;
            assert!(sizes.iter().all(|len| *len <= turn + tables), "{sizes:?} of {g:?}");
        }
    }
}

/// Training and the gradients of a layer for which it pays, by the scratch that was planned, against
/// plain sums of the CPU; and plain sums where they are asked for.
#[test]
fn a_layer_on_a_gpu_is_the_layer_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let (g, device) = (least(), Device::Cuda(gpu.clone()));
    let mut cases = Cases::new("conv2d winograd layer", 0);
    let [x, dy] = [g.x(), g.y()].map(|shape| Tensor::from_slice(shape, &cases.normal(shape.len())));
    let drawn = [g.kernel(), Shape::new(&[g.k])].map(|shape| cases.normal(shape.len()));
    let run = |device: &Device, exact: bool| {
        let layer = Conv2D::new(g.k, 3).padding(Padding::Same).activation(Activation::Relu);
        let mut trial = Trial::on(device, layer, g.x(), 2);
        trial.cx.workspace.exact = exact;
        let mut drawn = drawn.iter();
        trial.layer.visit_mut(&mut Path::default(), &mut |_, field| {
            field.into_value().write(drawn.next().expect("kernel and bias"));
        });
        let y = trial.forward(&x.on(device));
        (trial, y)
    };
    let gradients = |(mut trial, y): (Trial<Conv2D>, Tensor)| {
        let [x, dy] = [&x, &dy].map(|tensor| tensor.on(&trial.cx.device));
        let dx = trial.backward(&x, &y, &dy);
        [y, dx, trial.layer.kernel.grad.clone()].map(numbers)
    };
    let host = gradients(run(&Device::Cpu, true)).map(|expected| expected.mapv(f64::from));
    let fast = gradients(run(&device, false));
    let exact = relative(&numbers(run(&device, true).1), &host[0]);
    gpu.synchronize().expect("a sound device");
    let [y, dx, dkernel] = [0, 1, 2].map(|i| relative(&fast[i], &host[i]));
    assert!([y, dx, dkernel].iter().all(|off| *off < 2e-5), "off by {y}, {dx}, {dkernel}");
    // Plain sums are of other bits, and closer.
    assert!(2.0 * exact < y, "plain sums are off by {exact}, Winograd's by {y}");
}

#[test]
fn a_nan_stays_in_its_tile_and_passes_the_relu() {
    let Some(gpu) = gpu() else { return };
    let g = geometry([2, 9, 10, 4], 4, Padding::Valid);
    let mut arrays = Arrays::random(&g, &mut Cases::new("conv2d winograd nan", 0));
    // Seen by the first of the tiles across alone, and the second one down.
    arrays.x[[1, 8, 1, 2]] = f32::NAN;
    let of = |shape: Shape, values: &Array4<f32>| on(&gpu, shape, values.as_slice().unwrap());
    let (x, kernel) = (of(g.x(), &arrays.x), of(g.kernel(), &arrays.kernel));
    let bias = on(&gpu, Shape::new(&[g.k]), arrays.bias.as_slice().unwrap());
    let mut y = stale(&gpu, g.y());
    let mut scratch = stale(&gpu, Shape::new(&[scratch(&g)]));
    let epilogue = Epilogue { bias: bias.gpu(), relu: true };
    forward(&gpu, &g, [x.gpu(), kernel.gpu()], epilogue, scratch.gpu_mut(), y.gpu_mut());
    gpu.synchronize().unwrap();
    arrays.x[[1, 8, 1, 2]] = 0.0;
    let expected = arrays.in_f64().by_definition(&g).z;
    let y = numbers(y);
    for (at, y) in y.indexed_iter() {
        let (n, p, q, _) = at;
        let lost = n == 1 && p >= OUTPUTS && q < OUTPUTS;
        let expected = if lost { f64::NAN } else { expected[at].max(0.0) };
        let off = (f64::from(*y) - expected).abs();
        assert!(lost == y.is_nan() && (lost || off < 1e-4), "{at:?}: {y}, expected {expected}");
    }
}
