//! The kernels equal the definition.

use super::super::tests::{Arrays, Results, array, assert_results, random_geometry};
use super::*;
use crate::trial::kernels_agree;
use crate::{Activation, Conv2D, Padding};
use gradus_tensor::gpu::Gpu;
use gradus_tensor::{Context, Device, Shape, Spec, Tensor};
use gradus_testing::{Cases, gpu};

/// What the kernels make of the arrays, of scratch that holds NaN.
fn by_kernels(gpu: &Gpu, g: &Geometry, arrays: &Arrays<f32>) -> Results<f32> {
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
    forward(gpu, g, [x.gpu(), kernel.gpu()], epilogue, scratch.gpu_mut(), z.gpu_mut());
    backward_input(gpu, g, [dz.gpu(), kernel.gpu()], scratch.gpu_mut(), dx.gpu_mut());
    backward_weight(gpu, g, [x.gpu(), dz.gpu()], scratch.gpu_mut(), dkernel.gpu_mut());
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
        assert_results(&what, &by_kernels(&gpu, &g, &arrays), &expected, &g);
    }
}

/// Geometries that take every tile, by quads, with sums in parts and whole.
fn every_tile() -> Vec<Geometry> {
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
        of(1, [1, 19, 17, 4], [3, 3, 4, 8], [1, 1], same),
        of(1, [1, 5, 6, 3], [2, 2, 3, 5], [3, 2], Padding::Valid),
        of(1, [1, 6, 6, 70], [3, 3, 70, 35], [1, 1], same),
        of(1, [1, 40, 30, 3], [3, 3, 3, 33], [2, 2], same),
        of(12, [2, 9, 8, 12], [3, 3, 1, 12], [2, 2], same),
        of(5, [1, 30, 20, 10], [3, 3, 2, 20], [1, 1], explicit),
    ]
}

#[test]
fn every_tile_is_the_definition_and_gives_the_same_bits_again() {
    let Some(gpu) = gpu() else { return };
    for (case, g) in every_tile().into_iter().enumerate() {
        let arrays = Arrays::random(&g, &mut Cases::new("conv2d tiles", case as u32));
        let expected = arrays.in_f64().by_definition(&g);
        let actual = by_kernels(&gpu, &g, &arrays);
        assert_results(&format!("{g:?}"), &actual, &expected, &g);
        assert_eq!(actual, by_kernels(&gpu, &g, &arrays), "{g:?}: another run");
    }
    let passes = every_tile().into_iter().filter(|g| !depthwise::fits(g)).flat_map(|g| {
        [Pass::forward(&g), Pass::backward_input(&g), Pass::weight(&g)]
    });
    let mut kinds: Vec<_> = passes.map(|p| (p.tile.rows, p.tile.columns, p.quads, p.parts > 1)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    // Wide, square, narrow and slim, and small by quads and not; each in parts and whole.
    assert_eq!(kinds.len(), 12, "{kinds:?}");
}

#[test]
fn relu_in_the_epilogue_lets_nan_through() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    // In one piece, in parts, and depthwise.
    for (groups, channels) in [(1, 1), (1, 400), (2, 1)] {
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
        forward(&gpu, &g, [x.gpu(), kernel.gpu()], epilogue, scratch.gpu_mut(), y.gpu_mut());
        gpu.synchronize().unwrap();
        let y = y.on(&Device::Cpu);
        let [lost, twice, zero] = [0, 1, 2].map(|pixel| &y.slice::<f32>()[pixel * g.k..][..g.k]);
        assert!(lost.iter().all(|v| v.is_nan()), "{lost:?}");
        assert!(twice.iter().all(|v| *v == 2.0 * channels as f32), "{twice:?}");
        assert!(zero.iter().all(|v| *v == 0.0), "{zero:?}");
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
            let meet = |window, tap| if i == 0 { g.row(window, tap) } else { g.column(window, tap) };
            let mut expected: Vec<_> = (0..windows)
                .flat_map(|window| (0..taps).map(move |tap| (window, tap)))
                .filter_map(|(window, tap)| Some((meet(window, tap)?, tap, window as i32)))
                .collect();
            let mut actual = Vec::new();
            let mut pixels = 0;
            for first in 0..g.strides[i].min(extent) {
                let axis =
                    Axis::new(first, extent, taps, g.strides[i], g.dilation[i], g.before[i]);
                pixels += axis.pixels;
                for (u, t) in
                    (0..axis.pixels).flat_map(|u| (0..axis.taps).map(move |tap| (u, tap)))
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
